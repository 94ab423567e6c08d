/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The disk of a virtual machine: an ext4 file system that fills it, mounted where no path leads
 * to. The host can make the disk larger while the machine runs.
 */
#include <stdint.h>

struct err;

struct disk {
	const char *device; /* "/dev/vdb" */
	int fd;		    /* a directory of the file system */
};

/* Make the file system so large, once the kernel has heard that the disk is: that is waited for a
 * moment. One that is so large already stays as it is; none shrinks. 0, -ETIMEDOUT (the disk is
 * smaller), -EINVAL (the file system is larger) or -errno. */
int disk_grow(const struct disk *d, uint64_t bytes, struct err *reterr);
