/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Blocking calls on files, in threads, with the rights of a user of the sandbox. Whatever path a
 * job opens, the kernel walks it as that user: a link that somebody in the sandbox made leads
 * nowhere that the user could not go himself, and new files belong to the user. While the agent is
 * root, any user may be chosen; otherwise only its own.
 */
#include <stdbool.h>

#include "base/err.h"
#include "guest-kernel-agent/system/users.h"
#include "loop/work.h"

struct as_user;
struct loop;

/*
 * Embedded in what the caller allocates; zeroed memory is valid. Owned by the pool from
 * as_user_submit() until done(), which comes from the loop exactly once. A job may be submitted
 * again from done(); it keeps its user then.
 */
struct as_user_job {
	char *name;	  /* user to look up, owned; NULL: user as it is here */
	struct user user; /* valid in run() and after it, unless refused */
	bool refused;	  /* run() was not called: no such user, or his rights cannot be taken */
	struct err err;	  /* why it was refused, or what run() put here */
	void (*run)(struct as_user_job *job);  /* in a thread; touches nothing but the job */
	void (*done)(struct as_user_job *job); /* on the loop; may free the job */
	/* private */
	struct work_job work;
	struct as_user *pool;
	unsigned lane;
};
void as_user_job_fini(struct as_user_job *job);

struct as_user *as_user_new(struct loop *l, unsigned lanes);
/* Turns the loop until no job is left, those that done() submits among them. */
struct as_user *as_user_free(struct as_user *p);
/* name, run and done are set. With neither a name nor a user the job runs with the agent's own
 * rights: for descriptors that are open already, never for a path. Jobs run in parallel and in no
 * order. */
void as_user_submit(struct as_user *p, struct as_user_job *job);
