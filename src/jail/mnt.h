/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Mounts through descriptors (Linux 5.19 or newer) and loop devices. All return 0 or -errno unless
 * they say otherwise, allocate nothing, and are safe between clone and exec. */
#include <stdint.h>

#define MNT_RO 1u
#define MNT_NOEXEC 2u
#define MNT_DEV 4u /* device nodes work; everything is nosuid, and nodev without this */

/* Attach a copy of the mount at from (not of what is mounted beneath it) to to. With a user
 * namespace, owners on disk are read as ids inside it (userns_fd >= 0). */
int mnt_bind(const char *from, const char *to, unsigned flags, int userns_fd);
/* As mnt_bind with from = to: put a stricter layer over a path. -ENOENT when there is nothing. */
int mnt_restrict(const char *path, unsigned flags);
/* A file or directory that reads as empty; absent ones are fine. */
int mnt_mask(const char *path);
/* A fresh tmpfs of at most size bytes. */
int mnt_tmpfs(const char *to, uint64_t size, unsigned mode, unsigned flags);
/* The one that is mounted at name below dir, in whatever mount namespace that is, gets another
 * size. No link is followed. -EINVAL: it is no tmpfs, or holds more. */
int mnt_tmpfs_resize(int dir, const char *name, uint64_t size);
/* Make dir the root of this mount namespace, drop the old one, and change to the new "/". */
int mnt_pivot(const char *dir);

/* Attach a file to a free loop device that goes away with its last user: the device's descriptor,
 * and its path in dev. */
#define MNT_LOOP_PATH 32
int mnt_loop(int backing_fd, char dev[MNT_LOOP_PATH]);
