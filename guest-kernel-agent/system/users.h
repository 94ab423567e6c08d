/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Users and groups of the sandbox, read from /etc/passwd and /etc/group directly: the agent is a
 * static binary, where getpwnam() and its kin would load NSS modules. Files are read at each
 * lookup, because code in the sandbox may add users at any time. Lines that do not parse are
 * skipped.
 */
#include <stddef.h>
#include <sys/types.h>

struct err;

#define USERS_NAME_MAX 64
#define USERS_GROUPS_MAX 256 /* supplementary groups that one user may have */

struct user {
	char *name;
	uid_t uid;
	gid_t gid;
	char *home;
	char *shell;
	gid_t *groups; /* for setgroups(): always begins with gid */
	size_t n_groups;
};

/* Look up by name, or by number when name is decimal and no such name exists. A number without a
 * passwd line gives a user with that uid and gid, home "/" and shell "/bin/sh". 0; -ENOENT (no such
 * user) or -ENOMEM with reterr set. ret is set only on success. */
int user_lookup(const char *name, struct user *ret, struct err *reterr);
int user_lookup_uid(uid_t uid, struct user *ret, struct err *reterr);
/* The same over given texts of passwd and group, which need not be terminated. */
int user_lookup_in(const char *passwd, size_t n_passwd, const char *group, size_t n_group,
    const char *name, struct user *ret, struct err *reterr);
void user_fini(struct user *u);

/* Names for a listing; the number in decimal when there is none. Returns dst. */
char *user_name_of(uid_t uid, char dst[USERS_NAME_MAX]);
char *group_name_of(gid_t gid, char dst[USERS_NAME_MAX]);
