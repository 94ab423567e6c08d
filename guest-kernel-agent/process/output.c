/* SPDX-License-Identifier: Apache-2.0 */
/* From a pipe or a terminal into the journal, a piece at a time, as long as it has room. */
#include <errno.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/process/process_private.h"

#define PIPE_CHUNK (32 * 1024)
#define TERMINAL_CHUNK (16 * 1024)
/* When the end does not wait for output any more, what is in a pipe is still read; descendants that
 * go on writing get no further than this. */
#define AFTER_END_MAX (1024 * 1024)

static void output_end(struct output *o)
{
	output_fini(o);
	process_settle(o->process);
}

static int take(struct output *o, const void *data, size_t n)
{
	struct process *p = o->process;
	uint64_t at = o->bytes;
	o->bytes += n;
	if (process_is_over(p))
		o->after_end += n;
	if (p->kill_reason == PROCESS_END_OUTPUT_LIMIT)
		return 0;
	uint64_t all = p->outputs[OUTPUT_FIRST].bytes + p->outputs[OUTPUT_SECOND].bytes;
	if (p->output_max && all > p->output_max) {
		n -= all - p->output_max < n ? (size_t)(all - p->output_max) : n;
		(void)process_kill(p, PROCESS_END_OUTPUT_LIMIT);
	}
	if (n == 0)
		return 0;
	offsets_note(&o->offsets, at, journal_last(p->journal) + 1, journal_first(p->journal));
	int r = process_event_add_output(p->journal, o->type, at, data, n);
	if (r == 0)
		o->written += n;
	return r;
}

/* One piece: 1 when there was one, 0 when there is none now, -errno when there will be none. */
static int read_piece(struct output *o)
{
	char chunk[PIPE_CHUNK];
	size_t cap = o->type == PROCESS_EVENT_PTY ? TERMINAL_CHUNK : sizeof(chunk);
	ssize_t n = read(o->fd, chunk, cap);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	int r = take(o, chunk, (size_t)n);
	return r < 0 ? r : 1;
}

/* What the pipe holds of a process that is over. */
static void drain(struct output *o)
{
	int r = 1;
	while (r > 0 && o->after_end < AFTER_END_MAX) {
		if (!journal_has_room(o->process->journal)) {
			(void)loop_io_want(&o->io, 0);
			return;
		}
		r = read_piece(o);
	}
	output_end(o);
}

static void on_readable(struct loop_io *io, unsigned events, void *arg)
{
	struct output *o = arg;
	if (!journal_has_room(o->process->journal))
		(void)loop_io_want(io, 0); /* on_room() of the journal resumes */
	else if (read_piece(o) < 0)
		output_end(o);
}

void output_init(struct output *o, struct process *p, enum process_event_type type, int fd_consume)
{
	o->process = p;
	o->type = type;
	o->fd = fd_consume;
	(void)loop_io_init(&o->io, p->owner->conf.loop, o->fd, on_readable, o);
}

void output_fini(struct output *o)
{
	if (!output_is_open(o))
		return;
	loop_io_fini(&o->io);
	o->fd = fd_close(o->fd);
}

bool output_is_open(const struct output *o)
{
	return o->process && o->fd >= 0;
}

void output_resume(struct output *o)
{
	if (!output_is_open(o))
		return;
	if (process_is_over(o->process))
		drain(o);
	else if (loop_io_want(&o->io, LOOP_READ) < 0)
		output_end(o);
}
