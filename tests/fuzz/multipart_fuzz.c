/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a multipart/form-data body: the first byte tells the size of the pieces, the first
 * line is the content type. However it is cut, the same is told.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "wire/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct told {
	struct multipart m;
	struct buf text;
	struct err why;
	int r;
};

static void note(struct told *t, enum multipart_event event, const void *data, size_t len)
{
	int r = 0;
	if (event == MULTIPART_PART)
		r = buf_printf(&t->text, "<%s|%s>", t->m.name, t->m.filename ? t->m.filename : "");
	else if (event == MULTIPART_DATA)
		r = len > 0 ? buf_append(&t->text, data, len) : -EINVAL;
	else if (event == MULTIPART_PART_END)
		r = buf_append_str(&t->text, "</>");
	else if (event == MULTIPART_END)
		r = buf_append_str(&t->text, ".");
	assert(r == 0);
}

static void feed(struct told *t, const uint8_t *p, size_t n)
{
	for (size_t done = 0; done < n && t->r == 0;) {
		enum multipart_event event;
		const void *data;
		size_t len;
		ssize_t k = multipart_step(&t->m, p + done, n - done, &event, &data, &len, &t->why);
		assert(k <= (ssize_t)(n - done));
		t->r = k < 0 ? (int)k : 0;
		done += k < 0 ? 0 : (size_t)k;
		if (k >= 0)
			note(t, event, data, len);
	}
}

static void parse(struct told *t, const char *type, const uint8_t *p, size_t n, size_t step)
{
	t->r = multipart_init(&t->m, type, &t->why);
	for (size_t at = 0; at < n && t->r == 0; at += step) {
		size_t k = n - at < step ? n - at : step;
		uint8_t *piece = mem_dup(p + at, k);
		feed(t, piece, k);
		mem_free(piece);
	}
	if (t->r == 0)
		t->r = multipart_finish(&t->m, &t->why);
	assert(t->r == t->why.code && (t->r == 0) == (t->why.text[0] == '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const uint8_t *lf = n > 1 ? memchr(p + 1, '\n', n - 1) : NULL;
	if (!lf)
		return 0;
	char *type = mem_strndup((const char *)p + 1, (size_t)(lf - p) - 1);
	struct told whole = { 0 }, cut = { 0 };
	const uint8_t *body = lf + 1;
	size_t len = n - (size_t)(body - p);
	parse(&whole, type, body, len, len ? len : 1);
	parse(&cut, type, body, len, (size_t)p[0] + 1);
	assert(whole.r == cut.r && strcmp(whole.why.text, cut.why.text) == 0);
	assert(buf_len(&whole.text) == buf_len(&cut.text));
	assert(buf_len(&cut.text) == 0 ||
	       memcmp(buf_data(&whole.text), buf_data(&cut.text), buf_len(&cut.text)) == 0);
	multipart_fini(&whole.m);
	multipart_fini(&cut.m);
	buf_fini(&whole.text);
	buf_fini(&cut.text);
	mem_free(type);
	return 0;
}
