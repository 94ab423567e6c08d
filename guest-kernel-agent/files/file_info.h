/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What there is to know about one entry of a directory, in the form that clients get. Texts are
 * UTF-8: bytes of names that are not are shown as U+FFFD. Reading blocks and may run in a thread;
 * it sees what the thread's rights allow.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest-kernel-agent/system/users.h"

struct err;

#define FILE_METADATA_PREFIX "user.e2b." /* extended attributes that hold a file's metadata */
#define FILE_METADATA_KEY_MAX 246
#define FILE_METADATA_BYTES_MAX 4096 /* keys and values of one file */
#define FILE_METADATA_MAX 64	     /* entries of one file */
#define FILE_PERMISSIONS_MAX 16

enum file_type { FILE_UNKNOWN, FILE_REGULAR, FILE_DIRECTORY, FILE_SYMLINK };

struct file_metadata {
	char *key, *value;
};

struct file_info {
	char *name; /* last part of path */
	char *path;
	enum file_type type; /* of a link: what it leads to, FILE_SYMLINK when that is nothing */
	uint64_t size;
	uint32_t mode;				/* permission bits, of a link those of its target */
	char permissions[FILE_PERMISSIONS_MAX]; /* "drwxr-xr-x", as Go writes it; the link's own */
	char *owner, *group;
	int64_t modified_ns;  /* since 1970 */
	char *symlink_target; /* fully resolved, NULL when it is no link */
	struct file_metadata *metadata;
	size_t n_metadata;
};

/* Names of owners, remembered while a directory is read. Zeroed memory is valid. */
#define FILE_OWNERS_KEPT 8
struct file_owners {
	struct file_owner {
		uint32_t id;
		char name[USERS_NAME_MAX];
	} users[FILE_OWNERS_KEPT], groups[FILE_OWNERS_KEPT];
	unsigned n_users, n_groups; /* ever seen; the oldest goes first */
};

/* The entry that path names in dir (AT_FDCWD for an absolute path), shown as full_path. 0, or
 * -errno with reterr naming full_path. ret is set only on success. */
int file_info_at(int dir, const char *path, const char *full_path, struct file_owners *owners,
    struct file_info *ret, struct err *reterr);
int file_info_read(const char *path, struct file_info *ret, struct err *reterr);
void file_info_fini(struct file_info *f);

/* st_mode as Go's os.FileMode prints it. */
void file_permissions(mode_t mode, char dst[FILE_PERMISSIONS_MAX]);
