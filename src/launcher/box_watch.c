/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits that a sandbox met, and what its agent printed. The kernel says only that something
 * happened (an eventfd of version 1 even before it counts): counts are read a moment later, which
 * also bounds how often a guest can make us send.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/map.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/box.h"

#define LOOK_AFTER_MS 25
#define POLL_MS 500
#define LOG_CHUNK 4096u
#define LOG_PAUSE_MS 20 /* after each chunk: at most 200 kB/s of a sandbox */

void box_look(struct box *b)
{
	struct cgroup_usage u;
	cgroup_read(&b->srv->cgroups, b->rec.id, &u);
	if (u.oom_kills > b->oom_told) {
		b->oom_told = u.oom_kills;
		server_event(b->srv, b, PROTO_OOM, (int64_t)u.oom_kills);
	}
	if (u.pids_refused > b->pids_told) {
		b->pids_told = u.pids_refused;
		server_event(b->srv, b, PROTO_PIDS, (int64_t)u.pids_refused);
	}
}

static void look_soon(struct box *b)
{
	if (b->state == BOX_LIVE && !loop_timer_is_armed(&b->look))
		loop_timer_set(&b->look, LOOK_AFTER_MS);
}

static void on_oom(struct loop_io *io, unsigned events, void *arg)
{
	struct box *b = arg;
	uint64_t n;
	if (read(b->oom_fd, &n, sizeof(n)) == sizeof(n))
		look_soon(b);
}

static struct box *find_watch(struct server *s, int wd)
{
	void *it = NULL;
	for (struct box *b; (b = map_next(s->boxes, &it, NULL));)
		if (wd == b->wd_pids || wd == b->wd_oom)
			return b;
	return NULL;
}

void server_on_inotify(struct loop_io *io, unsigned events, void *arg)
{
	struct server *s = arg;
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n = read(s->inotify_fd, buf, sizeof(buf));
	for (char *p = buf; n > 0 && p < buf + n;) {
		const struct inotify_event *e = (const void *)p;
		struct box *b = find_watch(s, e->wd);
		if (b)
			look_soon(b);
		p += sizeof(*e) + e->len;
	}
}

static int watch_file(struct server *s, const char *path)
{
	int wd = inotify_add_watch(s->inotify_fd, path, IN_MODIFY);
	return wd < 0 ? -errno : wd;
}

/* Version 2: both files tell inotify. */
static int watch_files(struct box *b)
{
	struct server *s = b->srv;
	char path[PATH_LEN_MAX];
	int r = cgroup_oom_path(&s->cgroups, b->rec.id, path, sizeof(path));
	if (r == 0)
		r = b->wd_oom = watch_file(s, path);
	if (r >= 0)
		r = cgroup_pids_path(&s->cgroups, b->rec.id, path, sizeof(path));
	if (r == 0)
		r = b->wd_pids = watch_file(s, path);
	return r < 0 ? r : 0;
}

int box_watch_limits(struct box *b)
{
	struct server *s = b->srv;
	if (s->cgroups.v2)
		return watch_files(b);
	b->pids_fd = cgroup_pids_open(&s->cgroups, b->rec.id);
	if (b->pids_fd < 0)
		return b->pids_fd;
	b->oom_fd = cgroup_oom_eventfd(&s->cgroups, b->rec.id);
	if (b->oom_fd < 0)
		return b->oom_fd;
	int r = loop_io_init(&b->oom_io, s->loop, b->oom_fd, on_oom, b);
	return r < 0 ? r : loop_io_want(&b->oom_io, LOOP_READ);
}

static void unwatch_file(struct server *s, int *wd)
{
	if (*wd >= 0)
		(void)inotify_rm_watch(s->inotify_fd, *wd);
	*wd = -1;
}

void box_unwatch_limits(struct box *b)
{
	loop_timer_cancel(&b->look);
	unwatch_file(b->srv, &b->wd_oom);
	unwatch_file(b->srv, &b->wd_pids);
	loop_io_fini(&b->oom_io);
	b->oom_fd = fd_close(b->oom_fd);
	b->pids_fd = fd_close(b->pids_fd);
}

void server_on_poll(struct loop_timer *t, void *arg)
{
	struct server *s = arg;
	void *it = NULL;
	for (struct box *b; (b = map_next(s->boxes, &it, NULL));)
		if (b->state == BOX_LIVE && cgroup_pids_count(b->pids_fd) > b->pids_told)
			box_look(b);
	loop_timer_set(t, POLL_MS);
}

/* ---- the agent's error output ---- */

static void end_line(struct box *b)
{
	if (b->log_len == 0)
		return;
	b->log_line[b->log_len] = '\0';
	/* What a kernel that gives up says first matters more than the registers that follow. */
	if (!strstr(b->log_tail, PROTO_PANIC_TEXT))
		(void)str_copy(b->log_tail, sizeof(b->log_tail), b->log_line);
	log_debug("%s: %s", b->rec.id, b->log_line);
	b->log_len = 0;
}

/* A guest that floods its error output is read at a pace; the rest it loses. */
static void on_log_pause(struct loop_timer *t, void *arg)
{
	struct box *b = arg;
	(void)loop_io_want(&b->log_io, LOOP_READ);
}

static void take_log(struct box *b, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool full = b->log_len == sizeof(b->log_line) - 1;
		if (text[i] == '\n')
			end_line(b);
		else if (!full && text[i] != '\r') /* the rest of a long line is dropped */
			b->log_line[b->log_len++] = text[i] == '\0' ? '?' : text[i];
	}
}

static void on_log(struct loop_io *io, unsigned events, void *arg)
{
	struct box *b = arg;
	char text[LOG_CHUNK];
	ssize_t n = read(b->log_fd, text, sizeof(text));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_line(b);
		loop_io_fini(&b->log_io);
		b->log_fd = fd_close(b->log_fd);
		return;
	}
	take_log(b, text, (size_t)n);
	(void)loop_io_want(&b->log_io, 0);
	loop_timer_set(&b->log_pause, LOG_PAUSE_MS);
}

/* What is in the pipe when the agent has ended: its last words. */
void box_drain_log(struct box *b)
{
	char text[LOG_CHUNK];
	for (ssize_t n; b->log_fd >= 0 && (n = read(b->log_fd, text, sizeof(text))) > 0;)
		take_log(b, text, (size_t)n);
	end_line(b);
}

int box_watch_log(struct box *b, int fd_consume)
{
	b->log_fd = fd_consume;
	loop_timer_init(&b->log_pause, b->srv->loop, on_log_pause, b);
	int r = loop_io_init(&b->log_io, b->srv->loop, b->log_fd, on_log, b);
	return r < 0 ? r : loop_io_want(&b->log_io, LOOP_READ);
}

void box_unwatch_log(struct box *b)
{
	loop_timer_fini(&b->log_pause);
	loop_io_fini(&b->log_io);
	b->log_fd = fd_close(b->log_fd);
}
