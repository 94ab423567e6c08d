/* SPDX-License-Identifier: Apache-2.0 */
#include "service/web.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "service/reply.h"
#include "wire/http.h"

#define FILE_MAX (4 * 1024 * 1024)
#define INLINE_MAX 8 /* blocks of scripts or styles in the page */

/* HTML that ran code made is put into this frame: it may look as it likes and do nothing. */
#define FRAME_POLICY                                                                        \
	"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; " \
	"img-src data:; style-src 'unsafe-inline'"

static const struct {
	const char *path, *file, *type;
	const char *policy; /* NULL: the page's */
} assets[] = {
	{ "/", "index.html", "text/html; charset=utf-8", NULL }, /* first: it makes the policy */
	{ "/favicon.ico", "icon.svg", "image/svg+xml", NULL },
	{ "/web/icon.svg", "icon.svg", "image/svg+xml", NULL },
	{ "/web/app.js", "app.js", "text/javascript; charset=utf-8", NULL },
	{ "/web/rpc.js", "rpc.js", "text/javascript; charset=utf-8", NULL },
	{ "/web/app.css", "app.css", "text/css; charset=utf-8", NULL },
	{ "/web/frame.html", "frame.html", "text/html; charset=utf-8", FRAME_POLICY },
};
#define N_ASSETS (sizeof(assets) / sizeof(assets[0]))

struct asset {
	char *data; /* NULL: not served */
	size_t n;
	char etag[2 * 16 + 3];
};

struct web {
	struct asset assets[N_ASSETS];
	char *policy;
};

/* ---- loading ---- */
static int load_asset(struct asset *a, const char *dir, const char *file, struct err *reterr)
{
	char path[PATH_LEN_MAX], hex[2 * HASH_SHA256_LEN + 1];
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = path_join(path, sizeof(path), dir, file);
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, FILE_MAX, &b);
	if (r == 0)
		r = hash_sha256_hex(buf_data(&b), buf_len(&b), hex);
	if (r < 0)
		return err_set(reterr, r, "%s/%s: %s", dir, file, err_name(r));
	(void)snprintf(a->etag, sizeof(a->etag), "\"%.32s\"", hex);
	a->data = buf_steal(&b, &a->n);
	return a->data ? 0 : err_set(reterr, -ENOMEM, "%s: out of memory", path);
}

static int append_hash(struct buf *b, const char *s, size_t n)
{
	unsigned char sum[HASH_SHA256_LEN];
	int r = hash_sha256(s, n, sum);
	if (r == 0)
		r = buf_append_str(b, " 'sha256-");
	if (r == 0)
		r = str_base64(b, sum, sizeof(sum), true);
	return r < 0 ? r : buf_append_str(b, "'");
}

/* The hash of what is between each <name ...> and </name>, as a policy names it. */
static int append_inline(struct buf *b, const char *html, const char *name)
{
	char open[16], close[16];
	unsigned found = 0;
	int r = 0;
	(void)snprintf(open, sizeof(open), "<%s", name);
	(void)snprintf(close, sizeof(close), "</%s>", name);
	for (const char *s = html; r == 0 && (s = strstr(s, open));) {
		const char *start = strchr(s, '>'), *end = start ? strstr(start, close) : NULL;
		if (!end || ++found > INLINE_MAX)
			return end ? -E2BIG : -EINVAL;
		if (end > start + 1)
			r = append_hash(b, start + 1, (size_t)(end - start - 1));
		s = end;
	}
	return r;
}

static int make_policy(struct web *w, const char *html, struct err *reterr)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = buf_append_str(&b, "default-src 'none'; base-uri 'none'; form-action 'none'; "
				   "frame-ancestors 'none'; connect-src 'self'; font-src 'self'; "
				   "frame-src 'self'; "
				   "img-src 'self' data: blob:; script-src 'self'");
	if (r == 0)
		r = append_inline(&b, html, "script");
	if (r == 0)
		r = buf_append_str(&b, "; style-src 'self'");
	if (r == 0)
		r = append_inline(&b, html, "style");
	w->policy = r == 0 ? buf_steal(&b, NULL) : NULL;
	if (r < 0 || !w->policy)
		return err_set(reterr, r < 0 ? r : -ENOMEM,
		    "index.html: expected at most %d complete script and style elements",
		    INLINE_MAX);
	return 0;
}

struct web *web_load(const char *dir, struct err *reterr)
{
	struct web *w = mem_zalloc(sizeof(*w));
	int r = w ? 0 : err_set(reterr, -ENOMEM, "%s: out of memory", dir);
	for (size_t i = 0; r == 0 && i < N_ASSETS; i++) {
		struct err err = ERR_INIT;
		r = load_asset(&w->assets[i], dir, assets[i].file, &err);
		if (r == -ENOENT && i > 0)
			r = 0;
		if (r < 0)
			(void)err_set(reterr, r, "%s", err_text(&err));
	}
	if (r == 0)
		r = make_policy(w, w->assets[0].data, reterr);
	return r < 0 ? web_free(w) : w;
}

struct web *web_free(struct web *w)
{
	if (!w)
		return NULL;
	for (size_t i = 0; i < N_ASSETS; i++)
		(void)mem_free(w->assets[i].data);
	(void)mem_free(w->policy);
	return mem_free(w);
}

const char *web_policy(const struct web *w)
{
	return w->policy;
}

/* ---- serving ---- */
static int add_fields(const struct web *w, size_t i, struct http_fields *f)
{
	const char *policy = assets[i].policy ? assets[i].policy : w->policy;
	int r = http_fields_add(f, "etag", w->assets[i].etag);
	if (r == 0)
		r = http_fields_add(f, "cache-control", "no-cache");
	if (r == 0)
		r = http_fields_add(f, "content-security-policy", policy);
	if (r == 0)
		r = http_fields_add(f, "x-content-type-options", "nosniff");
	return r < 0 ? r : http_fields_add(f, "referrer-policy", "no-referrer");
}

static void answer(const struct web *w, size_t i, struct http_stream *st)
{
	const struct http_head *head = http_stream_peer_head(st);
	const struct asset *a = &w->assets[i];
	const char *have = http_fields_get(&head->fields, "if-none-match");
	struct http_fields f = { 0 };
	if (add_fields(w, i, &f) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	else if (have && strstr(have, a->etag))
		reply_send(st, 304, &f, NULL, NULL, 0);
	else
		reply_send(st, 200, &f, assets[i].type, a->data, a->n);
	http_fields_fini(&f);
}

bool web_handle(const struct web *w, struct http_stream *st)
{
	const struct http_head *head = http_stream_peer_head(st);
	size_t n = strcspn(head->path, "?"), i = 0;
	while (i < N_ASSETS &&
	       (strlen(assets[i].path) != n || memcmp(assets[i].path, head->path, n) != 0))
		i++;
	if (i == N_ASSETS || !w->assets[i].data)
		return false;
	if (str_eq(head->method, "GET") || str_eq(head->method, "HEAD"))
		answer(w, i, st);
	else
		reply_error(st, 405, NULL, "method not allowed");
	return true;
}
