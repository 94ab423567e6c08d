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
#include "loop/timers.h"

static_assert(
    sizeof(struct event) <= sizeof(((struct loop_io *)0)->ev[0]), "loop.h: ev is too small");

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
	struct timers timers;
	struct loop_io timers_io;
	struct link defers;
	struct event defers_event;
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
	/* One thread runs the loop; loop_post() has its own lock, and timers have their own clock.
	 */
	(void)event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	struct event_base *base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

static void on_timers(struct loop_io *io, unsigned events, void *arg)
{
	struct loop *l = arg;
	timers_run(&l->timers);
}

/* Those set from here on follow in the same turn, but behind descriptors that are ready now. */
static void on_defers(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct link todo = LINK_INIT(todo);
	for (struct link *k; (k = list_pop_front(&l->defers));)
		list_push_back(&todo, k);
	for (struct link *k; (k = list_pop_front(&todo));) {
		struct loop_defer *d = container_of(k, struct loop_defer, link);
		d->cb(d, d->arg);
	}
}

static int watch(struct loop *l, struct loop_io *io, int fd,
    void (*cb)(struct loop_io *io, unsigned events, void *arg))
{
	int r = loop_io_init(io, l, fd, cb, l);
	return r < 0 ? r : loop_io_want(io, LOOP_READ);
}

static int open_sources(struct loop *l)
{
	l->base = make_base();
	if (!l->base || event_assign(&l->defers_event, l->base, -1, EV_TIMEOUT, on_defers, l) < 0)
		return -ENOMEM;
	l->post_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->post_fd < 0)
		return -errno;
	int r = timers_init(&l->timers);
	if (r == 0)
		r = watch(l, &l->post_io, l->post_fd, on_post);
	return r < 0 ? r : watch(l, &l->timers_io, l->timers.fd, on_timers);
}

struct loop *loop_new(void)
{
	struct loop *l = mem_zalloc(sizeof(*l));
	if (!l)
		return NULL;
	l->post_fd = l->timers.fd = -1;
	link_init(&l->posts);
	link_init(&l->defers);
	(void)pthread_mutex_init(&l->lock, NULL);
	return open_sources(l) < 0 ? loop_free(l) : l;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	loop_io_fini(&l->post_io);
	loop_io_fini(&l->timers_io);
	timers_fini(&l->timers);
	for (struct link *k; (k = list_pop_front(&l->posts));)
		mem_free(container_of(k, struct post, link));
	while (list_pop_front(&l->defers))
		;
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

/* Of the two events only the one that changes is touched: one system call, not two. */
static int want_one(struct loop_io *io, unsigned events, unsigned one, short what)
{
	struct event *ev = event_of(io->ev[one == LOOP_WRITE]);
	if ((io->want & one) == (events & one))
		return 0;
	what |= (short)(EV_PERSIST | (events & LOOP_EDGE ? EV_ET : 0));
	if (!(events & one))
		(void)event_del(ev);
	else if (event_assign(ev, io->loop->base, io->fd, what, io_fired, io) < 0 ||
		 event_add(ev, NULL) < 0)
		return -ENOMEM;
	io->want ^= one;
	return 0;
}

static int want_both(struct loop_io *io, unsigned events)
{
	int r = want_one(io, events, LOOP_READ, EV_READ);
	return r < 0 ? r : want_one(io, events, LOOP_WRITE, EV_WRITE);
}

int loop_io_want(struct loop_io *io, unsigned events)
{
	/* Either both tell edges or none does. */
	if ((io->want ^ events) & LOOP_EDGE)
		(void)want_both(io, 0);
	io->want = (io->want & ~LOOP_EDGE) | (events & LOOP_EDGE);
	return want_both(io, events);
}

void loop_io_fini(struct loop_io *io)
{
	if (!io->live)
		return;
	(void)loop_io_want(io, 0);
	io->live = false;
}

/* ---- timers ---- */

void loop_timer_init(
    struct loop_timer *t, struct loop *l, void (*cb)(struct loop_timer *t, void *arg), void *arg)
{
	*t = (struct loop_timer){ .loop = l, .cb = cb, .arg = arg, .live = true };
}

void loop_timer_set(struct loop_timer *t, uint64_t ms)
{
	assert(t->live);
	loop_timer_cancel(t);
	timers_add(&t->loop->timers, t, ms);
	t->armed = true;
}

void loop_timer_cancel(struct loop_timer *t)
{
	if (t->live && t->armed)
		timers_remove(&t->loop->timers, t);
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

void loop_defer_init(
    struct loop_defer *d, struct loop *l, void (*cb)(struct loop_defer *d, void *arg), void *arg)
{
	*d = (struct loop_defer){ .loop = l, .cb = cb, .arg = arg, .live = true };
	link_init(&d->link);
}

void loop_defer_set(struct loop_defer *d)
{
	struct loop *l = d->loop;
	assert(d->live);
	if (link_is_linked(&d->link))
		return;
	if (list_is_empty(&l->defers))
		event_active(&l->defers_event, EV_TIMEOUT, 0);
	list_push_back(&l->defers, &d->link);
}

void loop_defer_cancel(struct loop_defer *d)
{
	link_remove(&d->link);
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
