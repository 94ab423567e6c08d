/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Everything around a registry of sandboxes: a real loop and store, the fake driver, fake agents,
 * and three templates: "py" (pool of 2, at most 3), "bare" (no pool) and "quiet" (pool of 1, no
 * internet, at most 600 s). Invariants are checked at every turn.
 */
#include "base/err.h"
#include "lib/fake_guest.h"
#include "lib/fake_vmm.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "sandbox/object.h"

struct world_conf {
	unsigned max, parallel; /* 0 = 50 and 2 */
	bool pool;
	uint64_t memory_budget;
	const struct vmm_driver *driver; /* NULL = fake_vmm_driver */
};

struct world {
	struct world_conf conf;
	struct tmpdir dir;
	char db[128];
	struct loop *loop;
	struct store *store;
	struct templates *templates;
	struct vmm *vmm;
	struct sandboxes *boxes;
	unsigned closed;
};

void world_start(struct world *w, const struct world_conf *c);
/* End everything and check that nothing is left: no instance, call, agent or row. */
void world_stop(struct world *w);
/* The daemon dies and comes back; instances live on. */
void world_restart(struct world *w);
/* A restart in order: what runs is left alone. */
void world_close(struct world *w, bool kill);
void world_open(struct world *w);

/* Turns until the condition holds; fails the test when it never does. */
#define world_until(w, condition)                                   \
	do {                                                        \
		for (unsigned turns_ = 0; !(condition); turns_++) { \
			ck_assert_msg(turns_ < 5000, #condition);   \
			world_turn(w, turns_ > 50);                 \
		}                                                   \
	} while (0)
void world_turn(struct world *w, bool nap);
void world_settle(struct world *w); /* some turns, for what must not happen */
size_t world_rows(struct world *w, struct store_sandbox *ret_first);
void world_check(struct world *w);

/* One create and its answer. */
struct made {
	struct sandbox_create *handle;
	unsigned calls;
	struct err err;
	struct sandbox *sb; /* reference */
};
struct sandbox_params world_params(const char *template_ref, const char *team);
void made_begin(struct world *w, struct made *m, const struct sandbox_params *p);
/* Waits; the sandbox, or NULL when it failed. */
struct sandbox *made_wait(struct world *w, struct made *m);
void made_forget(struct made *m);
struct sandbox *world_create(struct world *w, const char *template_ref, const char *team);

struct ended {
	unsigned calls;
	struct err err;
};
void on_ended(const struct err *err, void *arg);

/* Let the limit of a job's current step run out. */
void world_fire_limit(struct sandbox *sb);
