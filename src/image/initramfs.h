/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The first file system of a guest: /init, /dev/console, and /lib/modules with what modules.h
 * collected. An uncompressed cpio archive in the "newc" form, because unpacking costs a guest more
 * than reading. */
struct err;

/* Write it to fd. init_fd is the program that becomes /init (read from its beginning). The same
 * input gives the same bytes. 0 or -errno and reterr. */
int initramfs_write(int fd, int init_fd, const char *modules_dir, struct err *reterr);
