/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages of the Jupyter protocol 5: frames
 *     identities... "<IDS|MSG>" signature header parent_header metadata content buffers...
 * signed with HMAC-SHA256 over the four JSON texts. What is received is verified before any of it
 * is parsed; content stays text here, because most of it is stream output (text.h).
 */
#include <stddef.h>
#include <stdint.h>

#include "guest-kernel-agent/jupyter/zmtp.h"

struct err;

#define MESSAGE_ID_MAX 64
#define MESSAGE_TYPE_MAX 48
#define MESSAGE_HEADER_BYTES_MAX                                        \
	(64 * 1024) /* header and parent header: copies of what we sent \
		     */
#define MESSAGE_KEY_MAX 72

/* Outcomes of session_open_message() */
#define MESSAGE_E_BAD 1 /* not a message, or not signed by the kernel: to be dropped */

/* One conversation with one kernel. Zeroed memory is valid for _fini. */
struct session {
	char key[MESSAGE_KEY_MAX];
	char id[MESSAGE_ID_MAX];
	uint64_t sent;
	struct evp_mac_ctx_st *mac; /* keyed */
};

struct message {
	char type[MESSAGE_TYPE_MAX];
	char parent_id[MESSAGE_ID_MAX]; /* "" when there is none, or when it cannot be ours */
	struct zmtp_span content;	/* JSON text in the received frames */
};

/* A random key and session id. 0 or -ENOMEM. */
int session_init(struct session *s);
void session_fini(struct session *s);

/* Queue a request with the given content (JSON text) on z. ret_id: what parent_id of the answers
 * will be. 0 or -ENOMEM with nothing queued. */
int session_send(struct session *s, struct zmtp *z, const char *type, const void *content, size_t n,
    char ret_id[MESSAGE_ID_MAX]);

/* Verify and take apart. 0; -EBADMSG (not a message, or not signed by the kernel) or -ENOMEM with
 * reterr set. Frames are borrowed. */
int session_open_message(struct session *s, const struct zmtp_span *frames, size_t n,
    struct message *ret, struct err *reterr);
/* Sign four JSON texts as the kernel does; ret has 65 bytes. 0 or -ENOMEM. */
int session_sign(struct session *s, const struct zmtp_span texts[4], char *ret);
