/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How a Firecracker ended, in words. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From a wait status (-1 = unknown). */
void fc_exit_describe(int64_t wait_status, char *dst, size_t cap);
/* Did it end for what an attack on it looks like: a forbidden call, a bad access? */
bool fc_exit_is_suspicious(int64_t wait_status);
