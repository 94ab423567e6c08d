/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One watched directory, with those below it when recursive: turns what inotify says into events
 * that E2B's clients know, in their order, and keeps a bounded queue of them. When events are lost
 * (in the kernel or because the queue was full), the directory is read again once the queue was
 * taken: WATCH_LOST, then what changed meanwhile.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/list.h"
#include "guest-kernel-agent/files/file_info.h"

struct as_user;
struct as_user_job;
struct loop;
struct notifier;
struct watch;

#define WATCH_EVENTS_MAX 8192 /* waiting to be taken */

enum watch_change {
	WATCH_LOST, /* name is "." */
	WATCH_CREATE,
	WATCH_WRITE,
	WATCH_REMOVE,
	WATCH_RENAME,
	WATCH_CHMOD,
};

struct watch_event {
	struct link link;
	enum watch_change change;
	bool has_entry; /* filled by whoever wants it */
	struct file_info entry;
	char name[]; /* relative to the directory, which itself is "."; any bytes */
};
struct watch_event *watch_event_free(struct watch_event *e);
void watch_events_free(struct link *list); /* the list stays usable */

struct watch_conf {
	struct loop *loop;
	struct as_user *as_user;
	struct notifier *notifier;
	const char *user, *workdir, *path;
	bool recursive, allow_network;
	size_t max_events; /* 0 = WATCH_EVENTS_MAX */
};

/* From the loop, never from inside a call below. */
struct watch_ops {
	/* Once: the directory is watched from now on, or failed says why not (then nothing follows
	 * but watch_close()). */
	void (*on_started)(const struct as_user_job *failed, void *arg);
	/* Events are there, or the watch has ended. */
	void (*on_more)(void *arg);
};

/* NULL when out of memory. Texts of conf are copied. */
struct watch *watch_new(const struct watch_conf *conf, const struct watch_ops *ops, void *arg);
/* 0, then on_started follows (or on_more with an end); -errno with reterr set. */
int watch_start(struct watch *w, struct err *reterr);
/* No callback follows. Accepts NULL; returns NULL. The memory goes when its job is done. */
struct watch *watch_close(struct watch *w);
/* Move up to max of the oldest events to list; returns how many. */
size_t watch_take(struct watch *w, size_t max, struct link *list);
/* Nothing will come after the events that wait: -ENOENT (the directory is gone) or what else went
 * wrong, with its text; NULL while it lives. */
const struct err *watch_end(const struct watch *w);
const char *watch_user(const struct watch *w);
const char *watch_root(const struct watch *w); /* absolute path, after the start */
