/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The wish for a sandbox, checked and in the shape that sandbox_create() takes; filled by REST and
 * by RPC. Errors name the field as the caller's API spells it.
 */
#include <stddef.h>
#include <stdint.h>

#include "sandbox/sandbox.h"

struct auth_team;
struct err;
struct templates;

#define PARAMS_MAX_ENTRIES 256	     /* metadata or environment entries: list flooding */
#define PARAMS_MAX_BYTES (64 * 1024) /* their names and values together */

#define PARAMS_MAX_HOST 255

struct params_list { /* copies, NULL at the end once not empty */
	char **v;
	size_t n, cap;
	size_t bytes;
};
struct params {
	struct sandbox_params p;
	const struct template *tmpl;
	struct params_list metadata, env;
	char mask_host[PARAMS_MAX_HOST + 1];
};

enum params_size { PARAMS_CPU, PARAMS_MEMORY, PARAMS_DISK };

/* Zeroed memory is valid for all of these. Every one: 0, -EINVAL and reterr, or -ENOMEM. */
int params_add_metadata(
    struct params *p, const char *field, const char *key, const char *value, struct err *reterr);
int params_add_env(
    struct params *p, const char *field, const char *name, const char *value, struct err *reterr);
/* SANDBOX_E_TEMPLATE and reterr when unknown. */
int params_set_template(
    struct params *p, const struct templates *ts, const char *ref, struct err *reterr);
/* After the template: 0 to the template's maximum. */
int params_set_timeout(struct params *p, const char *field, int64_t seconds, struct err *reterr);
/* 0 = the template's, else within sandbox.h's bounds; unit: bytes or thousandths of a core a
 * number.
 */
int params_set_size(struct params *p, const char *field, enum params_size which, uint64_t number,
    uint64_t unit, struct err *reterr);
/* Borrowed from p and team. */
const struct sandbox_params *params_finish(struct params *p, const struct auth_team *team);
void params_fini(struct params *p);

/* A list of key, value, key, value, ... as sandbox_filter takes it. */
int params_list_add(struct params_list *l, const char *field, const char *text, struct err *reterr);
void params_list_fini(struct params_list *l);
