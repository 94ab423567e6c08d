/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/capped.h"

#include <errno.h>

#define PIECE_BYTES (32 * 1024)

void capped_init(struct capped *c, uint64_t max_bytes)
{
	*c = (struct capped){ 0 };
	for (int i = 0; i < CAPPED_STREAMS; i++)
		economy_init(&c->streams[i], max_bytes);
}

void capped_fini(struct capped *c)
{
	for (int i = 0; i < CAPPED_STREAMS; i++)
		economy_fini(&c->streams[i]);
	buf_fini(&c->piece);
}

int capped_take(struct capped *c, struct capped_text *t)
{
	size_t now;
	int r = economy_take(&c->streams[t->stream], t->offset, t->text, (size_t)t->n, &now);
	if (r < 0 || now == t->n)
		return r;
	buf_reset(&c->piece);
	r = buf_append(&c->piece, t->text, now);
	t->text = r == 0 ? buf_cstr(&c->piece) : NULL;
	t->n = now;
	return t->text ? 0 : -ENOMEM;
}

static int next_kept(struct capped *c, struct capped_text *ret)
{
	void *space;
	buf_reset(&c->piece);
	int r = buf_reserve(&c->piece, PIECE_BYTES, &space);
	if (r < 0)
		return r;
	ret->n = economy_next(&c->streams[c->stream], space, PIECE_BYTES, &ret->offset);
	buf_commit(&c->piece, (size_t)ret->n);
	ret->text = buf_cstr(&c->piece);
	if (!ret->text)
		return -ENOMEM;
	return ret->n > 0 ? CAPPED_TEXT : CAPPED_NOTHING;
}

static int next_mark(struct capped *c, struct capped_text *ret)
{
	struct economy_rest rest;
	economy_end(&c->streams[c->stream], &rest);
	ret->offset = rest.at;
	ret->n = rest.omitted;
	return rest.omitted > 0 ? CAPPED_OMITTED : CAPPED_NOTHING;
}

int capped_next(struct capped *c, struct capped_text *ret)
{
	while (c->step != CAPPED_DONE) {
		enum capped_step step = c->step;
		*ret = (struct capped_text){ .stream = c->stream };
		int r = step == CAPPED_MARK ? next_mark(c, ret) : next_kept(c, ret);
		if (step == CAPPED_MARK)
			c->step = CAPPED_KEPT;
		if (r != CAPPED_NOTHING)
			return r;
		if (step == CAPPED_KEPT)
			c->step = ++c->stream < CAPPED_STREAMS ? CAPPED_MARK : CAPPED_DONE;
	}
	return CAPPED_NOTHING;
}
