/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/notifier.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/loop.h"

#define BUFFER_BYTES (64 * 1024)
#define WD_TEXT_MAX 16

/* A watched directory. */
struct watched {
	int wd;
	struct link nodes; /* struct notifier_node */
};

struct notifier {
	struct loop *loop;
	int fd;
	struct loop_io io;
	struct loop_defer more; /* go on after a hold */
	struct link clients;
	struct map *by_wd; /* decimal wd -> struct watched */
	unsigned held;
	bool orphans; /* a watched directory may have no node */
	size_t at, end;
	_Alignas(struct inotify_event) char buffer[BUFFER_BYTES];
};

static const char *wd_text(int wd, char dst[WD_TEXT_MAX])
{
	(void)snprintf(dst, WD_TEXT_MAX, "%d", wd);
	return dst;
}

static struct watched *find(const struct notifier *n, int wd)
{
	char key[WD_TEXT_MAX];
	return map_get(n->by_wd, wd_text(wd, key));
}

static void forget(struct notifier *n, struct watched *w)
{
	char key[WD_TEXT_MAX];
	for (struct link *k; (k = list_pop_front(&w->nodes));)
		container_of(k, struct notifier_node, link)->client = NULL;
	(void)map_remove(n->by_wd, wd_text(w->wd, key));
	mem_free(w);
}

/* ---- events ---- */

static void dispatch(struct notifier *n, const struct inotify_event *ev)
{
	if (ev->mask & IN_Q_OVERFLOW) {
		LIST_EACH_SAFE(k, &n->clients)
		{
			struct notifier_client *c = container_of(k, struct notifier_client, link);
			c->ops->on_overflow(c);
		}
		return;
	}
	struct watched *w = find(n, ev->wd);
	if (!w)
		return; /* removed meanwhile */
	LIST_EACH_SAFE(k, &w->nodes)
	{
		struct notifier_node *node = container_of(k, struct notifier_node, link);
		node->client->ops->on_event(node->client, node, ev);
	}
	if (ev->mask & IN_IGNORED)
		forget(n, w);
}

/* The events of the buffer until one holds the notifier. */
static void dispatch_all(struct notifier *n)
{
	while (n->held == 0 && n->end - n->at >= sizeof(struct inotify_event)) {
		const struct inotify_event *ev =
		    (const struct inotify_event *)(void *)(n->buffer + n->at);
		n->at += sizeof(*ev) + ev->len;
		assert(n->at <= n->end);
		dispatch(n, ev);
	}
}

static void tell_idle(struct notifier *n)
{
	LIST_EACH_SAFE(k, &n->clients)
	{
		struct notifier_client *c = container_of(k, struct notifier_client, link);
		c->ops->on_idle(c);
	}
}

static void read_events(struct notifier *n)
{
	ssize_t r = read(n->fd, n->buffer, sizeof(n->buffer));
	n->at = 0;
	n->end = r > 0 ? (size_t)r : 0;
	dispatch_all(n);
	/* What fits had all been there: nothing is left but what came meanwhile. */
	if (n->held == 0 && n->end < sizeof(n->buffer) / 2)
		tell_idle(n);
}

static void on_readable(struct loop_io *io, unsigned events, void *arg)
{
	read_events(arg);
}

static void sweep(struct notifier *n)
{
	void *it = NULL;
	for (struct watched *w; (w = map_next(n->by_wd, &it, NULL));) {
		if (!list_is_empty(&w->nodes))
			continue;
		(void)inotify_rm_watch(n->fd, w->wd);
		forget(n, w);
	}
	n->orphans = false;
}

static void on_more(struct loop_defer *d, void *arg)
{
	struct notifier *n = arg;
	if (n->held > 0 || n->fd < 0)
		return;
	if (n->orphans)
		sweep(n);
	dispatch_all(n);
	if (n->held > 0)
		return;
	(void)loop_io_want(&n->io, LOOP_READ);
	read_events(n); /* for on_idle(), when there is nothing */
}

void notifier_feed(struct notifier *n, const void *p, size_t len)
{
	assert(n->at == n->end && len <= sizeof(n->buffer));
	memcpy(n->buffer, p, len);
	n->at = 0;
	n->end = len;
	loop_defer_set(&n->more);
}

/* ---- the instance ---- */

struct notifier *notifier_new(struct loop *l)
{
	struct notifier *n = mem_zalloc(sizeof(*n));
	if (!n)
		return NULL;
	n->loop = l;
	n->fd = -1;
	link_init(&n->clients);
	loop_defer_init(&n->more, l, on_more, n);
	n->by_wd = map_new();
	return n->by_wd ? n : notifier_free(n);
}

static void close_instance(struct notifier *n)
{
	void *it = NULL;
	loop_io_fini(&n->io);
	loop_defer_cancel(&n->more);
	n->fd = fd_close(n->fd);
	n->at = n->end = 0;
	for (struct watched *w; (w = map_next(n->by_wd, &it, NULL));)
		forget(n, w);
}

struct notifier *notifier_free(struct notifier *n)
{
	if (!n)
		return NULL;
	assert(list_is_empty(&n->clients) && n->held == 0);
	if (n->by_wd)
		close_instance(n);
	loop_defer_fini(&n->more);
	map_free(n->by_wd);
	return mem_free(n);
}

static int open_instance(struct notifier *n)
{
	n->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (n->fd < 0)
		return -errno;
	(void)loop_io_init(&n->io, n->loop, n->fd, on_readable, n);
	int r = loop_io_want(&n->io, LOOP_READ);
	if (r < 0)
		close_instance(n);
	return r;
}

int notifier_join(struct notifier *n, struct notifier_client *c, const struct notifier_ops *ops)
{
	int r = n->fd < 0 ? open_instance(n) : 0;
	if (r < 0)
		return r;
	c->ops = ops;
	list_push_back(&n->clients, &c->link);
	return 0;
}

void notifier_leave(struct notifier *n, struct notifier_client *c)
{
	void *it = NULL;
	if (!link_is_linked(&c->link))
		return;
	link_remove(&c->link);
	for (struct watched *w; (w = map_next(n->by_wd, &it, NULL));)
		LIST_EACH_SAFE(k, &w->nodes)
		{
			struct notifier_node *node = container_of(k, struct notifier_node, link);
			if (node->client == c)
				notifier_detach(n, node);
		}
	if (list_is_empty(&n->clients) && n->held == 0)
		close_instance(n);
}

int notifier_fd(const struct notifier *n)
{
	return n->fd;
}

void notifier_hold(struct notifier *n)
{
	n->held++;
	(void)loop_io_want(&n->io, 0);
}

void notifier_release(struct notifier *n)
{
	if (--n->held > 0)
		return;
	if (list_is_empty(&n->clients))
		close_instance(n);
	else
		loop_defer_set(&n->more);
}

bool notifier_is_held(const struct notifier *n)
{
	return n->held > 0;
}

/* ---- directories ---- */

static struct watched *find_or_make(struct notifier *n, int wd)
{
	char key[WD_TEXT_MAX];
	struct watched *w = find(n, wd);
	if (w)
		return w;
	w = mem_zalloc(sizeof(*w));
	if (!w)
		return NULL;
	w->wd = wd;
	link_init(&w->nodes);
	return map_add(n->by_wd, wd_text(wd, key), w) == 0 ? w : mem_free(w);
}

int notifier_attach(
    struct notifier *n, struct notifier_client *c, struct notifier_node *node, int wd)
{
	struct watched *w = find_or_make(n, wd);
	if (!w)
		return -ENOMEM;
	node->client = c;
	node->wd = wd;
	list_push_back(&w->nodes, &node->link);
	return 0;
}

static void orphaned(struct notifier *n)
{
	n->orphans = true;
	loop_defer_set(&n->more);
}

void notifier_detach(struct notifier *n, struct notifier_node *node)
{
	if (!node->client)
		return;
	link_remove(&node->link);
	node->client = NULL;
	const struct watched *w = find(n, node->wd);
	if (w && list_is_empty(&w->nodes))
		orphaned(n);
}

void notifier_drop(struct notifier *n, int wd)
{
	const struct watched *w = find_or_make(n, wd);
	if (w && list_is_empty(&w->nodes))
		orphaned(n);
}
