/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The machine as doctor's checks see it: files below a root directory ("" for the machine itself, a
 * test's own directory else) and a table of what only the kernel can answer.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct report;

struct host_ops {
	int (*landlock_abi)(void); /* 0 = none */
	/* Can owners of the file system that holds dir be mapped? 0 or -errno. */
	int (*idmap)(const char *dir);
	/* A veth pair and an nftables table, in a network namespace made for it. 0 or -errno. */
	int (*network)(struct err *reterr);
	int (*free_space)(const char *dir, uint64_t *ret); /* 0 or -errno */
	bool (*has_user)(const char *name);
};
extern const struct host_ops host_ops_real;

struct host {
	const char *root; /* "" or an absolute path, put in front of every other path */
	const char *state_dir, *user;
	const struct host_ops *ops;
	const char *firecracker, *jailer; /* configured programs; NULL or "" = the usual places */
};

/* ---- files ---- */
#define HOST_TEXT_MAX (1u << 20)
int host_path(const struct host *h, const char *path, char *dst, size_t cap);
bool host_exists(const struct host *h, const char *path);
/* Text of a file, "" when it cannot be read; valid until dst changes. */
const char *host_text(const struct host *h, const char *path, struct buf *dst);
/* The deepest directory on the way to path that exists, root included. */
int host_existing(const struct host *h, const char *path, char *dst, size_t cap);
/* Opens it for reading and writing, and closes it: 0 or -errno. */
int host_open_device(const struct host *h, const char *path);

/* ---- programs ---- */
/* Where root would find it: 0 or -ENOENT. */
int host_find_program(const struct host *h, const char *name, char *dst, size_t cap);
/* Run a program (an absolute path, not below root) and collect what it prints to both outputs: its
 * exit status, or -errno (-ETIMEDOUT after five seconds). */
int host_run(const char *const *argv, struct buf *out);
/* The first "1.2" or "1.2.3" in a text: how many numbers were found, 0 to 3. */
int host_version(const char *text, unsigned ret[3]);

/* ---- checks; each adds one or more lines ---- */
typedef void host_check_fn(struct report *r, const struct host *h);
host_check_fn check_kernel, check_cgroups, check_idmap, check_overlay, check_loop, check_seccomp,
    check_landlock; /* check_kernel.c */
host_check_fn check_network, check_forward, check_memory, check_swap, check_disk, check_hugepages,
    check_kvm, check_tun; /* check_machine.c */
host_check_fn check_user, check_programs, check_python, check_kernels,
    check_server; /* check_programs.c */
void check_all(struct report *r, const struct host *h);
