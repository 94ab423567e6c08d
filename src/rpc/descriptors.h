/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Index of a serialised google.protobuf.FileDescriptorSet: which file has which name, symbol and
 * extension, and which files it imports. The bytes are borrowed and handed out as they are.
 */
#include <stddef.h>
#include <stdint.h>

struct descriptors;

struct descriptor_file {
	const char *name;
	const void *p; /* serialised FileDescriptorProto */
	size_t n;
	size_t *imports; /* indexes of files */
	size_t n_imports;
};

/* NULL and *ret_err: -ENOMEM, -EINVAL (malformed, or an import is missing). */
struct descriptors *descriptors_new(const void *p, size_t n, int *ret_err);
struct descriptors *descriptors_free(struct descriptors *d);
size_t descriptors_count(const struct descriptors *d);
const struct descriptor_file *descriptors_at(const struct descriptors *d, size_t i);
/* All of these: NULL when there is none. Symbols are full names of messages, fields, oneofs, enums,
 * enum values, extensions, services and methods. */
const struct descriptor_file *descriptors_by_name(const struct descriptors *d, const char *name);
const struct descriptor_file *descriptors_by_symbol(
    const struct descriptors *d, const char *symbol);
const struct descriptor_file *descriptors_by_extension(
    const struct descriptors *d, const char *extendee, int32_t number);
size_t descriptors_index(const struct descriptors *d, const struct descriptor_file *f);
/* The i-th extension number of a message type; 0 at the end. */
int32_t descriptors_extension_of(const struct descriptors *d, const char *extendee, size_t i);
