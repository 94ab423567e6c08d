/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the daemon and its launcher say to each other: one fixed-size structure a packet on a
 * seqpacket socket, same machine and same build on both ends. Requests carry a number that their
 * answer repeats; LIST and IMAGES answer with any number of ITEMs and IMAGEs before their REPLY,
 * BUILD with LOGs. Events carry none.
 *
 * The launcher trusts nothing that it reads: proto_check_request() is the one place where sizes,
 * kinds and texts are checked, before anything else looks at them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

#define PROTO_VERSION 3u
#define PROTO_BASE_MAX 79
#define PROTO_BASE_TEMPLATE "template:" /* and its name: the image built of it */
#define PROTO_SOCKET_DIR 128
#define PROTO_NAME_MAX 63 /* of a template */
#define PROTO_IMAGE_HASH_LEN 32
#define PROTO_STEP_MAX 31
#define PROTO_CMDLINE_MAX 511
#define PROTO_INFO_MAX 63
#define PROTO_HASH_LEN 64 /* hexadecimal digits of a SHA-256 */

enum proto_kind {
	/* daemon -> launcher */
	PROTO_PREPARE = 1, /* make the root file system of a base; idempotent */
	PROTO_CREATE,
	PROTO_DESTROY, /* idempotent; answered when nothing is left */
	PROTO_LIST,
	PROTO_ADOPT, /* -ENOENT when it does not live (any more); its rest is removed then */
	PROTO_USAGE,
	PROTO_INTERNET,
	PROTO_BUILD,	    /* the image of a template; -EBUSY while one is being built */
	PROTO_BUILD_CANCEL, /* the BUILD answers -ECANCELED then; idempotent */
	PROTO_IMAGES,
	PROTO_IMAGE_REMOVE, /* idempotent; -EBUSY while it is being built */
	PROTO_VM_PREPARE,   /* is there an image, a warm snapshot? */
	PROTO_VM_LOAD,	    /* fill the memory of a VM that was started from a snapshot */
	PROTO_VM_WARM,	    /* its device state is saved: end it, keep its memory and its disk */
	PROTO_VM_SNAPSHOT,  /* its device state is saved: keep that, its memory and its disk */
	PROTO_VM_FORGET,    /* remove a snapshot; idempotent */
	PROTO_VM_SNAPSHOTS, /* one ITEM for each */
	PROTO_VM_INFO,	    /* what the programs of a kind say of themselves */
	PROTO_VM_DO,	    /* enum proto_vm_verb */
	PROTO_RESIZE,
	PROTO_REQUESTS_END,
	/* launcher -> daemon */
	PROTO_REPLY = 64,
	PROTO_ITEM,
	PROTO_EVENT,
	PROTO_LOG,
	PROTO_IMAGE,
};

struct proto_header {
	uint32_t kind, version;
	uint64_t seq;
};

enum proto_box_kind {
	PROTO_BOX_NAMESPACE,
	PROTO_BOX_QEMU,
	PROTO_BOX_FIRECRACKER,
	PROTO_BOX_KINDS,
};

enum proto_start {
	PROTO_START_COLD,     /* boots the image */
	PROTO_START_CLONE,    /* of the warm snapshot that fits */
	PROTO_START_SNAPSHOT, /* from a snapshot of a sandbox */
	PROTO_START_PROBE, /* a guest that only shows that the VMM runs guests: proto_probe_ran() */
	PROTO_STARTS,
};

/* What is done to a live VM that is not QEMU's; all are idempotent. */
enum proto_vm_verb {
	PROTO_VM_OPEN, /* the sockets that it has made are the daemon's, its directory is closed */
	PROTO_VM_OUT,  /* it may write a snapshot: -ENOSPC when there is no room */
	PROTO_VM_DISCARD, /* what it wrote goes */
	PROTO_VM_STOP,	  /* its process stands still */
	PROTO_VM_CONTINUE,
	PROTO_VM_KILL, /* its end is told as EXITED */
	PROTO_VM_VERBS,
};

/* What a VM is made of. With the sizes, the kernel, the agent and the VMM this names the warm
 * snapshot that fits it. All zero for namespaces. */
struct proto_vm {
	uint32_t kvm; /* 0 = emulated, 1 = KVM */
	uint32_t vcpus;
	char tmpl[PROTO_BASE_MAX + 1];	    /* name of the template: its image is used */
	char tmpl_hash[PROTO_HASH_LEN + 1]; /* of its content */
};

struct proto_create {
	char id[ID_SANDBOX_LEN + 1];
	char base[PROTO_BASE_MAX + 1]; /* namespaces */
	uint32_t kind, start;
	struct proto_vm vm;
	char snapshot[ID_SANDBOX_LEN + 1]; /* PROTO_START_SNAPSHOT */
	uint64_t memory_bytes, disk_bytes;
	uint32_t cpu_milli, max_pids;
	uint32_t internet; /* 0 or 1 */
};

/* What a sandbox that lives is to have from now on. */
struct proto_sizes {
	uint64_t memory_bytes; /* 0 = as it is, which is all that a VM can do */
	uint64_t disk_bytes;   /* likewise, for namespaces; that of a VM does not shrink */
	uint32_t cpu_milli;
};

struct proto_request {
	struct proto_header head;
	union {
		char base[PROTO_BASE_MAX + 1]; /* PREPARE */
		struct proto_create create;    /* CREATE; VM_PREPARE (id of anything) */
		struct {
			char id[ID_SANDBOX_LEN + 1];
			uint32_t on; /* INTERNET: 0 or 1; VM_DO: verb; VM_INFO: kind */
			char snapshot[ID_SANDBOX_LEN + 1]; /* VM_SNAPSHOT */
		} box; /* all others; the id of VM_FORGET is that of the snapshot */
		struct {
			char id[ID_SANDBOX_LEN + 1];
			struct proto_sizes to;
		} resize; /* RESIZE */
		struct {
			char name[PROTO_NAME_MAX + 1]; /* of the template */
			uint32_t force; /* BUILD: 0, or 1 = use no layer made before */
		} build;		/* BUILD, BUILD_CANCEL, IMAGE_REMOVE */
	};
};

struct proto_usage {
	uint64_t memory_bytes, memory_limit, cpu_usec, disk_bytes, disk_limit;
	uint32_t pids;
};

struct proto_reply {
	struct proto_header head;
	int32_t code; /* 0 or -errno */
	char text[ERR_TEXT_MAX];
	union {
		struct {
			int32_t pid;
			uint32_t uid_base;
			char socket_dir[PROTO_SOCKET_DIR];   /* control.sock, data.sock; of a VM
							      * monitor.sock, too */
			uint32_t network;		     /* a VM that has a tap: 0 or 1 */
			uint32_t stopped;		     /* by VM_DO: 0 or 1 */
			char cmdline[PROTO_CMDLINE_MAX + 1]; /* of the kernel that we boot */
			uint32_t kvm, warm; /* VMs: 0 or 1; was its agent booted already? */
		} box;			    /* CREATE, ADOPT */
		struct {
			uint32_t warm; /* 0 or 1: a warm snapshot is there */
		} vm;		       /* VM_PREPARE */
		struct {
			/* First lines of what they print, "" = not there. */
			char vmm[PROTO_INFO_MAX + 1], jailer[PROTO_INFO_MAX + 1],
			    format[PROTO_INFO_MAX + 1];
		} info; /* VM_INFO */
		struct proto_usage usage;
	};
};

struct proto_item {
	struct proto_header head;
	char id[ID_SANDBOX_LEN + 1];
};

enum proto_event_kind {
	PROTO_EXITED = 1, /* value = wait status, -1 = unknown; the rest waits for DESTROY */
	PROTO_OOM,	  /* value = kills so far */
	PROTO_PIDS,	  /* value = forks refused so far */
};

struct proto_event {
	struct proto_header head;
	char id[ID_SANDBOX_LEN + 1];
	uint32_t event;
	int64_t value;
	uint32_t oom;		 /* EXITED: some process of it was killed for memory before */
	char text[ERR_TEXT_MAX]; /* EXITED: last line that the agent wrote to its error output */
};

enum proto_log_level { PROTO_LOG_DEBUG, PROTO_LOG_INFO, PROTO_LOG_WARN, PROTO_LOG_ERROR };

/* One line of a build. */
struct proto_log {
	struct proto_header head;
	uint32_t level;
	char step[PROTO_STEP_MAX + 1];
	char text[ERR_TEXT_MAX]; /* cut when it was longer */
	int64_t time_real_ns;
};

enum proto_image_state {
	PROTO_IMAGE_ABSENT, /* the template needs none, or it was not built yet */
	PROTO_IMAGE_READY,
	PROTO_IMAGE_OUTDATED, /* made of what the template said before it was edited */
	PROTO_IMAGE_BUILDING,
	PROTO_IMAGE_FAILED, /* the last build; text says why */
};

/* One template that has an image, is being built or failed to. */
struct proto_image {
	struct proto_header head;
	char name[PROTO_NAME_MAX + 1]; /* of the template */
	uint32_t state;
	/* of the image that there is, if any */
	char hash[PROTO_IMAGE_HASH_LEN + 1]; /* "" = none */
	char format[8];			     /* "erofs" */
	char kernel[64];
	uint64_t bytes;
	int64_t created_real_ns;
	char text[ERR_TEXT_MAX];
};

union proto_any {
	struct proto_header head;
	struct proto_request request;
	struct proto_reply reply;
	struct proto_item item;
	struct proto_event event;
	struct proto_log log;
	struct proto_image image;
};

/* What the guest of PROTO_START_PROBE says last: ours, or a kernel that was given no root. */
#define PROTO_PROBE_TEXT "sandglass: this guest runs"
/* How the last words of a kernel begin; what follows are registers, and less to the point. */
#define PROTO_PANIC_TEXT "Kernel panic"
#define PROTO_PROBE_KERNEL "Kernel panic - not syncing: VFS: Unable to mount root fs"

/* Bounds of a create, checked on both sides. */
#define PROTO_MEMORY_MIN (16ull << 20)
#define PROTO_MEMORY_MAX (1ull << 42)
#define PROTO_DISK_MIN (16ull << 20)
#define PROTO_DISK_MAX (1ull << 42)
#define PROTO_CPU_MILLI_MIN 10u
#define PROTO_CPU_MILLI_MAX 1024000u
#define PROTO_VCPUS_MAX 64u
#define PROTO_VM_UNIT (1ull << 20)	  /* sizes of VMs are multiples of it */
#define PROTO_VM_MEMORY_MIN (96ull << 20) /* less boots no kernel */
#define PROTO_PIDS_MIN 8u
#define PROTO_PIDS_MAX 4194304u

/* Bytes of a message of this kind; 0 for an unknown one. */
size_t proto_size(uint32_t kind);
/* A packet of n bytes from the daemon: 0, or -EPROTO (not one of ours: hang up) or -EINVAL (answer
 * with the sentence in reterr). */
int proto_check_request(const union proto_any *m, size_t n, struct err *reterr);
/* A packet from the launcher: 0 or -EPROTO. */
int proto_check_answer(const union proto_any *m, size_t n);
/* Is this the end (EXITED) of a guest of PROTO_START_PROBE that has run as it should? */
bool proto_probe_ran(const struct proto_event *e);
/* ^[a-z0-9][a-z0-9._:-]*$ */
bool proto_base_valid(const char *s);
/* ^[a-z0-9][a-z0-9_-]{0,62}$ */
bool proto_name_valid(const char *s);
