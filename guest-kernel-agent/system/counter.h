/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Counters in the kernel's files of "name number" lines. */
#include <stdint.h>

/* 0 or -ENOENT: there is no such line. */
int counter_parse(const char *text, const char *name, uint64_t *ret);
/* The same of an open file, from its beginning; -ENOENT also when it cannot be read. */
int counter_read(int fd, const char *name, uint64_t *ret);
