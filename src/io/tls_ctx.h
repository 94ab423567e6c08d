/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tls.c and tls_session.c share: the context with OpenSSL's objects. */
#include <openssl/bio.h>
#include <openssl/ssl.h>

struct tls_ctx {
	unsigned
	    refs; /* the owner's and one a session: a stream may close after its owner is gone */
	SSL_CTX *ssl;
	BIO_METHOD *socket_method; /* a socket BIO that never raises SIGPIPE */
};

struct tls_ctx *tls_ref(struct tls_ctx *c);
/* Made in tls_session.c; NULL on -ENOMEM. */
BIO_METHOD *tls_socket_method_new(void);
