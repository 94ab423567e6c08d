/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The ELF kernel inside a Linux x86 boot image (bzImage), which virtual machine monitors start
 * faster than the image itself, or only. */
#include <stddef.h>

struct buf;
struct err;

#define VMLINUX_MAX (256u << 20)

/* Unpack the LZ4 (legacy frame) payload of a bzImage. 0, or -EBADMSG, -ENOTSUP (another
 * compression), -EFBIG, -ENOMEM and reterr. */
int vmlinux_extract(const void *bzimage, size_t n, struct buf *dst, struct err *reterr);
