/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a serial port fed with anything. Input: piece size and who (1 byte), then the bytes.
 * A guest that has met them must understand the next client from its first byte to its last; a host
 * may refuse, but holds no more than it has room for.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire/serial_link.h"

#define PIECE_MAX 127

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const unsigned char nonce[SERIAL_LINK_NONCE] = "0123456789abcde";
static const char words[] = "what a client says";

/* Returns how many sessions began, or -EPROTO; of the last one *ret_bytes holds what came. */
static int feed(
    struct serial_link *l, const uint8_t *p, size_t n, size_t piece, struct buf *ret_bytes)
{
	int opened = 0;
	for (size_t at = 0; at < n;) {
		enum serial_link_event event;
		ssize_t r = serial_link_recv(l, p + at, n - at < piece ? n - at : piece, &event);
		assert(r > 0 || r == -EPROTO);
		if (r < 0)
			return -EPROTO;
		at += (size_t)r;
		if (event == SERIAL_LINK_OPENED) {
			opened++;
			buf_reset(ret_bytes);
		}
		assert(buf_len(&l->in) <= SERIAL_LINK_BUFFER);
		assert(serial_link_readable(l) <= buf_len(&l->in));
		assert(buf_append(ret_bytes, buf_data(&l->in), serial_link_readable(l)) == 0);
		serial_link_used(l, serial_link_readable(l));
	}
	return opened;
}

static void fuzz_guest(const uint8_t *p, size_t n, size_t piece)
{
	struct serial_link g, h;
	struct buf bytes = BUF_INIT;
	serial_link_init_guest(&g);
	int opened = feed(&g, p, n, piece, &bytes);
	assert(opened >= 0);
	assert(buf_len(&g.out) <= (size_t)SERIAL_LINK_ACK);

	assert(serial_link_init_host(&h, 0x01020304, nonce) == 0);
	assert(feed(&h, h.ack, sizeof(h.ack), piece, &bytes) == 1);
	assert(serial_link_write(&h, words, sizeof(words)) == 0);
	assert(feed(&g, buf_data(&h.out), buf_len(&h.out), 4096, &bytes) == 1);
	assert(buf_len(&bytes) == sizeof(words) &&
	       memcmp(buf_data(&bytes), words, sizeof(words)) == 0);
	assert(buf_len(&g.out) == SERIAL_LINK_ACK &&
	       memcmp(buf_data(&g.out), h.ack, SERIAL_LINK_ACK) == 0);
	serial_link_fini(&g);
	serial_link_fini(&h);
	buf_fini(&bytes);
}

static void fuzz_host(const uint8_t *p, size_t n, size_t piece)
{
	struct serial_link h;
	struct buf bytes = BUF_INIT;
	assert(serial_link_init_host(&h, 7, nonce) == 0);
	assert(feed(&h, h.ack, sizeof(h.ack), piece, &bytes) == 1);
	(void)feed(&h, p, n, piece, &bytes);
	assert(buf_len(&bytes) <= n);
	serial_link_fini(&h);
	buf_fini(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	size_t piece = n ? 1 + p[0] % PIECE_MAX : 1;
	if (n && p[0] & 0x80)
		fuzz_host(p + 1, n - 1, piece);
	else if (n)
		fuzz_guest(p + 1, n - 1, piece);
	return 0;
}
