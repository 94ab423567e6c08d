/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans of a watch: at the start, of a directory that appeared, and of everything after events were
 * lost. What a scan found is put into the tree before any later event is looked at.
 */
#include <errno.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/watch_private.h"
#include "guest-kernel-agent/system/user_select.h"

static void run(struct as_user_job *job)
{
	struct watch *w = container_of(job, struct watch, job);
	int r = 0;
	if (w->task == TASK_START)
		r = user_path(w->root_path, &job->user, w->workdir, w->path, &job->err);
	if (r == 0)
		r = scan_run(&w->scan, &job->err);
	if (r < 0)
		(void)err_set(&job->err, r, "%s", err_name(r));
}

/* ---- what was found ---- */

static void push_item(struct watch *w, const struct scan_item *i)
{
	if (i->change == SCAN_SAME)
		return;
	enum watch_change change = i->change == SCAN_CREATED ? WATCH_CREATE : WATCH_WRITE;
	if (w->task == TASK_RESCAN)
		watch_push_all(w, change, i->name);
	else
		watch_push(w, change, i->name);
	if (i->change == SCAN_CREATED)
		watch_seen_add(w, i->name);
}

static int put_in(struct watch *w)
{
	int r = 0;
	for (size_t i = 0; i < w->scan.n_items; i++) {
		const struct scan_item *item = &w->scan.items[i];
		int one =
		    item->wd >= 0 && r == 0 ? watch_node_add(w, item->name, item->wd) : -ECANCELED;
		if (item->wd >= 0 && one < 0)
			notifier_drop(w->conf.notifier, item->wd);
		if (one == -ENOMEM)
			r = one;
		push_item(w, item);
	}
	if (w->scan.truncated && w->task != TASK_START)
		watch_push_all(w, WATCH_LOST, ".");
	return r;
}

/* Directories that were there before the scan and are not in it. */
static void push_removed(struct watch *w)
{
	const char *name;
	void *it = NULL;
	while (w->known && map_next(w->known, &it, &name))
		if (!watch_node_find(w, name))
			watch_push_all(w, WATCH_REMOVE, name);
}

/* The nodes of a new tree take over the watches before the old ones let them go. */
static int put_in_anew(struct watch *w)
{
	struct watch_node *old = TAKE(w->root);
	int r = put_in(w);
	watch_node_free(w, old);
	if (r == 0)
		push_removed(w);
	return r;
}

static void drop_all(struct watch *w)
{
	for (size_t i = 0; i < w->scan.n_items; i++)
		if (w->scan.items[i].wd >= 0)
			notifier_drop(w->conf.notifier, w->scan.items[i].wd);
}

/* A directory that could not be read once is watched no more, the rest goes on; but without room
 * for more watches the client must know. */
static bool is_fatal(const struct watch *w, int code)
{
	return w->task == TASK_RESCAN || code == -ENOSPC || code == -ENOMEM;
}

static void finish(struct watch *w, enum watch_task task)
{
	int r = w->job.err.code;
	if (r == -ENOENT && task == TASK_NEW_DIRECTORY)
		watch_node_set_stale(w, w->start);
	if (r < 0 && !is_fatal(w, r))
		r = 0;
	int put = task == TASK_RESCAN && r == 0 ? put_in_anew(w) : put_in(w);
	if (r < 0)
		watch_fail(w, r, err_text(&w->job.err));
	else if (put < 0)
		watch_fail(w, put, "out of memory");
}

static void start_done(struct watch *w)
{
	bool failed = w->job.refused || w->job.err.code < 0;
	if (failed)
		drop_all(w);
	else if (put_in(w) < 0) {
		(void)err_set(&w->job.err, -ENOMEM, "out of memory");
		failed = true;
	}
	w->ops->on_started(failed ? &w->job : NULL, w->arg);
}

static void done(struct as_user_job *job)
{
	struct watch *w = container_of(job, struct watch, job);
	struct notifier *n = w->conf.notifier;
	enum watch_task task = w->task;
	if (w->closed)
		drop_all(w);
	else if (task == TASK_START)
		start_done(w);
	else
		finish(w, task);
	w->task = TASK_NONE;
	scan_fini(&w->scan);
	w->known = map_free(w->known);
	as_user_job_fini(job);
	if (w->closed)
		(void)watch_close(w);
	else
		watch_tell(w);
	notifier_release(n);
}

/* ---- begin ---- */

void watch_job_start(struct watch *w, enum watch_task task, const char *start)
{
	w->task = task;
	w->job.name = mem_strdup(w->user);
	/* Which directories there were is known of those that are watched. */
	w->known = task == TASK_RESCAN && w->conf.recursive ? watch_nodes_known(w) : NULL;
	if (task == TASK_START)
		w->fresh_ns = clock_real_ns();
	if (!w->job.name || mem_set_str(&w->start, start) < 0) {
		w->task = TASK_NONE;
		w->job.name = mem_free(w->job.name);
		w->known = map_free(w->known);
		watch_fail(w, -ENOMEM, "out of memory");
		return;
	}
	w->scan = (struct scan){ .inotify = notifier_fd(w->conf.notifier),
		.root = w->root_path,
		.start = w->start,
		.follow = task != TASK_NEW_DIRECTORY,
		.recursive = w->conf.recursive,
		.refuse_network = task == TASK_START && !w->conf.allow_network,
		.report = task != TASK_START,
		.all_new = task == TASK_NEW_DIRECTORY,
		.since_ns = w->lost_ns,
		.known = w->known,
		.max_directories = SCAN_DIRECTORIES_MAX - (task == TASK_RESCAN ? 0 : w->n_nodes) };
	w->job.run = run;
	w->job.done = done;
	notifier_hold(w->conf.notifier);
	as_user_submit(w->conf.as_user, &w->job);
}
