/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Allocation. Failure is returned (NULL), never fatal. Tests make the n-th allocation of the
 * calling thread fail with mem_fail_after(); everything that allocates goes through here for that
 * reason.
 */
#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t n);	       /* uninitialised; n == 0 gives a unique pointer */
void *mem_zalloc(size_t n);	       /* zeroed */
void *mem_calloc(size_t n, size_t sz); /* zeroed, overflow checked */
void *mem_realloc(void *p, size_t n);
void *mem_dup(const void *p, size_t n);
char *mem_strdup(const char *s);	    /* NULL in, NULL out */
char *mem_strndup(const char *s, size_t n); /* always terminated */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *mem_free(void *p); /* always returns NULL */

/* For programs that move bulk data, once at their start: keep a megabyte of freed memory
 * instead of giving it back and asking for it again with every buffer, each page of it by a fault.
 */
void mem_keep_freed(void);

/* Replace *p by a copy of s (NULL allowed). 0 or -ENOMEM, then *p is unchanged. */
int mem_set_str(char **p, const char *s);

/* Test hook: after n more successful allocations every further one fails; n < 0 switches it off. */
void mem_fail_after(long n);
/* Number of allocations since start, for the sweep's upper bound. */
long mem_alloc_count(void);

static inline void mem_free_p(void *pp)
{
	free(*(void **)pp);
}
#define CLEAN_FREE __attribute__((cleanup(mem_free_p)))
/* Hand over an owned pointer: value = TAKE(local); the local becomes NULL. */
#define TAKE(p)                             \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
