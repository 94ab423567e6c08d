/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/gzip.h"

#include <errno.h>
#include <limits.h>

#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define GZIP_WINDOW (16 + MAX_WBITS) /* with gzip's header and trailer */
#define LEVEL 1			     /* the network is faster than better levels */
#define MEM_LEVEL 8
#define PIECE (64 * 1024)

struct gunzip {
	z_stream z;
	bool in_member; /* something of a member came, its end did not */
	bool some;
	unsigned char out[PIECE];
};

struct gzip {
	z_stream z;
};

static void *z_alloc(void *opaque, unsigned n, unsigned size)
{
	return mem_calloc(n, size);
}

static void z_free(void *opaque, void *p)
{
	mem_free(p);
}

struct gunzip *gunzip_new(void)
{
	struct gunzip *g = mem_zalloc(sizeof(*g));
	if (!g)
		return NULL;
	g->z.zalloc = z_alloc;
	g->z.zfree = z_free;
	return inflateInit2(&g->z, GZIP_WINDOW) == Z_OK ? g : mem_free(g);
}

struct gunzip *gunzip_free(struct gunzip *g)
{
	if (!g)
		return NULL;
	(void)inflateEnd(&g->z);
	return mem_free(g);
}

/* One piece of output: 0, -ENOMEM, -EINVAL. */
static int inflate_piece(struct gunzip *g, struct err *reterr)
{
	if (!g->in_member && g->some && inflateReset(&g->z) != Z_OK)
		return err_set(reterr, -EINVAL, "gzip: no stream");
	g->in_member = g->some = true;
	g->z.next_out = g->out;
	g->z.avail_out = sizeof(g->out);
	int r = inflate(&g->z, Z_NO_FLUSH);
	if (r == Z_MEM_ERROR)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (r == Z_STREAM_END)
		g->in_member = false;
	else if (r != Z_OK && r != Z_BUF_ERROR)
		return err_set(reterr, -EINVAL, "the body is not valid gzip: %s",
		    g->z.msg ? g->z.msg : "damaged");
	return 0;
}

int gunzip_write(struct gunzip *g, const void *p, size_t n,
    int (*sink)(void *arg, const void *p, size_t n), void *arg, struct err *reterr)
{
	if (n > UINT_MAX)
		return err_set(reterr, -EINVAL, "gzip: a piece too large");
	g->z.next_in = (unsigned char *)(uintptr_t)p;
	g->z.avail_in = (unsigned)n;
	bool full = false; /* more output waits inside */
	while (g->z.avail_in > 0 || full) {
		int r = inflate_piece(g, reterr);
		size_t got = sizeof(g->out) - g->z.avail_out;
		if (r == 0 && got > 0)
			r = sink(arg, g->out, got);
		if (r < 0)
			return r;
		full = g->z.avail_out == 0 && g->in_member;
	}
	return 0;
}

int gunzip_end(const struct gunzip *g, struct err *reterr)
{
	if (g->some && !g->in_member)
		return 0;
	return err_set(reterr, -EINVAL, "the body ends inside its gzip stream");
}

struct gzip *gzip_new(void)
{
	struct gzip *z = mem_zalloc(sizeof(*z));
	if (!z)
		return NULL;
	z->z.zalloc = z_alloc;
	z->z.zfree = z_free;
	return deflateInit2(&z->z, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEM_LEVEL, Z_DEFAULT_STRATEGY) ==
		       Z_OK
		   ? z
		   : mem_free(z);
}

struct gzip *gzip_free(struct gzip *z)
{
	if (!z)
		return NULL;
	(void)deflateEnd(&z->z);
	return mem_free(z);
}

int gzip_write(struct gzip *z, const void *p, size_t n, bool last, struct buf *dst)
{
	int r = Z_OK;
	z->z.next_in = (unsigned char *)(uintptr_t)p;
	z->z.avail_in = (unsigned)n;
	do {
		void *space;
		if (buf_reserve(dst, PIECE, &space) < 0)
			return -ENOMEM;
		z->z.next_out = space;
		z->z.avail_out = PIECE;
		r = deflate(&z->z, last ? Z_FINISH : Z_NO_FLUSH);
		buf_commit(dst, PIECE - z->z.avail_out);
	} while (r != Z_STREAM_ERROR && z->z.avail_out == 0);
	return r == Z_STREAM_ERROR ? -ENOMEM : 0;
}
