/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * inotify(7) for all watches of the agent: one instance, because the kernel allows few of them to
 * all sandboxes of a machine together. It is open while there are clients. Threads add watches to
 * its descriptor; while one does, the notifier is held: events wait in the kernel and nothing is
 * removed, so that an event never comes for a directory that its client does not know yet.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>

#include "base/list.h"

struct loop;
struct map;
struct notifier;
struct notifier_client;
struct notifier_node;

struct notifier_ops {
	/* An event of a directory that node stands for; its name is in ev->name when ev->len > 0.
	 * IN_IGNORED is the last one; the node is detached then. May hold the notifier: the next
	 * event comes after the release. */
	void (*on_event)(
	    struct notifier_client *c, struct notifier_node *node, const struct inotify_event *ev);
	/* Events were lost. */
	void (*on_overflow)(struct notifier_client *c);
	/* All events that had happened were told. */
	void (*on_idle)(struct notifier_client *c);
};

/* Embedded; zeroed memory is valid. */
struct notifier_client {
	struct link link;
	const struct notifier_ops *ops;
};
/* One directory of one client; zeroed memory is valid and not attached. */
struct notifier_node {
	struct link link; /* nodes of the same directory */
	struct notifier_client *client;
	int wd; /* while attached */
};

struct notifier *notifier_new(struct loop *l);
struct notifier *notifier_free(struct notifier *n); /* after its clients */

/* 0, -ENOMEM, or -EMFILE: the machine allows no more instances. */
int notifier_join(struct notifier *n, struct notifier_client *c, const struct notifier_ops *ops);
/* Its nodes are detached. No callback follows. Accepts one that never joined. */
void notifier_leave(struct notifier *n, struct notifier_client *c);
/* For inotify_add_watch() in a thread, while held. Every watch uses NOTIFIER_MASK. */
int notifier_fd(const struct notifier *n);
#define NOTIFIER_MASK                                                                     \
	(IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | \
	    IN_MOVED_TO | IN_MOVE_SELF | IN_ONLYDIR)
void notifier_hold(struct notifier *n);
void notifier_release(struct notifier *n);
bool notifier_is_held(const struct notifier *n);

/* 0 or -ENOMEM. Only while held, with a wd that a thread got in this hold. */
int notifier_attach(
    struct notifier *n, struct notifier_client *c, struct notifier_node *node, int wd);
void notifier_detach(struct notifier *n, struct notifier_node *node);
/* A wd that a thread got and that nobody wants any more. While held. */
void notifier_drop(struct notifier *n, int wd);

/* Bytes as the kernel gives them, handled as if it had (tests). */
void notifier_feed(struct notifier *n, const void *p, size_t len);
