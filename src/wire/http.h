/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One interface over HTTP/1.1 and HTTP/2, server and client role: sessions eat and yield bytes,
 * streams are request/response exchanges. No socket, no clock, no allocation without a bound.
 *
 * Flow control is exact and end to end. Incoming body bytes count against the stream's window until
 * the owner calls http_stream_consume(); outgoing body bytes are queued by http_stream_write() and
 * reported by on_sent when they leave. A proxy therefore consumes on one side what on_sent reports
 * on the other, and nothing can grow beyond the windows.
 *
 * Callbacks run only from http_session_recv(), http_session_recv_eof(), http_session_send() and
 * http_session_free(). A callback may call any http_stream_* function of any stream, but none of
 * these four. After on_close the stream is gone.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct http_session;
struct http_stream;

/* ---- heads ---- */
struct http_field {
	char *name; /* lower case */
	char *value;
};
struct http_fields {
	struct http_field *v;
	size_t n, cap;
	size_t bytes;		     /* names + values + 32 each, as RFC 9113 counts */
	struct http_fields_mem *mem; /* all of it, in a list that http_fields_add() made */
};
/* -ENOMEM, -E2BIG, -EINVAL (not a field that may stand in a head); the name is lowered. */
int http_fields_add(struct http_fields *f, const char *name, const char *value);
int http_fields_addf(struct http_fields *f, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* First value or NULL; name in lower case. */
const char *http_fields_get(const struct http_fields *f, const char *name);
/* How many fields have that name (duplicates of singular headers are refused by callers). */
size_t http_fields_count(const struct http_fields *f, const char *name);
void http_fields_remove(struct http_fields *f, const char *name);
void http_fields_fini(struct http_fields *f);
/* True for connection-specific names that a proxy must not forward (RFC 9110 7.6.1). */
bool http_field_is_hop(const char *name);

struct http_head {
	char *method;	 /* request */
	char *scheme;	 /* request; "http" when unknown */
	char *authority; /* request: Host or :authority, may be "" */
	char *path;	 /* request: origin form with query, begins with '/'; or "*" for OPTIONS */
	int status;	 /* response; 0 in a request */
	/* A request to switch to the protocol in the field "upgrade": of HTTP/1.1 with a valid
	 * Connection: upgrade, or an extended CONNECT of HTTP/2 (RFC 8441), which is told as if it
	 * were the same GET. */
	bool upgrade;
	int64_t length; /* declared content-length, -1 when unknown */
	struct http_fields fields;
};
#define HTTP_HEAD_INIT       \
	{                    \
		.length = -1 \
	}
void http_head_fini(struct http_head *h);
/* host[:port] without user information; empty is accepted. */
bool http_is_authority(const char *s);
int http_head_set_request(struct http_head *h, const char *method, const char *scheme,
    const char *authority, const char *path);

/* ---- streams ---- */
enum http_reset { /* RFC 9113 codes that we send; on HTTP/1.1 each closes the connection */
	HTTP_RESET_NONE = 0,
	HTTP_RESET_PROTOCOL = 1,
	HTTP_RESET_INTERNAL = 2,
	HTTP_RESET_REFUSED = 7,
	HTTP_RESET_CANCEL = 8,
	HTTP_RESET_CALM = 11,
};

struct http_handler {
	/* client: the final response head is in http_stream_peer_head(); 1xx are dropped, except
	 * 101 */
	void (*on_head)(struct http_stream *st, void *user);
	void (*on_data)(struct http_stream *st, const void *p, size_t n, void *user);
	/* peer finished; trailers may be empty */
	void (*on_end)(struct http_stream *st, const struct http_fields *trailers, void *user);
	void (*on_sent)(struct http_stream *st, size_t n, void *user); /* optional */
	/* last call: 0 when both sides ended in order, else -errno (-ECONNRESET, -EPROTO,
	 * -ECANCELED, -ECONNREFUSED with a refused stream that may be retried) */
	void (*on_close)(struct http_stream *st, int err, void *user);
};

/* Install the owner's callbacks. Without on_data, body bytes are consumed and dropped. */
void http_stream_set_handler(struct http_stream *st, const struct http_handler *h, void *user);
void *http_stream_user(const struct http_stream *st);
/* What the peer sent: request head on a server, response head on a client (after on_head). */
const struct http_head *http_stream_peer_head(const struct http_stream *st);
struct http_session *http_stream_session(const struct http_stream *st);

/* Server: send the response head; fields are copied. status 1xx may precede it; 101 turns an
 * upgrade stream into raw bytes both ways. With end, nothing more follows. 0, -ENOMEM, -EINVAL (bad
 * state or a head that cannot be sent). The session writes host, content-length and the
 * connection's own fields itself and skips the owner's, except "connection: close" and the
 * "upgrade" of a 101 or upgrade request. A 101 is a 200 on HTTP/2, and its stream's two ways end
 * each by itself. A body that the protocol has no place for (HEAD, 204, 304)
 * is dropped. */
int http_stream_respond(struct http_stream *st, const struct http_head *head, bool end);
/* Queue body bytes: 0, -ENOMEM, -EPIPE (our side already ended or the stream was reset). */
int http_stream_write(struct http_stream *st, const void *p, size_t n);
/* The same for all that is in b, which is empty then; its memory is taken over where that spares a
 * copy, and b gets other memory or none. */
int http_stream_write_buf(struct http_stream *st, struct buf *b);
/* End our side; trailers (may be NULL) are copied. Dropped where the peer cannot take trailers. */
int http_stream_end(struct http_stream *st, const struct http_fields *trailers);
void http_stream_reset(struct http_stream *st, enum http_reset code);
/* The owner is done with n body bytes: opens the peer's window. */
void http_stream_consume(struct http_stream *st, size_t n);
size_t http_stream_queued(const struct http_stream *st); /* unsent body bytes */
bool http_stream_head_sent(const struct http_stream *st);
/* The peer's message is complete; true already in on_request and on_head when the head was all of
 * it (on_end still follows), so that a proxy can pass on a head that is also the end. */
/* True from on_request or on_head on when the head is the whole message. */
bool http_stream_peer_ended(const struct http_stream *st);
/* HTTP/1.x (1) or HTTP/2 (2). */
int http_stream_version(const struct http_stream *st);

/* ---- sessions ---- */
struct http_session_ops {
	/* server: a request head is complete; install a handler here */
	void (*on_request)(struct http_stream *st, void *arg);
	/* there is output, or want_read turned true, although nobody called send: schedule
	 * http_session_send() and look at want_read then (never called from inside the four calls
	 * that run callbacks; may come again before that send) */
	void (*wake)(struct http_session *s, void *arg);
};
struct http_session_conf {
	const struct http_session_ops *ops;
	void *arg;
	bool tls;		/* for the scheme of requests */
	uint32_t stream_window; /* 0 = LIMIT_STREAM_WINDOW */
	uint32_t max_streams;	/* 0 = LIMIT_STREAMS_PER_CONN */
};

struct http_session *h1_server_new(const struct http_session_conf *c);
struct http_session *h1_client_new(const struct http_session_conf *c);
struct http_session *h2_server_new(const struct http_session_conf *c);
struct http_session *h2_client_new(const struct http_session_conf *c);
/* Closes every stream with on_close(-ECONNRESET, or err if not 0) first. */
struct http_session *http_session_free(struct http_session *s, int err);

/* Client: new exchange. The handler is installed; NULL and *ret_err = -ENOMEM, -EAGAIN (no free
 * stream on this connection now), -ESHUTDOWN (goaway or closing), -EINVAL (a head that cannot be
 * sent). head is copied. */
struct http_stream *http_session_request(struct http_session *s, const struct http_head *head,
    bool end, const struct http_handler *h, void *user, int *ret_err);

/* Feed bytes. Returns how many were taken (fewer than n only on HTTP/1.1 while its reader is
 * behind: offer the rest again after http_session_want_read() turns true), or -EPROTO or -ENOMEM:
 * send what is pending, then close. now_ms (monotonic) feeds the flood limits. */
ssize_t http_session_recv(struct http_session *s, const void *p, size_t n, uint64_t now_ms);
/* The peer closed its side. 0 or -ECONNRESET when something was unfinished. A client whose request
 * is whole may still wait for the answer, or may be gone: the session sends a few bytes without
 * meaning, which a peer that is gone answers with a reset. */
int http_session_recv_eof(struct http_session *s);
/* Append the next piece of output to dst: its bytes, 0 when there is none now; -ENOMEM (the
 * connection cannot go on); -ECONNABORTED: an HTTP/1.1 message was broken off, reset the connection
 * so that the peer does not take it for whole. */
ssize_t http_session_send(struct http_session *s, struct buf *dst);
bool http_session_want_read(const struct http_session *s);
/* True when the connection is finished and may be closed after its output is flushed. */
bool http_session_done(const struct http_session *s);
/* Stop taking new streams (GOAWAY / Connection: close); running ones go on. */
void http_session_drain(struct http_session *s);
/* HTTP/1.1, switched: our way has ended and the peer's goes on. When the output is flushed, the
 * writing side of the connection is to be shut. */
bool http_session_output_ended(const struct http_session *s);
size_t http_session_streams(const struct http_session *s);
/* Keep-alive PING (HTTP/2 only); answered says whether the last one came back. */
void http_session_ping(struct http_session *s);
bool http_session_ping_answered(const struct http_session *s);
void *http_session_arg(const struct http_session *s); /* of its conf */

/* Reason phrase of a status code. */
const char *http_status_text(int status);

/* First bytes of a cleartext connection: 1 = HTTP/1.x, 2 = HTTP/2 preface, 0 = need more bytes. */
int http_sniff(const void *p, size_t n);
