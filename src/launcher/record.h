/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a launcher leaves behind for the next one: boxes/ID/record, root's alone. Written before the
 * child may do anything (it waits for that), rewritten once the sandbox runs. A record of another
 * boot, or whose process does not live with the same start time, describes rubbish to be removed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/id.h"

#define RECORD_BOOT_LEN 36
#define RECORD_BASE_MAX 63
#define RECORD_KEY_LEN 64
#define RECORD_NONE "-"

struct record {
	char id[ID_SANDBOX_LEN + 1];
	char boot[RECORD_BOOT_LEN + 1];
	char base[RECORD_BASE_MAX + 1]; /* directory of its lower layer */
	unsigned slot;
	int net_slot;	/* -1 = none */
	pid_t pid;	/* 0 = not started */
	uint64_t start; /* of pid, in clock ticks since boot */
	uint64_t disk_bytes;
	/* of a VM; zero for namespaces, which enum proto_box_kind calls 0 */
	unsigned kind, kvm;
	uint64_t memory_bytes;
	char warm[RECORD_KEY_LEN + 1]; /* key of the warm snapshot whose memory it shares, or "-" */
	bool ready;		       /* the agent runs in it */
};

int record_boot_id(char dst[RECORD_BOOT_LEN + 1]);
/* Start time of a live process; -ESRCH when it is dead or a zombie. */
int record_process_start(pid_t pid, uint64_t *ret);
/* Has it become another program since it was forked? */
bool record_process_has_execed(pid_t pid);
int record_write(const char *path, const struct record *r);
/* -EBADMSG when it is not one of ours. */
int record_read(const char *path, struct record *ret);
/* Descriptor of the process of this record, -ESRCH when it is not alive, or another one now. */
int record_open_process(const struct record *r);
