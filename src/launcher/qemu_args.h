/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The command line of QEMU for one VM: machine "microvm" with the fewest devices that serve, in an
 * order that must never change between a warm snapshot and what is started from it. Everything that
 * QEMU touches comes as a descriptor (vm_child.h has the numbers), so that it needs no path but
 * those of its own program and data.
 *
 * There is no memory balloon, and none may ever be added: guests choose the pages that it gives
 * back, and in a clone those are pages of the snapshot that its siblings share.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "launcher/proto.h"

#define QEMU_ARGS_MAX 80
#define QEMU_TEXT_MAX 4096
#define QEMU_APPEND_MAX 1024

struct qemu_conf {
	const char *program;
	enum proto_start start;
	bool kvm, network; /* no network: a card that is connected to nothing */
	unsigned vcpus;
	uint64_t memory_bytes;
	const char *append; /* command line of the kernel; PROTO_START_COLD */
};

struct qemu_args {
	const char *argv[QEMU_ARGS_MAX + 1]; /* NULL at the end; points into text and conf */
	size_t n, used;
	char text[QEMU_TEXT_MAX];
};

/* 0 or -E2BIG. */
int qemu_args_build(struct qemu_args *a, const struct qemu_conf *c);

struct qemu_boot {
	const char *fs; /* of the root image */
	uint64_t tsc_khz;
	const char *dns; /* addresses with commas, "" = none */
};
/* Command line of the guest's kernel. 0 or -ENAMETOOLONG. */
int qemu_append(char dst[QEMU_APPEND_MAX], const struct qemu_boot *b);
