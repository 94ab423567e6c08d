/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The files that a template's VMs boot from: image, kernel, initial file system. */
#include "base/err.h"

#define VM_IMAGE_NAME_MAX 64
#define VM_IMAGE_PATH_MAX 256

struct vm_image {
	char hash[VM_IMAGE_NAME_MAX + 1];
	char fs[16];			    /* file system of the image */
	char kernel[VM_IMAGE_NAME_MAX + 1]; /* its version */
	char root_path[VM_IMAGE_PATH_MAX], kernel_path[VM_IMAGE_PATH_MAX];
	char initrd_path[VM_IMAGE_PATH_MAX];
};

/* For PROTO_START_PROBE: the newest kernel, or, when there is none, a guest of our own that is
 * written to file. Only hash (of nothing) and kernel_path are set. 0 or -errno. */
int vm_image_probe(const char *file, struct vm_image *ret);
/* By its hash. 0, or -errno and reterr. */
int vm_image_read(
    const char *hash, const char *agent_hash, struct vm_image *ret, struct err *reterr);
/* -ENOENT and a sentence that says what to do when the template was not built. */
int vm_image_find(
    const char *tmpl, const char *agent_hash, struct vm_image *ret, struct err *reterr);
