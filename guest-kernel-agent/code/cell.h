/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A cell that a client asked for, owned by its request until it can be given to a context: the
 * code, the variables for it, and where it is to run.
 */
#include <stddef.h>

struct context;
struct contexts;
struct err;

struct cell {
	char *code;
	size_t n;
	char *context_id; /* "" = the default context of language */
	char *language;	  /* "" = python */
	char **env;	  /* name, value, ..., NULL; NULL = none */
	size_t n_env;	  /* strings in env */
};

#define CELL_CODE_MAX (16u * 1024 * 1024)
#define CELL_ENV_MAX 1024
#define CELL_ENV_BYTES (256 * 1024)
#define CELL_DEFAULT_LANGUAGE "python"

/* 0 or -ENOMEM. */
int cell_set(struct cell *c, const char *code, const char *context_id, const char *language);
int cell_add_env(struct cell *c, const char *name, const char *value);
void cell_fini(struct cell *c);

enum cell_outcome {
	CELL_CONTEXT = 0,   /* *ret_context is where it runs */
	CELL_DEFAULT,	    /* the default context of *ret_language, which may have to be made */
	CELL_E_BOTH,	    /* context and language were given */
	CELL_E_NO_CONTEXT,  /* unknown context */
	CELL_E_NO_LANGUAGE, /* no kernel for the language */
};
enum cell_outcome cell_target(const struct cell *c, struct contexts *cs,
    struct context **ret_context, const char **ret_language, struct err *reterr);
