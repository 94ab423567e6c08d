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
struct err;

struct language {
	const char *name;	    /* as in the API */
	const char *const *aliases; /* also accepted, NULL at the end */
	const char *const
	    *kernels;	      /* "language" values of kernelspecs that can run it, best first */
	bool ipc;	      /* its usual kernel takes "ipc" connection files */
	bool traceback_lines; /* its usual kernel's tracebacks are lines without their ends */
	const char *get;      /* how to install its usual kernel */
	/* Append code that sets vars (object of strings) and remembers what they were before. */
	int (*env_enter)(struct buf *dst, const json_t *vars);
	/* Append code that brings back what env_enter of the same vars remembered. */
	int (*env_leave)(struct buf *dst, const json_t *vars);
};

/* name is trimmed and lower-cased, aliases are resolved. NULL when unknown. */
const struct language *language_find(const char *name);
/* All of them: NULL behind the last. */
const struct language *language_at(size_t i);
/* Sets reterr to say that no kernel of that language is installed, and how to get one if the name
 * is known; returns -EINVAL. */
int language_missing(const char *name, struct err *reterr);
/* Can be the name of an environment variable: not empty, without '=' . */
bool language_env_name_ok(const char *name);
