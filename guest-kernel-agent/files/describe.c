/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/describe.h"

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/watch.h"

struct describe {
	struct as_user_job job;
	struct link events;
	char *root;
	void (*done)(struct link *events, void *arg); /* NULL once cancelled */
	void *arg;
};

static void run(struct as_user_job *job)
{
	struct describe *d = container_of(job, struct describe, job);
	char path[PATH_LEN_MAX];
	LIST_EACH(k, &d->events)
	{
		struct watch_event *e = container_of(k, struct watch_event, link);
		bool wanted = e->change == WATCH_CREATE || e->change == WATCH_WRITE ||
			      e->change == WATCH_CHMOD;
		if (!wanted)
			continue;
		int r = str_eq(e->name, ".") ? path_printf(path, sizeof(path), "%s", d->root)
					     : path_join(path, sizeof(path), d->root, e->name);
		e->has_entry = r == 0 && file_info_read(path, &e->entry, NULL) == 0;
	}
}

static void describe_free(struct describe *d)
{
	as_user_job_fini(&d->job);
	watch_events_free(&d->events);
	mem_free(d->root);
	mem_free(d);
}

static void done(struct as_user_job *job)
{
	struct describe *d = container_of(job, struct describe, job);
	if (d->done)
		d->done(&d->events, d->arg);
	describe_free(d);
}

struct describe *describe_start(struct as_user *pool, const struct watch *w, struct link *events,
    void (*done_fn)(struct link *events, void *arg), void *arg)
{
	struct describe *d = mem_zalloc(sizeof(*d));
	if (!d)
		return NULL;
	link_init(&d->events);
	d->done = done_fn;
	d->arg = arg;
	d->root = mem_strdup(watch_root(w));
	d->job.name = mem_strdup(watch_user(w));
	d->job.run = run;
	d->job.done = done;
	if (!d->root || !d->job.name) {
		describe_free(d);
		return NULL;
	}
	for (struct link *k; (k = list_pop_front(events));)
		list_push_back(&d->events, k);
	as_user_submit(pool, &d->job);
	return d;
}

struct describe *describe_cancel(struct describe *d)
{
	if (d)
		d->done = NULL;
	return NULL;
}
