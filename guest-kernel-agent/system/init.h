/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The agent as the first process of a virtual machine: started as /init of an initramfs, it loads
 * the kernel's modules, puts the sandbox's disk above its image, makes that the root and the
 * network work, and goes on as process 1 of the machine.
 */
#include <stdbool.h>

struct vm_conf;

/* Are we that? Process 1, by that name, in a file system that is the initramfs; nothing else is
 * touched anywhere else. */
bool init_is_wanted(char *const argv[]);
/* Everything of the above. Where a step fails, the machine's console says which and why, and the
 * machine is reset. */
void init_machine(struct vm_conf *ret_conf);
/* The end of the machine, and all that the host waits for: a reset. */
_Noreturn void init_reset(void);
