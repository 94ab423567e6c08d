/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Root file system of the base `host`: everything but /usr, which is the host's own. A skeleton of
 * directories, account files of our own, and those files of the host's /etc that programs in /usr
 * need (an allow list; only what every user of the host may read). Nothing of /home, /root, /var or
 * /run but the package database, so that packages can be installed on top.
 *
 * Owners on disk are ids inside the sandbox: 0 and HOSTBASE_USER_ID.
 */
#include <stddef.h>

struct err;

#define HOSTBASE_USER_ID 1000
#define HOSTBASE_STAMP_LEN 16

/* Text that changes when a newly built skeleton would differ: [0-9a-f]. 0 or -errno. */
int hostbase_stamp(char dst[HOSTBASE_STAMP_LEN + 1], struct err *reterr);
/* Build into dir, which must not exist; takes a second or so. On failure the caller removes dir. */
int hostbase_build(const char *dir, struct err *reterr);
