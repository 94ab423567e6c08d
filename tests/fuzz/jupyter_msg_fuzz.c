/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any header, parent, metadata and content (lines of the input) under a right signature, because
 * user code in a kernel knows the key; then the same under a wrong one, which must be refused.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/message.h"
#include "guest-kernel-agent/jupyter/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define TEXTS 4

static void read_stream(struct zmtp_span content)
{
	struct text_stream t;
	char piece[64];
	size_t total = 0;

	if (!text_stream_open(&t, content.p, content.n))
		return;
	while (!text_stream_at_end(&t)) {
		size_t n = text_stream_read(&t, piece, sizeof(piece));

		assert(n > 0 && n <= sizeof(piece));
		assert(str_utf8_valid(piece, n));
		total += n;
	}
	assert(total <= 3 * content.n); /* one byte becomes U+FFFD at most */
}

static void read_content(const struct message *m)
{
	struct err err = ERR_INIT;
	json_t *v = text_parse_object(m->content.p, m->content.n, &err);

	assert((v != NULL) == (err.code == 0));
	json_decref(v);
	read_stream(m->content);
}

static void split_lines(const uint8_t *p, size_t n, struct zmtp_span *texts)
{
	for (size_t i = 0; i < TEXTS; i++) {
		const uint8_t *end = n && i + 1 < TEXTS ? memchr(p, '\n', n) : NULL;
		size_t len = end ? (size_t)(end - p) : n;

		texts[i] = (struct zmtp_span){ p, len };
		p += len + (end != NULL);
		n -= len + (end != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char signature[65];
	struct session s;
	struct message m;
	struct err err = ERR_INIT;
	struct zmtp_span frames[2 + TEXTS] = { { "<IDS|MSG>", 9 }, { signature, 64 } };

	split_lines(p, n, frames + 2);
	if (session_init(&s) < 0)
		return 0;
	assert(session_sign(&s, frames + 2, signature) == 0);
	int r = session_open_message(&s, frames, 2 + TEXTS, &m, &err);
	assert((r != 0) == (err.code != 0));
	if (r == 0)
		read_content(&m);
	signature[n % 64] ^= 1;
	assert(session_open_message(&s, frames, 2 + TEXTS, &m, NULL) == MESSAGE_E_BAD);
	session_fini(&s);
	return 0;
}
