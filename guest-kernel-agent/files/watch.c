/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/watch.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/staged_file.h"
#include "guest-kernel-agent/files/watch_private.h"

#define MOVE_WAIT_MS 50			 /* between the two halves of a rename */
#define CLOCK_MARGIN_NS (50 * 1000000LL) /* files' times come from a coarser clock */

/* ---- the queue ---- */

struct watch_event *watch_event_free(struct watch_event *e)
{
	if (e && e->has_entry)
		file_info_fini(&e->entry);
	return mem_free(e);
}

void watch_events_free(struct link *list)
{
	for (struct link *k; (k = list_pop_front(list));)
		watch_event_free(container_of(k, struct watch_event, link));
}

/* Writing often is one event until somebody takes it, as in the kernel's own queue. */
static bool repeats_last(const struct watch *w, enum watch_change change, const char *name)
{
	if (list_is_empty(&w->events) || (change != WATCH_WRITE && change != WATCH_CHMOD))
		return false;
	const struct watch_event *e = container_of(w->events.prev, struct watch_event, link);
	return e->change == change && str_eq(e->name, name);
}

static void lose(struct watch *w)
{
	if (w->lost)
		return;
	w->lost = true;
	w->lost_ns = w->fresh_ns - CLOCK_MARGIN_NS;
}

static int push(struct watch *w, enum watch_change change, const char *name)
{
	size_t n = strlen(name);
	struct watch_event *e = mem_zalloc(sizeof(*e) + n + 1);
	if (!e)
		return -ENOMEM;
	e->change = change;
	memcpy(e->name, name, n + 1);
	list_push_back(&w->events, &e->link);
	w->n_events++;
	loop_defer_set(&w->tell);
	return 0;
}

void watch_push_all(struct watch *w, enum watch_change change, const char *name)
{
	if (!w->end.code && !repeats_last(w, change, name) && push(w, change, name) < 0)
		lose(w);
}

/* After a loss nothing more is queued: the scan that follows tells it, too. */
void watch_push(struct watch *w, enum watch_change change, const char *name)
{
	if (!w->lost && w->n_events < w->conf.max_events)
		watch_push_all(w, change, name);
	else
		lose(w);
}

void watch_fail(struct watch *w, int code, const char *text)
{
	(void)err_set(&w->end, code, "%s", text);
	loop_defer_set(&w->tell);
}

/* Something may be due: the client's turn, or a scan. */
void watch_tell(struct watch *w)
{
	if (!w->end.code && w->lost && w->task == TASK_NONE && list_is_empty(&w->events)) {
		w->lost = false;
		watch_push(w, WATCH_LOST, ".");
		watch_job_start(w, TASK_RESCAN, "");
	}
	loop_defer_set(&w->tell);
}

static void on_tell(struct loop_defer *d, void *arg)
{
	struct watch *w = arg;
	if (w->n_events > 0 || w->end.code)
		w->ops->on_more(w->arg);
}

size_t watch_take(struct watch *w, size_t max, struct link *list)
{
	size_t n = 0;
	for (struct link *k; n < max && (k = list_pop_front(&w->events)); n++)
		list_push_back(list, k);
	w->n_events -= n;
	if (w->lost)
		watch_tell(w);
	return n;
}

const struct err *watch_end(const struct watch *w)
{
	return w->end.code ? &w->end : NULL;
}

const char *watch_user(const struct watch *w)
{
	return w->user;
}

const char *watch_root(const struct watch *w)
{
	return w->root_path;
}

/* ---- what the kernel says ---- */

static struct watch *watch_of(struct notifier_client *c)
{
	return container_of(c, struct watch, client);
}

static void forget_moving(struct watch *w)
{
	loop_timer_cancel(&w->moving_timer);
	watch_node_free(w, TAKE(w->moving));
}

static void on_move_over(struct loop_timer *t, void *arg)
{
	forget_moving(arg);
}

static void gone(struct watch *w)
{
	(void)file_error(&w->end, -ENOENT, w->root_path);
	loop_defer_set(&w->tell);
}

/* About the directory itself: those below the root are told of by the one above. */
static void on_self(struct watch *w, struct watch_node *node, uint32_t mask)
{
	if (node != w->root)
		return;
	if (mask & IN_DELETE_SELF)
		watch_push(w, WATCH_REMOVE, ".");
	if (mask & IN_MOVE_SELF)
		watch_push(w, WATCH_RENAME, ".");
	if (mask & IN_ATTRIB)
		watch_push(w, WATCH_CHMOD, ".");
	if (mask & (IN_IGNORED | IN_UNMOUNT))
		gone(w);
}

static void on_appeared(
    struct watch *w, struct watch_node *node, const struct inotify_event *ev, const char *name)
{
	bool is_dir = (ev->mask & IN_ISDIR) && w->conf.recursive;
	if (watch_seen_remove(node, ev->name))
		return;
	watch_push(w, WATCH_CREATE, name);
	if (!is_dir)
		return;
	bool is_moved = (ev->mask & IN_MOVED_TO) && w->moving && ev->cookie == w->moving_cookie;
	if (is_moved && !w->moving->stale) {
		loop_timer_cancel(&w->moving_timer);
		if (watch_node_put(w, node, ev->name, TAKE(w->moving)) < 0)
			watch_fail(w, -ENOMEM, "out of memory");
	} else {
		if (is_moved)
			forget_moving(w);
		watch_job_start(w, TASK_NEW_DIRECTORY, name);
	}
}

static void on_vanished(
    struct watch *w, struct watch_node *node, const struct inotify_event *ev, const char *name)
{
	bool moved = ev->mask & IN_MOVED_FROM;
	(void)watch_seen_remove(node, ev->name);
	watch_push(w, moved ? WATCH_RENAME : WATCH_REMOVE, name);
	struct watch_node *child = ev->mask & IN_ISDIR ? watch_node_take(node, ev->name) : NULL;
	if (!child)
		return;
	if (!moved) {
		watch_node_free(w, child);
		return;
	}
	forget_moving(w);
	w->moving = child;
	w->moving_cookie = ev->cookie;
	loop_timer_set(&w->moving_timer, MOVE_WAIT_MS);
}

/* What an upload does to get a file its name (staged_file.h): the rename over an existing file is
 * told as the write that follows it. */
static bool is_of_upload(struct watch *w, const struct inotify_event *ev)
{
	bool nameless =
	    (ev->mask & (IN_MODIFY | IN_ATTRIB)) != 0 && staged_file_is_nameless(ev->name);
	bool hidden = staged_file_is_hidden(ev->name);
	if (hidden && ev->mask & IN_MOVED_FROM)
		w->upload_cookie = ev->cookie;
	return nameless || hidden || (ev->mask & IN_MOVED_TO && ev->cookie == w->upload_cookie);
}

static void on_event(
    struct notifier_client *c, struct notifier_node *n, const struct inotify_event *ev)
{
	struct watch *w = watch_of(c);
	struct watch_node *node = container_of(n, struct watch_node, notify);
	char name[PATH_LEN_MAX];
	if (w->end.code || w->task != TASK_NONE)
		return;
	if (ev->len == 0) {
		on_self(w, node, ev->mask);
		return;
	}
	if (is_of_upload(w, ev) || watch_node_name(w, node, ev->name, name) < 0)
		return; /* moved away, or too deep to be told */
	if (ev->mask & (IN_CREATE | IN_MOVED_TO))
		on_appeared(w, node, ev, name);
	else if (ev->mask & (IN_DELETE | IN_MOVED_FROM))
		on_vanished(w, node, ev, name);
	else if (ev->mask & IN_MODIFY)
		watch_push(w, WATCH_WRITE, name);
	else if (ev->mask & IN_ATTRIB)
		watch_push(w, WATCH_CHMOD, name);
}

static void on_overflow(struct notifier_client *c)
{
	struct watch *w = watch_of(c);
	lose(w);
	watch_tell(w);
}

static void on_idle(struct notifier_client *c)
{
	struct watch *w = watch_of(c);
	watch_seen_clear(w);
	w->fresh_ns = clock_real_ns();
}

static const struct notifier_ops notifier_ops = {
	.on_event = on_event,
	.on_overflow = on_overflow,
	.on_idle = on_idle,
};

/* ---- life ---- */

static void watch_free(struct watch *w)
{
	forget_moving(w);
	watch_node_free(w, TAKE(w->root));
	notifier_leave(w->conf.notifier, &w->client);
	watch_events_free(&w->events);
	loop_timer_fini(&w->moving_timer);
	loop_defer_fini(&w->tell);
	mem_free(w->user);
	mem_free(w->workdir);
	mem_free(w->path);
	mem_free(w->start);
	mem_free(w);
}

struct watch *watch_new(const struct watch_conf *conf, const struct watch_ops *ops, void *arg)
{
	struct watch *w = mem_zalloc(sizeof(*w));
	if (!w)
		return NULL;
	w->conf = *conf;
	w->conf.max_events = conf->max_events ? conf->max_events : WATCH_EVENTS_MAX;
	w->ops = ops;
	w->arg = arg;
	link_init(&w->client.link);
	link_init(&w->seen);
	link_init(&w->events);
	loop_defer_init(&w->tell, conf->loop, on_tell, w);
	loop_timer_init(&w->moving_timer, conf->loop, on_move_over, w);
	w->user = mem_strdup(conf->user);
	w->workdir = mem_strdup(conf->workdir);
	w->path = mem_strdup(conf->path);
	if (!w->user || !w->workdir || !w->path) {
		watch_free(w);
		return NULL;
	}
	return w;
}

int watch_start(struct watch *w, struct err *reterr)
{
	int r = notifier_join(w->conf.notifier, &w->client, &notifier_ops);
	if (r == -EMFILE)
		return err_set(reterr, r,
		    "no more inotify instances are allowed in this sandbox "
		    "(fs.inotify.max_user_instances)");
	if (r < 0)
		return err_set(reterr, r, "cannot watch: %s", err_name(r));
	watch_job_start(w, TASK_START, "");
	return 0;
}

struct watch *watch_close(struct watch *w)
{
	if (!w)
		return NULL;
	w->closed = true;
	loop_defer_cancel(&w->tell);
	if (w->task == TASK_NONE)
		watch_free(w);
	return NULL;
}
