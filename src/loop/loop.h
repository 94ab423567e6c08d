/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The event loop, the only user of libevent. Everything here belongs to the thread that runs the
 * loop, except loop_post(). Callbacks run from loop_run() only, never from inside a call below.
 *
 * Sources (io, timer, defer, signal, child) are embedded by value in their owner: zeroed memory is
 * valid, *_init() before use, *_fini() before the memory goes; *_fini() accepts zeroed memory and
 * may be called from the source's own callback, after which the callback must not touch the source.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

struct loop;

struct loop *loop_new(void);
struct loop *loop_free(struct loop *l);
int loop_run(struct loop *l);	/* until loop_stop(): 0 or -errno */
void loop_stop(struct loop *l); /* loop_run() returns after this turn */
/* One turn without waiting (block = false) or with; for tests. */
int loop_turn(struct loop *l, bool block);

/* Thread safe: run fn(arg) on the loop soon. 0 or -ENOMEM. */
int loop_post(struct loop *l, void (*fn)(void *arg), void *arg);

/* ---- descriptors ---- */
#define LOOP_READ 1u
#define LOOP_WRITE 2u
#define LOOP_EDGE 4u /* with the others: only what happens is told, not what lasts */
struct loop_io {
	struct loop *loop;
	void (*cb)(struct loop_io *io, unsigned events, void *arg);
	void *arg;
	int fd;
	unsigned want;
	bool live;
	_Alignas(16) unsigned char ev[2][128]; /* to read, to write */
};
int loop_io_init(struct loop_io *io, struct loop *l, int fd,
    void (*cb)(struct loop_io *io, unsigned events, void *arg), void *arg);
/* Persistent; level triggered unless LOOP_EDGE is among them; 0 pauses. */
int loop_io_want(struct loop_io *io, unsigned events);
void loop_io_fini(struct loop_io *io); /* does not close fd */

/* ---- timers (monotonic, one shot) ---- */
struct loop_timer {
	struct loop *loop;
	void (*cb)(struct loop_timer *t, void *arg);
	void *arg;
	bool live, armed;
	uint64_t end_ns;
	struct loop_timer *child, *next, *prev; /* loop/timers.h */
};
void loop_timer_init(
    struct loop_timer *t, struct loop *l, void (*cb)(struct loop_timer *t, void *arg), void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t ms); /* replaces an earlier one */
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_is_armed(const struct loop_timer *t);
void loop_timer_fini(struct loop_timer *t);

/* ---- deferred calls: once, in a later turn, before the loop waits again ---- */
struct loop_defer {
	struct loop *loop;
	void (*cb)(struct loop_defer *d, void *arg);
	void *arg;
	bool live;
	struct link link;
};
void loop_defer_init(
    struct loop_defer *d, struct loop *l, void (*cb)(struct loop_defer *d, void *arg), void *arg);
void loop_defer_set(struct loop_defer *d); /* idempotent while pending */
void loop_defer_cancel(struct loop_defer *d);
void loop_defer_fini(struct loop_defer *d);

/* ---- signals ---- */
struct loop_signal {
	struct loop *loop;
	void (*cb)(struct loop_signal *s, int signo, void *arg);
	void *arg;
	bool live;
	_Alignas(16) unsigned char ev[128];
};
int loop_signal_init(struct loop_signal *s, struct loop *l, int signo,
    void (*cb)(struct loop_signal *s, int signo, void *arg), void *arg);
void loop_signal_fini(struct loop_signal *s);

/* ---- end of a process, by pidfd; works for processes that are not our children ---- */
struct loop_child {
	struct loop_io io;
	void (*cb)(struct loop_child *c, int wait_status, void *arg);
	void *arg;
	int pidfd; /* owned */
};
/* wait_status is as from waitpid(2), or -1 when the process is not our child (its end is known, its
 * status is not). The process is reaped before cb. Takes over pidfd. */
int loop_child_init(struct loop_child *c, struct loop *l, int pidfd_consume,
    void (*cb)(struct loop_child *c, int wait_status, void *arg), void *arg);
void loop_child_fini(struct loop_child *c); /* closes the pidfd; does not kill */
