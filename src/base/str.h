/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Text helpers: comparison, numbers, hex, base64, percent decoding. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf;

/* NULL equals only NULL. Most texts that differ do so in their first byte. */
static inline bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && *a == *b && strcmp(a, b) == 0);
}
bool str_ieq(const char *a, const char *b);		  /* ASCII case ignored */
bool str_empty(const char *s);				  /* NULL or "" */
const char *str_after(const char *s, const char *prefix); /* rest behind prefix, or NULL */
bool str_ends(const char *s, const char *suffix);
char *str_lower(char *s); /* in place, ASCII; returns s */
bool str_utf8_valid(const void *p, size_t n);
/* How many of n bytes of UTF-8 to take so that no character is split: n, or up to three fewer when
 * a character begins there that n does not hold whole. What is no UTF-8 is not held back. */
size_t str_utf8_whole(const void *p, size_t n, size_t *ret_missing /* bytes, may be NULL */);
/* True when every byte is in the set. */
bool str_only(const char *s, const char *set);
/* Copy with truncation, always terminated when cap > 0; returns strlen(src). */
size_t str_copy(char *dst, size_t cap, const char *src);
/* Unsigned/signed decimal, whole string, range checked: 0 or -EINVAL / -ERANGE. */
int str_u64(const char *s, uint64_t max, uint64_t *ret);
int str_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
/* Equal-time comparison for secrets of known length. */
bool str_ct_eq(const void *a, size_t an, const void *b, size_t bn);

void str_hex(const void *p, size_t n, char *dst);  /* dst has 2n+1 bytes, lower case */
int str_unhex(const char *s, void *dst, size_t n); /* exactly 2n digits, or -EINVAL */
/* Standard base64. Decoding accepts both alphabets and missing padding; -EINVAL on anything else.
 */
int str_base64(struct buf *dst, const void *p, size_t n, bool pad);
int str_unbase64(struct buf *dst, const char *s, size_t n);
/* Percent decoding; plus_is_space for form data. -EINVAL on a bad escape or an encoded NUL. */
int str_unpercent(struct buf *dst, const char *s, size_t n, bool plus_is_space);
int str_percent(struct buf *dst, const char *s, size_t n);
