/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rights belong to a thread in Linux, and only the C library makes them equal in all threads; raw
 * calls change one. The file system ids are used, not the effective ones: with them no process of
 * the user may signal the thread. Leaving root's id takes the capabilities over files from the
 * effective set; the rest is taken explicitly, so that nothing behind /proc is open either.
 *
 * A thread keeps a user's rights between jobs until it gets one of somebody else: a transfer is
 * many jobs, and taking and giving back rights are a dozen system calls.
 */
#include "guest-kernel-agent/files/as_user.h"

#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

#define OWN_GROUPS_MAX 64 /* supplementary groups that the agent itself may have */

/* Whose rights a thread has, and what it had before. */
struct rights {
	bool changed;
	struct user user; /* its groups are copied */
	gid_t groups[OWN_GROUPS_MAX];
	int n_groups;
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
};

struct lane {
	unsigned queued;      /* jobs; of the loop's thread */
	struct rights rights; /* of the lane's thread */
};

struct as_user {
	struct loop *loop;
	struct work *work;
	unsigned n_lanes;
	struct lane *lanes;
};

static int get_caps(struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	return syscall(SYS_capget, &h, caps) < 0 ? -errno : 0;
}

static int set_caps(const struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	return syscall(SYS_capset, &h, caps) < 0 ? -errno : 0;
}

static int drop_caps(const struct __user_cap_data_struct *had)
{
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
	memcpy(none, had, sizeof(none));
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		none[i].effective = 0;
	return set_caps(none);
}

/* Neither call reports failure: only a second one tells what holds. */
static bool set_file_ids(uid_t uid, gid_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	return setfsuid((uid_t)-1) == (int)uid && setfsgid((gid_t)-1) == (int)gid;
}

static bool restore(const struct rights *had)
{
	return set_file_ids(geteuid(), getegid()) && set_caps(had->caps) == 0 &&
	       syscall(SYS_setgroups, had->n_groups, had->groups) == 0;
}

/* A thread with somebody's rights left over must not go on. */
static void leave(struct rights *had)
{
	if (had->changed && !restore(had)) {
		log_error("a thread could not take its own rights back");
		abort();
	}
	had->changed = false;
	had->user.groups = mem_free(had->user.groups);
}

static bool has_rights_of(const struct rights *had, const struct user *u)
{
	const struct user *now = &had->user;
	return had->changed && now->uid == u->uid && now->gid == u->gid &&
	       now->n_groups == u->n_groups && now->groups &&
	       memcmp(now->groups, u->groups, u->n_groups * sizeof(*u->groups)) == 0;
}

/* Without memory for the groups they are taken anew with the next job. */
static void remember(struct rights *had, const struct user *u)
{
	had->user = (struct user){ .uid = u->uid, .gid = u->gid, .n_groups = u->n_groups };
	had->user.groups = mem_dup(u->groups, u->n_groups * sizeof(*u->groups));
}

static int take_rights(const struct user *u, struct rights *had)
{
	int r = get_caps(had->caps);
	if (r < 0)
		return r;
	had->n_groups = (int)syscall(SYS_getgroups, OWN_GROUPS_MAX, had->groups);
	if (had->n_groups < 0)
		return -errno;
	if (syscall(SYS_setgroups, u->n_groups, u->groups) < 0)
		return -errno;
	had->changed = true;
	if (set_file_ids(u->uid, u->gid))
		return drop_caps(had->caps);
	return -EPERM;
}

static int enter(const struct user *u, struct rights *had, struct err *reterr)
{
	if (has_rights_of(had, u))
		return 0;
	leave(had);
	if (u->uid == geteuid())
		return 0;
	if (geteuid() != 0)
		return err_set(
		    reterr, -EPERM, "user '%s': files can be reached as one user only", u->name);
	int r = take_rights(u, had);
	if (r < 0) {
		leave(had);
		return err_set(reterr, r, "user '%s': %s", u->name, err_name(r));
	}
	remember(had, u);
	return 0;
}

static void run(struct work_job *w)
{
	struct as_user_job *job = container_of(w, struct as_user_job, work);
	struct rights *had = &job->pool->lanes[job->lane].rights;
	if (job->name) {
		leave(had); /* accounts are looked up with our own */
		user_fini(&job->user);
		job->refused = user_lookup(job->name, &job->user, &job->err) < 0;
		if (!job->refused)
			job->name = mem_free(job->name);
	}
	if (!job->user.name)
		leave(had);
	else if (!job->refused)
		job->refused = enter(&job->user, had, &job->err) < 0;
	if (!job->refused)
		job->run(job);
}

static void done(struct work_job *w)
{
	struct as_user_job *job = container_of(w, struct as_user_job, work);
	job->pool->lanes[job->lane].queued--;
	job->done(job);
}

void as_user_job_fini(struct as_user_job *job)
{
	job->name = mem_free(job->name);
	user_fini(&job->user);
}

struct as_user *as_user_new(struct loop *l, unsigned lanes)
{
	struct as_user *p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->loop = l;
	p->n_lanes = lanes;
	p->lanes = mem_calloc(lanes, sizeof(*p->lanes));
	p->work = p->lanes ? work_new(l, lanes) : NULL;
	return p->work ? p : as_user_free(p);
}

static bool is_busy(const struct as_user *p)
{
	for (unsigned i = 0; p->lanes && i < p->n_lanes; i++)
		if (p->lanes[i].queued > 0)
			return true;
	return false;
}

struct as_user *as_user_free(struct as_user *p)
{
	if (!p)
		return NULL;
	/* A job that is done may be submitted again, to undo what it did. */
	while (is_busy(p))
		(void)loop_turn(p->loop, true);
	work_free(p->work);
	for (unsigned i = 0; p->lanes && i < p->n_lanes; i++)
		mem_free(p->lanes[i].rights.user.groups); /* its thread is gone, and its rights */
	mem_free(p->lanes);
	return mem_free(p);
}

void as_user_submit(struct as_user *p, struct as_user_job *job)
{
	unsigned lane = 0;
	for (unsigned i = 1; i < p->n_lanes; i++)
		if (p->lanes[i].queued < p->lanes[lane].queued)
			lane = i;
	p->lanes[lane].queued++;
	job->pool = p;
	job->lane = lane;
	job->refused = false;
	err_reset(&job->err);
	job->work.run = run;
	job->work.done = done;
	work_submit(p->work, lane, &job->work);
}
