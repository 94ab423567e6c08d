/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* User namespaces that map 0..65535 to a range of host ids. */
#include <stdint.h>

#define USERNS_RANGE 65536u

/* A new one, held by a descriptor only (CLOEXEC): fd or -errno. It belongs to host_base, which no
 * process outside of it may have as its user: such a one would be its root. Takes a helper process
 * for a moment. */
int userns_new(uint32_t host_base);
