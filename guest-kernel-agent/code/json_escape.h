/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text as the inside of an ASCII-only JSON string. Runs of plain characters are copied eight bytes
 * at a time; everything outside ASCII becomes \uXXXX, so that no reader can cut a character in two.
 * Bytes that are not UTF-8 become \ufffd.
 */
#include <stddef.h>

struct buf;

/* Without the quotes around it. 0 or -ENOMEM (then a part may have been appended). */
int json_escape(struct buf *dst, const char *s, size_t n);
/* With quotes. */
int json_escape_string(struct buf *dst, const char *s, size_t n);
