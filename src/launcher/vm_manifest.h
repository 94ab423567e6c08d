/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a saved VM fits to: beside every warm snapshot (warm/KEY/) and every snapshot of a sandbox
 * (snapshots/ID/). Written last, so a directory without one is not complete.
 *
 * The key names a warm snapshot: a hash over all that must be the same for a clone of it to run.
 * Of that, "host" is this machine and its VMM, "content" what the guest holds (template, image,
 * kernel, agent).
 */
#include <stdbool.h>
#include <stdint.h>

#include "launcher/proto.h"
#include "launcher/record.h"
#include "launcher/vm_image.h"

struct err;

struct vm_manifest {
	char key[RECORD_KEY_LEN + 1]; /* of the warm snapshot that it is, or that lies below */
	char host[RECORD_KEY_LEN + 1], content[RECORD_KEY_LEN + 1];
	char tmpl[PROTO_BASE_MAX + 1];
	char image[VM_IMAGE_NAME_MAX + 1], fs[16];
	unsigned kvm, vcpus;
	uint64_t memory_bytes, disk_bytes;
	uint64_t state_size, memory_size; /* of the files "state" and "mem" */
};

/* Synced. 0 or -errno. */
int vm_manifest_write(const char *dir, const struct vm_manifest *m);
/* The files beside it must have the sizes that it names. 0, or -errno and what is wrong. */
int vm_manifest_read(const char *dir, struct vm_manifest *ret, struct err *reterr);
