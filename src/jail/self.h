/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Giving up rights: what the daemon does to itself once its sockets are open. */
#include <sys/types.h>

struct err;

/* Become uid:gid for good: groups, ids, capabilities, bounding set, no_new_privs, no core dumps of
 * secrets. Call while single-threaded. Checked afterwards; 0 or -errno. */
int self_drop(uid_t uid, gid_t gid, struct err *reterr);
/* Load the daemon's system call filter; after self_drop(), before threads and the first client. */
int self_confine_daemon(struct err *reterr);
