/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SMALL 1024
#define KEEP (1024 * 1024)

/* Fault injection is per thread, so that a test's worker threads are not disturbed. */
static _Thread_local long allocs;
static _Thread_local long fail_left = -1;

static bool must_fail(void)
{
	allocs++;
	if (fail_left < 0)
		return false;
	if (fail_left == 0)
		return true;
	fail_left--;
	return false;
}

void mem_fail_after(long n)
{
	fail_left = n;
}

long mem_alloc_count(void)
{
	return allocs;
}

void *mem_alloc(size_t n)
{
	return must_fail() ? NULL : malloc(n ? n : 1);
}

/* glibc's calloc() passes a thread's own lists by, where malloc() finds small ones at once. */
static void *alloc_zeroed(size_t n)
{
	if (n == 0 || n > SMALL)
		return calloc(1, n ? n : 1);
	void *p = malloc(n);
	__asm__("" : "+r"(p)); /* the compiler would make it a calloc() again */
	return p ? memset(p, 0, n) : NULL;
}

void *mem_zalloc(size_t n)
{
	return must_fail() ? NULL : alloc_zeroed(n);
}

void *mem_calloc(size_t n, size_t sz)
{
	size_t all;
	if (must_fail() || __builtin_mul_overflow(n, sz, &all))
		return NULL;
	return alloc_zeroed(all);
}

void *mem_realloc(void *p, size_t n)
{
	return must_fail() ? NULL : realloc(p, n ? n : 1);
}

void *mem_dup(const void *p, size_t n)
{
	void *d = mem_alloc(n);
	if (d && n)
		memcpy(d, p, n);
	return d;
}

char *mem_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *d = mem_alloc(len + 1);
	if (!d)
		return NULL;
	memcpy(d, s, len);
	d[len] = '\0';
	return d;
}

char *mem_strdup(const char *s)
{
	return s ? mem_strndup(s, SIZE_MAX) : NULL;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *s = n < 0 ? NULL : mem_alloc((size_t)n + 1);
	if (s)
		(void)vsnprintf(s, (size_t)n + 1, fmt, again);
	va_end(again);
	return s;
}

void *mem_free(void *p)
{
	free(p);
	return NULL;
}

void mem_keep_freed(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, KEEP);
	(void)mallopt(M_TRIM_THRESHOLD, KEEP);
}

int mem_set_str(char **p, const char *s)
{
	char *d = mem_strdup(s);
	if (s && !d)
		return -ENOMEM;
	free(*p);
	*p = d;
	return 0;
}
