/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/descriptors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/pbwire.h"

struct extension {
	char *extendee; /* without the leading dot */
	int32_t number;
	const struct descriptor_file *file;
};

struct descriptors {
	struct descriptor_file *files;
	size_t n_files;
	struct extension *extensions;
	size_t n_extensions;
	struct map *by_name, *by_symbol; /* -> struct descriptor_file */
};

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
	SET_FILE = 1,
	FILE_NAME = 1,
	FILE_PACKAGE = 2,
	FILE_IMPORT = 3,
	FILE_MESSAGE = 4,
	FILE_ENUM = 5,
	FILE_SERVICE = 6,
	FILE_EXTENSION = 7,
	MESSAGE_FIELD = 2,
	MESSAGE_NESTED = 3,
	MESSAGE_ENUM = 4,
	MESSAGE_EXTENSION = 6,
	MESSAGE_ONEOF = 8,
	ENUM_VALUE = 2,
	SERVICE_METHOD = 2,
	ANY_NAME = 1, /* of everything below a file */
	FIELD_EXTENDEE = 2,
	FIELD_NUMBER = 3,
};

struct scope {
	struct descriptors *d;
	const struct descriptor_file *file;
	const char *prefix; /* "pkg.Outer", "" in the root package */
};

static struct pb_cursor cursor_of(const void *p, size_t n)
{
	return (struct pb_cursor){ p, (const unsigned char *)p + n };
}

static char *text_of(struct pb_cursor c)
{
	return mem_strndup((const char *)c.p, (size_t)(c.end - c.p));
}

/* First field with that number as text; NULL when absent or on -ENOMEM (told by *ret_err). */
static char *find_text(struct pb_cursor c, unsigned number, int *ret_err)
{
	struct pb_field f;
	int r;
	*ret_err = -EINVAL;
	while ((r = pb_next(&c, &f)) > 0) {
		if (f.number != number || f.wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
			continue;
		char *s = text_of(f.bytes);
		*ret_err = s ? 0 : -ENOMEM;
		return s;
	}
	return NULL;
}

/* Register the symbol "<prefix>.<name>"; *ret_full is its full name, for what is inside it. */
static int add_symbol(const struct scope *s, struct pb_cursor c, char **ret_full)
{
	int r;
	CLEAN_FREE char *name = find_text(c, ANY_NAME, &r);
	if (!name)
		return r;
	CLEAN_FREE char *full = mem_printf("%s%s%s", s->prefix, *s->prefix ? "." : "", name);
	if (!full)
		return -ENOMEM;
	r = map_add(s->d->by_symbol, full, (void *)s->file);
	if (r < 0 && r != -EEXIST)
		return r;
	if (ret_full)
		*ret_full = TAKE(full);
	return 0;
}

/* The table of extensions; its symbol is added like any other. */
static int note_extension(const struct scope *s, struct pb_cursor c)
{
	int r;
	struct pb_field f;
	char *extendee = find_text(c, FIELD_EXTENDEE, &r);
	if (!extendee)
		return r;
	struct extension *grown =
	    mem_realloc(s->d->extensions, (s->d->n_extensions + 1) * sizeof(*grown));
	if (!grown) {
		free(extendee);
		return -ENOMEM;
	}
	if (*extendee == '.')
		memmove(extendee, extendee + 1, strlen(extendee));
	s->d->extensions = grown;
	struct extension *e = &grown[s->d->n_extensions++];
	*e = (struct extension){ .extendee = extendee, .file = s->file };
	while ((r = pb_next(&c, &f)) > 0) {
		if (f.number == FIELD_NUMBER)
			e->number = (int32_t)f.varint;
	}
	return r;
}

static int add_extension(const struct scope *s, struct pb_cursor c)
{
	int r = note_extension(s, c);
	return r < 0 ? r : add_symbol(s, c, NULL);
}

/* Every field with that number is a named thing of this scope. */
static int add_children(const struct scope *s, struct pb_cursor c, unsigned number)
{
	struct pb_field f;
	int r;
	while ((r = pb_next(&c, &f)) > 0) {
		r = f.number == number ? add_symbol(s, f.bytes, NULL) : 0;
		if (r < 0)
			return r;
	}
	return r;
}

/* Values are siblings of their enum, not children of it. */
static int add_enum(const struct scope *s, struct pb_cursor c)
{
	int r = add_symbol(s, c, NULL);
	return r < 0 ? r : add_children(s, c, ENUM_VALUE);
}

static int add_service(const struct scope *s, struct pb_cursor c)
{
	CLEAN_FREE char *full = NULL;
	int r = add_symbol(s, c, &full);
	if (r < 0)
		return r;
	const struct scope inner = { s->d, s->file, full };
	return add_children(&inner, c, SERVICE_METHOD);
}

static int add_message(const struct scope *s, struct pb_cursor c, unsigned depth)
{
	CLEAN_FREE char *full = NULL;
	struct pb_field f;
	int r = depth > PB_DEPTH_MAX ? -EINVAL : add_symbol(s, c, &full);
	const struct scope inner = { s->d, s->file, full };
	while (r >= 0 && (r = pb_next(&c, &f)) > 0) {
		switch (f.number) {
		case MESSAGE_FIELD:
		case MESSAGE_ONEOF:
			r = add_symbol(&inner, f.bytes, NULL);
			break;
		case MESSAGE_NESTED:
			r = add_message(&inner, f.bytes, depth + 1);
			break;
		case MESSAGE_ENUM:
			r = add_enum(&inner, f.bytes);
			break;
		case MESSAGE_EXTENSION:
			r = add_extension(&inner, f.bytes);
			break;
		default:
			break;
		}
	}
	return r < 0 ? r : 0;
}

static int add_import(struct descriptors *d, struct descriptor_file *file, struct pb_cursor name)
{
	CLEAN_FREE char *text = text_of(name);
	if (!text)
		return -ENOMEM;
	const struct descriptor_file *other = map_get(d->by_name, text);
	if (!other)
		return -EINVAL;
	size_t *grown = mem_realloc(file->imports, (file->n_imports + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	file->imports = grown;
	file->imports[file->n_imports++] = descriptors_index(d, other);
	return 0;
}

static int add_part_of_file(const struct scope *s, struct descriptor_file *file, struct pb_field f)
{
	switch (f.number) {
	case FILE_IMPORT:
		return add_import(s->d, file, f.bytes);
	case FILE_MESSAGE:
		return add_message(s, f.bytes, 1);
	case FILE_ENUM:
		return add_enum(s, f.bytes);
	case FILE_SERVICE:
		return add_service(s, f.bytes);
	case FILE_EXTENSION:
		return add_extension(s, f.bytes);
	default:
		return 0;
	}
}

static int index_file(struct descriptors *d, struct descriptor_file *file)
{
	int r;
	struct pb_field f;
	struct pb_cursor c = cursor_of(file->p, file->n);
	CLEAN_FREE char *package = find_text(c, FILE_PACKAGE, &r);
	if (!package && r == -ENOMEM)
		return r;
	const struct scope s = { d, file, package ? package : "" };
	while ((r = pb_next(&c, &f)) > 0) {
		r = f.wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED
			? add_part_of_file(&s, file, f)
			: 0;
		if (r < 0)
			return r;
	}
	return r;
}

static int list_files(struct descriptors *d, struct pb_cursor set)
{
	struct pb_cursor c = set;
	struct pb_field f;
	size_t n = 0;
	int r;
	while ((r = pb_next(&c, &f)) > 0)
		n += f.number == SET_FILE;
	if (r < 0)
		return r;
	d->files = mem_calloc(n ? n : 1, sizeof(*d->files));
	if (!d->files)
		return -ENOMEM;
	while (pb_next(&set, &f) > 0) {
		if (f.number != SET_FILE)
			continue;
		struct descriptor_file *file = &d->files[d->n_files++];
		file->p = f.bytes.p;
		file->n = (size_t)(f.bytes.end - f.bytes.p);
		file->name = find_text(f.bytes, FILE_NAME, &r);
		if (file->name)
			r = map_add(d->by_name, file->name, file);
		if (r < 0)
			return r == -EEXIST ? -EINVAL : r;
	}
	return 0;
}

struct descriptors *descriptors_new(const void *p, size_t n, int *ret_err)
{
	struct descriptors *d = mem_zalloc(sizeof(*d));
	int r = -ENOMEM;
	if (d) {
		d->by_name = map_new();
		d->by_symbol = map_new();
		if (d->by_name && d->by_symbol)
			r = list_files(d, cursor_of(p, n));
		for (size_t i = 0; r == 0 && i < d->n_files; i++)
			r = index_file(d, &d->files[i]);
	}
	if (r == 0)
		return d;
	*ret_err = r;
	return descriptors_free(d);
}

struct descriptors *descriptors_free(struct descriptors *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < d->n_files; i++) {
		free((char *)d->files[i].name);
		free(d->files[i].imports);
	}
	for (size_t i = 0; i < d->n_extensions; i++)
		free(d->extensions[i].extendee);
	free(d->files);
	free(d->extensions);
	map_free(d->by_name);
	map_free(d->by_symbol);
	return mem_free(d);
}

size_t descriptors_count(const struct descriptors *d)
{
	return d->n_files;
}

const struct descriptor_file *descriptors_at(const struct descriptors *d, size_t i)
{
	return &d->files[i];
}

size_t descriptors_index(const struct descriptors *d, const struct descriptor_file *f)
{
	return (size_t)(f - d->files);
}

const struct descriptor_file *descriptors_by_name(const struct descriptors *d, const char *name)
{
	return map_get(d->by_name, name);
}

const struct descriptor_file *descriptors_by_symbol(const struct descriptors *d, const char *symbol)
{
	return map_get(d->by_symbol, symbol);
}

const struct descriptor_file *descriptors_by_extension(
    const struct descriptors *d, const char *extendee, int32_t number)
{
	for (size_t i = 0; i < d->n_extensions; i++) {
		if (d->extensions[i].number == number &&
		    str_eq(d->extensions[i].extendee, extendee))
			return d->extensions[i].file;
	}
	return NULL;
}

int32_t descriptors_extension_of(const struct descriptors *d, const char *extendee, size_t i)
{
	for (size_t k = 0; k < d->n_extensions; k++) {
		if (str_eq(d->extensions[k].extendee, extendee) && i-- == 0)
			return d->extensions[k].number;
	}
	return 0;
}
