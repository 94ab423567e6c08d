/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sandboxes: the object, its lifecycle, the registry and its queries. No protobuf, HTTP or SQL
 * here.
 *
 * Lifecycle: one table of allowed moves and one setter, which alone moves the object between lists,
 * writes the store row, publishes the event and traces.
 *
 *   creating -> pooled -> running -> pausing -> paused -> resuming -> running ...
 *        \________________/^         any state but gone -> stopping -> gone
 *
 * A paused one exists on the disk only. What fails on the way there leads back to running, what
 * fails on the way back leads to paused: a sandbox whose snapshot could not be made runs on.
 *
 * A pooled sandbox has no identity beyond its id; a create gives it one. Every callback comes
 * exactly once from a later loop turn.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "base/err.h"
#include "base/id.h"

struct guest;
struct launcher;
struct loop;
struct meminfo;
struct sandbox;
struct sandboxes; /* registry */
struct store;
struct template;
struct templates;
struct vmm;
struct vmm_driver;
struct vmm_usage;

enum sandbox_state {
	SANDBOX_CREATING,
	SANDBOX_POOLED,
	SANDBOX_RUNNING,
	SANDBOX_PAUSING,
	SANDBOX_PAUSED,
	SANDBOX_RESUMING,
	SANDBOX_STOPPING,
	SANDBOX_GONE,
};
const char *sandbox_state_name(enum sandbox_state s);

enum sandbox_end { /* why it ended; told in events and errors */
	SANDBOX_END_NONE,
	SANDBOX_END_KILLED,	   /* by its owner */
	SANDBOX_END_TIMEOUT,	   /* time to live ran out */
	SANDBOX_END_CRASHED,	   /* the agent died */
	SANDBOX_END_OUT_OF_MEMORY, /* the agent died because of memory */
	SANDBOX_END_FAILED,	   /* creation failed */
	SANDBOX_END_SHUTDOWN,	   /* the server removed it */
	SANDBOX_END_LOST,	   /* gone when the server came back */
};
const char *sandbox_end_name(enum sandbox_end e); /* "killed", "timeout", ... */

/* Expected outcomes beside -errno in err.code of the callbacks below */
#define SANDBOX_E_TEMPLATE 1 /* unknown template */
#define SANDBOX_E_LIMIT 2    /* the team has too many sandboxes */
#define SANDBOX_E_CAPACITY 3 /* this machine takes no more */
#define SANDBOX_E_STATE 4    /* not possible in the sandbox's state */
#define SANDBOX_E_DRIVER 5   /* the driver cannot do that */

/* ---- what callers see of one sandbox; borrowed, valid until the next loop turn ---- */
struct sandbox_view {
	const char *id;
	const struct template *tmpl;
	const char *team_id;	   /* "" while pooled */
	const char *access_token;  /* NULL when not secured */
	const char *traffic_token; /* NULL unless public traffic is refused */
	/* The host that programs in the sandbox are told, where "${PORT}" stands for the port;
	 * NULL: the client's own. */
	const char *mask_host;
	enum sandbox_state state;
	enum sandbox_end end;
	const char *end_detail;	       /* sentence, "" if none */
	const char *isolation;	       /* "namespace" ... */
	int64_t started_ns, end_at_ns; /* real time */
	unsigned cpu_milli;
	uint64_t memory_bytes, disk_bytes;
	bool internet;
	bool auto_pause;	     /* what the end of its time does: pause instead of end */
	const char *const *metadata; /* key, value, key, value, ..., NULL */
	const char *const *env;	     /* "K=V", NULL at the end */
	uint64_t oom_kills, pids_refused;
};
void sandbox_view(const struct sandbox *sb, struct sandbox_view *ret);
/* The agent's channels; NULL unless running. */
struct guest *sandbox_guest(const struct sandbox *sb);
struct sandbox *sandbox_ref(struct sandbox *sb);
struct sandbox *sandbox_unref(struct sandbox *sb);

/* ---- registry ---- */
struct sandboxes_conf {
	struct loop *loop;
	struct store *store;
	const struct templates *templates;
	const struct vmm_driver *driver;
	struct vmm *vmm;
	unsigned max_sandboxes;	  /* all together, pooled ones too */
	unsigned create_parallel; /* boots at the same time; 0 = number of processors */
	bool pool;		  /* keep pools filled */
	/* Memory that sandboxes may grow to, together, by their templates; 0 = any. */
	uint64_t memory_budget;
	/* What the machine must have left before another is started, asked by read_memory, which
	 * may be NULL. */
	uint64_t memory_reserve;
	int (*read_memory)(struct meminfo *ret);
};
struct sandboxes *sandboxes_new(const struct sandboxes_conf *c, struct err *reterr);
/* After sandboxes_shutdown() is done. Instances that were left alone go on: close the driver before
 * the loop runs again. */
struct sandboxes *sandboxes_free(struct sandboxes *s);
/* Load rows, adopt what lives, remove what nobody owns, then start filling pools. Once, before
 * listening. 0, or -ENOMEM: done does not come. */
int sandboxes_recover(
    struct sandboxes *s, void (*done)(const struct err *err, void *arg), void *arg);
/* A template has another image: what is made from now on is made of that, in its pool, too. */
void sandboxes_image_changed(struct sandboxes *s, const char *template_name);
/* Stop: end everything that runs when kill is set (pool members always), else leave it to the next
 * start. Paused ones stay. */
void sandboxes_shutdown(struct sandboxes *s, bool kill, void (*done)(void *arg), void *arg);

struct sandbox_sizes {
	uint64_t memory_bytes, disk_bytes;
	unsigned cpu_milli; /* 1000 = one core */
};
#define SANDBOX_CPU_MILLI_MIN 100u
#define SANDBOX_CPU_MILLI_MAX 256000u
#define SANDBOX_MEMORY_MIN (64ull << 20)
#define SANDBOX_MEMORY_MAX (1ull << 40)
#define SANDBOX_DISK_MIN (16ull << 20)
#define SANDBOX_DISK_MAX (1ull << 42)

struct sandbox_params {
	const char *template_ref;
	const char *team_id;
	unsigned team_limit;	    /* most running sandboxes of the team; 0 = none */
	unsigned timeout_s;	    /* 0 = the template's default */
	struct sandbox_sizes sizes; /* each 0 = the template's; within the bounds above */
	bool secure;
	bool internet; /* and the template allows it */
	bool allow_public_traffic;
	bool auto_pause;       /* when its time is over; needs a driver that keeps snapshots */
	const char *mask_host; /* NULL = none; copied */
	const char *const *metadata; /* key, value, ..., NULL; copied */
	const char *const *env;	     /* "K=V", ..., NULL; copied */
};
typedef void sandbox_create_fn(const struct err *err, struct sandbox *sb, void *arg);
struct sandbox_create; /* handle of a create in progress */
/* From the pool when one waits there that has, or can be given, the wanted sizes, else by a boot.
 * done borrows sb. NULL on -ENOMEM: done is not called. c is gone once done is called. */
struct sandbox_create *sandbox_create(
    struct sandboxes *s, const struct sandbox_params *p, sandbox_create_fn *done, void *arg);
/* The caller is gone: done is not called; a sandbox that still comes up is removed. */
void sandbox_create_cancel(struct sandbox_create *c);

/* Only those that have an owner: running, paused and what lies between, stopping; NULL when
 * unknown. */
struct sandbox *sandboxes_find(const struct sandboxes *s, const char *id);
typedef void sandbox_fn(const struct err *err, void *arg);
/* Works from every state, is idempotent: done when nothing is left of it, or with the first failure
 * of what is then tried for ever. done may be NULL. Only when memory is out, done comes from
 * inside. */
void sandbox_kill(struct sandbox *sb, enum sandbox_end why, sandbox_fn *done, void *arg);
/* Put it on the disk: done when nothing of it runs any more, or with the reason why it still does.
 * SANDBOX_E_STATE: it is paused, or on its way to its end. SANDBOX_E_DRIVER. Callers of a pause in
 * progress wait for the same one. Only when memory is out, done comes from inside. */
void sandbox_pause(struct sandbox *sb, sandbox_fn *done, void *arg);
/* Let a paused one run again for s seconds. SANDBOX_E_STATE: it runs, or is on its way to its end;
 * SANDBOX_E_LIMIT, SANDBOX_E_CAPACITY as for a create; -ERANGE: s. After a failure it is paused
 * still. Callers of a resume in progress wait for the same one; one during a pause is served after
 * it. */
void sandbox_resume(
    struct sandbox *sb, unsigned s, unsigned team_limit, sandbox_fn *done, void *arg);
/* end_at := now + s (only_extend: never earlier than now). The template's max applies: -ERANGE. */
int sandbox_set_timeout(struct sandbox *sb, unsigned s, bool only_extend, struct err *reterr);
/* Running ones only: SANDBOX_E_STATE. Only when memory is out, done comes from inside. */
void sandbox_usage(struct sandbox *sb,
    void (*done)(const struct err *err, const struct vmm_usage *u, void *arg), void *arg);

/* Newest first (then id ascending), running and paused ones of the team. before: continue after
 * this (started_ns, id); NULL from the start. Returns how many were put into out (borrowed). */
struct sandbox_cursor {
	int64_t started_ns;
	char id[ID_SANDBOX_LEN + 1];
};
struct sandbox_filter {
	const char *team_id;
	const char *const *metadata; /* all pairs must match; NULL = any */
	int64_t started_after_ns;    /* inclusive; 0 = any */
	const struct template *tmpl; /* NULL = any */
	bool hide_running, hide_paused;
	bool ascending;
	const struct sandbox_cursor *after;
};
size_t sandboxes_list(const struct sandboxes *s, const struct sandbox_filter *f,
    struct sandbox **out, size_t max, bool *ret_more);
/* Those that are not paused; team NULL = of all. */
size_t sandboxes_count(const struct sandboxes *s, const char *team_id);
size_t sandboxes_count_paused(const struct sandboxes *s, const char *team_id);
/* Idle members of the template's pool. */
size_t sandboxes_pool_ready(const struct sandboxes *s, const struct template *t);

/* ---- numbers; counters begin with the registry ---- */
struct sandboxes_stats {
	unsigned running, paused, pooled, creating, stopping;
	uint64_t memory_promised, memory_budget;
	uint64_t created, refused; /* creates that ended well, or not */
};
void sandboxes_stats(const struct sandboxes *s, struct sandboxes_stats *ret);
struct sandboxes_pool_stats {
	const struct template *tmpl;
	unsigned idle, booting;
	/* What creates got: an idle one, one that was being made for the pool, one of their own. */
	uint64_t hits, joined, misses;
	uint64_t boots, boot_failures, warms, warm_failures;
	const char *last_failure; /* sentence, "" = none yet; valid until the next loop turn */
};
size_t sandboxes_pools(const struct sandboxes *s);
void sandboxes_pool_stats(const struct sandboxes *s, size_t i, struct sandboxes_pool_stats *ret);

/* ---- events ---- */
enum sandbox_event_kind {
	SANDBOX_EVENT_CREATED,
	SANDBOX_EVENT_TIMEOUT_CHANGED,
	SANDBOX_EVENT_OOM,
	SANDBOX_EVENT_PIDS_LIMIT,
	SANDBOX_EVENT_PAUSED,
	SANDBOX_EVENT_RESUMED,
	SANDBOX_EVENT_ENDED, /* view->end says why */
};
struct sandbox_sub;
typedef void sandbox_event_fn(enum sandbox_event_kind kind, struct sandbox *sb, void *arg);
/* team_id NULL = all. Called from the loop. */
struct sandbox_sub *sandboxes_subscribe(
    struct sandboxes *s, const char *team_id, sandbox_event_fn *fn, void *arg);
void sandboxes_unsubscribe(struct sandbox_sub *sub);
