/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The media type of a file, by the end of its name, else by its first bytes. */
#include <stdbool.h>
#include <stddef.h>

#define CONTENT_TYPE_SNIFF 512 /* bytes that are looked at */

/* A constant. at_end: the n bytes are the whole file. */
const char *content_type_of(const char *name, const void *p, size_t n, bool at_end);
/* Text and the like: worth compressing. */
bool content_type_is_text(const char *type);
