/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Capability sets of the calling thread, without libcap. Safe between clone and exec. */
#include <stdbool.h>
#include <stdint.h>

#define CAPS_NONE 0ull
/* What root inside a sandbox keeps: as container engines do, less raw sockets, device nodes,
 * chroot, audit and file capabilities. They count in the sandbox's own user namespace only. */
extern const uint64_t caps_sandbox;

/* Is it in the effective set? */
bool caps_have(int cap);
/* Empty the bounding set but for keep; needs CAP_SETPCAP. 0 or -errno. */
int caps_limit_bounding(uint64_t keep);
/* Bounding, permitted and effective := keep; inheritable and ambient := none. 0 or -errno. */
int caps_limit(uint64_t keep);
