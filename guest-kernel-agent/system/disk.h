/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The disk of a virtual machine: an ext4 file system that fills it, mounted where no path leads
 * to. The host can make the disk larger while the machine runs.
 */
#include <stdint.h>

struct err;

/* Make the file system on the device ("/dev/vdb") so large, once the kernel has heard that the disk
 * is: that is waited for a moment. One that is so large already stays as it is; none shrinks. 0,
 * -ETIMEDOUT (the disk is smaller), -EINVAL (the file system is larger) or -errno. */
int disk_grow(const char *device, uint64_t bytes, struct err *reterr);
