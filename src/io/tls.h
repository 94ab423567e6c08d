/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* TLS contexts (OpenSSL): TLS 1.2 and later, ALPN h2 and http/1.1. */
#include <stdbool.h>

struct err;
struct tls_ctx;

/* PEM files; the key file must not be readable by others. */
struct tls_ctx *tls_server_new(const char *cert_file, const char *key_file, struct err *reterr);
/* ca_file may be NULL for the system's store. */
struct tls_ctx *tls_client_new(const char *ca_file, struct err *reterr);
struct tls_ctx *tls_free(struct tls_ctx *c);
