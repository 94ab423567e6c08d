/* SPDX-License-Identifier: Apache-2.0 */
#include "io/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/address.h"
#include "loop/loop.h"

#define ACCEPTS_A_TURN 64
#define BACKLOG 1024
#define EXHAUSTED_PAUSE_MS 100

/* Accepted sockets inherit these: a peer that vanished without a word is found after half a minute
 * of silence. (Where we have something for it to acknowledge, rpc/http_conn.c looks.) */
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_PROBES 3

struct listener {
	int fd;
	bool paused; /* by the owner */
	bool pinned; /* its callback may be on the stack: listener_free() leaves the memory */
	bool freed;
	listener_fn *fn;
	void *arg;
	struct loop_io io;
	struct loop_timer exhausted; /* armed while descriptors or memory are short */
};

/* ---- accepting ---- */

static void refresh(struct listener *ls)
{
	bool listen = !ls->paused && !loop_timer_is_armed(&ls->exhausted);
	if (loop_io_want(&ls->io, listen ? LOOP_READ : 0) < 0)
		loop_timer_set(&ls->exhausted, EXHAUSTED_PAUSE_MS);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	refresh(arg);
}

/* Accept one: false when there is none to be had in this turn. */
static bool accept_one(struct listener *ls)
{
	union address a;
	socklen_t n = sizeof(a);
	int fd = accept4(ls->fd, &a.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		char peer[LISTENER_ADDRESS_MAX];
		address_print(&a, peer, sizeof(peer));
		ls->fn(ls, fd, peer, ls->arg);
		return true;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		/* The connection stays in the backlog; asking again at once would only burn time.
		 */
		loop_timer_set(&ls->exhausted, EXHAUSTED_PAUSE_MS);
		refresh(ls);
		return false;
	default:
		return true; /* this connection failed before it was taken: accept(2), "Error
				handling" */
	}
}

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct listener *ls = arg;
	ls->pinned = true;
	for (unsigned i = 0; i < ACCEPTS_A_TURN && !ls->freed && !ls->paused; i++)
		if (!accept_one(ls))
			break;
	ls->pinned = false;
	if (ls->freed)
		mem_free(ls);
}

struct listener *listener_new(struct loop *l, int fd_consume, listener_fn *fn, void *arg)
{
	CLEAN_FD int fd = fd_consume;
	struct listener *ls = mem_zalloc(sizeof(*ls));
	if (!ls)
		return NULL;
	ls->fd = fd;
	ls->fn = fn;
	ls->arg = arg;
	loop_timer_init(&ls->exhausted, l, on_timer, ls);
	if (loop_io_init(&ls->io, l, fd, on_io, ls) < 0 || loop_io_want(&ls->io, LOOP_READ) < 0) {
		loop_io_fini(&ls->io);
		loop_timer_fini(&ls->exhausted);
		return mem_free(ls);
	}
	TAKE_FD(fd);
	return ls;
}

struct listener *listener_free(struct listener *ls)
{
	if (!ls)
		return NULL;
	loop_io_fini(&ls->io);
	loop_timer_fini(&ls->exhausted);
	ls->fd = fd_close(ls->fd);
	ls->freed = true;
	return ls->pinned ? NULL : mem_free(ls);
}

void listener_pause(struct listener *ls, bool paused)
{
	ls->paused = paused;
	refresh(ls);
}

int listener_address(const struct listener *ls, char *dst, size_t cap)
{
	union address a;
	socklen_t n = sizeof(a);
	if (getsockname(ls->fd, &a.any, &n) < 0)
		return -errno;
	address_print(&a, dst, cap);
	return 0;
}

/* ---- opening ---- */

/* Accepted sockets inherit all of this from the listening one. */
static int set_options(int fd, const union address *a, bool dual)
{
	const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
		{ IPPROTO_IPV6, IPV6_V6ONLY, !dual },
	};
	size_t n = sizeof(options) / sizeof(*options) - (a->any.sa_family == AF_INET6 ? 0 : 1);
	for (size_t i = 0; i < n; i++)
		if (setsockopt(
			fd, options[i].level, options[i].name, &options[i].value, sizeof(int)) < 0)
			return -errno;
	return 0;
}

static int open_listening(const union address *a, bool dual)
{
	CLEAN_FD int fd =
	    socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	int r = set_options(fd, a, dual);
	if (r < 0)
		return r;
	if (bind(fd, &a->any, address_size(a)) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int listener_open_tcp(const char *addr, struct err *reterr)
{
	union address a;
	bool every;
	if (address_parse(addr, &a, &every) < 0) {
		err_set(reterr, -EINVAL,
		    "listen address \"%s\": expected ADDR:PORT with a numeric address, such as "
		    "127.0.0.1:3000, [::1]:3000 or :3000",
		    addr);
		return -1;
	}
	int fd = open_listening(&a, every);
	if (fd == -EAFNOSUPPORT && every) {
		in_port_t port = a.in6.sin6_port; /* a kernel without IPv6 */
		a = (union address){ .in4 = { .sin_family = AF_INET, .sin_port = port } };
		fd = open_listening(&a, false);
	}
	if (fd < 0) {
		err_set(reterr, fd, "listen address \"%s\": %s", addr, err_name(fd));
		return -1;
	}
	return fd;
}

int listener_connect_tcp(const char *host, unsigned port)
{
	union address a;
	if (port > UINT16_MAX || address_parse_host(host, (uint16_t)port, &a) < 0)
		return -EINVAL;
	CLEAN_FD int fd =
	    socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	if (connect(fd, &a.any, address_size(&a)) < 0 && errno != EINPROGRESS)
		return -errno;
	return TAKE_FD(fd);
}
