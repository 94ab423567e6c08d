/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Parts of a watch: watch_tree.c keeps directories, watch_job.c runs scans, watch.c the rest. */
#include "base/path.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/notifier.h"
#include "guest-kernel-agent/files/scan.h"
#include "guest-kernel-agent/files/watch.h"
#include "loop/loop.h"

/* A watched directory. */
struct watch_node {
	struct notifier_node notify;
	struct watch_node *parent; /* NULL: root, or taken out of the tree */
	struct map *children;	   /* name -> node, NULL when there are none */
	struct map *seen;	   /* entries that a scan told before their event came */
	struct link seen_link;	   /* watch.seen while seen is not NULL */
	char *name;
	bool stale; /* a directory below had another path when it was to be scanned */
};

enum watch_task { TASK_NONE, TASK_START, TASK_NEW_DIRECTORY, TASK_RESCAN };

struct watch {
	struct watch_conf conf; /* its texts are those below */
	char *user, *workdir, *path;
	const struct watch_ops *ops;
	void *arg;
	struct notifier_client client;
	struct watch_node *root;
	size_t n_nodes;
	struct link seen; /* nodes with entries told early */

	/* A directory that was moved away and may turn up again. */
	struct watch_node *moving;
	uint32_t moving_cookie;
	struct loop_timer moving_timer;

	uint32_t upload_cookie; /* of the last rename that gave an upload its name, never 0 */

	struct link events;
	size_t n_events;
	bool lost;	  /* read the directory again */
	int64_t fresh_ns; /* all that happened before was told */
	int64_t lost_ns;
	struct loop_defer tell;
	struct err end;

	enum watch_task task; /* of the job that runs */
	struct as_user_job job;
	struct scan scan;
	char *start; /* of the scan */
	char root_path[PATH_LEN_MAX];
	struct map *known;
	bool closed;
};

/* watch.c */
void watch_push(struct watch *w, enum watch_change change, const char *name);
/* Whatever the queue holds: what a scan after a loss found, which is bounded itself. */
void watch_push_all(struct watch *w, enum watch_change change, const char *name);
void watch_fail(struct watch *w, int code, const char *text);
void watch_tell(struct watch *w);

/* watch_tree.c; names are relative to the root, "" is the root */
struct watch_node *watch_node_find(const struct watch *w, const char *name);
/* Node for a directory that is watched as wd, in place of one of that name. -ENOENT: no parent. */
int watch_node_add(struct watch *w, const char *name, int wd);
/* What is above an entry that could not be scanned: to be scanned again when it turns up. */
void watch_node_set_stale(struct watch *w, const char *name);
void watch_node_free(struct watch *w, struct watch_node *node); /* and those below; NULL is fine */
/* Out of the tree, with what is below; NULL when there is none. */
struct watch_node *watch_node_take(struct watch_node *parent, const char *name);
/* Back into it: 0 or -ENOMEM (freed then). */
int watch_node_put(
    struct watch *w, struct watch_node *parent, const char *name, struct watch_node *node_consume);
/* Name of an entry of node: 0, -ENAMETOOLONG, -ENOENT (not in the tree). */
int watch_node_name(const struct watch *w, const struct watch_node *node, const char *entry,
    char dst[PATH_LEN_MAX]);
/* All directories: names to a non-NULL value. NULL on -ENOMEM. */
struct map *watch_nodes_known(const struct watch *w);
void watch_seen_add(struct watch *w, const char *name);
bool watch_seen_remove(struct watch_node *node, const char *entry); /* true when it was there */
void watch_seen_clear(struct watch *w);

/* watch_job.c; a job holds the notifier, one runs at a time */
void watch_job_start(struct watch *w, enum watch_task task, const char *start);
