/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Random bytes and identifiers from the kernel's generator. */
#include <stdbool.h>
#include <stddef.h>

void id_random(void *dst, size_t n); /* aborts if the kernel has no randomness */
/* n characters of [a-z0-9], terminated; dst has n+1 bytes. */
void id_random_text(char *dst, size_t n);
void id_uuid(char dst[37]); /* RFC 4122 version 4, lower case */

/* Sandbox id: 'i' and 20 characters of [a-z0-9]. */
#define ID_SANDBOX_LEN 21
void id_sandbox(char dst[ID_SANDBOX_LEN + 1]);
/* ^[a-z0-9]{1,ID_SANDBOX_LEN}$ */
bool id_sandbox_valid(const char *s);
