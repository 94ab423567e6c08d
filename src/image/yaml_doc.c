/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text to tree. libyaml yields events; every event is judged before anything is kept of it, so
 * that a file can make us hold no more than the limits say. Nesting is a fixed stack, not
 * recursion.
 */
#include "image/yaml_doc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"

struct yaml_doc {
	char *name;
	struct yaml_node *root;
	struct yaml_node *nodes; /* all, newest first */
	size_t n_nodes;
};

/* ---- errors ---- */

#define PATH_SHOWN 160

/* "resources.memory" or "aliases[1]"; too deep or long ones lose their front. */
static void node_path(const struct yaml_node *v, char *dst, size_t cap)
{
	size_t at = cap - 1;
	dst[at] = '\0';
	for (; v->parent; v = v->parent) {
		char part[80];
		if (v->key)
			(void)snprintf(
			    part, sizeof(part), "%s%.64s", v->parent->parent ? "." : "", v->key);
		else
			(void)snprintf(part, sizeof(part), "[%zu]", v->index);
		size_t n = strlen(part);
		if (n > at)
			break;
		at -= n;
		memcpy(dst + at, part, n);
	}
	memmove(dst, dst + at, cap - at);
}

int yaml_node_error(const struct yaml_node *v, struct err *reterr, const char *fmt, ...)
{
	char path[PATH_SHOWN], text[ERR_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	node_path(v, path, sizeof(path));
	return err_set(reterr, -EINVAL, "%s:%u: %s%s%s", v->doc->name, v->line, path,
	    path[0] ? ": " : "", text);
}

/* ---- building ---- */

struct builder {
	struct yaml_doc *doc;
	yaml_parser_t parser;
	struct yaml_node *stack[YAML_MAX_DEPTH];
	unsigned depth;
	char *key; /* of the map on top of the stack: its value comes next; owned */
	struct err *reterr;
};

static int fail(struct builder *b, size_t line, const char *what)
{
	return err_set(b->reterr, -EINVAL, "%s:%zu: %s", b->doc->name, line + 1, what);
}

static struct yaml_node *node_new(struct yaml_doc *d, enum yaml_kind kind, size_t line)
{
	struct yaml_node *v = mem_zalloc(sizeof(*v));
	if (!v)
		return NULL;
	v->doc = d;
	v->kind = kind;
	v->line = (unsigned)line + 1;
	v->made = d->nodes;
	d->nodes = v;
	d->n_nodes++;
	return v;
}

/* Hang v under the collection on top of the stack, or make it the root. */
static void attach(struct builder *b, struct yaml_node *v)
{
	struct yaml_node *top = b->depth ? b->stack[b->depth - 1] : NULL;
	if (!top) {
		b->doc->root = v;
		return;
	}
	v->parent = top;
	v->key = TAKE(b->key);
	v->index = top->count++;
	if (top->last)
		top->last->next = v;
	else
		top->first = v;
	top->last = v;
}

static int add_node(struct builder *b, enum yaml_kind kind, size_t line, struct yaml_node **ret)
{
	if (b->doc->n_nodes >= YAML_MAX_NODES)
		return fail(b, line, "too many entries");
	struct yaml_node *v = node_new(b->doc, kind, line);
	if (!v)
		return err_set(b->reterr, -ENOMEM, "%s: out of memory", b->doc->name);
	attach(b, v);
	*ret = v;
	return 0;
}

static int take_key(struct builder *b, const char *text, size_t n, size_t line)
{
	const struct yaml_node *map = b->stack[b->depth - 1];
	if (n == 0 || n > YAML_MAX_TEXT)
		return fail(b, line, "expected a key of 1 to 4096 characters");
	b->key = mem_strndup(text, n);
	if (!b->key)
		return err_set(b->reterr, -ENOMEM, "%s: out of memory", b->doc->name);
	const struct yaml_node *twin = yaml_node_get(map, b->key);
	if (twin)
		return err_set(b->reterr, -EINVAL,
		    "%s:%zu: %.64s: duplicate key, first given in line %u", b->doc->name, line + 1,
		    b->key, twin->line);
	return 0;
}

static bool key_is_due(const struct builder *b)
{
	return b->depth && b->stack[b->depth - 1]->kind == YAML_KIND_MAP && !b->key;
}

static int on_scalar(struct builder *b, const yaml_event_t *ev)
{
	const char *text = (const char *)ev->data.scalar.value;
	size_t n = ev->data.scalar.length, line = ev->start_mark.line;
	if (ev->data.scalar.anchor)
		return fail(b, line, "anchors are not supported");
	if (ev->data.scalar.tag)
		return fail(b, line, "tags are not supported");
	if (memchr(text, '\0', n))
		return fail(b, line, "a text must not contain a NUL character");
	if (key_is_due(b))
		return take_key(b, text, n, line);
	struct yaml_node *v;
	int r = add_node(b, YAML_KIND_TEXT, line, &v);
	if (r < 0)
		return r;
	v->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	v->text = mem_strndup(text, n);
	return v->text ? 0 : err_set(b->reterr, -ENOMEM, "%s: out of memory", b->doc->name);
}

static int on_open(
    struct builder *b, enum yaml_kind kind, const void *anchor, const void *tag, size_t line)
{
	if (anchor)
		return fail(b, line, "anchors are not supported");
	if (tag)
		return fail(b, line, "tags are not supported");
	if (key_is_due(b))
		return fail(b, line, "expected a text as key");
	if (b->depth == YAML_MAX_DEPTH)
		return fail(b, line, "nested too deeply");
	struct yaml_node *v;
	int r = add_node(b, kind, line, &v);
	if (r == 0)
		b->stack[b->depth++] = v;
	return r;
}

static int on_event(struct builder *b, const yaml_event_t *ev)
{
	size_t line = ev->start_mark.line;
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return b->doc->root ? fail(b, line, "expected a single document") : 0;
	case YAML_ALIAS_EVENT:
		return fail(b, line, "aliases are not supported");
	case YAML_SCALAR_EVENT:
		return on_scalar(b, ev);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, YAML_KIND_LIST, ev->data.sequence_start.anchor,
		    ev->data.sequence_start.tag, line);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, YAML_KIND_MAP, ev->data.mapping_start.anchor,
		    ev->data.mapping_start.tag, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	default:
		return 0;
	}
}

static int parser_error(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(b->reterr, -ENOMEM, "%s: out of memory", b->doc->name);
	return err_set(b->reterr, -EINVAL, "%s:%zu: not valid YAML: %s%s%s", b->doc->name,
	    p->problem_mark.line + 1, p->problem ? p->problem : "cannot be read",
	    p->context ? " " : "", p->context ? p->context : "");
}

static int build(struct builder *b)
{
	for (;;) {
		yaml_event_t ev;
		if (!yaml_parser_parse(&b->parser, &ev))
			return parser_error(b);
		bool last = ev.type == YAML_STREAM_END_EVENT;
		int r = on_event(b, &ev);
		yaml_event_delete(&ev);
		if (r < 0 || last)
			return r;
	}
}

/* An empty file is a mapping without keys; anything else at the top is an error. */
static int settle_root(struct yaml_doc *d, struct err *reterr)
{
	struct yaml_node *root = d->root;
	if (!root || (root->kind == YAML_KIND_TEXT && root->plain && !root->text[0])) {
		d->root = node_new(d, YAML_KIND_MAP, 0);
		return d->root ? 0 : err_set(reterr, -ENOMEM, "%s: out of memory", d->name);
	}
	if (root->kind != YAML_KIND_MAP)
		return yaml_node_error(root, reterr, "expected a mapping of keys to values");
	return 0;
}

static int parse_into(struct yaml_doc *d, const void *p, size_t n, struct err *reterr)
{
	struct builder b = { .doc = d, .reterr = reterr };
	if (n > YAML_MAX_BYTES)
		return err_set(
		    reterr, -EINVAL, "%s: larger than %d KiB", d->name, YAML_MAX_BYTES / 1024);
	if (!yaml_parser_initialize(&b.parser))
		return err_set(reterr, -ENOMEM, "%s: out of memory", d->name);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, p ? p : "", n);
	int r = build(&b);
	yaml_parser_delete(&b.parser);
	mem_free(b.key);
	return r < 0 ? r : settle_root(d, reterr);
}

/* ---- documents ---- */

struct yaml_doc *yaml_doc_parse(const char *name, const void *p, size_t n, struct err *reterr)
{
	struct yaml_doc *d = mem_zalloc(sizeof(*d));
	if (d)
		d->name = mem_strdup(name);
	if (!d || !d->name) {
		(void)err_set(reterr, -ENOMEM, "%s: out of memory", name);
		return yaml_doc_free(d);
	}
	if (parse_into(d, p, n, reterr) < 0)
		return yaml_doc_free(d);
	return d;
}

struct yaml_doc *yaml_doc_load(const char *path, struct err *reterr)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	int r = fd_read_file(AT_FDCWD, path, YAML_MAX_BYTES, &text);
	if (r == -EFBIG) {
		(void)err_set(
		    reterr, -EINVAL, "%s: larger than %d KiB", path, YAML_MAX_BYTES / 1024);
		return NULL;
	}
	if (r < 0) {
		(void)err_set(reterr, r, "%s: cannot be read: %s", path, err_name(r));
		return NULL;
	}
	return yaml_doc_parse(path, buf_data(&text), buf_len(&text), reterr);
}

struct yaml_doc *yaml_doc_free(struct yaml_doc *d)
{
	if (!d)
		return NULL;
	for (struct yaml_node *v = d->nodes, *next; v; v = next) {
		next = v->made;
		mem_free(v->key);
		mem_free(v->text);
		mem_free(v);
	}
	mem_free(d->name);
	return mem_free(d);
}

const struct yaml_node *yaml_doc_root(const struct yaml_doc *d)
{
	return d->root;
}

/* ---- nodes ---- */

const struct yaml_node *yaml_node_get(const struct yaml_node *map, const char *key)
{
	for (const struct yaml_node *v = map->first; v; v = v->next) {
		if (str_eq(v->key, key))
			return v;
	}
	return NULL;
}

const struct yaml_node *yaml_node_first(const struct yaml_node *v)
{
	return v->first;
}

const struct yaml_node *yaml_node_next(const struct yaml_node *v)
{
	return v->next;
}

const char *yaml_node_key(const struct yaml_node *v)
{
	return v->key;
}

const char *yaml_node_text(const struct yaml_node *v)
{
	return v->text;
}

bool yaml_node_is_map(const struct yaml_node *v)
{
	return v->kind == YAML_KIND_MAP;
}

bool yaml_node_is_list(const struct yaml_node *v)
{
	return v->kind == YAML_KIND_LIST;
}
