/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/system/counter.h"
#include "guest-kernel-agent/system/held.h"
#include "guest-kernel-agent/system/reply.h"
#include "loop/loop.h"
#include "wire/url.h"

#define LOOK_AFTER_MS 25 /* the kernel tells of each one; a bomb meets a limit all the time */

enum { OOM, PIDS, N_COUNTS };
static const struct {
	const char *file, *key, *name;
} counts[N_COUNTS] = {
	[OOM] = { "memory.events", "oom_kill", "oom" },
	[PIDS] = { "pids.events", "max", "pids" },
};

struct limits {
	struct loop *loop;
	int inotify_fd;
	struct loop_io io;
	struct loop_timer look;
	struct held held;
	int fd[N_COUNTS];			/* -1: not counted */
	uint64_t now[N_COUNTS], base[N_COUNTS]; /* the base: of what was before this sandbox */
};

static bool read_counts(struct limits *l)
{
	bool changed = false;
	for (size_t i = 0; i < N_COUNTS; i++) {
		uint64_t before = l->now[i];
		if (l->fd[i] >= 0 && counter_read(l->fd[i], counts[i].key, &l->now[i]) == 0)
			changed |= l->now[i] != before;
	}
	return changed;
}

/* ---- as it happens ---- */

static void on_look(struct loop_timer *t, void *arg)
{
	struct limits *l = arg;
	(void)loop_io_want(&l->io, LOOP_READ);
	if (read_counts(l))
		held_answer(&l->held);
}

static void on_inotify(struct loop_io *io, unsigned events, void *arg)
{
	struct limits *l = arg;
	_Alignas(struct inotify_event) char buf[4096];
	if (read(l->inotify_fd, buf, sizeof(buf)) <= 0)
		return;
	(void)loop_io_want(io, 0);
	loop_timer_set(&l->look, LOOK_AFTER_MS);
}

static int watch(struct limits *l, const char *dir)
{
	l->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (l->inotify_fd < 0)
		return -errno;
	for (size_t i = 0; i < N_COUNTS; i++) {
		char path[PATH_LEN_MAX];
		int r = path_printf(path, sizeof(path), "%s/%s", dir, counts[i].file);
		if (r == 0) {
			l->fd[i] = open(path, O_RDONLY | O_CLOEXEC);
			r = l->fd[i] < 0 || inotify_add_watch(l->inotify_fd, path, IN_MODIFY) < 0
				? -errno
				: 0;
		}
		if (r < 0)
			log_warn("%s: %s: nobody is told of it", path, err_name(r));
	}
	int r = loop_io_init(&l->io, l->loop, l->inotify_fd, on_inotify, l);
	return r < 0 ? r : loop_io_want(&l->io, LOOP_READ);
}

/* ---- answers ---- */

static void answer(struct http_stream *st, void *arg)
{
	const struct limits *l = arg;
	(void)reply_json(st, 200,
	    json_pack("{s:I, s:I}", counts[OOM].name, (json_int_t)(l->now[OOM] - l->base[OOM]),
		counts[PIDS].name, (json_int_t)(l->now[PIDS] - l->base[PIDS])));
}

/* 0 or -EINVAL. One that is absent is 0. */
static int get_number(const struct url *u, const char *name, uint64_t *ret)
{
	const char *text = url_param(u, name);
	*ret = 0;
	return text ? str_u64(text, INT64_MAX, ret) : 0;
}

void limits_handle(struct limits *l, struct http_stream *st, const char *target)
{
	struct url u;
	uint64_t wait_ms = 0, known[N_COUNTS];
	bool news = false;
	int r = url_parse(&u, target);
	if (r < 0) {
		(void)reply_error(st, 400, "%s: %s", target, err_name(r));
		return;
	}
	r = get_number(&u, "wait", &wait_ms);
	if (read_counts(l)) /* who waits would not hear of it any more */
		held_answer(&l->held);
	for (size_t i = 0; r == 0 && i < N_COUNTS; i++) {
		r = get_number(&u, counts[i].name, &known[i]);
		news |= r == 0 && l->now[i] - l->base[i] != known[i];
	}
	url_fini(&u);
	if (r < 0)
		(void)reply_error(st, 400, "oom, pids, wait: expected numbers");
	else if (news || wait_ms == 0)
		answer(st, l);
	else
		held_add(&l->held, st, wait_ms);
}

void limits_begin(struct limits *l)
{
	(void)read_counts(l);
	memcpy(l->base, l->now, sizeof(l->base));
}

/* ---- life ---- */

struct limits *limits_new(struct loop *loop, const char *dir)
{
	struct limits *l = mem_zalloc(sizeof(*l));
	if (!l)
		return NULL;
	l->loop = loop;
	l->inotify_fd = -1;
	for (size_t i = 0; i < N_COUNTS; i++)
		l->fd[i] = -1;
	held_init(&l->held, loop, answer, l);
	loop_timer_init(&l->look, loop, on_look, l);
	int r = watch(l, dir);
	if (r < 0)
		log_warn("inotify: %s: nobody is told of limits", err_name(r));
	return l;
}

struct limits *limits_free(struct limits *l)
{
	if (!l)
		return NULL;
	held_fini(&l->held);
	loop_timer_fini(&l->look);
	loop_io_fini(&l->io);
	(void)fd_close(l->inotify_fd);
	for (size_t i = 0; i < N_COUNTS; i++)
		(void)fd_close(l->fd[i]);
	return mem_free(l);
}
