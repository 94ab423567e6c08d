/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One end of a byte stream over a serial port whose client may vanish at any byte and be replaced:
 * bytes in, bytes out. Neither a new client nor its guest ever sees bytes meant for an old one.
 *
 * A frame is a head {u8 type, u24 length, u32 session}, big endian, that many bytes, and one byte
 * SERIAL_LINK_TAIL. Where a head may begin a zero byte is padding.
 *
 *   host   sends SERIAL_LINK_FLUSH zeros, which bring the guest out of whatever frame an old client
 *          left unfinished, then HELLO with a session and a nonce of its own; drops what comes
 *          until it has met the HELLO_ACK with both
 *   guest  on HELLO: drops the old session, answers HELLO_ACK; drops frames of other sessions
 *   both   DATA, and FIN for the end of one direction
 *
 * Why the flush works: no run of so many zeros exists within frames, and a frame that zeros have
 * filled up lacks its tail, so it is dropped before anybody has seen a byte of it.
 *
 * The guest trusts its host, but survives any bytes; the host does not trust the guest.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

#define SERIAL_LINK_HEAD 8
#define SERIAL_LINK_PAYLOAD_MAX 16384
#define SERIAL_LINK_TAIL 0xa5
#define SERIAL_LINK_NONCE 16
#define SERIAL_LINK_FLUSH (SERIAL_LINK_HEAD + SERIAL_LINK_PAYLOAD_MAX + 1)
#define SERIAL_LINK_ACK (SERIAL_LINK_HEAD + SERIAL_LINK_NONCE + 1)
#define SERIAL_LINK_BUFFER (64 * 1024) /* bytes kept each way */

enum serial_link_type {
	SERIAL_LINK_PADDING,
	SERIAL_LINK_HELLO,
	SERIAL_LINK_HELLO_ACK,
	SERIAL_LINK_DATA,
	SERIAL_LINK_FIN,
};

enum serial_link_state {
	SERIAL_LINK_IDLE,     /* no session */
	SERIAL_LINK_GREETING, /* host: HELLO_ACK is awaited */
	SERIAL_LINK_OPEN,
};

enum serial_link_event {
	SERIAL_LINK_NOTHING,
	SERIAL_LINK_OPENED, /* a session began, and any old one is over */
};

enum serial_link_place { /* what the next byte is */
	SERIAL_LINK_AT_HEAD,
	SERIAL_LINK_AT_PAYLOAD,
	SERIAL_LINK_AT_TAIL,
	SERIAL_LINK_LOST, /* guest: anything, until a flush */
};

struct serial_link {
	bool host;
	enum serial_link_state state;
	uint32_t session;
	bool in_ended, out_ended; /* FIN was received, sent */
	struct buf in, out;	  /* of the session; with frames for the port */
	size_t whole;		  /* bytes of in that belong to complete frames */
	enum serial_link_place at;
	unsigned char head[SERIAL_LINK_HEAD];
	unsigned char nonce[SERIAL_LINK_NONCE];
	size_t n_head, n_nonce, left; /* bytes of the present frame */
	size_t zeros;		      /* guest: the run that the last byte belongs to */
	unsigned char seen[SERIAL_LINK_ACK], ack[SERIAL_LINK_ACK]; /* host, greeting */
	size_t n_seen;
};

void serial_link_init_guest(struct serial_link *l);
/* A session is not 0; both are fresh and random. Its greeting waits to be sent. 0 or -ENOMEM. */
int serial_link_init_host(
    struct serial_link *l, uint32_t session, const unsigned char nonce[SERIAL_LINK_NONCE]);
void serial_link_fini(struct serial_link *l);

/* ---- the port ---- */
/* Bytes from the port: how many were taken (fewer when there is no room, or after an event), or
 * -ENOMEM, or -EPROTO (host only: the guest breaks the rules). */
ssize_t serial_link_recv(
    struct serial_link *l, const void *p, size_t n, enum serial_link_event *ret_event);
/* Room for another frame: the port may be read. */
bool serial_link_wants(const struct serial_link *l);
/* Bytes for the port are at the front of out; n of them left. */
void serial_link_sent(struct serial_link *l, size_t n);
/* Guest: the client has gone, and its session with it. */
void serial_link_hang_up(struct serial_link *l);

/* ---- the session ---- */
static inline bool serial_link_is_open(const struct serial_link *l)
{
	return l->state == SERIAL_LINK_OPEN;
}
/* Bytes that came are at the front of in, this many of them; n were used. */
size_t serial_link_readable(const struct serial_link *l);
void serial_link_used(struct serial_link *l, size_t n);
/* FIN came, and everything before it was used. */
bool serial_link_is_at_end(const struct serial_link *l);
/* How many bytes serial_link_write() takes now. */
size_t serial_link_room(const struct serial_link *l);
int serial_link_write(struct serial_link *l, const void *p, size_t n); /* 0 or -ENOMEM */
/* No more will be written. 0 or -ENOMEM. */
int serial_link_finish(struct serial_link *l);
/* The session is over here; what comes of it is dropped. 0 or -ENOMEM. */
int serial_link_close(struct serial_link *l);
