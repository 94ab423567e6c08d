/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent speaks over unix sockets and the loopback address only. Linked into the program itself,
 * these stand in for io/tls_session.c, so that the static binary carries no TLS library.
 */
#include "io/tls_session.h"

#include <errno.h>

struct tls_session *tls_session_new(struct tls_ctx *ctx, int fd, bool server, const char *host)
{
	return NULL;
}

struct tls_session *tls_session_free(struct tls_session *t)
{
	return NULL;
}

int tls_session_handshake(struct tls_session *t, unsigned *ret_wait)
{
	return -EPROTO;
}

ssize_t tls_session_read(struct tls_session *t, void *p, size_t n, unsigned *ret_wait)
{
	return -EPROTO;
}

ssize_t tls_session_write(struct tls_session *t, const void *p, size_t n, unsigned *ret_wait)
{
	return -EPROTO;
}

int tls_session_end(struct tls_session *t, unsigned *ret_wait)
{
	return -EPROTO;
}

bool tls_session_has_pending(const struct tls_session *t)
{
	return false;
}

const char *tls_session_alpn(const struct tls_session *t)
{
	return "";
}
