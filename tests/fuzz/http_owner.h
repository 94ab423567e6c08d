/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An owner of HTTP streams for fuzzing. The first input byte chooses role and behaviour, the rest
 * is fed to one session, whole and then in small pieces: what the owner hears must be the same both
 * times.
 */
#include <stddef.h>
#include <stdint.h>

#include "wire/http.h"

typedef struct http_session *session_new_fn(const struct http_session_conf *c);

/* prefix (may be NULL) is fed to a server before the input. compare: false when pieces may matter.
 */
void fuzz_http(session_new_fn *new_server, session_new_fn *new_client, const char *prefix,
    size_t prefix_len, bool compare, const uint8_t *p, size_t n);
