/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A byte stream over a descriptor: plain (TCP, unix socket, pipe-like tty) or TLS. Reads are pushed
 * to the owner, writes are queued and flushed when the descriptor takes them. Nothing here knows a
 * protocol.
 *
 * Callbacks come from the loop only, never from inside a call below. After on_close (exactly once,
 * also after stream_close()) the stream is gone; the owner must not touch it again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct loop;
struct stream;
struct tls_ctx;

struct stream_ops {
	/* Bytes arrived. Returns how many were taken, 0..n; the rest is kept and offered again
	 * after stream_resume() or with the next bytes. Taking fewer than n implies stream_pause().
	 */
	size_t (*on_read)(struct stream *s, const void *p, size_t n, void *arg);
	/* The peer shut its writing side, and everything before that was taken. Optional: without
	 * it the stream flushes and closes. */
	void (*on_eof)(struct stream *s, void *arg);
	void (*on_open)(struct stream *s, void *arg); /* connected and TLS ready (optional) */
	void (*on_sent)(struct stream *s, size_t n, void *arg); /* n queued bytes left (optional) */
	void (*on_close)(struct stream *s, int err, void *arg); /* 0 = orderly, -errno */
};

/* Takes over fd (connected or connecting when connecting is set). NULL and fd closed on -ENOMEM. */
struct stream *stream_new(
    struct loop *l, int fd_consume, bool connecting, const struct stream_ops *ops, void *arg);
/* Server or client side of TLS, before any byte was read. client: verify against host (may be
 * NULL). */
int stream_start_tls(struct stream *s, struct tls_ctx *ctx, bool server, const char *host);
/* ALPN result after on_open: "h2", "http/1.1" or "". */
const char *stream_alpn(const struct stream *s);

int stream_write(struct stream *s, const void *p, size_t n); /* 0, -ENOMEM, -EPIPE once closing */
/* The same for bytes that are made where they leave from: make() appends to out and says how many,
 * or why not; it must not write to s. What it returns, or -EPIPE when there are bytes once closing.
 */
ssize_t stream_fill(struct stream *s, ssize_t (*make)(void *arg, struct buf *out), void *arg);
size_t stream_queued(const struct stream *s); /* bytes not yet taken by the kernel */
void stream_pause(struct stream *s);	      /* stop reading */
void stream_resume(struct stream *s);
/* Flush what is queued, then shut the writing side. */
void stream_shutdown(struct stream *s);
/* Flush what is queued (at most for linger_ms), then close; on_close follows from the loop. */
void stream_close(struct stream *s, uint64_t linger_ms);
/* Drop everything now (RST on TCP); on_close(err) follows from the loop. */
void stream_abort(struct stream *s, int err);
/* For an owner that goes away itself: closes at once and calls nobody back. Bytes still queued are
 * lost, and the peer is told so by a reset (TCP). May be called from the stream's own callbacks. */
struct stream *stream_free(struct stream *s);
/* True when the connection is known to be dead; finds it out also while reading is paused. */
bool stream_is_broken(const struct stream *s);
/* TCP: for how long the peer has acknowledged nothing although it was sent something to
 * acknowledge; 0 when nothing is awaited. A peer that is there acknowledges also while it reads
 * nothing. */
uint64_t stream_unheard_ms(const struct stream *s);
int stream_fd(const struct stream *s);
