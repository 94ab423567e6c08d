/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every step of the jobs times every way not to go well: it fails, runs into its limit, is
 * cancelled, and in the last two cases its answer still comes, good or bad. Nothing may be left,
 * and everybody who waits is told once.
 */
#include <errno.h>
#include <string.h>

#include "sandbox_tests.h"
#include "base/map.h"
#include "image/template.h"
#include "store/db.h"

static struct world w;

static void setup(void)
{
	world_start(&w, NULL);
}

static void teardown(void)
{
	world_stop(&w);
}

/* ---- what a step waits for ---- */

struct step {
	enum sandbox_job job;
	const char *name;
	enum wait_kind kind;
	int call;
};

static const struct step steps[] = {
	{ JOB_BOOT, "prepare", WAIT_VMM, FAKE_PREPARE },
	{ JOB_BOOT, "create", WAIT_VMM, FAKE_CREATE },
	{ JOB_BOOT, "boot", WAIT_GUEST, FAKE_GUEST_BOOT },
	{ JOB_HAND_OUT, "init", WAIT_GUEST, FAKE_GUEST_INIT },
	{ JOB_HAND_OUT, "row", WAIT_STORE, 0 },
	{ JOB_HAND_OUT, "internet", WAIT_VMM, FAKE_SET_INTERNET }, /* pooled ones only */
};
#define N_STEPS (int)(sizeof(steps) / sizeof(steps[0]) - 1)
#define FIRST_POOLED 3
#define N_POOLED 3

static void fail_step(const struct step *st)
{
	if (st->kind == WAIT_VMM)
		fake_vmm_script(w.vmm, st->call, FAKE_FAIL);
	else if (st->kind == WAIT_GUEST)
		fake_guests.script[st->call] = FAKE_GUEST_FAIL;
	else
		(void)sqlite3_exec(w.store->db.handle,
		    "CREATE TRIGGER no BEFORE INSERT ON sandboxes BEGIN"
		    " SELECT RAISE(ABORT, 'no'); END",
		    NULL, NULL, NULL);
}

/* The sandbox that is at the step, once one is. */
static struct sandbox *at_step(const struct step *st)
{
	void *it = NULL;
	for (struct sandbox *sb; (sb = map_next(w.boxes->by_id, &it, NULL));) {
		if (sb->job == st->job && sb->op.waiting &&
		    strcmp(op_step_name(&sb->op), st->name) == 0)
			return sb;
	}
	return NULL;
}

static void begin(struct made *m)
{
	struct sandbox_params p = world_params("bare", "t");
	made_begin(&w, m, &p);
}

/* One in the pool, with another network policy than the create will ask for. */
static void begin_pooled(struct made *m)
{
	struct sandbox_params p = world_params("bare", "t");
	struct sandbox *sb = sandbox_new(w.boxes, "ipooled", templates_find(w.templates, "bare"));
	pool_add(sb);
	sandbox_boot(sb);
	world_until(&w, sb->state == SANDBOX_POOLED);
	p.internet = false;
	made_begin(&w, m, &p);
}

static void nothing_left(void)
{
	world_until(&w, sandboxes_total(w.boxes) == 0 && fake_vmm_pending(w.vmm) == 0);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	ck_assert_uint_eq(fake_guests.live, 0);
	ck_assert_uint_eq(world_rows(&w, NULL), 0);
	ck_assert_uint_eq(w.boxes->n_creates, 0);
	ck_assert_uint_eq(sandboxes_count(w.boxes, NULL), 0);
}

/* ---- the sweeps over a create ---- */

START_TEST(step_fails)
{
	const struct step *st = &steps[_i];
	struct made m;
	fail_step(st);
	begin(&m);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_lt(m.err.code, 0);
	ck_assert_str_ne(m.err.text, "");
	nothing_left();
}
END_TEST

START_TEST(step_times_out)
{
	const struct step *st = &steps[_i / 2];
	struct made m;
	hold_step(&w, st->kind, st->call);
	begin(&m);
	world_until(&w, at_step(st) != NULL);
	world_fire_limit(at_step(st));
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, -ETIMEDOUT);
	ck_assert_msg(strstr(m.err.text, st->name) != NULL, "%s", m.err.text);
	world_settle(&w);
	release_step(&w, st->kind, st->call, _i % 2);
	nothing_left();
}
END_TEST

START_TEST(step_is_cancelled)
{
	const struct step *st = &steps[_i / 2];
	struct made m;
	hold_step(&w, st->kind, st->call);
	begin(&m);
	world_until(&w, at_step(st) != NULL);
	sandbox_create_cancel(m.handle);
	world_settle(&w);
	release_step(&w, st->kind, st->call, _i % 2);
	nothing_left();
	ck_assert_uint_eq(m.calls, 0);
}
END_TEST

/* The instance dies, or somebody kills the sandbox by force, in the middle of its create. */
START_TEST(step_is_killed)
{
	const struct step *st = &steps[_i / 2];
	struct ended e = { 0 };
	struct made m;
	hold_step(&w, st->kind, st->call);
	begin(&m);
	world_until(&w, at_step(st) != NULL);
	struct sandbox *sb = at_step(st);
	bool exits = sb->inst && _i % 2;
	if (exits)
		fake_vmm_event(w.vmm, sb->id, VMM_END_EXITED, 0x100);
	else
		sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &e);
	world_settle(&w);
	release_step(&w, st->kind, st->call, true);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, -EIO);
	world_until(&w, exits || e.calls == 1);
	nothing_left();
}
END_TEST

/* A create is cancelled before its first turn, and after its sandbox is ready but not yet told. */
START_TEST(cancelled_at_the_ends)
{
	struct made m;
	for (unsigned turns = 0; turns < 30; turns++) {
		begin(&m);
		for (unsigned i = 0; i < turns && m.handle; i++)
			world_turn(&w, i > 8);
		if (m.handle)
			sandbox_create_cancel(m.handle);
		else
			sandbox_kill(m.sb, SANDBOX_END_KILLED, NULL, NULL);
		made_forget(&m);
		nothing_left();
	}
}
END_TEST

START_TEST(no_memory_for_the_guest)
{
	struct made m;
	fake_guests.refuse_new = true;
	begin(&m);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, -ENOMEM);
	nothing_left();
}
END_TEST

/* ---- destroy ---- */

START_TEST(destroy_never_answers)
{
	struct sandbox *sb = sandbox_ref(world_create(&w, "bare", "t"));
	struct ended first = { 0 }, second = { 0 };
	fake_vmm_script(w.vmm, FAKE_DESTROY, FAKE_HOLD);
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &first);
	world_until(&w, sb->job == JOB_DESTROY && sb->op.waiting);
	world_fire_limit(sb);
	world_until(&w, first.calls == 1);
	ck_assert_int_eq(first.err.code, -ETIMEDOUT);
	ck_assert(loop_timer_is_armed(&sb->retry));
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &second);
	world_settle(&w);
	ck_assert_uint_eq(second.calls, 0);
	/* The next try waits for the call of the first one: an instance is destroyed once. */
	sandbox_destroy(sb);
	world_until(&w, sb->op.waiting);
	ck_assert_str_eq(op_step_name(&sb->op), "settle");
	fake_vmm_release(w.vmm, FAKE_DESTROY, true);
	world_until(&w, second.calls == 1);
	ck_assert_int_eq(second.err.code, 0);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_DESTROY), 1);
	(void)sandbox_unref(sb);
	nothing_left();
}
END_TEST

START_TEST(destroy_tells_a_failure)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	struct ended e = { 0 };
	fake_vmm_script(w.vmm, FAKE_DESTROY, FAKE_FAIL);
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &e);
	world_until(&w, e.calls == 1);
	ck_assert_int_eq(e.err.code, 0); /* the instance is gone for us */
	nothing_left();
}
END_TEST

START_TEST(row_cannot_be_removed)
{
	struct sandbox *sb = sandbox_ref(world_create(&w, "bare", "t"));
	struct ended e = { 0 };
	(void)sqlite3_exec(w.store->db.handle,
	    "CREATE TRIGGER no BEFORE DELETE ON sandboxes BEGIN SELECT RAISE(ABORT, 'no'); END",
	    NULL, NULL, NULL);
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &e);
	world_until(&w, e.calls == 1);
	ck_assert_int_lt(e.err.code, 0);
	ck_assert_int_eq(sb->state, SANDBOX_STOPPING);
	(void)sqlite3_exec(w.store->db.handle, "DROP TRIGGER no", NULL, NULL, NULL);
	ck_assert(loop_timer_is_armed(&sb->retry));
	sb->retry.cb(&sb->retry, sb->retry.arg);
	world_until(&w, sb->state == SANDBOX_GONE);
	(void)sandbox_unref(sb);
	nothing_left();
}
END_TEST

/* A create's late instance arrives while its destroy waits for it, or between two tries. */
START_TEST(late_instance)
{
	struct made m;
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	begin(&m);
	world_until(&w, at_step(&steps[1]) != NULL);
	struct sandbox *sb = sandbox_ref(at_step(&steps[1]));
	world_fire_limit(sb);
	ck_assert_ptr_null(made_wait(&w, &m));
	world_until(&w, sb->job == JOB_DESTROY && sb->op.waiting);
	ck_assert_str_eq(op_step_name(&sb->op), "settle");
	if (_i) {
		world_fire_limit(sb);
		world_until(&w, sb->job == JOB_NONE);
	}
	fake_vmm_release(w.vmm, FAKE_CREATE, true);
	if (_i) {
		world_until(&w, sb->inst != NULL);
		sb->retry.cb(&sb->retry, sb->retry.arg);
	}
	(void)sandbox_unref(sb);
	nothing_left();
}
END_TEST

/* ---- pooled ones ---- */

/* A hand-out that fails takes the next member; the create hears of nothing. */
START_TEST(hand_out_is_tried_again)
{
	struct world v;
	struct made m;
	struct world_conf c = { .pool = true };
	world_start(&v, &c);
	const struct template *py = templates_find(v.templates, "py");
	world_until(&v, sandboxes_pool_ready(v.boxes, py) == 2);
	struct sandbox_params p = world_params("py", "t");
	p.internet = false;
	if (_i == 0)
		fake_guests.script[FAKE_GUEST_INIT] = FAKE_GUEST_FAIL_ONCE;
	else
		fake_vmm_script(v.vmm, FAKE_SET_INTERNET, FAKE_FAIL_ONCE);
	unsigned boots = fake_vmm_calls(v.vmm, FAKE_CREATE);
	made_begin(&v, &m, &p);
	struct sandbox *sb = made_wait(&v, &m);
	ck_assert_msg(sb != NULL, "%s", m.err.text);
	ck_assert(!sb->internet);
	ck_assert_uint_eq(fake_vmm_calls(v.vmm, FAKE_CREATE), boots); /* both were pooled */
	made_forget(&m);
	world_stop(&v);
}
END_TEST

enum mishap { MISHAP_LIMIT, MISHAP_CANCEL, MISHAP_EXIT, MISHAPS_ };

START_TEST(pooled_step)
{
	const struct step *st = &steps[FIRST_POOLED + _i % N_POOLED];
	enum mishap mishap = _i / N_POOLED % MISHAPS_;
	bool good = _i / N_POOLED / MISHAPS_;
	struct made m;
	hold_step(&w, st->kind, st->call);
	begin_pooled(&m);
	world_until(&w, at_step(st) != NULL);
	if (mishap == MISHAP_LIMIT)
		world_fire_limit(at_step(st));
	else if (mishap == MISHAP_CANCEL)
		sandbox_create_cancel(m.handle);
	else
		fake_vmm_event(w.vmm, "ipooled", VMM_END_EXITED, 9);
	release_step(&w, st->kind, st->call, good);
	if (mishap != MISHAP_CANCEL) {
		ck_assert_msg(made_wait(&w, &m) != NULL, "%s", m.err.text);
		ck_assert_str_ne(m.sb->id, "ipooled");
		ck_assert(!m.sb->internet);
		sandbox_kill(m.sb, SANDBOX_END_KILLED, NULL, NULL);
		made_forget(&m);
	}
	nothing_left();
}
END_TEST

START_TEST(every_step_has_a_limit)
{
	const struct op_table *tables[] = { &sandbox_boot_table, &sandbox_hand_out_table,
		&sandbox_adopt_table, &sandbox_destroy_table, &sandboxes_recover_table };
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (unsigned i = 0; i < tables[t]->n; i++) {
			ck_assert_str_ne(tables[t]->steps[i].name, "");
			ck_assert_uint_gt(tables[t]->steps[i].limit_ms, 0);
			ck_assert_ptr_nonnull(tables[t]->steps[i].begin);
		}
	}
}
END_TEST

void steps_tests(Suite *s)
{
	TCase *tc = test_case(s, "steps", 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, step_fails, 0, N_STEPS);
	tcase_add_loop_test(tc, step_times_out, 0, 2 * N_STEPS);
	tcase_add_loop_test(tc, step_is_cancelled, 0, 2 * N_STEPS);
	tcase_add_loop_test(tc, step_is_killed, 0, 2 * N_STEPS);
	tcase_add_test(tc, cancelled_at_the_ends);
	tcase_add_test(tc, no_memory_for_the_guest);
	tcase_add_test(tc, destroy_never_answers);
	tcase_add_test(tc, destroy_tells_a_failure);
	tcase_add_test(tc, row_cannot_be_removed);
	tcase_add_loop_test(tc, late_instance, 0, 2);
	tcase_add_loop_test(tc, hand_out_is_tried_again, 0, 2);
	tcase_add_loop_test(tc, pooled_step, 0, N_POOLED * MISHAPS_ * 2);
	tcase_add_test(tc, every_step_has_a_limit);
}
