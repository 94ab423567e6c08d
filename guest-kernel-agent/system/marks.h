/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a new identity leaves in the system: marker files that programs look for, and entropy. */
#include <stddef.h>

struct err;
struct identity;

/* dir/.E2B_SANDBOX, .E2B_SANDBOX_ID and .E2B_TEMPLATE_ID. 0 or -errno. */
int marks_write(const char *dir, const struct identity *id, struct err *reterr);
/* Mix bytes into the kernel's generator. 0 or -errno. */
int marks_add_entropy(const void *p, size_t n, struct err *reterr);
