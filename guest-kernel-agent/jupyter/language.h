/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What differs between the languages that kernels run: their names, and the code that sets
 * environment variables inside of a running kernel. All of it is one table. Values go into the code
 * as literals of the language, so no value can end the string it stands in.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct buf;

struct language {
	const char *name;	    /* as in the API */
	const char *const *aliases; /* also accepted, NULL at the end */
	const char *const
	    *kernels; /* "language" values of kernelspecs that can run it, best first */
	bool ipc;     /* its usual kernel takes "ipc" connection files */
	/* Append code that sets vars (object of strings) and remembers what they were before. */
	int (*env_enter)(struct buf *dst, const json_t *vars);
	/* Append code that brings back what env_enter of the same vars remembered. */
	int (*env_leave)(struct buf *dst, const json_t *vars);
};

/* name is trimmed and lower-cased, aliases are resolved. NULL when unknown. */
const struct language *language_find(const char *name);
/* All of them: NULL behind the last. */
const struct language *language_at(size_t i);
/* Can be the name of an environment variable: not empty, without '=' . */
bool language_env_name_ok(const char *name);
