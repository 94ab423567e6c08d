/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What HTTP/1.1 and HTTP/2 sessions share: the stream object, its states, and the delivery of its
 * end.
 *
 * A stream has two independent states: what of our message is still to be sent, and what of the
 * peer's is still to come; and it is open until it is closed, when nothing but its last callback is
 * left: both sides have ended, it failed, or its owner reset it. on_head, on_data and on_end are
 * called where the protocol meets them, from inside recv. Everything that could free the stream
 * waits: on_sent and on_close are delivered by session_leave() at the end of recv, send, recv_eof
 * and free, when no parser stands on the stack. So a callback may reset or end any stream, and no
 * code below a callback ever meets a freed one.
 */
#include "base/buf.h"
#include "base/list.h"
#include "wire/http.h"

enum http_send_state {
	HTTP_SEND_STATE_HEAD, /* server: no final response head yet */
	HTTP_SEND_STATE_BODY, /* the owner may write */
	HTTP_SEND_STATE_LAST, /* the owner has ended; queue and trailers still to leave */
	HTTP_SEND_STATE_DONE,
};

enum http_recv_state {
	HTTP_RECV_STATE_HEAD,
	HTTP_RECV_STATE_BODY,
	HTTP_RECV_STATE_DONE,
};

struct http_stream {
	struct link link;  /* session.streams */
	struct link ready; /* session.ready: on_sent or on_close is due */
	struct http_session *session;
	const struct http_handler *handler;
	void *user;
	struct http_head peer;
	struct http_fields peer_trailers;
	struct http_fields trailers; /* ours */
	struct buf queue;	     /* our body bytes that have not left */
	int64_t write_left;	     /* of the declared length, -1 when none was declared */
	size_t sent;		     /* left, to be reported */
	size_t unread;		     /* delivered, not consumed */
	int close_err;
	int32_t id; /* HTTP/2 */
	enum http_send_state send;
	enum http_recv_state recv;
	bool closed;	/* on_close is due */
	bool no_body;	/* our message has none, whatever its head says (HEAD, 204, 304) */
	bool peer_bare; /* the same for the peer's message: the request was HEAD */
	bool expects;	/* the client waits for 100 (Continue) */
	bool end_due;	/* on_end was held back until our answer to an upgrade was known */
	bool oversize;	/* HTTP/2: the head being received is over its limit */
	bool head_ends; /* the peer's head is its whole message: on_end is about to come */
	bool tunnel;	/* 101: raw bytes both ways, and each way ends by itself */
	char *protocol; /* HTTP/2 client: asked for with the request, until it is answered */
};

/* The protocols. Each function is called with an open stream unless said otherwise. */
struct http_session_impl {
	int version;
	ssize_t (*recv)(struct http_session *s, const unsigned char *p, size_t n, uint64_t now_ms);
	int (*recv_eof)(struct http_session *s);
	ssize_t (*send)(struct http_session *s, struct buf *dst);
	bool (*want_read)(const struct http_session *s);
	bool (*done)(const struct http_session *s);
	/* Optional. */
	bool (*output_ended)(const struct http_session *s);
	void (*drain)(struct http_session *s);
	void (*ping)(struct http_session *s);
	bool (*ping_answered)(const struct http_session *s);
	void (*fini)(struct http_session *s);
	/* Client: 0, -EAGAIN, -ESHUTDOWN: may a stream be opened; then begin it: 0, -ENOMEM, or
	 * -EINVAL for what this version cannot say. */
	int (*may_open)(const struct http_session *s);
	int (*open)(struct http_stream *st, const struct http_head *head, bool end);
	/* Server: 0 or -ENOMEM. st->no_body is set already; it implies end. */
	int (*respond)(struct http_stream *st, const struct http_head *head, bool end);
	/* The queue or the send state changed. */
	void (*produced)(struct http_stream *st);
	/* The stream is closed already; the peer is to learn why. */
	void (*reset)(struct http_stream *st, enum http_reset code);
	/* n delivered bytes were given back; open or closed. */
	void (*consumed)(struct http_stream *st, size_t n);
	/* The stream is about to be freed, closed. */
	void (*release)(struct http_stream *st);
};

struct http_session {
	const struct http_session_impl *impl;
	struct http_session_conf conf;
	struct link streams;
	struct link ready;
	size_t n_streams;
	bool server;
	bool busy; /* inside recv, send, recv_eof or free */
	bool freeing;
};

/* ---- session ---- */
void http_session_init(struct http_session *s, const struct http_session_impl *impl, bool server,
    const struct http_session_conf *c);
/* One piece of output, to which the last frame may add. */
#define HTTP_OUT_TARGET (40 * 1024)
/* An empty buffer gives up its memory, but for what a busy or an idle connection may keep. */
void http_buf_trim(struct buf *b, bool busy);
/* Tell the owner that send (or reading on) is worth a call, unless it is about to do so anyway. */
void http_session_wake(struct http_session *s);
/* Every stream gets on_close(err) when the current call ends. */
void http_session_fail_streams(struct http_session *s, int err);

/* ---- stream, as the protocols drive it ---- */
struct http_stream *http_stream_new(struct http_session *s); /* NULL on -ENOMEM */
/* Only for a stream that nobody outside has seen. */
void http_stream_discard(struct http_stream *st);
/* The request head is complete: gives it to the owner and answers Expect. */
void http_stream_deliver_request(struct http_stream *st);
void http_stream_deliver_head(struct http_stream *st);
void http_stream_deliver_data(struct http_stream *st, const void *p, size_t n);
void http_stream_deliver_end(struct http_stream *st);
/* n body bytes left: take them off the books and report them. */
void http_stream_note_sent(struct http_stream *st, size_t n);
/* The peer's message was complete all along: on_end follows when the current call ends. */
void http_stream_release_end(struct http_stream *st);
/* The exchange is over; on_close(err) follows when the current call ends. The first error counts.
 */
void http_stream_closed(struct http_stream *st, int err);
/* Answer a request in the owner's place before it has seen it: 0 or -ENOMEM. */
int http_stream_refuse(struct http_stream *st, int status);

/* ---- heads ---- */
/* As http_fields_add with lengths; name is lowered. -EINVAL on bytes that no field may carry. */
int http_fields_add_n(
    struct http_fields *f, const char *name, size_t name_len, const char *value, size_t value_len);
int http_fields_copy(struct http_fields *dst, const struct http_fields *src);
/* One name in a comma-separated list, in any case. */
bool http_list_has(const char *list, const char *token);
bool http_is_token(const char *p, size_t n);
/* Decimal text at the end of dst: where it begins. Terminated. */
#define HTTP_DIGITS 21
const char *http_digits(uint64_t v, char dst[HTTP_DIGITS]);
bool http_is_field_value(const char *p, size_t n);
/* Visible ASCII that begins with '/', without a fragment; or "*". */
bool http_is_path(const char *s);
/* One field with digits of at most INT64_MAX: 0 and *ret (-1 without one) or -EINVAL. */
int http_parse_length(const struct http_fields *f, int64_t *ret);
/* Fields of a message of ours that the session writes itself or must not write. */
bool http_field_is_ours(const char *name);
/* Whether a response of this status carries no body. */
bool http_status_is_bare(int status);
/* The declared length of a head that we send, where its status may declare one. */
int64_t http_head_length(const struct http_head *head);
/* A head of ours that can be written without changing its meaning on the wire. */
bool http_head_is_sendable(const struct http_head *head, bool server);
/* Take "expect" off a request head: true when it asks for 100-continue. */
bool http_head_take_expect(struct http_head *head);
