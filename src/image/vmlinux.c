/* SPDX-License-Identifier: Apache-2.0 */
#include "image/vmlinux.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Offsets into the image: Documentation/arch/x86/boot.rst */
#define SETUP_SECTS 0x1f1
#define MAGIC_AT 0x202
#define VERSION_AT 0x206
#define PAYLOAD_OFFSET 0x248
#define PAYLOAD_LENGTH 0x24c
#define HEADER_END 0x250
#define PROTOCOL_MIN 0x0208
#define SECTOR 512u
#define SIZE_TRAILER 4u

#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_BLOCK (8u << 20) /* unpacked, at most */
#define MATCH_MIN 4u

static uint32_t u32le(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- one LZ4 block ---- */

struct reader {
	const unsigned char *p, *end;
};

/* A length of which the token has the first 4 bits. */
static bool read_length(struct reader *r, size_t *len)
{
	if (*len != 15)
		return true;
	for (;;) {
		if (r->p == r->end || *len > LZ4_BLOCK)
			return false;
		unsigned char c = *r->p++;
		*len += c;
		if (c != 255)
			return true;
	}
}

/* Overlapping on purpose: a match may repeat what it is just writing. */
static void copy_match(unsigned char *to, size_t distance, size_t n)
{
	const unsigned char *from = to - distance;
	if (distance >= n) {
		memcpy(to, from, n);
		return;
	}
	while (n--)
		*to++ = *from++;
}

/* Bytes written, or -EBADMSG. */
static ssize_t unpack_block(struct reader r, unsigned char *dst, size_t cap)
{
	size_t at = 0;
	while (r.p < r.end) {
		unsigned token = *r.p++;
		size_t literals = token >> 4, match = token & 15;
		if (!read_length(&r, &literals) || literals > (size_t)(r.end - r.p) ||
		    literals > cap - at)
			return -EBADMSG;
		memcpy(dst + at, r.p, literals);
		at += literals;
		r.p += literals;
		if (r.p == r.end)
			return (ssize_t)at; /* the last sequence has no match */
		if (r.end - r.p < 2)
			return -EBADMSG;
		size_t distance = r.p[0] | (size_t)r.p[1] << 8;
		r.p += 2;
		if (!read_length(&r, &match))
			return -EBADMSG;
		match += MATCH_MIN;
		if (distance == 0 || distance > at || match > cap - at)
			return -EBADMSG;
		copy_match(dst + at, distance, match);
		at += match;
	}
	return -EBADMSG;
}

static int unpack(const unsigned char *p, size_t n, struct buf *dst, struct err *reterr)
{
	while (n >= 4) {
		size_t size = u32le(p);
		void *space;
		p += 4;
		n -= 4;
		if (size == LZ4_LEGACY_MAGIC)
			continue;
		if (size > n)
			return err_set(reterr, -EBADMSG, "the kernel image is cut off");
		if (buf_len(dst) + LZ4_BLOCK > VMLINUX_MAX)
			return err_set(
			    reterr, -EFBIG, "the kernel is larger than %u MiB", VMLINUX_MAX >> 20);
		if (buf_reserve(dst, LZ4_BLOCK, &space) < 0)
			return err_set(reterr, -ENOMEM, "out of memory");
		ssize_t got = unpack_block((struct reader){ p, p + size }, space, LZ4_BLOCK);
		if (got < 0)
			return err_set(reterr, -EBADMSG, "the kernel image is damaged");
		buf_commit(dst, (size_t)got);
		p += size;
		n -= size;
	}
	return 0;
}

int vmlinux_extract(const void *bzimage, size_t n, struct buf *dst, struct err *reterr)
{
	const unsigned char *p = bzimage;
	if (n < HEADER_END || memcmp(p + MAGIC_AT, "HdrS", 4) != 0)
		return err_set(reterr, -EBADMSG, "not a Linux boot image");
	if ((p[VERSION_AT] | p[VERSION_AT + 1] << 8) < PROTOCOL_MIN)
		return err_set(reterr, -ENOTSUP, "a Linux boot image of a kernel before 2.6.26");
	uint64_t setup = ((p[SETUP_SECTS] ? p[SETUP_SECTS] : 4) + 1u) * SECTOR;
	uint64_t at = setup + u32le(p + PAYLOAD_OFFSET), len = u32le(p + PAYLOAD_LENGTH);
	if (at > n || len > n - at || len < 8 + SIZE_TRAILER)
		return err_set(reterr, -EBADMSG, "the kernel image is cut off");
	if (u32le(p + at) != LZ4_LEGACY_MAGIC)
		return err_set(
		    reterr, -ENOTSUP, "the kernel image is compressed, but not with LZ4");
	uint32_t size = u32le(p + at + len - SIZE_TRAILER);
	int r = unpack(p + at, len - SIZE_TRAILER, dst, reterr);
	if (r < 0)
		return r;
	if (buf_len(dst) != size || size < 4 || memcmp(buf_data(dst), "\177ELF", 4) != 0)
		return err_set(reterr, -EBADMSG, "the kernel image is damaged");
	return 0;
}
