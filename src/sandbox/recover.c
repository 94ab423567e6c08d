/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a restart: the store says what should run, the driver what does.
 *
 *   load   read the rows
 *   adopt  take over each that was running, a few at a time; what fails is lost and destroyed
 *   sweep  the driver removes every instance that nobody took over
 *   snapshots  and every snapshot that belongs to no paused one
 *   rows   only now the rows go whose sandboxes were not taken over at all; a sweep that failed
 * keeps them, so that the next start tries again
 *
 * No create is served and no pool filled before that is over.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "image/template.h"
#include "sandbox/object.h"
#include "store/store.h"

#define ADOPT_PARALLEL 16
#define ADOPT_LIMIT_MS 600000
#define SWEEP_LIMIT_MS 120000

/* Outlives a recovery that was cut short until the driver has answered. */
struct sweep {
	struct recover *owner; /* NULL: nobody wants the answer */
	const char *what;
};

struct recover {
	struct sandboxes *reg;
	struct op op;
	struct store_sandbox *rows;
	size_t n_rows, next; /* next: row to be adopted */
	unsigned n_adopting;
	bool *dropped; /* by row: its instance, if any, is the sweep's */
	struct sweep *sweep;
	bool swept;
	uint32_t slot;
	void (*done)(const struct err *err, void *arg);
	void *arg;
};

static struct recover *of_op(const struct op *op)
{
	return op->owner;
}

/* ---- load ---- */

static int load(struct op *op)
{
	struct recover *rec = of_op(op);
	struct err err = ERR_INIT;
	int r = store_load_sandboxes(rec->reg->conf.store, &rec->rows, &rec->n_rows, &err);
	if (r < 0)
		return op_fail(op, r, "%s", err_text(&err));
	rec->dropped = mem_calloc(rec->n_rows, sizeof(*rec->dropped));
	return rec->dropped ? OP_NEXT : -ENOMEM;
}

/* ---- adopt ---- */

static uint64_t end_from_row(const struct store_sandbox *r)
{
	int64_t left_ns = r->end_at_ns - clock_real_ns();
	return clock_mono_ms() + (left_ns > 0 ? (uint64_t)left_ns / 1000000 : 0);
}

/* Why a row cannot be taken over at all, or NULL. */
static const char *objection(const struct sandboxes *s, const struct store_sandbox *r)
{
	if (r->state == SANDBOX_ROW_PAUSED && !(s->conf.driver->caps & VMM_CAP_SNAPSHOT))
		return "it is paused, and the driver keeps no snapshots";
	if (r->state != SANDBOX_ROW_RUNNING && r->state != SANDBOX_ROW_PAUSED)
		return "it was being removed";
	if (!id_sandbox_valid(r->id) || map_get(s->by_id, r->id))
		return "its id is malformed";
	if (!templates_find(s->conf.templates, r->template_name))
		return "its template is gone";
	if (sandboxes_total(s) >= s->conf.max_sandboxes)
		return "the limit of sandboxes was lowered";
	return NULL;
}

enum taken { TAKEN_NOT, TAKEN_PAUSED, TAKEN_RUNNING };

static enum taken take_over(struct recover *rec, const struct store_sandbox *r)
{
	struct sandboxes *s = rec->reg;
	const char *why = objection(s, r);
	if (why) {
		log_warn("sandbox %s is not taken over: %s", r->id, why);
		return TAKEN_NOT;
	}
	struct identity *who = identity_from_row(s, r);
	struct sandbox *sb =
	    who ? sandbox_new(s, r->id, templates_find(s->conf.templates, r->template_name)) : NULL;
	if (!sb) {
		(void)identity_unref(who);
		log_error("sandbox %s is not taken over: out of memory, or a bad row", r->id);
		return TAKEN_NOT;
	}
	sb->who = who;
	sb->has_row = true;
	sb->internet = r->internet;
	sandbox_sizes_complete(&who->sizes, sb->tmpl);
	sandbox_set_sizes(sb, &who->sizes);
	sb->started_ns = r->started_ns;
	sb->end_at_ns = r->end_at_ns;
	sb->end_mono_ms = end_from_row(r);
	if (r->state == SANDBOX_ROW_PAUSED) {
		sb->has_snapshot = true;
		sandbox_set_state(sb, SANDBOX_PAUSED);
		return TAKEN_PAUSED;
	}
	sandbox_adopt(sb);
	return TAKEN_RUNNING;
}

static void adopt_more(struct recover *rec)
{
	while (rec->next < rec->n_rows && rec->n_adopting < ADOPT_PARALLEL) {
		size_t i = rec->next++;
		enum taken how = take_over(rec, &rec->rows[i]);
		rec->n_adopting += how == TAKEN_RUNNING;
		rec->dropped[i] = how == TAKEN_NOT;
	}
}

static int adopt(struct op *op)
{
	struct recover *rec = of_op(op);
	adopt_more(rec);
	rec->slot = op_slot(op);
	return rec->n_adopting ? OP_WAIT : OP_NEXT;
}

void recover_note_adopted(struct sandboxes *s)
{
	struct recover *rec = s->recover;
	if (!rec)
		return;
	rec->n_adopting--;
	adopt_more(rec);
	if (rec->n_adopting == 0)
		op_wake(&rec->op, rec->slot, 0);
}

/* ---- sweep ---- */

/* Asked while the sweep goes on: what has an instance of ours is ours, also while it is being
 * destroyed. */
static bool keep(const char *id, void *arg)
{
	const struct sweep *sw = arg;
	if (!sw->owner)
		return true;
	const struct sandbox *sb = map_get(sw->owner->reg->by_id, id);
	return sb && (sb->inst || sb->vmm_pending);
}

static bool keep_snapshot(const char *id, void *arg)
{
	const struct sweep *sw = arg;
	const struct sandbox *sb = sw->owner ? map_get(sw->owner->reg->by_id, id) : NULL;
	return !sw->owner || (sb && sb->has_snapshot);
}

static void on_swept(const struct err *err, unsigned removed, void *arg)
{
	struct sweep *sw = arg;
	struct recover *rec = sw->owner;
	const char *what = sw->what;
	mem_free(sw);
	if (!rec)
		return;
	rec->sweep = NULL;
	if (removed)
		log_info("removed %u %s that nobody owns", removed, what);
	if (err->code) /* no reason not to serve what runs */
		log_error("%s that nobody owns could not be removed: %s", what, err_text(err));
	rec->swept &= err->code == 0;
	op_wake(&rec->op, rec->slot, 0);
}

static int begin_sweep(struct recover *rec, const char *what)
{
	rec->sweep = mem_zalloc(sizeof(*rec->sweep));
	if (!rec->sweep)
		return -ENOMEM;
	rec->sweep->owner = rec;
	rec->sweep->what = what;
	rec->slot = op_slot(&rec->op);
	return OP_WAIT;
}

static int sweep(struct op *op)
{
	struct recover *rec = of_op(op);
	const struct sandboxes_conf *c = &rec->reg->conf;
	int r = begin_sweep(rec, "sandboxes");
	rec->swept = true;
	if (r == OP_WAIT)
		c->driver->sweep(c->vmm, keep, rec->sweep, on_swept, rec->sweep);
	return r;
}

static int snapshots(struct op *op)
{
	struct recover *rec = of_op(op);
	const struct sandboxes_conf *c = &rec->reg->conf;
	if (!(c->driver->caps & VMM_CAP_SNAPSHOT))
		return OP_NEXT;
	int r = begin_sweep(rec, "snapshots");
	if (r == OP_WAIT)
		c->driver->sweep_snapshots(c->vmm, keep_snapshot, rec->sweep, on_swept, rec->sweep);
	return r;
}

static void forget_sweep(struct op *op)
{
	of_op(op)->sweep->owner = NULL;
}

/* ---- rows ---- */

static int rows(struct op *op)
{
	struct recover *rec = of_op(op);
	for (size_t i = 0; rec->swept && i < rec->n_rows; i++) {
		if (rec->dropped[i])
			(void)store_del_sandbox(rec->reg->conf.store, rec->rows[i].id, NULL, NULL);
	}
	return OP_NEXT;
}

static const struct op_step steps[] = {
	{ "load", load, NULL, NULL, 60000 },
	{ "adopt", adopt, NULL, NULL, ADOPT_LIMIT_MS },
	{ "sweep", sweep, NULL, forget_sweep, SWEEP_LIMIT_MS },
	{ "snapshots", snapshots, NULL, forget_sweep, SWEEP_LIMIT_MS },
	{ "rows", rows, NULL, NULL, 60000 },
};
const struct op_table sandboxes_recover_table = { "recover", steps, 5 };

static void recover_free(struct recover *rec)
{
	for (size_t i = 0; i < rec->n_rows; i++)
		store_sandbox_fini(&rec->rows[i]);
	mem_free(rec->rows);
	mem_free(rec->dropped);
	mem_free(rec);
}

static void on_done(struct op *op)
{
	struct recover *rec = of_op(op);
	struct sandboxes *s = rec->reg;
	void (*done)(const struct err *err, void *arg) = rec->done;
	void *arg = rec->arg;
	struct err err = op->err;
	op_fini(op);
	recover_free(rec);
	s->recover = NULL;
	sandboxes_pump(s);
	done(&err, arg);
}

int sandboxes_recover(
    struct sandboxes *s, void (*done)(const struct err *err, void *arg), void *arg)
{
	struct recover *rec = mem_zalloc(sizeof(*rec));
	if (!rec)
		return -ENOMEM;
	rec->reg = s;
	rec->done = done;
	rec->arg = arg;
	s->recover = rec;
	op_init(&rec->op, s->conf.loop, &sandboxes_recover_table, rec, on_done);
	op_start(&rec->op);
	return 0;
}

void recover_cancel(struct sandboxes *s)
{
	if (!s->recover)
		return;
	s->recover->next = s->recover->n_rows; /* adopt no more of them */
	op_cancel(&s->recover->op);
}
