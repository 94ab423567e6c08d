/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Envelopes of gRPC, gRPC-Web and Connect streams.
 *
 * gRPC-Web's text form is base64 of the binary stream. Senders may cut it anywhere and pad every
 * piece, so each group of four characters is decoded alone and may end in padding wherever it
 * stands.
 */
#include "wire/rpcwire.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

#define ENVELOPE_HEAD 5

void rpc_deframer_init(struct rpc_deframer *d, size_t max, bool text)
{
	*d = (struct rpc_deframer){ .max = max, .text = text };
}

void rpc_deframer_fini(struct rpc_deframer *d)
{
	buf_fini(&d->buf);
	d->n_quad = 0;
}

static int base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode one group; returns how many bytes it holds (1 to 3) or -EINVAL. */
static int decode_quad(const unsigned char quad[4], unsigned char dst[3])
{
	int padding = quad[3] != '=' ? 0 : quad[2] != '=' ? 1 : 2;
	uint32_t acc = 0;
	for (int i = 0; i < 4; i++) {
		int v = i >= 4 - padding ? 0 : base64_value(quad[i]);
		if (v < 0)
			return -EINVAL;
		acc = acc << 6 | (uint32_t)v;
	}
	dst[0] = (unsigned char)(acc >> 16);
	dst[1] = (unsigned char)(acc >> 8);
	dst[2] = (unsigned char)acc;
	return 3 - padding;
}

static int feed_text(struct rpc_deframer *d, const unsigned char *p, size_t n)
{
	void *space;
	int r = buf_reserve(&d->buf, (d->n_quad + n) / 4 * 3, &space);
	if (r < 0)
		return r;
	unsigned char *out = space;
	for (size_t i = 0; i < n; i++) {
		d->quad[d->n_quad++] = p[i];
		if (d->n_quad < 4)
			continue;
		d->n_quad = 0;
		int got = decode_quad(d->quad, out);
		if (got < 0)
			return got;
		out += got;
	}
	buf_commit(&d->buf, (size_t)(out - (unsigned char *)space));
	return 0;
}

int rpc_deframer_feed(struct rpc_deframer *d, const void *p, size_t n)
{
	if (n == 0)
		return 0;
	return d->text ? feed_text(d, p, n) : buf_append(&d->buf, p, n);
}

int rpc_deframer_next(struct rpc_deframer *d, uint8_t *ret_flags, const void **ret_p, size_t *ret_n)
{
	if (buf_len(&d->buf) < ENVELOPE_HEAD)
		return 0;
	const unsigned char *h = buf_data(&d->buf);
	size_t n = (size_t)h[1] << 24 | (size_t)h[2] << 16 | (size_t)h[3] << 8 | h[4];
	if (n > d->max)
		return -EMSGSIZE;
	if (buf_len(&d->buf) - ENVELOPE_HEAD < n)
		return 0;
	*ret_flags = h[0];
	*ret_p = h + ENVELOPE_HEAD;
	*ret_n = n;
	buf_consume(&d->buf, ENVELOPE_HEAD + n); /* leaves the bytes in place */
	return 1;
}

bool rpc_deframer_partial(const struct rpc_deframer *d)
{
	return buf_len(&d->buf) > 0 || d->n_quad > 0;
}

static int frame_text(
    struct buf *dst, const unsigned char head[ENVELOPE_HEAD], const void *p, size_t n)
{
	/* The head and one byte of payload are two whole groups, so the rest needs no shifting. */
	unsigned char first[ENVELOPE_HEAD + 1];
	size_t taken = n ? 1 : 0;
	memcpy(first, head, ENVELOPE_HEAD);
	if (taken)
		first[ENVELOPE_HEAD] = *(const unsigned char *)p;
	int r = buf_reserve(dst, (ENVELOPE_HEAD + n) / 3 * 4 + 8, NULL);
	if (r == 0)
		r = str_base64(dst, first, ENVELOPE_HEAD + taken, true);
	if (r == 0 && n > taken)
		r = str_base64(dst, (const unsigned char *)p + taken, n - taken, true);
	return r;
}

int rpc_frame(struct buf *dst, uint8_t flags, const void *p, size_t n, bool text)
{
	if (n > UINT32_MAX)
		return -EMSGSIZE;
	const unsigned char head[ENVELOPE_HEAD] = { flags, (unsigned char)(n >> 24),
		(unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n };
	if (text)
		return frame_text(dst, head, p, n);
	int r = buf_reserve(dst, ENVELOPE_HEAD + n, NULL);
	if (r == 0)
		r = buf_append(dst, head, ENVELOPE_HEAD);
	if (r == 0)
		r = buf_append(dst, p, n);
	return r;
}
