/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payload of DATA goes straight into the buffer of what came, but counts (whole) only when the
 * frame's tail is right, so a frame is begun only while there is room for a full one.
 */
#include "wire/serial_link.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PIECE_MAX SERIAL_LINK_PAYLOAD_MAX /* shorter than a flush: see find_flush() */

/* ---- frames ---- */

static uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static size_t frame_length(const struct serial_link *l)
{
	return get_u32(l->head) & 0xffffff;
}

static uint32_t frame_session(const struct serial_link *l)
{
	return get_u32(l->head + 4);
}

static int append_frame(
    struct buf *b, enum serial_link_type type, uint32_t session, const void *p, size_t n)
{
	void *space;
	assert(n <= SERIAL_LINK_PAYLOAD_MAX);
	if (buf_reserve(b, SERIAL_LINK_HEAD + n + 1, &space) < 0)
		return -ENOMEM;
	unsigned char *f = space;
	const uint32_t words[] = { (uint32_t)type << 24 | (uint32_t)n, session };
	for (size_t i = 0; i < SERIAL_LINK_HEAD; i++)
		f[i] = (unsigned char)(words[i / 4] >> (24 - 8 * (i % 4)));
	if (n)
		memcpy(f + SERIAL_LINK_HEAD, p, n);
	f[SERIAL_LINK_HEAD + n] = SERIAL_LINK_TAIL;
	buf_commit(b, SERIAL_LINK_HEAD + n + 1);
	return 0;
}

/* ---- life ---- */

void serial_link_init_guest(struct serial_link *l)
{
	*l = (struct serial_link){ 0 };
}

int serial_link_init_host(
    struct serial_link *l, uint32_t session, const unsigned char nonce[SERIAL_LINK_NONCE])
{
	struct buf ack = BUF_INIT;
	void *zeros;
	*l = (struct serial_link){ .host = true, .state = SERIAL_LINK_GREETING };
	assert(session != 0);
	l->session = session;
	if (append_frame(&ack, SERIAL_LINK_HELLO_ACK, session, nonce, SERIAL_LINK_NONCE) < 0)
		return -ENOMEM;
	memcpy(l->ack, buf_data(&ack), sizeof(l->ack));
	buf_fini(&ack);
	if (buf_reserve(&l->out, SERIAL_LINK_FLUSH, &zeros) < 0)
		return -ENOMEM;
	memset(zeros, 0, SERIAL_LINK_FLUSH);
	buf_commit(&l->out, SERIAL_LINK_FLUSH);
	return append_frame(&l->out, SERIAL_LINK_HELLO, session, nonce, SERIAL_LINK_NONCE);
}

void serial_link_fini(struct serial_link *l)
{
	buf_fini(&l->in);
	buf_fini(&l->out);
}

/* ---- flush ---- */

static size_t zeros_at_start(const unsigned char *p, size_t n)
{
	size_t k = 0;
	while (k < n && p[k] == 0)
		k++;
	return k;
}

static size_t zeros_at_end(const unsigned char *p, size_t n)
{
	size_t k = 0;
	while (k < n && p[n - 1 - k] == 0)
		k++;
	return k;
}

/* How many of the n bytes complete a flush; 0 = it is not complete with them. At most PIECE_MAX
 * bytes at a time, so none hides in their middle. */
static size_t find_flush(struct serial_link *l, const unsigned char *p, size_t n)
{
	size_t k = zeros_at_start(p, n), before = l->zeros;
	assert(n <= PIECE_MAX);
	if (l->host)
		return 0;
	l->zeros = k == n ? before + n : zeros_at_end(p, n);
	if (before + k < SERIAL_LINK_FLUSH)
		return 0;
	l->zeros = 0;
	return SERIAL_LINK_FLUSH - before;
}

/* ---- input ---- */

static void drop_partial(struct serial_link *l)
{
	l->in.end = l->in.start + l->whole;
}

static void expect_head(struct serial_link *l)
{
	drop_partial(l);
	l->at = SERIAL_LINK_AT_HEAD;
	l->n_head = l->n_nonce = l->left = 0;
}

static bool is_ours(const struct serial_link *l)
{
	return l->state == SERIAL_LINK_OPEN && frame_session(l) == l->session;
}

static bool is_data(const struct serial_link *l)
{
	return l->head[0] == SERIAL_LINK_DATA && is_ours(l) && !l->in_ended;
}

static void clear_session(struct serial_link *l)
{
	buf_reset(&l->in);
	l->whole = 0;
	l->in_ended = l->out_ended = false;
}

/* A complete HELLO. */
static int begin_session(struct serial_link *l, enum serial_link_event *ret_event)
{
	clear_session(l);
	buf_reset(&l->out); /* the new client skips a frame that was cut here */
	l->session = frame_session(l);
	l->state = SERIAL_LINK_OPEN;
	*ret_event = SERIAL_LINK_OPENED;
	return append_frame(
	    &l->out, SERIAL_LINK_HELLO_ACK, l->session, l->nonce, SERIAL_LINK_NONCE);
}

/* What the host takes of a guest. */
static bool is_proper(const struct serial_link *l)
{
	size_t n = frame_length(l);
	if (frame_session(l) != l->session || l->in_ended)
		return false;
	return l->head[0] == SERIAL_LINK_DATA ? n > 0 && n <= SERIAL_LINK_PAYLOAD_MAX
					      : l->head[0] == SERIAL_LINK_FIN && n == 0;
}

static int end_head(struct serial_link *l)
{
	if (l->host && l->state == SERIAL_LINK_OPEN && !is_proper(l))
		return -EPROTO;
	l->left = frame_length(l);
	if (l->left > SERIAL_LINK_PAYLOAD_MAX)
		l->at = SERIAL_LINK_LOST;
	else
		l->at = l->left ? SERIAL_LINK_AT_PAYLOAD : SERIAL_LINK_AT_TAIL;
	return 0;
}

static int take_payload(struct serial_link *l, const unsigned char *p, size_t n)
{
	l->left -= n;
	if (l->left == 0)
		l->at = SERIAL_LINK_AT_TAIL;
	if (l->head[0] == SERIAL_LINK_HELLO && frame_length(l) == SERIAL_LINK_NONCE) {
		memcpy(l->nonce + l->n_nonce, p, n);
		l->n_nonce += n;
	}
	return is_data(l) ? buf_append(&l->in, p, n) : 0;
}

static int end_frame(struct serial_link *l, unsigned char tail, enum serial_link_event *ret_event)
{
	int r = 0;
	if (tail != SERIAL_LINK_TAIL) {
		if (l->host && l->state == SERIAL_LINK_OPEN)
			return -EPROTO;
	} else if (is_data(l)) {
		l->whole = buf_len(&l->in);
	} else if (l->head[0] == SERIAL_LINK_FIN && is_ours(l)) {
		l->in_ended = true;
	} else if (!l->host && l->head[0] == SERIAL_LINK_HELLO && l->n_nonce == SERIAL_LINK_NONCE &&
		   frame_session(l) != 0) {
		r = begin_session(l, ret_event);
	}
	expect_head(l);
	return r;
}

static int take_head(struct serial_link *l, unsigned char byte)
{
	if (l->n_head == 0 && byte == SERIAL_LINK_PADDING)
		return 0;
	l->head[l->n_head++] = byte;
	return l->n_head == SERIAL_LINK_HEAD ? end_head(l) : 0;
}

/* Bytes of p that belong to one part of a frame. */
static size_t part_length(const struct serial_link *l, size_t n)
{
	if (l->at == SERIAL_LINK_AT_PAYLOAD)
		return n < l->left ? n : l->left;
	if (l->at == SERIAL_LINK_LOST)
		return n < PIECE_MAX ? n : PIECE_MAX;
	return 1;
}

/* Returns how many bytes were taken. */
static ssize_t take_part(
    struct serial_link *l, const unsigned char *p, size_t n, enum serial_link_event *ret_event)
{
	size_t k = part_length(l, n), flush = find_flush(l, p, k);
	int r = 0;
	if (flush) {
		expect_head(l);
		return (ssize_t)flush;
	}
	switch (l->at) {
	case SERIAL_LINK_AT_HEAD:
		r = take_head(l, *p);
		break;
	case SERIAL_LINK_AT_PAYLOAD:
		r = take_payload(l, p, k);
		break;
	case SERIAL_LINK_AT_TAIL:
		r = end_frame(l, *p, ret_event);
		break;
	case SERIAL_LINK_LOST:
		break;
	}
	return r < 0 ? r : (ssize_t)k;
}

/* Host, greeting: the last bytes are compared with what has to come. */
static void look_for_ack(
    struct serial_link *l, unsigned char byte, enum serial_link_event *ret_event)
{
	if (l->n_seen == sizeof(l->seen))
		memmove(l->seen, l->seen + 1, --l->n_seen);
	l->seen[l->n_seen++] = byte;
	if (byte != SERIAL_LINK_TAIL || memcmp(l->seen, l->ack, sizeof(l->ack)) != 0)
		return;
	l->state = SERIAL_LINK_OPEN;
	*ret_event = SERIAL_LINK_OPENED;
}

ssize_t serial_link_recv(
    struct serial_link *l, const void *data, size_t n, enum serial_link_event *ret_event)
{
	const unsigned char *p = data;
	size_t done = 0;
	*ret_event = SERIAL_LINK_NOTHING;
	while (done < n && *ret_event == SERIAL_LINK_NOTHING && serial_link_wants(l)) {
		if (l->state == SERIAL_LINK_GREETING) {
			look_for_ack(l, p[done++], ret_event);
			continue;
		}
		ssize_t k = take_part(l, p + done, n - done, ret_event);
		if (k < 0)
			return k;
		done += (size_t)k;
	}
	return (ssize_t)done;
}

bool serial_link_wants(const struct serial_link *l)
{
	/* A frame that was begun had its room. */
	return (l->at != SERIAL_LINK_AT_HEAD && l->at != SERIAL_LINK_LOST) ||
	       buf_len(&l->in) + SERIAL_LINK_PAYLOAD_MAX <= SERIAL_LINK_BUFFER;
}

void serial_link_sent(struct serial_link *l, size_t n)
{
	buf_consume(&l->out, n);
}

void serial_link_hang_up(struct serial_link *l)
{
	clear_session(l);
	buf_reset(&l->out);
	l->state = SERIAL_LINK_IDLE;
}

/* ---- session ---- */

size_t serial_link_readable(const struct serial_link *l)
{
	return l->whole;
}

void serial_link_used(struct serial_link *l, size_t n)
{
	assert(n <= l->whole);
	buf_consume(&l->in, n);
	l->whole -= n;
}

bool serial_link_is_at_end(const struct serial_link *l)
{
	return l->in_ended && l->whole == 0;
}

size_t serial_link_room(const struct serial_link *l)
{
	const size_t frame = SERIAL_LINK_HEAD + SERIAL_LINK_PAYLOAD_MAX + 1;
	if (l->state != SERIAL_LINK_OPEN || l->out_ended)
		return 0;
	return buf_len(&l->out) + frame <= SERIAL_LINK_BUFFER ? SERIAL_LINK_PAYLOAD_MAX : 0;
}

int serial_link_write(struct serial_link *l, const void *p, size_t n)
{
	assert(n > 0 && n <= serial_link_room(l));
	return append_frame(&l->out, SERIAL_LINK_DATA, l->session, p, n);
}

int serial_link_finish(struct serial_link *l)
{
	if (l->state != SERIAL_LINK_OPEN || l->out_ended)
		return 0;
	l->out_ended = true;
	return append_frame(&l->out, SERIAL_LINK_FIN, l->session, NULL, 0);
}

int serial_link_close(struct serial_link *l)
{
	int r = serial_link_finish(l);
	clear_session(l);
	l->state = SERIAL_LINK_IDLE;
	return r;
}
