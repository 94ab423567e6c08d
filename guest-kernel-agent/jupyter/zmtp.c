/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZMTP 3.0, RFC 23 of the ZeroMQ project.
 *
 * Both sides send a greeting of 64 bytes, then one READY command with their socket type, then
 * traffic: frames of a flags byte (more, long, command), a size of one or eight bytes, and a body.
 * The parser is one function a state; each takes what it can from the input and says with its
 * return value whether a message became complete.
 */
#include "guest-kernel-agent/jupyter/zmtp.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"

#define GREETING_LEN 64
#define GREETING_VERSION 10   /* offset of the major version */
#define GREETING_MECHANISM 12 /* offset of its name, 20 bytes filled with zeros */
#define MECHANISM_LEN 20

#define PONG_QUEUE_MAX (64 * 1024)

#define FLAG_MORE 1u
#define FLAG_LONG 2u
#define FLAG_COMMAND 4u

typedef struct zmtp_span span;

static const unsigned char greeting[GREETING_LEN] = {
	[0] = 0xff,
	[8] = 1, /* the "length" that tells old peers apart */
	[9] = 0x7f,
	[GREETING_VERSION] = 3,
	[GREETING_MECHANISM] = 'N',
	'U',
	'L',
	'L',
};

static int read_frame_head(struct zmtp *z, span *in, struct err *reterr);

/* ---- sending ---- */

static int put_frame_head(struct buf *dst, unsigned flags, size_t n)
{
	unsigned char head[9] = { (unsigned char)flags, (unsigned char)n };

	if (n <= 255)
		return buf_append(dst, head, 2);
	head[0] |= FLAG_LONG;
	for (int i = 0; i < 8; i++)
		head[1 + i] = (unsigned char)((uint64_t)n >> (56 - 8 * i));
	return buf_append(dst, head, sizeof(head));
}

static int put_command(struct buf *dst, const char *name, const void *body, size_t n)
{
	size_t n_name = strlen(name);
	int r = put_frame_head(dst, FLAG_COMMAND, 1 + n_name + n);

	if (r == 0)
		r = buf_append_byte(dst, (unsigned char)n_name);
	if (r == 0)
		r = buf_append(dst, name, n_name);
	return r < 0 ? r : buf_append(dst, body, n);
}

static int put_property(struct buf *dst, const char *name, const char *value)
{
	int r = buf_append_byte(dst, (unsigned char)strlen(name));

	if (r == 0)
		r = buf_append_str(dst, name);
	if (r == 0)
		r = buf_append_u32be(dst, (uint32_t)strlen(value));
	return r < 0 ? r : buf_append_str(dst, value);
}

static int put_ready(struct zmtp *z)
{
	CLEAN_BUF struct buf properties = BUF_INIT;
	int r = put_property(&properties, "Socket-Type", z->role == ZMTP_SUB ? "SUB" : "DEALER");

	if (r == 0 && z->role == ZMTP_DEALER)
		r = put_property(&properties, "Identity", "");
	return r < 0 ? r
		     : put_command(&z->out, "READY", buf_data(&properties), buf_len(&properties));
}

int zmtp_send(struct zmtp *z, const struct zmtp_span *frames, size_t n)
{
	struct buf *dst = z->open ? &z->out : &z->held;
	size_t before = buf_len(dst);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		r = put_frame_head(dst, i + 1 < n ? FLAG_MORE : 0, frames[i].n);
		if (r == 0)
			r = buf_append(dst, frames[i].p, frames[i].n);
	}
	if (r < 0)
		dst->end = dst->start + before;
	return r;
}

/* ---- receiving ---- */

/* Collect bytes of in into head until it has want. */
static bool fill_head(struct zmtp *z, span *in, size_t want)
{
	size_t n = want - z->n_head < in->n ? want - z->n_head : in->n;

	memcpy(z->head + z->n_head, in->p, n);
	z->n_head += n;
	*in = (span){ (const char *)in->p + n, in->n - n };
	return z->n_head == want;
}

static int append_body(struct zmtp *z, span *in, struct buf *dst, struct err *reterr)
{
	size_t n = z->left < in->n ? z->left : in->n;

	if (buf_append(dst, in->p, n) < 0)
		return err_set(reterr, -ENOMEM, "no memory for a message of the kernel");
	z->left -= n;
	*in = (span){ (const char *)in->p + n, in->n - n };
	return 0;
}

static bool type_fits(enum zmtp_role role, span type)
{
	static const char *const peers[][3] = {
		[ZMTP_DEALER] = { "ROUTER", "DEALER", "REP" },
		[ZMTP_SUB] = { "PUB", "XPUB", NULL },
	};

	for (size_t i = 0; i < 3 && peers[role][i]; i++)
		if (strlen(peers[role][i]) == type.n && memcmp(peers[role][i], type.p, type.n) == 0)
			return true;
	return false;
}

/* Read one property off the front of s: a name of n1 bytes, a value of n4 bytes. */
static bool cut_property(span *s, span *ret_name, span *ret_value)
{
	const unsigned char *p = s->p;
	size_t n_name = s->n ? p[0] : 0, n_value;

	if (s->n < 1 + n_name + 4)
		return false;
	*ret_name = (span){ p + 1, n_name };
	p += 1 + n_name;
	n_value = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
	if (s->n - (1 + n_name + 4) < n_value)
		return false;
	*ret_value = (span){ p + 4, n_value };
	*s = (span){ p + 4 + n_value, s->n - (1 + n_name + 4) - n_value };
	return true;
}

static bool span_is_nocase(span s, const char *text)
{
	char copy[16];

	if (s.n >= sizeof(copy))
		return false;
	memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return str_ieq(copy, text);
}

static int open_traffic(struct zmtp *z, struct err *reterr)
{
	static const span everything = { "\1", 1 };
	int r = 0;

	z->open = true;
	if (z->role == ZMTP_SUB)
		r = zmtp_send(z, &everything, 1);
	if (r == 0)
		r = buf_append(&z->out, buf_data(&z->held), buf_len(&z->held));
	buf_fini(&z->held);
	return r < 0 ? err_set(reterr, r, "no memory for the handshake with the kernel") : 0;
}

static int take_ready(struct zmtp *z, span properties, struct err *reterr)
{
	span name, value;

	if (z->open)
		return err_set(reterr, -EPROTO, "the kernel sent READY twice");
	while (properties.n) {
		if (!cut_property(&properties, &name, &value))
			return err_set(reterr, -EPROTO, "the kernel sent a malformed READY");
		if (span_is_nocase(name, "Socket-Type") && !type_fits(z->role, value))
			return err_set(reterr, -EPROTO, "the kernel's socket is of type %.*s",
			    (int)(value.n < 16 ? value.n : 16), (const char *)value.p);
	}
	return open_traffic(z, reterr);
}

/* A command is complete: a name of n1 bytes and data that depends on it. */
static int take_command(struct zmtp *z, struct err *reterr)
{
	span all = { buf_data(&z->command), buf_len(&z->command) };
	size_t n_name = all.n ? *(const unsigned char *)all.p : 0;
	span name, data;

	if (all.n < 1 + n_name)
		return err_set(reterr, -EPROTO, "the kernel sent a malformed command");
	name = (span){ (const char *)all.p + 1, n_name };
	data = (span){ (const char *)name.p + n_name, all.n - 1 - n_name };
	if (span_is_nocase(name, "READY"))
		return take_ready(z, data, reterr);
	if (!z->open)
		return err_set(reterr, -EPROTO, "the kernel refused the connection: %.*s",
		    (int)(data.n < 64 ? data.n : 64), (const char *)data.p);
	/* PING: two bytes of time-to-live, then a context to be returned. Unread answers do not
	 * pile up. */
	if (span_is_nocase(name, "PING") && data.n >= 2 && buf_len(&z->out) < PONG_QUEUE_MAX &&
	    put_command(&z->out, "PONG", (const char *)data.p + 2, data.n - 2) < 0)
		return err_set(reterr, -ENOMEM, "no memory for an answer to the kernel");
	return 0;
}

static int read_command(struct zmtp *z, span *in, struct err *reterr)
{
	int r = append_body(z, in, &z->command, reterr);

	if (r < 0 || z->left)
		return r;
	z->state = read_frame_head;
	r = take_command(z, reterr);
	buf_reset(&z->command);
	return r;
}

static int read_message(struct zmtp *z, span *in, struct err *reterr)
{
	int r = append_body(z, in, &z->message, reterr);

	if (r < 0 || z->left)
		return r;
	z->state = read_frame_head;
	z->ends[z->n_frames++] = buf_len(&z->message);
	z->complete = !(z->flags & FLAG_MORE);
	return z->complete ? ZMTP_E_MESSAGE : 0;
}

/* Flags and size are known: check them before any byte of the body is stored. */
static int begin_frame(struct zmtp *z, uint64_t size, struct err *reterr)
{
	if (z->flags & ~(FLAG_MORE | FLAG_LONG | FLAG_COMMAND))
		return err_set(
		    reterr, -EPROTO, "the kernel sent a frame with flags 0x%x", z->flags);
	if (z->flags & FLAG_COMMAND) {
		if (z->flags & FLAG_MORE || size > ZMTP_COMMAND_MAX)
			return err_set(reterr, -EPROTO, "the kernel sent a malformed command");
		z->state = read_command;
	} else {
		if (!z->open)
			return err_set(reterr, -EPROTO, "the kernel sent a message before READY");
		if (z->n_frames == ZMTP_FRAMES_MAX)
			return err_set(reterr, -EMSGSIZE,
			    "the kernel sent a message of more than %d frames", ZMTP_FRAMES_MAX);
		if (size > ZMTP_MESSAGE_MAX - buf_len(&z->message))
			return err_set(reterr, -EMSGSIZE,
			    "the kernel sent a message of more than %d MiB",
			    ZMTP_MESSAGE_MAX / 1024 / 1024);
		z->state = read_message;
	}
	z->left = (size_t)size;
	return 0;
}

static int read_frame_head(struct zmtp *z, span *in, struct err *reterr)
{
	uint64_t size = 0;

	if (!fill_head(z, in, z->n_head ? z->n_head : 1))
		return 0;
	size_t want = z->head[0] & FLAG_LONG ? 9 : 2;
	if (!fill_head(z, in, want))
		return 0;
	for (size_t i = 1; i < want; i++)
		size = size << 8 | z->head[i];
	z->flags = z->head[0];
	z->n_head = 0;
	int r = begin_frame(z, size, reterr);
	/* An empty body is complete without a further byte. */
	return r < 0 || z->left ? r : z->state(z, in, reterr);
}

static int read_greeting(struct zmtp *z, span *in, struct err *reterr)
{
	static const unsigned char null_mechanism[MECHANISM_LEN] = "NULL";

	if (!fill_head(z, in, GREETING_LEN))
		return 0;
	if (z->head[0] != 0xff || !(z->head[9] & 1) || z->head[GREETING_VERSION] < 3)
		return err_set(reterr, -EPROTO, "the kernel does not speak ZMTP 3");
	if (memcmp(z->head + GREETING_MECHANISM, null_mechanism, MECHANISM_LEN) != 0)
		return err_set(reterr, -EPROTO, "the kernel wants a security mechanism");
	z->n_head = 0;
	z->state = read_frame_head;
	if (put_ready(z) < 0)
		return err_set(reterr, -ENOMEM, "no memory for the handshake with the kernel");
	return 0;
}

int zmtp_feed(struct zmtp *z, const void *p, size_t n, size_t *ret_used, struct err *reterr)
{
	span in = { p, n };
	int r = 0;

	if (z->complete) {
		buf_reset(&z->message);
		z->n_frames = 0;
		z->complete = false;
	}
	while (r == 0 && in.n)
		r = z->state(z, &in, reterr);
	*ret_used = n - in.n;
	return r;
}

size_t zmtp_frames(const struct zmtp *z)
{
	return z->n_frames;
}

struct zmtp_span zmtp_frame(const struct zmtp *z, size_t i)
{
	assert(i < z->n_frames);
	size_t start = i ? z->ends[i - 1] : 0, n = z->ends[i] - start;
	/* Nothing but empty frames leaves the buffer without memory. */
	return (span){ n ? (const void *)(buf_data(&z->message) + start) : "", n };
}

int zmtp_init(struct zmtp *z, enum zmtp_role role)
{
	*z = (struct zmtp){ .role = role, .state = read_greeting };
	return buf_append(&z->out, greeting, sizeof(greeting));
}

void zmtp_fini(struct zmtp *z)
{
	buf_fini(&z->command);
	buf_fini(&z->message);
	buf_fini(&z->held);
	buf_fini(&z->out);
}
