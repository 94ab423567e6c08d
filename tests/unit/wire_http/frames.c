/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <string.h>

#include "lib/test.h"

static void ok(int r)
{
	ck_assert_int_eq(r, 0);
}

void frame_put(struct buf *b, unsigned type, unsigned flags, uint32_t id, const void *p, size_t n)
{
	ok(buf_append_byte(b, (unsigned char)(n >> 16)));
	ok(buf_append_u16be(b, (uint16_t)n));
	ok(buf_append_byte(b, (unsigned char)type));
	ok(buf_append_byte(b, (unsigned char)flags));
	ok(buf_append_u32be(b, id));
	ok(buf_append(b, p, n));
}

void frame_put_preface(struct buf *b)
{
	ok(buf_append_str(b, H2_PREFACE));
	frame_put(b, F_SETTINGS, 0, 0, NULL, 0);
}

static void put_int(struct buf *b, size_t n)
{
	if (n < 127) {
		ok(buf_append_byte(b, (unsigned char)n));
		return;
	}
	ok(buf_append_byte(b, 127));
	for (n -= 127; n >= 128; n >>= 7)
		ok(buf_append_byte(b, (unsigned char)(n | 128)));
	ok(buf_append_byte(b, (unsigned char)n));
}

void hpack_put(struct buf *b, const char *name, const void *value, size_t n)
{
	ok(buf_append_byte(b, 0));
	put_int(b, strlen(name));
	ok(buf_append_str(b, name));
	put_int(b, n);
	ok(buf_append(b, value, n));
}

void frame_put_request(struct buf *b, uint32_t id, unsigned flags, size_t pad)
{
	static char pads[16384];
	struct buf head = BUF_INIT;
	memset(pads, 'p', sizeof(pads));
	hpack_put(&head, ":method", "GET", 3);
	hpack_put(&head, ":scheme", "http", 4);
	hpack_put(&head, ":authority", "a", 1);
	hpack_put(&head, ":path", "/", 1);
	if (pad)
		hpack_put(&head, "x-pad", pads, pad);
	frame_put(b, F_HEADERS, flags, id, buf_data(&head), buf_len(&head));
	buf_fini(&head);
}

void frame_put_u32(struct buf *b, unsigned type, uint32_t id, uint32_t v)
{
	unsigned char p[4] = { (unsigned char)(v >> 24), (unsigned char)(v >> 16),
		(unsigned char)(v >> 8), (unsigned char)v };
	frame_put(b, type, 0, id, p, sizeof(p));
}

const unsigned char *frame_find(
    const struct buf *out, unsigned type, uint32_t id, size_t *ret_n, unsigned *ret_flags)
{
	const unsigned char *p = buf_data(out), *end = p + buf_len(out);
	size_t magic = sizeof(H2_PREFACE) - 1;
	if (buf_len(out) >= magic && memcmp(p, H2_PREFACE, magic) == 0)
		p += magic;
	while (end - p >= 9) {
		size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
		uint32_t at =
		    (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
		if (p[3] == type && at == id) {
			*ret_n = n;
			*ret_flags = p[4];
			return p + 9;
		}
		p += 9 + n;
	}
	return NULL;
}

int frame_error(const struct buf *out, unsigned type, uint32_t id)
{
	size_t n;
	unsigned flags;
	const unsigned char *p = frame_find(out, type, id, &n, &flags);
	if (!p)
		return -1;
	p += type == F_GOAWAY ? 4 : 0;
	return (int)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}
