/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of sandbox/ share: the objects behind sandbox.h and the few calls between them.
 *
 * Who holds whom: the registry has one reference on every sandbox that is not gone; a job (one of
 * the four step tables) and every driver or store call in flight have one each. A create in
 * progress and the sandbox that is being made for it point at each other; whichever ends first
 * clears both.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "loop/loop.h"
#include "loop/op.h"
#include "sandbox/sandbox.h"
#include "vmm/vmm.h"

struct guest_identity;
struct map;
struct store_sandbox;

/* ---- teams (team.c): exist while something refers to them ---- */
struct team {
	struct sandboxes *reg;
	unsigned refs;
	char *id;
	struct link owned; /* running and paused ones: newest first, then id ascending */
	unsigned n_owned, n_paused, n_creating;
};
struct team *team_get(struct sandboxes *s, const char *id); /* a new reference; NULL on -ENOMEM */
struct team *team_put(struct team *t);
void team_add(struct team *t, struct sandbox *sb);
void team_remove(struct team *t, struct sandbox *sb);
unsigned team_running(const struct team *t); /* all but the paused ones */

/* ---- who a sandbox is (identity.c) ---- */
struct identity {
	unsigned refs;	   /* a create and the sandbox that it gets share one */
	struct team *team; /* reference */
	char *access_token, *traffic_token, *mask_host;
	char **metadata; /* key, value, ..., NULL */
	char **env;	 /* "K=V", NULL at the end */
	char *metadata_json, *env_json;
	unsigned timeout_s;	    /* of a create or of a resume */
	struct sandbox_sizes sizes; /* wanted; none is 0 once its template is known */
	bool internet, auto_pause;
};
/* NULL on -ENOMEM. */
struct identity *identity_from_params(struct sandboxes *s, const struct sandbox_params *p);
/* NULL on -ENOMEM, and when the row does not hold what we wrote. */
struct identity *identity_from_row(struct sandboxes *s, const struct store_sandbox *r);
struct identity *identity_ref(struct identity *id);
struct identity *identity_unref(struct identity *id);

/* ---- pools (pool.c): one a template ---- */
enum pool_stage {
	POOL_STAGE_NEW,	    /* what the template needs may be missing */
	POOL_STAGE_WARMING, /* its warm snapshot is looked for, or made (VMM_CAP_WARM) */
	POOL_STAGE_READY,
};
struct pool {
	struct sandboxes *reg;
	const struct template *tmpl;
	enum pool_stage stage;
	struct link idle;    /* pooled ones that no create has */
	struct link booting; /* being made for the pool, not claimed by a create */
	unsigned n_idle, n_booting;
	unsigned n_boots;  /* of this template, for whomever */
	unsigned failures; /* refills in a row */
	unsigned age;	   /* grows when what it is made of is not what it was */
	uint64_t retry_ms; /* no refill before */
	uint64_t hits, joined, misses, boots, boot_failures, warms, warm_failures;
	char last_failure[ERR_TEXT_MAX];
};
#define POOL_PAST "its template has another image now"
struct pool *pool_find(const struct sandboxes *s, const struct template *t);
void pool_add(struct sandbox *sb);    /* to idle or booting, as its state says */
void pool_remove(struct sandbox *sb); /* no effect when it is in neither */
void pool_note_boot(struct sandbox *sb, bool refill, const struct err *err);
void pool_note_miss(struct pool *p); /* a create boots one of its own */
void pools_refill(struct sandboxes *s);
int pools_init(struct sandboxes *s);
void pools_fini(struct sandboxes *s);
/* An idle one that is, or can be made, what who wants; NULL when there is none. */
struct sandbox *pool_claim(struct pool *p, const struct identity *who);
/* Make room for others: end an idle one of any pool. False: there is none. */
bool pools_evict(struct sandboxes *s);
/* Whether another boot of this template may begin now. */
bool pool_may_boot(const struct pool *p);
/* Drivers that clone: nothing boots before there is something to clone. */
bool pool_needs_warm(const struct pool *p);
/* Begin to make it, unless somebody does already or the machine is busy. 0 or -ENOMEM. */
int pool_warm_up(struct pool *p);
void pool_note_warm(struct sandbox *sb, const struct err *err); /* that ended */
/* Made before the template had another image, or lost its warm snapshot. */
bool pool_is_past(const struct sandbox *sb);

/* ---- the object (object.c) ---- */
enum sandbox_job {
	JOB_NONE,
	JOB_BOOT,
	JOB_WARM,
	JOB_HAND_OUT,
	JOB_ADOPT,
	JOB_PAUSE,
	JOB_RESUME,
	JOB_DESTROY,
};

struct sandbox {
	struct sandboxes *reg; /* NULL once the registry is gone */
	struct loop *loop;
	unsigned refs;
	char id[ID_SANDBOX_LEN + 1];
	const struct template *tmpl;
	struct pool *pool;
	unsigned age;		  /* of the pool when it was begun */
	enum sandbox_state state; /* changed by sandbox_set_state() only */
	enum sandbox_end end;
	char end_detail[200];
	struct sandbox_sizes sizes; /* in force; changed by sandbox_set_sizes() only */
	bool internet;		    /* the policy in force */
	bool paused;		    /* its instance stands still (VMM_CAP_PAUSE) */

	struct vmm_inst *inst;
	struct guest *guest;
	enum sandbox_job job;
	struct op op; /* of the job */
	/* One driver call at a time; it may outlive the job that made it. vmm_slot: the wait to end
	 * with its answer, 0 = nobody waits. */
	bool vmm_pending;
	uint32_t vmm_slot;
	/* Writes of its row: they end in the order of submission. */
	bool has_row;
	unsigned rows_sent, rows_done;
	uint32_t row_slot; /* waits for the last one sent */

	struct sandbox_create *create;
	struct identity *who; /* NULL until it is handed out */
	int64_t started_ns, end_at_ns;
	uint64_t end_mono_ms;
	size_t heap_at;
	uint64_t oom_kills, pids_refused;
	bool oom_seen; /* by the driver, at oom_ms: it may be why the instance ends */
	uint64_t oom_ms;
	bool limits_known; /* what was counted before a restart of the daemon is no news */

	struct link in_pool, in_team;
	/* Who is to be told of an end, a pause or a resume: struct sandbox_wait. */
	struct link killers, pausers, resumers;
	bool has_snapshot; /* the driver may keep one for it, named as it is */
	bool committed;	   /* of a pause or a resume: there is no way back */
	unsigned events;   /* not yet told, a bit per kind */
	struct link in_events;
	struct loop_timer retry; /* of a destroy that failed */
	unsigned retries;
};
/* In state creating and registered; NULL on -ENOMEM. */
struct sandbox *sandbox_new(struct sandboxes *s, const char *id, const struct template *t);
void sandbox_set_sizes(struct sandbox *sb, const struct sandbox_sizes *to);
struct vmm_sizes sandbox_vmm_sizes(const struct sandbox_sizes *s);
bool sandbox_sizes_equal(const struct sandbox_sizes *a, const struct sandbox_sizes *b);
/* The template's where there is 0. */
void sandbox_sizes_complete(struct sandbox_sizes *s, const struct template *t);
/* Begin a job; done gets the operation. The job holds a reference until sandbox_job_end(). */
void sandbox_job_start(struct sandbox *sb, enum sandbox_job job, const struct op_table *table,
    void (*done)(struct op *op));
/* First thing of a done function: the result, and the job is over. Drop the reference at its end.
 */
struct err sandbox_job_end(struct sandbox *sb);
struct sandbox *sandbox_of_op(const struct op *op);
/* Write its row as it is now; fire and forget when slot is 0. */
int sandbox_write_row(struct sandbox *sb, uint32_t slot);
int sandbox_delete_row(struct sandbox *sb, uint32_t slot);
void sandbox_row_forget(struct op *op); /* as a step's cancel */
/* The next row says this; what is in the store is what a restart believes. */
enum sandbox_row { SANDBOX_ROW_RUNNING = 2, SANDBOX_ROW_STOPPING = 3, SANDBOX_ROW_PAUSED = 4 };
int sandbox_write_row_as(struct sandbox *sb, enum sandbox_row as, uint32_t slot);
/* Driver calls: before one, and its answer. */
void sandbox_vmm_begin(struct sandbox *sb);
void sandbox_vmm_answer(struct sandbox *sb, const struct err *err); /* may free sb */
void sandbox_vmm_forget(struct op *op);				    /* as a step's cancel */
/* Answer of a guest call to the job's current wait. */
void sandbox_guest_answer(const struct err *err, void *arg);
void sandbox_guest_drop(struct op *op); /* as a step's cancel */
/* Make the channels to the agent of its instance. */
int sandbox_open_guest(struct sandbox *sb);
/* While it runs: events of limits that only its own kernel sees. */
void sandbox_watch_limits(struct sandbox *sb);
void sandbox_unwatch_limits(struct sandbox *sb);
/* For the driver's create and adopt. */
void sandbox_fill_spec(const struct sandbox *sb, struct vmm_spec *spec);
void sandbox_on_vmm_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg);

/* ---- lifecycle (state.c) ---- */
void sandbox_set_state(struct sandbox *sb, enum sandbox_state next);
/* The way to the end, from every state: stopping now, gone when the destroy job is through. */
void sandbox_end(struct sandbox *sb, enum sandbox_end why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Is it somebody's: running, paused or between the two? */
bool sandbox_state_is_owned(enum sandbox_state s);
/* A job that was to lead elsewhere is over and did not: end (why, unless it is known already),
 * destroy, and tell the create. */
void sandbox_job_failed(struct sandbox *sb, enum sandbox_end why, const struct err *err);

/* ---- restart (recover.c) ---- */
void recover_note_adopted(struct sandboxes *s); /* an adopt job is over */
void recover_cancel(struct sandboxes *s);	/* its done function still comes */

/* ---- jobs ---- */
void sandbox_boot(struct sandbox *sb);	       /* op_boot.c */
void sandbox_warm(struct sandbox *sb);	       /* op_warm.c: it ends with that */
void sandbox_hand_out(struct sandbox *sb);     /* op_hand_out.c: to sb->create */
void sandbox_adopt(struct sandbox *sb);	       /* op_adopt.c */
void sandbox_begin_pause(struct sandbox *sb);  /* op_pause.c */
void sandbox_begin_resume(struct sandbox *sb); /* op_resume.c */
void sandbox_destroy(struct sandbox *sb);      /* op_destroy.c */
/* All tables, for the test that walks them. */
extern const struct op_table sandbox_boot_table, sandbox_warm_table, sandbox_hand_out_table,
    sandbox_adopt_table, sandbox_pause_table, sandbox_resume_table, sandbox_destroy_table,
    sandboxes_recover_table;
/* Steps that several jobs have. */
int sandbox_step_prepare(struct op *op);
int sandbox_step_settle(struct op *op);
int sandbox_step_destroy(struct op *op);
int sandbox_step_forget_snapshot(struct op *op);
#define SANDBOX_PREPARE_LIMIT_MS 120000
#define SANDBOX_CREATE_LIMIT_MS 60000
/* Create its instance, from where start says. */
void sandbox_create_instance(struct sandbox *sb, enum vmm_start start);
/* Give its agent the template's settings; the answer wakes the job. 0 or -errno. */
int sandbox_boot_agent(struct sandbox *sb, unsigned limit_ms);

/* ---- creates (create.c) ---- */
struct sandbox_create {
	struct sandboxes *reg;
	const struct template *tmpl;
	struct pool *pool;
	struct identity *who;
	struct link in_waiting;
	struct sandbox *sb; /* what is being made for it */
	bool own_boot;	    /* sb was started for this create */
	unsigned tries;
	struct err err;
	sandbox_create_fn *done;
	void *arg;
	struct loop_timer limit;  /* of waiting */
	struct loop_defer answer; /* of a failure found in sandbox_create() itself */
};
/* Give waiting creates what there is. */
void creates_serve(struct sandboxes *s);
/* sb, which was made for c, runs or has failed (err). c is gone then. */
void create_succeeded(struct sandbox_create *c);
void create_failed(struct sandbox_create *c, const struct err *err);
/* Those that wait for a sandbox of this pool; NULL = of any. */
void creates_fail_waiting(struct sandboxes *s, const struct pool *p, const struct err *err);

/* ---- room (room.c) ---- */
enum room { ROOM_YES, ROOM_COUNT, ROOM_PROMISED, ROOM_FREE };
enum room room_for(const struct sandboxes *s, uint64_t memory_bytes);
/* May one that is there already be promised so much instead of what it has? */
bool room_to_grow(const struct sandbox *sb, uint64_t memory_bytes);
/* Sets why there is none; returns SANDBOX_E_CAPACITY. */
int room_refuse(
    const struct sandboxes *s, uint64_t memory_bytes, enum room why, struct err *reterr);

/* ---- expiry (expiry.c): a heap over running ones by end_mono_ms ---- */
int expiry_init(struct sandboxes *s);
void expiry_fini(struct sandboxes *s);
void expiry_add(struct sandbox *sb);
void expiry_remove(struct sandbox *sb);
void expiry_update(struct sandbox *sb);
void expiry_run(struct sandboxes *s); /* end what is due now; what the timer does */

/* ---- events (events.c) ---- */
void events_init(struct sandboxes *s);
void events_fini(struct sandboxes *s);
void events_publish(struct sandbox *sb, enum sandbox_event_kind kind);

/* ---- who waits (wait.c) ---- */
/* Only when memory is out, done comes from inside. */
void sandbox_wait(struct sandbox *sb, struct link *list, sandbox_fn *done, void *arg);
/* done comes from a later turn with this. */
void sandbox_answer_later(struct sandbox *sb, const struct err *err, sandbox_fn *done, void *arg);
void sandbox_tell(struct link *list, const struct err *err); /* from a fresh turn only */
void sandbox_tell_later(struct link *list, const struct err *err);

/* ---- the registry (registry.c) ---- */
struct recover; /* recover.c */

struct sandboxes {
	struct sandboxes_conf conf;
	struct map *by_id; /* all but gone ones */
	struct map *teams;
	struct pool *pools; /* one a template */
	size_t n_pools;
	unsigned count[SANDBOX_GONE + 1]; /* by state */
	unsigned n_boots;		  /* boot jobs in progress */
	unsigned n_jobs;		  /* jobs in progress, of every kind */
	unsigned n_creates;		  /* creates in progress, waiting ones too */
	uint64_t promised;		  /* memory that those which take room may grow to */
	uint64_t created, refused;
	struct link waiting;		  /* creates that have no sandbox yet, first come first */
	uint64_t last_create_ms, held_ms; /* pacing of refills, see pool.c */
	struct loop_timer refill;
	struct loop_defer pump;
	struct sandbox **heap;
	size_t n_heap;
	struct loop_timer expiry;
	struct link subs, told; /* told: sandboxes with events */
	bool telling;
	struct loop_defer tell;
	struct recover *recover;
	enum { SANDBOXES_OPEN, SANDBOXES_CLOSING, SANDBOXES_CLOSED } state;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};
/* Look again at waiting creates, pools and the shutdown, from a fresh turn. */
void sandboxes_pump(struct sandboxes *s);
/* What the pump does; tests call it. */
void sandboxes_run_pump(struct sandboxes *s);
/* Those that take the machine's room: all but the paused ones. */
unsigned sandboxes_total(const struct sandboxes *s);
