/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The call object, as its own files see it. */
#include "base/buf.h"
#include "base/list.h"
#include "loop/loop.h"
#include "rpc/call.h"

struct rpc_router;

enum call_state {
	CALL_STATE_OPEN,   /* messages come and go */
	CALL_STATE_ENDED,  /* the status is decided, the method will hear from the loop */
	CALL_STATE_LINGER, /* the method has been told; the stream finishes */
};

/* How far the request has come. */
enum call_request {
	CALL_REQUEST_BODY,     /* more bytes may come */
	CALL_REQUEST_COMPLETE, /* the client ended its side */
	CALL_REQUEST_TAKEN,    /* and the method has everything */
};

struct call {
	struct link link; /* rpc_router.calls */
	struct rpc_router *router;
	const struct rpc_service *service;
	const struct rpc_method *method; /* NULL: unknown, or refused by the gate */
	const ProtobufCMethodDescriptor *descriptor;
	struct http_stream *st; /* NULL once closed */
	void *user;
	char *path;
	enum rpc_protocol protocol;
	enum rpc_codec codec;
	enum call_state state;
	enum call_request request;
	int done_err;
	/* request side */
	struct rpc_deframer deframer; /* Connect unary: its buffer is the body */
	size_t held;		      /* received and not yet consumed bytes */
	size_t drained;		      /* received after the end */
	bool on_hold;		      /* call_hold() */
	ProtobufCMessage *message;    /* of a method that is not client-streaming */
	/* answer side */
	struct http_fields headers, trailers;
	struct buf payload, frame; /* Connect unary: the whole answer waits in payload */
	size_t sent;		   /* messages */
	bool waiting; /* the queue was above its mark: on_ready is due when it is below */
	/* time */
	uint64_t deadline_ms;	/* of the monotonic clock; UINT64_MAX = none */
	uint64_t request_by_ms; /* until then the only request message must be there */
	size_t linger_queued;	/* unsent bytes when lingering was last looked at */
	struct loop_timer timer;
	struct loop_defer defer;
};

/* New call on a stream whose head is checked; takes over the stream. method is NULL for a name that
 * the service does not have. 0 or -ENOMEM (the stream is untouched). */
int call_start(struct rpc_router *r, const struct rpc_service *svc, const struct rpc_method *method,
    struct http_stream *st, enum rpc_protocol protocol, enum rpc_codec codec, const char *path);
/* The router goes: tell the method, reset the stream, free. */
void call_cut(struct call *c);
/* End with a status of our own; err is what on_done will hear. */
void call_fail(struct call *c, enum rpc_code code, int err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- answers (call_reply.c): all 0 or -errno ---- */
int call_reply_head(struct call *c);
int call_reply_message(struct call *c, const ProtobufCMessage *m);
int call_reply_status(struct call *c, enum rpc_code code, const char *text);
