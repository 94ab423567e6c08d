/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "io/tls_ctx.h"

#define KEY_FILE_MAX (64 * 1024)

/* TLS 1.2 suites that RFC 9113 (appendix A) allows for HTTP/2; those of TLS 1.3 all are. */
#define CIPHERS_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20"

/* In wire format, in order of preference. */
static const unsigned char alpn_protocols[] = "\x02h2\x08http/1.1";
#define ALPN_LEN (sizeof(alpn_protocols) - 1)

/* Turn OpenSSL's first reason into the sentence's end and empty its queue. */
static int ssl_err_set(struct err *reterr, int code, const char *what, const char *object)
{
	unsigned long e = ERR_get_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	ERR_clear_error();
	return err_set(
	    reterr, code, "%s \"%s\": %s", what, object, reason ? reason : err_name(code));
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *outlen,
    const unsigned char *in, unsigned inlen, void *arg)
{
	unsigned char *chosen;
	if (SSL_select_next_proto(&chosen, outlen, alpn_protocols, ALPN_LEN, in, inlen) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2: no_application_protocol */
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static struct tls_ctx *ctx_new(const SSL_METHOD *method, struct err *reterr)
{
	struct tls_ctx *c = mem_zalloc(sizeof(*c));
	if (!c) {
		err_set(reterr, -ENOMEM, "TLS context: out of memory");
		return NULL;
	}
	c->refs = 1;
	c->ssl = SSL_CTX_new(method);
	c->socket_method = tls_socket_method_new();
	if (!c->ssl || !c->socket_method ||
	    SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(c->ssl, CIPHERS_TLS12) != 1) {
		ssl_err_set(reterr, -ENOMEM, "TLS context", "new");
		return tls_free(c);
	}
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				     SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(c->ssl, 1); /* a record's header and body in one recv() */
	return c;
}

struct tls_ctx *tls_ref(struct tls_ctx *c)
{
	c->refs++;
	return c;
}

struct tls_ctx *tls_free(struct tls_ctx *c)
{
	if (!c || --c->refs > 0)
		return NULL;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->socket_method);
	return mem_free(c);
}

/* A key with a passphrase is refused: nobody is there to type it. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

static int read_key_file(const char *path, struct buf *dst, struct err *reterr)
{
	CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(reterr, -errno, "key file \"%s\": %s", path, err_name(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(reterr, -EINVAL, "key file \"%s\": not a regular file", path);
	if (st.st_mode & S_IRWXO)
		return err_set(reterr, -EACCES,
		    "key file \"%s\": every user may access it (mode %04o), expected 0600 or 0640",
		    path, st.st_mode & 07777u);
	int r = fd_read_all(fd, KEY_FILE_MAX, dst);
	return r < 0 ? err_set(reterr, r, "key file \"%s\": %s", path, err_name(r)) : 0;
}

static int use_key_file(struct tls_ctx *c, const char *path, struct err *reterr)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	int r = read_key_file(path, &text, reterr);
	if (r == 0) {
		BIO *bio = BIO_new_mem_buf(buf_data(&text), (int)buf_len(&text));
		EVP_PKEY *key =
		    bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
		if (!key || SSL_CTX_use_PrivateKey(c->ssl, key) != 1)
			r = ssl_err_set(reterr, -EINVAL, "key file", path);
		EVP_PKEY_free(key);
		BIO_free(bio);
	}
	if (text.mem)
		OPENSSL_cleanse(text.mem, text.cap);
	return r;
}

static int server_setup(
    struct tls_ctx *c, const char *cert_file, const char *key_file, struct err *reterr)
{
	if (SSL_CTX_use_certificate_chain_file(c->ssl, cert_file) != 1)
		return ssl_err_set(reterr, -EINVAL, "certificate file", cert_file);
	int r = use_key_file(c, key_file, reterr);
	if (r < 0)
		return r;
	if (SSL_CTX_check_private_key(c->ssl) != 1)
		return ssl_err_set(reterr, -EINVAL, "key file", key_file);
	/* Resumption goes by tickets, which cost no memory here. */
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(c->ssl, select_alpn, NULL);
	return 0;
}

struct tls_ctx *tls_server_new(const char *cert_file, const char *key_file, struct err *reterr)
{
	struct tls_ctx *c = ctx_new(TLS_server_method(), reterr);
	if (c && server_setup(c, cert_file, key_file, reterr) < 0)
		return tls_free(c);
	return c;
}

struct tls_ctx *tls_client_new(const char *ca_file, struct err *reterr)
{
	struct tls_ctx *c = ctx_new(TLS_client_method(), reterr);
	if (!c)
		return NULL;
	int ok = ca_file ? SSL_CTX_load_verify_file(c->ssl, ca_file)
			 : SSL_CTX_set_default_verify_paths(c->ssl);
	if (ok != 1) {
		ssl_err_set(reterr, -EINVAL, "CA file", ca_file ? ca_file : "default");
		return tls_free(c);
	}
	/* Unlike its neighbours this one returns 0 for success. */
	if (SSL_CTX_set_alpn_protos(c->ssl, alpn_protocols, ALPN_LEN) != 0) {
		ssl_err_set(reterr, -ENOMEM, "TLS context", "ALPN");
		return tls_free(c);
	}
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
	return c;
}
