/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes from a ZMTP peer. The first byte chooses the socket type and the size of the pieces;
 * the same bytes in one piece and in small ones must give the same messages and the same end.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "guest-kernel-agent/jupyter/zmtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct outcome {
	int code;
	uint64_t sum;
	size_t messages, frames;
};

static void note_message(const struct zmtp *z, struct outcome *o)
{
	size_t bytes = 0;

	assert(zmtp_frames(z) > 0 && zmtp_frames(z) <= ZMTP_FRAMES_MAX);
	o->messages++;
	for (size_t i = 0; i < zmtp_frames(z); i++) {
		struct zmtp_span f = zmtp_frame(z, i);

		o->frames++;
		bytes += f.n;
		for (size_t k = 0; k < f.n; k++)
			o->sum = o->sum * 31 + ((const uint8_t *)f.p)[k];
	}
	assert(bytes == buf_len(&z->message));
}

static struct outcome run(enum zmtp_role role, const uint8_t *p, size_t n, size_t step)
{
	struct outcome o = { 0 };
	struct err err = ERR_INIT;
	struct zmtp z;

	o.code = zmtp_init(&z, role);
	while (o.code == 0 && n) {
		size_t used, part = n < step ? n : step;
		int r = zmtp_feed(&z, p, part, &used, &err);

		assert(used <= part);
		assert((r < 0) == (err.code != 0));
		assert(r == ZMTP_E_MESSAGE || r < 0 || used == part);
		if (r == ZMTP_E_MESSAGE)
			note_message(&z, &o);
		o.code = r < 0 ? r : 0;
		p += used;
		n -= used;
		assert(buf_len(zmtp_out(&z)) < 128 * 1024);
	}
	zmtp_fini(&z);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n == 0)
		return 0;
	enum zmtp_role role = p[0] & 1 ? ZMTP_SUB : ZMTP_DEALER;
	struct outcome whole = run(role, p + 1, n - 1, n);
	struct outcome pieces = run(role, p + 1, n - 1, (size_t)(p[0] >> 1) % 16 + 1);
	assert(whole.code == pieces.code);
	assert(whole.sum == pieces.sum);
	assert(whole.messages == pieces.messages && whole.frames == pieces.frames);
	return 0;
}
