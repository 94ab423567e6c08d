/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Making, listing and revoking API keys. */
#include <stdbool.h>
#include <stddef.h>

struct args;
struct config;
struct err;
struct store;

/* "sandglassd keys ...": the exit status. A running server is told. */
int keys_command(const struct args *a, const struct config *c);

/* The store's first team and key, when it has no valid key yet; or another key when force is set
 * (the team is made if needed). *ret_made says whether one was made; text has room for it. 0 or
 * -errno. */
int keys_make_first(struct store *s, const struct config *c, bool force, char *text, size_t cap,
    bool *ret_made, struct err *reterr);
/* Is this text a valid key of the store? */
bool keys_is_valid(struct store *s, const char *text);

/* DIR/data/sandglass.db of the state directory. */
int keys_store_path(const struct config *c, char *dst, size_t cap);
