/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/tls.h"
#include "io/tls_ctx.h"
#include "loop/loop.h"

struct tls_session {
	struct tls_ctx *ctx;
	SSL *ssl;
	int fd;
	int failed; /* first fatal error: OpenSSL forbids any further call then */
	char alpn[16];
};

/* ---- socket BIO: OpenSSL's own uses write(2), which raises SIGPIPE ---- */

static int bio_result(BIO *bio, ssize_t r, int retry_flag)
{
	BIO_clear_retry_flags(bio);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
	return (int)r;
}

static int bio_fd(BIO *bio)
{
	return ((struct tls_session *)BIO_get_data(bio))->fd;
}

static int bio_write(BIO *bio, const char *p, int n)
{
	return bio_result(bio, send(bio_fd(bio), p, (size_t)n, MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

static int bio_read(BIO *bio, char *p, int n)
{
	ssize_t r = recv(bio_fd(bio), p, (size_t)n, 0);
	if (r == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return bio_result(bio, r, BIO_FLAGS_READ);
}

static long bio_ctrl(BIO *bio, int cmd, long larg, void *parg)
{
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	default:
		return 0;
	}
}

BIO_METHOD *tls_socket_method_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
	if (!m)
		return NULL;
	if (BIO_meth_set_write(m, bio_write) != 1 || BIO_meth_set_read(m, bio_read) != 1 ||
	    BIO_meth_set_ctrl(m, bio_ctrl) != 1) {
		BIO_meth_free(m);
		return NULL;
	}
	return m;
}

/* ---- session ---- */

/* Whom the peer's certificate must name: an address or a host. */
static bool expect_host(SSL *ssl, const char *host)
{
	struct in6_addr a;
	if (inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool attach(struct tls_session *t, bool server, const char *host)
{
	t->ssl = SSL_new(t->ctx->ssl);
	BIO *bio = t->ssl ? BIO_new(t->ctx->socket_method) : NULL;
	if (!bio)
		return false;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio); /* owned by ssl now */
	if (server)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	return server || !host || expect_host(t->ssl, host);
}

struct tls_session *tls_session_new(struct tls_ctx *ctx, int fd, bool server, const char *host)
{
	struct tls_session *t = mem_zalloc(sizeof(*t));
	if (!t)
		return NULL;
	t->ctx = tls_ref(ctx);
	t->fd = fd;
	if (!attach(t, server, host)) {
		ERR_clear_error();
		return tls_session_free(t);
	}
	return t;
}

struct tls_session *tls_session_free(struct tls_session *t)
{
	if (!t)
		return NULL;
	SSL_free(t->ssl);
	tls_free(t->ctx);
	return mem_free(t);
}

/* Translate the result of an SSL call that did not succeed. 0 stands for the peer's close_notify.
 */
static int session_result(struct tls_session *t, int r, unsigned *ret_wait)
{
	int saved = errno;
	int code;
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		*ret_wait = LOOP_READ;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*ret_wait = LOOP_WRITE;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		code = saved > 0 ? -saved : -ECONNRESET;
		break;
	default:
		code = -EPROTO;
		if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			code = -ECONNRESET;
		break;
	}
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	log_debug("TLS: %s", reason ? reason : "connection lost");
	ERR_clear_error();
	t->failed = code;
	return code;
}

int tls_session_handshake(struct tls_session *t, unsigned *ret_wait)
{
	if (t->failed)
		return t->failed;
	ERR_clear_error();
	errno = 0;
	int r = SSL_do_handshake(t->ssl);
	if (r != 1) {
		r = session_result(t, r, ret_wait);
		return r == 0 ? -ECONNRESET : r;
	}
	const unsigned char *name;
	unsigned n;
	SSL_get0_alpn_selected(t->ssl, &name, &n);
	if (n < sizeof(t->alpn))
		for (unsigned i = 0; i < n; i++)
			t->alpn[i] = (char)name[i];
	return 0;
}

ssize_t tls_session_read(struct tls_session *t, void *p, size_t n, unsigned *ret_wait)
{
	if (t->failed)
		return t->failed;
	ERR_clear_error();
	errno = 0;
	int r = SSL_read(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
	return r > 0 ? r : session_result(t, r, ret_wait);
}

ssize_t tls_session_write(struct tls_session *t, const void *p, size_t n, unsigned *ret_wait)
{
	if (t->failed)
		return t->failed;
	ERR_clear_error();
	errno = 0;
	int r = SSL_write(t->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
	if (r > 0)
		return r;
	r = session_result(t, r, ret_wait);
	return r == 0 ? -EPIPE : r;
}

int tls_session_end(struct tls_session *t, unsigned *ret_wait)
{
	if (t->failed)
		return t->failed;
	ERR_clear_error();
	errno = 0;
	int r = SSL_shutdown(t->ssl); /* 0: ours is sent, the peer's has not come; 1: both */
	return r >= 0 ? 0 : session_result(t, r, ret_wait);
}

bool tls_session_has_pending(const struct tls_session *t)
{
	return !t->failed && SSL_has_pending(t->ssl);
}

const char *tls_session_alpn(const struct tls_session *t)
{
	return t->alpn;
}
