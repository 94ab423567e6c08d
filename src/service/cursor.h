/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Page tokens: opaque to clients, the position behind a sandbox in a listing of one direction. */
#include <stdbool.h>

struct sandbox_cursor;

/* base64url text to be freed; NULL on -ENOMEM. */
char *cursor_encode(const struct sandbox_cursor *c, bool ascending);
/* 0, or -EINVAL: malformed, or made for the other direction. */
int cursor_decode(const char *token, bool ascending, struct sandbox_cursor *ret);
