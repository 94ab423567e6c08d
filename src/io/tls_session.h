/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One TLS connection over a nonblocking socket, used by stream.c only. Calls that would block
 * return -EAGAIN and say which events (LOOP_READ, LOOP_WRITE) to wait for: either may be needed by
 * either direction. Failures of the protocol are -EPROTO; OpenSSL's error queue is always left
 * empty.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_ctx;
struct tls_session;

/* NULL on -ENOMEM or when host is no valid name. The descriptor stays the caller's. */
struct tls_session *tls_session_new(struct tls_ctx *ctx, int fd, bool server, const char *host);
struct tls_session *tls_session_free(struct tls_session *t);

/* 0, -EAGAIN, -EPROTO or another -errno. */
int tls_session_handshake(struct tls_session *t, unsigned *ret_wait);
/* Bytes, 0 after the peer's close_notify, -EAGAIN, -ECONNRESET when the peer left without one. */
ssize_t tls_session_read(struct tls_session *t, void *p, size_t n, unsigned *ret_wait);
ssize_t tls_session_write(struct tls_session *t, const void *p, size_t n, unsigned *ret_wait);
/* Send close_notify: 0, -EAGAIN or -errno. */
int tls_session_end(struct tls_session *t, unsigned *ret_wait);
/* True when bytes were taken from the socket that no read has returned yet. */
bool tls_session_has_pending(const struct tls_session *t);
/* "h2", "http/1.1" or "". */
const char *tls_session_alpn(const struct tls_session *t);
