/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who this sandbox is and how its processes run: set by POST /boot (template) and, once, by POST
 * /init (sandbox). Everything else in the agent reads it from here.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct err;
struct identity;

struct identity *identity_new(void);
struct identity *identity_free(struct identity *id);

/* POST /boot: the template's settings. user and workdir may be NULL (unchanged), env maps names to
 * values. 0, -ENOMEM, or -EINVAL with the field named. Not allowed any more once initialised
 * (-EBUSY). */
int identity_boot(struct identity *id, const json_t *request, struct err *reterr);
/* POST /init: 0, 1 = the same request was accepted before, -EBUSY = another one was, -EINVAL,
 * -ENOMEM. */
int identity_init(struct identity *id, const json_t *request, struct err *reterr);

bool identity_is_booted(const struct identity *id);
bool identity_is_initialised(const struct identity *id);
const char *identity_sandbox_id(const struct identity *id);  /* "" before init */
const char *identity_template_id(const struct identity *id); /* "" before boot */
const char *identity_user(const struct identity *id);	     /* default user, "" = none */
const char *identity_workdir(const struct identity *id); /* default directory, "" = user's home */
/* Environment of every process of this sandbox: "K=V", NULL at the end; valid until the next boot
 * or init. identity_env_object() is the same as an object (borrowed). */
const char *const *identity_env(const struct identity *id);
const json_t *identity_env_object(const struct identity *id);

/* A request must prove itself: true when the sandbox is not secured or token is its access token.
 * Takes the same time wherever a wrong token differs. */
bool identity_token_ok(const struct identity *id, const char *token);
bool identity_is_secured(const struct identity *id);
/* The access token, for checking signatures; NULL when not secured. */
const char *identity_token(const struct identity *id);
