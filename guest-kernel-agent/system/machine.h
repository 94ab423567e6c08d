/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The virtual machine that the agent is the first process of. What is here changes the clock and
 * the identities of the whole machine, so only an agent that is its init has one; copies of one
 * snapshot become machines of their own by it.
 */
#include <stddef.h>
#include <stdint.h>

struct err;

/* Everything of the machine is in it. */
#define MACHINE_CGROUP "/sys/fs/cgroup/sandbox"

struct machine {
	const char *root; /* before every path: "" but in tests */
};

/* Once, after the file systems are there: a cgroup for everything, a boot id that can change, first
 * identities, and an early end for whoever takes all memory. 0 or -errno. */
int machine_prepare(const struct machine *m, struct err *reterr);
/* /etc/machine-id and the boot id are new. 0 or -errno. */
int machine_renew_ids(const struct machine *m, struct err *reterr);
/* Also in /etc/hostname and /etc/hosts. 0, -EINVAL (no host name) or -errno. */
int machine_set_name(const struct machine *m, const char *name, struct err *reterr);
/* Bring a clock that stood still to now. 0 or -errno. */
int machine_set_clock(const struct machine *m, int64_t real_ns, struct err *reterr);
/* Random bytes of the host are credited, and everything that the kernel gives from now on depends
 * on them. 0 or -errno. */
#define MACHINE_ENTROPY_MAX 512
int machine_add_entropy(const struct machine *m, const void *p, size_t n, struct err *reterr);
/* At most so many processes and threads, ours among them; 0 = no limit. 0 or -errno. */
int machine_limit_processes(const struct machine *m, uint64_t max, struct err *reterr);
/* All that is written reaches the disk. */
void machine_sync(const struct machine *m);
