/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The client side of ZMTP 3 (the wire protocol of ZeroMQ) with the NULL mechanism: bytes in, bytes
 * out, no socket. A Jupyter client needs two socket types: DEALER (shell, control) and SUB (iopub,
 * subscribed to everything). We announce ZMTP 3.0, which every 3.x peer then speaks.
 *
 * Use: send what zmtp_out() holds and consume it; give received bytes to zmtp_feed() until it has
 * taken them all; zmtp_send() may be called at any time, messages wait for the handshake.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define ZMTP_FRAMES_MAX 64		     /* frames a message */
#define ZMTP_MESSAGE_MAX (512 * 1024 * 1024) /* bytes a message; memory grows as they arrive */
#define ZMTP_COMMAND_MAX 4096		     /* bytes a command (READY with its properties) */

enum zmtp_role { ZMTP_DEALER, ZMTP_SUB };

/* Outcomes of zmtp_feed() */
#define ZMTP_E_MESSAGE 1 /* a whole message is in zmtp_frame() */

struct zmtp_span {
	const void *p;
	size_t n;
};

struct zmtp {
	enum zmtp_role role;
	int (*state)(struct zmtp *z, struct zmtp_span *in, struct err *reterr);
	bool open;		/* handshake done */
	unsigned char head[64]; /* greeting, or flags and size of a frame */
	size_t n_head;
	unsigned char flags; /* of the frame being read */
	size_t left;	     /* its bytes still to come */
	bool complete;	     /* message holds all frames of a message */
	struct buf command;
	struct buf message;
	size_t ends[ZMTP_FRAMES_MAX]; /* where each frame of the message ends */
	size_t n_frames;
	struct buf held; /* messages sent before the handshake was done */
	struct buf out;
};

/* 0 or -ENOMEM; zmtp_fini() is due in both cases. */
int zmtp_init(struct zmtp *z, enum zmtp_role role);
void zmtp_fini(struct zmtp *z);

/* Take bytes up to the end of one message. *ret_used: how many were taken.
 * 0 = all were taken; ZMTP_E_MESSAGE = a message is complete, its frames are valid until the next
 * call; -EPROTO (peer speaks something else), -EMSGSIZE (a limit above), -ENOMEM with reterr set:
 * give up. */
int zmtp_feed(struct zmtp *z, const void *p, size_t n, size_t *ret_used, struct err *reterr);
size_t zmtp_frames(const struct zmtp *z);
struct zmtp_span zmtp_frame(const struct zmtp *z, size_t i);

static inline bool zmtp_is_open(const struct zmtp *z)
{
	return z->open;
}

/* Queue a message of n >= 1 frames: 0, or -ENOMEM with nothing queued. */
int zmtp_send(struct zmtp *z, const struct zmtp_span *frames, size_t n);
static inline struct buf *zmtp_out(struct zmtp *z)
{
	return &z->out;
}
