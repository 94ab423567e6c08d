/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources keep their libevent event inside themselves (the ev arrays of loop.h), so that adding one
 * allocates nothing. A callback may finish and free its own source: every trampoline reads what it
 * needs before it calls out.
 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/fdutil.h"
#include "base/list.h"
#include "base/mem.h"

static_assert(sizeof(struct event) <= sizeof(((struct loop_io *)0)->ev), "loop.h: ev is too small");

struct post {
	struct link link;
	void (*fn)(void *arg);
	void *arg;
};

struct loop {
	struct event_base *base;
	pthread_mutex_t lock; /* guards posts */
	struct link posts;
	int post_fd;
	struct loop_io post_io;
};

static struct event *event_of(void *ev)
{
	return ev;
}

/* ---- posts from other threads ---- */

static void on_post(struct loop_io *io, unsigned events, void *arg)
{
	struct loop *l = arg;
	struct link todo = LINK_INIT(todo);
	uint64_t count;
	(void)!read(l->post_fd, &count, sizeof(count));
	(void)pthread_mutex_lock(&l->lock);
	for (struct link *k; (k = list_pop_front(&l->posts));)
		list_push_back(&todo, k);
	(void)pthread_mutex_unlock(&l->lock);
	for (struct link *k; (k = list_pop_front(&todo));) {
		struct post *p = container_of(k, struct post, link);
		struct post call = *p;
		mem_free(p);
		call.fn(call.arg);
	}
}

int loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct post *p = mem_zalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->fn = fn;
	p->arg = arg;
	(void)pthread_mutex_lock(&l->lock);
	list_push_back(&l->posts, &p->link);
	(void)pthread_mutex_unlock(&l->lock);
	uint64_t one = 1;
	(void)!write(l->post_fd, &one, sizeof(one));
	return 0;
}

/* ---- the loop ---- */

static struct event_base *make_base(void)
{
	struct event_config *cfg = event_config_new();
	if (!cfg)
		return NULL;
	/* One thread runs the loop and loop_post() has a lock of its own. */
	(void)event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER);
	struct event_base *base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

struct loop *loop_new(void)
{
	struct loop *l = mem_zalloc(sizeof(*l));
	if (!l)
		return NULL;
	l->post_fd = -1;
	link_init(&l->posts);
	(void)pthread_mutex_init(&l->lock, NULL);
	l->base = make_base();
	l->post_fd = l->base ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	if (l->post_fd < 0 || loop_io_init(&l->post_io, l, l->post_fd, on_post, l) < 0 ||
	    loop_io_want(&l->post_io, LOOP_READ) < 0)
		return loop_free(l);
	return l;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	loop_io_fini(&l->post_io);
	for (struct link *k; (k = list_pop_front(&l->posts));)
		mem_free(container_of(k, struct post, link));
	(void)fd_close(l->post_fd);
	if (l->base)
		event_base_free(l->base);
	(void)pthread_mutex_destroy(&l->lock);
	return mem_free(l);
}

int loop_run(struct loop *l)
{
	return event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *l)
{
	(void)event_base_loopexit(l->base, NULL);
}

int loop_turn(struct loop *l, bool block)
{
	int flags = EVLOOP_NO_EXIT_ON_EMPTY | (block ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
	return event_base_loop(l->base, flags) < 0 ? -EIO : 0;
}

/* ---- descriptors ---- */

static void io_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;
	unsigned events = (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0);
	io->cb(io, events, io->arg);
}

int loop_io_init(struct loop_io *io, struct loop *l, int fd,
    void (*cb)(struct loop_io *io, unsigned events, void *arg), void *arg)
{
	io->loop = l;
	io->cb = cb;
	io->arg = arg;
	io->fd = fd;
	io->want = 0;
	io->live = true;
	return 0;
}

int loop_io_want(struct loop_io *io, unsigned events)
{
	if (io->want == events)
		return 0;
	if (io->want)
		(void)event_del(event_of(io->ev));
	io->want = 0;
	if (!events)
		return 0;
	short what =
	    (short)((events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0) |
		    (events & LOOP_EDGE ? EV_ET : 0));
	if (event_assign(event_of(io->ev), io->loop->base, io->fd, (short)(what | EV_PERSIST),
		io_fired, io) < 0 ||
	    event_add(event_of(io->ev), NULL) < 0)
		return -ENOMEM;
	io->want = events;
	return 0;
}

void loop_io_fini(struct loop_io *io)
{
	if (!io->live)
		return;
	(void)loop_io_want(io, 0);
	io->live = false;
}

/* ---- timers ---- */

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;
	t->armed = false;
	t->cb(t, t->arg);
}

void loop_timer_init(
    struct loop_timer *t, struct loop *l, void (*cb)(struct loop_timer *t, void *arg), void *arg)
{
	t->loop = l;
	t->cb = cb;
	t->arg = arg;
	t->armed = false;
	t->live = true;
	(void)event_assign(event_of(t->ev), l->base, -1, 0, timer_fired, t);
}

void loop_timer_set(struct loop_timer *t, uint64_t ms)
{
	struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };
	assert(t->live);
	(void)event_add(event_of(t->ev), &tv);
	t->armed = true;
}

void loop_timer_cancel(struct loop_timer *t)
{
	if (t->live && t->armed)
		(void)event_del(event_of(t->ev));
	t->armed = false;
}

bool loop_timer_is_armed(const struct loop_timer *t)
{
	return t->armed;
}

void loop_timer_fini(struct loop_timer *t)
{
	loop_timer_cancel(t);
	t->live = false;
}

/* ---- deferred calls ---- */

static void defer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop_defer *d = arg;
	d->armed = false;
	d->cb(d, d->arg);
}

void loop_defer_init(
    struct loop_defer *d, struct loop *l, void (*cb)(struct loop_defer *d, void *arg), void *arg)
{
	d->loop = l;
	d->cb = cb;
	d->arg = arg;
	d->armed = false;
	d->live = true;
	(void)event_assign(event_of(d->ev), l->base, -1, 0, defer_fired, d);
}

void loop_defer_set(struct loop_defer *d)
{
	assert(d->live);
	if (d->armed)
		return;
	d->armed = true;
	event_active(event_of(d->ev), EV_TIMEOUT, 0);
}

void loop_defer_cancel(struct loop_defer *d)
{
	if (d->live && d->armed)
		(void)event_del(event_of(d->ev));
	d->armed = false;
}

void loop_defer_fini(struct loop_defer *d)
{
	loop_defer_cancel(d);
	d->live = false;
}

/* ---- signals ---- */

static void signal_fired(evutil_socket_t signo, short what, void *arg)
{
	struct loop_signal *s = arg;
	s->cb(s, (int)signo, s->arg);
}

int loop_signal_init(struct loop_signal *s, struct loop *l, int signo,
    void (*cb)(struct loop_signal *s, int signo, void *arg), void *arg)
{
	s->loop = l;
	s->cb = cb;
	s->arg = arg;
	if (event_assign(event_of(s->ev), l->base, signo, EV_SIGNAL | EV_PERSIST, signal_fired, s) <
		0 ||
	    event_add(event_of(s->ev), NULL) < 0)
		return -ENOMEM;
	s->live = true;
	return 0;
}

void loop_signal_fini(struct loop_signal *s)
{
	if (s->live)
		(void)event_del(event_of(s->ev));
	s->live = false;
}

/* ---- ends of processes ---- */

/* Status as waitpid(2) would give it. */
static int status_of(const siginfo_t *si)
{
	switch (si->si_code) {
	case CLD_EXITED:
		return W_EXITCODE(si->si_status & 0xff, 0);
	case CLD_DUMPED:
		return W_EXITCODE(0, si->si_status) | WCOREFLAG;
	default:
		return W_EXITCODE(0, si->si_status);
	}
}

static void child_ended(struct loop_io *io, unsigned events, void *arg)
{
	struct loop_child *c = arg;
	siginfo_t si = { 0 };
	int status = -1;
	if (waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) == 0 &&
	    si.si_pid != 0)
		status = status_of(&si);
	loop_io_fini(&c->io);
	c->cb(c, status, c->arg);
}

int loop_child_init(struct loop_child *c, struct loop *l, int pidfd_consume,
    void (*cb)(struct loop_child *c, int wait_status, void *arg), void *arg)
{
	c->cb = cb;
	c->arg = arg;
	c->pidfd = pidfd_consume;
	(void)loop_io_init(&c->io, l, pidfd_consume, child_ended, c);
	int r = loop_io_want(&c->io, LOOP_READ);
	if (r < 0)
		loop_child_fini(c);
	return r;
}

void loop_child_fini(struct loop_child *c)
{
	if (!c->cb)
		return;
	loop_io_fini(&c->io);
	c->pidfd = fd_close(c->pidfd);
	c->cb = NULL;
}
