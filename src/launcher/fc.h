/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Boxes that hold a Firecracker in its jailer. The box's directory has the jail:
 *
 *   boxes/ID/disk                          as for every box; linked into the jail
 *   boxes/ID/jail/NAME/ID/root/            NAME = file name of the program; the jailer's layout
 *       kernel initrd rootfs               links to shared files, root's, read-only
 *       disk                               the VM's own
 *       snap/{state,mem}                   of a clone: links
 *       out/                               the VM's, while it writes a snapshot
 *       vm/                                RUNTIME/agents/ID/vm, shown in there
 *
 * The child (fc_child.c) becomes the jailer in namespaces of its own, and that becomes Firecracker,
 * so it stays our child, with its exit code. Mounts are made in its mount namespace and go with it.
 * The jailer gives the VM's user all directories of the jail; they are taken back before the daemon
 * learns of the box, so that a guest that broke out of Firecracker finds no place to write to, and
 * the sockets through which the daemon speaks with it cannot be replaced.
 *
 * Nothing that the VMM writes is read here: its files are renamed, linked and measured.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "launcher/proto.h"
#include "launcher/record.h"
#include "launcher/task.h"
#include "launcher/vm_image.h"
#include "loop/loop.h"

struct box;
struct err;
struct server;

#define FC_STATE_MAX (16u << 20) /* device state in a snapshot */
#define FC_SLACK_BYTES (64ull << 20)

/* What a VM was made of and with. */
struct fc_made {
	char key[RECORD_KEY_LEN + 1];  /* of the warm snapshot that fits it; "" = not read yet */
	char host[RECORD_KEY_LEN + 1]; /* where it can be restored: this Firecracker and machine */
	char tmpl[PROTO_BASE_MAX + 1], image[VM_IMAGE_NAME_MAX + 1];
};

/* In struct box. */
struct fc_box {
	struct fc_made made;
	char cmdline[PROTO_CMDLINE_MAX + 1];
	struct loop_timer look; /* until the API socket takes connections */
	struct task task;	/* a snapshot is put away */
	uint64_t seq;		/* of the request that it answers */
	char snapshot[ID_SANDBOX_LEN + 1];
	bool saving; /* the process is being killed for a warm snapshot */
};

/* In struct server: what the programs say of themselves. */
struct fc_host {
	struct task task;
	struct link waiters; /* struct fc_waiter */
	bool known;
	char vmm[PROTO_INFO_MAX + 1], jailer[PROTO_INFO_MAX + 1], format[PROTO_INFO_MAX + 1];
};

/* ---- fc_request.c: each answers itself, now or later, unless it fails ---- */
int fc_on_prepare(struct server *s, const struct proto_request *q, struct err *reterr);
int fc_on_info(struct server *s, const struct proto_request *q, struct err *reterr);
int fc_on_do(struct server *s, const struct proto_request *q, struct err *reterr);
/* A step of the create. */
int fc_reserve(struct box *b, struct err *reterr);

/* ---- fc_info.c: the programs ---- */
/* Paths: configured, or the first in the usual places; NULL = not there. */
const char *fc_program(const struct server *s);
const char *fc_jailer(const struct server *s);
void fc_host_init(struct fc_host *h);
void fc_host_fini(struct fc_host *h);
/* What an earlier launcher was told counts until they are asked again. */
void fc_host_load(struct fc_host *h);
/* Answers later. 0 or -errno. */
int fc_info(struct server *s, uint64_t seq, struct err *reterr);

/* ---- fc_spawn.c ---- */
int fc_spawn(struct box *b, struct err *reterr);
/* Step after it: the API socket takes connections, the jail is ours again. OP_WAIT, OP_NEXT or
 * -errno. */
int fc_ready(struct box *b, struct err *reterr);
void fc_forget_ready(struct box *b);
/* boxes/ID/jail/NAME/ID/root/FILE */
int fc_jail_path(const struct box *b, const char *file, char *dst, size_t cap);
int fc_vm_dir(const struct box *b, char *dst, size_t cap); /* RUNTIME/agents/ID/vm */

/* ---- fc_do.c ---- */
int fc_do(struct box *b, enum proto_vm_verb verb, struct err *reterr);
bool fc_is_stopped(const struct box *b);

/* ---- fc_made.c ---- */
int fc_made_of(struct server *s, const struct proto_create *want, const struct vm_image *image,
    struct fc_made *ret, struct err *reterr);
/* For later launchers: boxes/ID/made-of. */
int fc_made_note(const struct box *b);
int fc_made_recall(struct box *b);

/* ---- fc_store.c: fc/warm/KEY and fc/snapshots/ID: state, mem, disk, manifest (last) ---- */
bool fc_warm_exists(const char *key, uint64_t memory_bytes, uint64_t disk_bytes);
/* The image of the snapshot that this start needs. 0 or -errno. */
int fc_store_image(const struct box *b, struct vm_image *ret, struct err *reterr);
/* Does a snapshot of a sandbox have this image? */
bool fc_snapshot_needs(const char *image);
/* The directory that this start needs: 0, or -errno and why there is none. */
int fc_store_find(const struct box *b, char *dst, size_t cap, struct err *reterr);
/* Each answers with seq, unless it fails at once. */
int fc_save_warm(struct box *b, uint64_t seq, struct err *reterr);
int fc_save_snapshot(struct box *b, const char *snapshot, uint64_t seq, struct err *reterr);
void fc_on_process_end(struct box *b); /* of a box whose warm snapshot is being made */
int fc_forget_snapshot(const char *snapshot);
int fc_snapshots_each(void (*fn)(const char *id, void *arg), void *arg);
void fc_store_sweep(void); /* what was broken off */
