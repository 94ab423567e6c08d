/* SPDX-License-Identifier: Apache-2.0 */
/* Host to guest: CONNECT PORT in one write, OK NUMBER back, then bytes; refusals say nothing. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake.h"

#define CONNECT_LIMIT_MS 2000
#define LINE_MAX_BYTES 32
#define FIRST_READ 10

int fake_vsock_bind(struct fake *f, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path))
		return -EINVAL;
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 128) < 0) {
		int r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	if (f->vsock_fd >= 0)
		(void)close(f->vsock_fd);
	f->vsock_fd = fd;
	return 0;
}

static void drop(struct fake_vsock_conn *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	if (c->guest >= 0)
		(void)close(c->guest);
	*c = (struct fake_vsock_conn){ .fd = -1, .guest = -1 };
}

void fake_vsock_accept(struct fake *f)
{
	int fd = accept4(f->vsock_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	for (size_t i = 0; i < FAKE_VSOCK_CONNS; i++) {
		struct fake_vsock_conn *c = &f->vsock[i];
		if (c->fd >= 0)
			continue;
		*c = (struct fake_vsock_conn){ .fd = fd, .guest = -1, .since = fake_now_ms() };
		return;
	}
	(void)close(fd);
}

static bool guest_is_up(const struct fake *f)
{
	return fake_now_ms() >= f->guest_since + f->script.guest_delay;
}

/* False: nobody answers. */
static bool ask_guest(struct fake *f, struct fake_vsock_conn *c)
{
	char ok[32];
	if (f->script.guest_silent || f->vsock_dead)
		return true; /* the limit ends it */
	c->guest = guest_is_up(f) ? fake_guest_connect(f, c->port) : -1;
	if (c->guest < 0)
		return false;
	int n = snprintf(ok, sizeof(ok), "OK %u\n", f->next_port++);
	if (write(c->fd, ok, (size_t)n) != n)
		return false;
	c->state = VSOCK_OPEN;
	return true;
}

/* The line is asked for in one read of at least ten bytes; a part of it is no line. */
static bool read_line(struct fake *f, struct fake_vsock_conn *c)
{
	char line[LINE_MAX_BYTES + 1] = "";
	char *end = NULL;
	ssize_t n = read(c->fd, line, FIRST_READ);
	if (n < FIRST_READ)
		return false;
	while (!(end = memchr(line, '\n', (size_t)n)) && n < LINE_MAX_BYTES) {
		ssize_t k = read(c->fd, line + n, 1);
		if (k <= 0)
			return false;
		n += k;
	}
	if (!end || strncasecmp(line, "connect ", 8) != 0)
		return false;
	char *rest = NULL;
	unsigned long port = strtoul(line + 8, &rest, 10);
	if (rest != end || port == 0 || port > 0xffffffffu)
		return false;
	c->port = (unsigned)port;
	c->state = VSOCK_WAITING;
	return ask_guest(f, c);
}

/* to -1: nobody takes it. */
static bool copy(int from, int to)
{
	char text[16384];
	ssize_t n = read(from, text, sizeof(text));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	for (ssize_t at = 0; to >= 0 && at < n;) {
		ssize_t k = send(to, text + at, (size_t)(n - at), MSG_NOSIGNAL);
		if (k < 0 && errno == EAGAIN) {
			struct pollfd p = { to, POLLOUT, 0 };
			(void)poll(&p, 1, 100);
			continue;
		}
		if (k <= 0)
			return false;
		at += k;
	}
	return true;
}

void fake_vsock_pump(struct fake *f, struct fake_vsock_conn *c, short host, short guest)
{
	bool good = true;
	if (host && c->state == VSOCK_NEW)
		good = read_line(f, c);
	else if (host && c->state == VSOCK_OPEN)
		good = copy(c->fd, f->vsock_dead ? -1 : c->guest);
	else if (host & POLLHUP)
		good = false;
	if (good && guest)
		good = copy(c->guest, c->fd);
	if (!good)
		drop(c);
}

void fake_vsock_tick(struct fake *f)
{
	for (size_t i = 0; i < FAKE_VSOCK_CONNS; i++) {
		struct fake_vsock_conn *c = &f->vsock[i];
		if (c->fd >= 0 && c->state == VSOCK_WAITING &&
		    fake_now_ms() >= c->since + CONNECT_LIMIT_MS)
			drop(c);
	}
}

void fake_vsock_mark(struct fake *f)
{
	for (size_t i = 0; i < FAKE_VSOCK_CONNS; i++)
		f->vsock[i].old = true;
}

void fake_vsock_reset(struct fake *f)
{
	for (size_t i = 0; i < FAKE_VSOCK_CONNS; i++)
		if (f->vsock[i].fd >= 0 && f->vsock[i].old)
			drop(&f->vsock[i]);
}
