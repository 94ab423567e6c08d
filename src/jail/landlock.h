/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Landlock ruleset of a sandbox, a second fence behind the mount namespace: file accesses are
 * possible only beneath the sandbox's own root (a descriptor of a host directory that slipped in
 * opens nothing), nowhere can device nodes be made, device ioctls work only beneath /dev, the mount
 * table cannot change, and signals and abstract sockets do not leave the sandbox.
 */

/* Restrict the calling thread and all its future children; "/" and "/dev" are those of the caller.
 * 0, LANDLOCK_E_UNSUPPORTED, or -errno. Needs no_new_privs. Safe between clone and exec. */
#define LANDLOCK_E_UNSUPPORTED 1
int landlock_restrict_sandbox(void);
/* ABI of the running kernel, 0 = none. */
int landlock_abi(void);
