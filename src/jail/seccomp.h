/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * System call filters, one a role, compiled once from named lists (seccomp_lists.c) and loaded as
 * often as needed. Every role is an allow list: what is not named is refused with EPERM, what is
 * newer than the lists with ENOSYS, and a call in another architecture's convention kills the
 * process.
 */
#include <stddef.h>

struct err;
struct sock_filter;

enum seccomp_role {
	SECCOMP_SANDBOX, /* everything inside a sandbox */
	SECCOMP_DAEMON,	 /* the unprivileged daemon: no exec, no fork, no namespaces */
	SECCOMP_ROLES
};

struct seccomp_prog {
	struct sock_filter *code;
	unsigned short len;
};

/* 0 or -errno. Zeroed memory is a valid, empty program. */
int seccomp_prog_build(enum seccomp_role role, struct seccomp_prog *ret, struct err *reterr);
void seccomp_prog_fini(struct seccomp_prog *p);
/* For the calling thread and its children, irrevocably. Needs no_new_privs. Safe between clone and
 * exec. 0 or -errno. */
int seccomp_prog_load(const struct seccomp_prog *p);

/* NULL-terminated names that the role allows without looking at arguments; for tests and listings.
 */
size_t seccomp_role_names(enum seccomp_role role, const char **dst, size_t cap);
