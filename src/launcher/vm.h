/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Boxes that hold a VM. They are made and removed as those of namespaces are (box_create.c,
 * box_remove.c); here is what differs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "launcher/proto.h"
#include "launcher/record.h"
#include "launcher/mem_diff.h"
#include "launcher/vm_image.h"
#include "launcher/vm_manifest.h"
#include "launcher/warm.h"

struct box;
struct op;
struct server;
struct vm_report;

/* What the VMM itself may use beside the guest's memory: code and its tables (translated code, when
 * the processor is emulated), and threads. */
#define VM_OVERHEAD_KVM (64ull << 20)
#define VM_OVERHEAD_EMULATED (192ull << 20)
#define VM_THREADS 96u
#define VM_STATE_MAX (4u << 20) /* device state */
#define VM_STATE_NAME "sandglass-state"

/* Keeping one (vm_save.c). */
struct vm_save {
	char parent[16], dir[128], tmp[160], disk[128];
	char snapshot[ID_SANDBOX_LEN + 1];
	struct vm_manifest manifest;
	struct mem_target target;
	int state_fd;		/* ours */
	int memory_fd, base_fd; /* borrowed, -1 = none */
	bool ends_it;		/* the VM does not go on */
	bool is_stored;
	struct vm_report *report; /* shared with the task */
};

/* In struct box; all descriptors are -1 when there is none. */
struct vm {
	int monitor_fd; /* listener; between its making and the start of the child */
	int tap_fd;	/* likewise */
	int memory_fd;	/* guest's memory, of a cold start: this is what a warm snapshot keeps */
	int state_fd;	/* a file where the VMM saves its device state */
	struct vm_image image;
	struct vm_manifest manifest; /* what it is made of */
	bool is_loaded;		     /* its memory was filled from a snapshot */
	struct warm_wait wait;	     /* while creating */
	int warm_fd;		     /* memory of its warm snapshot, borrowed; while creating */
	struct vm_save save;
};

/* What the machine is like, in struct server. */
struct vm_host {
	uint64_t tsc_start, tsc_start_ns; /* two looks at the clocks give the rate */
	uint64_t tsc_khz;
	const char *file; /* where it is kept from start to start; NULL = nowhere */
};

bool vm_is(const struct box *b);
void vm_init(struct vm *v);
void vm_fini(struct vm *v);
void vm_host_init(struct vm_host *h, const char *file);
/* Rate of the time stamp counter; the first call may block for a moment. */
uint64_t vm_host_tsc_khz(struct vm_host *h);

/* Steps of a create. */
int vm_reserve(struct box *b, struct err *reterr);
int vm_begin_memory(struct op *op); /* waits until the memory of its warm snapshot is there */
void vm_cancel_memory(struct op *op);
void vm_limits(const struct box *b, uint64_t *ret_memory, uint32_t *ret_pids);
/* What the VMM may make a file as large as. */
uint64_t vm_file_limit(const struct box *b);
int vm_add_tap(struct box *b, struct err *reterr); /* b->netns_fd is there */
/* Requests of the daemon; each answers itself, now or later, unless it fails. */
int vm_on_prepare(struct server *s, const struct proto_request *q, struct err *reterr);
int vm_on_load(struct server *s, const struct proto_request *q, struct err *reterr);
int vm_on_warm(struct server *s, const struct proto_request *q, struct err *reterr);
int vm_on_snapshot(struct server *s, const struct proto_request *q, struct err *reterr);
int vm_on_forget(struct server *s, const struct proto_request *q, struct err *reterr);
int vm_on_snapshots(struct server *s, const struct proto_request *q, struct err *reterr);
/* The file of its disk; the VMM, and the guest, are told by the daemon. */
int vm_grow_disk(struct box *b, uint64_t bytes, struct err *reterr);
/* The servers that a guest may ask: "A,B", "" = none. */
int vm_list_dns(const struct box *b, char *dst, size_t cap);
/* qemu_spawn.c */
const char *qemu_program(void); /* its path, NULL when it is not installed */
int qemu_spawn(struct box *b, struct err *reterr);
