/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /metrics: counters and levels in the text format 0.0.4 of Prometheus. Names of templates are
 * labels; they are of [a-z0-9-_] and need no escapes.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"
#include "base/meminfo.h"
#include "image/template.h"
#include "sandbox/sandbox.h"
#include "service/rest.h"

#define TYPE "text/plain; version=0.0.4; charset=utf-8"

static int head(struct buf *b, const char *name, const char *type, const char *help)
{
	return buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static int one(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
	int r = head(b, name, type, help);
	return r < 0 ? r : buf_printf(b, "%s %" PRIu64 "\n", name, v);
}

static int add_states(struct buf *b, const struct sandboxes_stats *st)
{
	static const char name[] = "sandglass_sandboxes";
	const struct {
		const char *state;
		unsigned n;
	} states[] = {
		{ "running", st->running },
		{ "paused", st->paused },
		{ "pooled", st->pooled },
		{ "creating", st->creating },
		{ "stopping", st->stopping },
	};
	int r = head(b, name, "gauge", "Sandboxes by state.");
	for (size_t i = 0; r == 0 && i < sizeof(states) / sizeof(states[0]); i++)
		r = buf_printf(b, "%s{state=\"%s\"} %u\n", name, states[i].state, states[i].n);
	return r;
}

static int add_memory(struct buf *b, const struct sandboxes_stats *st)
{
	struct meminfo m;
	int r = one(b, "sandglass_memory_promised_bytes", "gauge",
	    "Memory that sandboxes may grow to, together.", st->memory_promised);
	if (r == 0)
		r = one(b, "sandglass_memory_budget_bytes", "gauge", "Most of that; 0 = no bound.",
		    st->memory_budget);
	if (r < 0 || meminfo_read(&m) < 0)
		return r;
	return one(b, "sandglass_memory_available_bytes", "gauge",
	    "Memory that the machine has left.", m.available);
}

/* ---- per template ---- */

static uint64_t idle(const struct sandboxes_pool_stats *p)
{
	return p->idle;
}
static uint64_t booting(const struct sandboxes_pool_stats *p)
{
	return p->booting;
}
static uint64_t hits(const struct sandboxes_pool_stats *p)
{
	return p->hits;
}
static uint64_t joined(const struct sandboxes_pool_stats *p)
{
	return p->joined;
}
static uint64_t misses(const struct sandboxes_pool_stats *p)
{
	return p->misses;
}
static uint64_t boots(const struct sandboxes_pool_stats *p)
{
	return p->boots;
}
static uint64_t boot_failures(const struct sandboxes_pool_stats *p)
{
	return p->boot_failures;
}
static uint64_t warms(const struct sandboxes_pool_stats *p)
{
	return p->warms;
}
static uint64_t warm_failures(const struct sandboxes_pool_stats *p)
{
	return p->warm_failures;
}

static const struct {
	const char *name, *type, *help;
	uint64_t (*get)(const struct sandboxes_pool_stats *p);
} families[] = {
	{ "sandglass_pool_idle", "gauge", "Idle sandboxes that wait for a create.", idle },
	{ "sandglass_pool_booting", "gauge", "Sandboxes being made for the pool.", booting },
	{ "sandglass_pool_hits_total", "counter", "Creates that got an idle sandbox.", hits },
	{ "sandglass_pool_joined_total", "counter",
	    "Creates that got one that was being made for the pool.", joined },
	{ "sandglass_pool_misses_total", "counter", "Creates that booted one of their own.",
	    misses },
	{ "sandglass_boots_total", "counter", "Sandboxes booted or cloned, failures too.", boots },
	{ "sandglass_boot_failures_total", "counter", "Those that failed.", boot_failures },
	{ "sandglass_warm_snapshots_total", "counter", "Warm snapshots found or made.", warms },
	{ "sandglass_warm_snapshot_failures_total", "counter", "Tries to make one that failed.",
	    warm_failures },
};

static int add_family(struct buf *b, const struct sandboxes *s, size_t f)
{
	struct sandboxes_pool_stats p;
	int r = head(b, families[f].name, families[f].type, families[f].help);
	for (size_t i = 0; r == 0 && i < sandboxes_pools(s); i++) {
		sandboxes_pool_stats(s, i, &p);
		r = buf_printf(b, "%s{template=\"%s\"} %" PRIu64 "\n", families[f].name,
		    p.tmpl->name, families[f].get(&p));
	}
	return r;
}

static int write_all(struct buf *b, const struct sandboxes *s)
{
	struct sandboxes_stats st;
	sandboxes_stats(s, &st);
	int r = add_states(b, &st);
	if (r == 0)
		r = one(b, "sandglass_creates_total", "counter", "Sandboxes given to an owner.",
		    st.created);
	if (r == 0)
		r = one(b, "sandglass_creates_failed_total", "counter",
		    "Creates that were refused or failed.", st.refused);
	if (r == 0)
		r = add_memory(b, &st);
	for (size_t f = 0; r == 0 && f < sizeof(families) / sizeof(families[0]); f++)
		r = add_family(b, s, f);
	return r;
}

void rest_server_metrics(struct rest_req *r)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	if (write_all(&b, r->ctl->sandboxes) < 0)
		rest_error(r, 503, "out of memory");
	else
		rest_text(r, TYPE, buf_data(&b), buf_len(&b));
}
