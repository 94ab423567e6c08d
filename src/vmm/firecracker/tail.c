/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firecracker/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/mem.h"

#define CHUNK 8192u
#define PAUSE_MS 20 /* after each chunk: at most 400 kB/s */
#define DRAIN_MAX 16

static void keep(struct tail *t, const unsigned char *p, size_t n)
{
	if (!t->ring)
		t->ring = mem_alloc(TAIL_BYTES);
	if (!t->ring)
		return; /* a tail is a help, not a duty */
	for (size_t i = 0; i < n; i++) {
		t->ring[t->at] = p[i];
		t->at = (t->at + 1) % TAIL_BYTES;
	}
	t->filled = t->filled + n < TAIL_BYTES ? t->filled + n : TAIL_BYTES;
}

/* > 0: go on; 0: nothing there; < 0: the end. */
static int take(struct tail *t)
{
	unsigned char text[CHUNK];
	ssize_t n = read(t->fd, text, sizeof(text));
	if (n > 0) {
		keep(t, text, (size_t)n);
		return 1;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static void on_readable(struct loop_io *io, unsigned events, void *arg)
{
	struct tail *t = arg;
	(void)take(t);
	(void)loop_io_want(io, 0);
	loop_timer_set(&t->pause, PAUSE_MS);
}

static void on_pause(struct loop_timer *timer, void *arg)
{
	struct tail *t = arg;
	(void)loop_io_want(&t->io, LOOP_READ);
}

int tail_open(struct tail *t, struct loop *l, const char *path)
{
	*t = (struct tail){ .fd = -1 };
	/* For writing, too: then it has no end while nobody else writes. */
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	t->fd = fd;
	t->loop = l;
	loop_timer_init(&t->pause, l, on_pause, t);
	int r = loop_io_init(&t->io, l, fd, on_readable, t);
	if (r == 0)
		r = loop_io_want(&t->io, LOOP_READ);
	if (r < 0)
		tail_close(t);
	return r;
}

void tail_close(struct tail *t)
{
	if (!t->loop)
		return;
	loop_io_fini(&t->io);
	loop_timer_fini(&t->pause);
	(void)fd_close(t->fd);
	(void)mem_free(t->ring);
	*t = (struct tail){ .fd = -1 };
}

void tail_drain(struct tail *t)
{
	for (int i = 0; t->loop && i < DRAIN_MAX && take(t) > 0; i++)
		;
}

/* i: from the oldest byte, less than filled. */
static unsigned char byte_at(const struct tail *t, size_t i)
{
	return t->ring[(t->at + TAIL_BYTES - t->filled + i) % TAIL_BYTES];
}

static void copy_text(const struct tail *t, size_t from, size_t n, char *dst)
{
	size_t len = 0;
	for (size_t i = from; i < from + n; i++) {
		unsigned char c = byte_at(t, i);
		bool blank = c <= ' ' || c >= 0x7f;
		if (!blank)
			dst[len++] = (char)c;
		else if (len > 0 && dst[len - 1] != ' ')
			dst[len++] = ' ';
	}
	while (len > 0 && dst[len - 1] == ' ')
		len--;
	dst[len] = '\0';
}

void tail_last(const struct tail *t, char *dst, size_t cap)
{
	size_t n = t->filled < cap - 1 ? t->filled : cap - 1;
	copy_text(t, t->filled - n, n, dst);
}

static bool is_at(const struct tail *t, size_t i, const char *text)
{
	for (; *text; i++, text++)
		if (i >= t->filled || byte_at(t, i) != (unsigned char)*text)
			return false;
	return true;
}

bool tail_find(const struct tail *t, const char *text, char *dst, size_t cap)
{
	size_t i = 0, n = 0;
	while (i < t->filled && !is_at(t, i, text))
		i++;
	while (n < cap - 1 && i + n < t->filled && byte_at(t, i + n) != '\n')
		n++;
	copy_text(t, i, n, dst);
	return n > 0;
}
