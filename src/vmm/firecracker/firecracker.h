/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the Firecracker driver; others see vmm.h only.
 *
 * The launcher makes the jail with its files, starts the jailer in it and hands over a directory of
 * sockets; everything else is said by us, unprivileged, over the API socket. Names in the jail are
 * fixed, so that a snapshot fits every jail, and relative, which in a jail means below its root:
 *
 *   kernel, initrd, rootfs   read-only, shared           disk   the sandbox's own
 *   snap/state, snap/mem     of a clone, read-only       out/   while a snapshot is written
 *   vm/                      api.sock, v.sock and the pipes log, metrics, console; seen outside,
 * too
 */
#include "launcher/launcher.h"
#include "loop/loop.h"
#include "loop/op.h"
#include "vmm/firecracker/api.h"
#include "vmm/firecracker/tail.h"
#include "vmm/firecracker/version.h"
#include "vmm/answer.h"
#include "vmm/vmm.h"

struct map;

#define FC_CONTROL_PORT 49001u
#define FC_DATA_PORT 49002u
#define FC_GUEST_CID 3u
#define FC_NET_ID "eth0"
#define FC_TAP "tap0"
#define FC_GUEST_MAC "02:fc:00:00:00:05"
#define FC_MTU 1500u
#define FC_VCPUS_MAX 32u
#define FC_DISK "disk" /* the sandbox's own: name of the drive, and of its file in the jail */
#define FC_REASON_MS 500

struct vmm {
	unsigned refs; /* the owner's, and one an instance or a request that is open */
	struct loop *loop;
	struct launcher *launcher;
	bool known; /* the versions */
	struct fc_version version;
	unsigned caps;
	unsigned limit_max_ms; /* of any call; 0 = its own counts. For tests */
	unsigned reason_ms; /* between the end of a connection and the news of the process's end */
	struct map *warm;   /* names of templates that have a warm snapshot */
	struct vmm_late late;
};

struct vmm_inst {
	struct vmm *vmm;
	unsigned refs; /* the owner's, and one a request to the launcher that is open */
	struct launcher_watch watch; /* its id is ours */
	struct vmm_spec spec;
	vmm_event_fn *on_event;
	void *event_arg;
	bool live;   /* create or adopt has answered */
	bool exited; /* and how */
	int64_t exit_status;
	struct vmm_answer answer, destroy; /* of the operation that runs; of the destroy */
	bool destroying;		   /* the owner wants it */
	bool ending;			   /* it is killed for its warm snapshot */
	bool removing;			   /* the undo of a create is at it */

	struct op op;
	bool op_running;
	uint32_t slot;		   /* of the wait that is on */
	unsigned generation;	   /* of op */
	struct loop_timer timer;   /* retries; a lost connection waits for the reason */
	struct loop_timer connect; /* until the API socket takes us */
	const char *at;		   /* step that waited last, going forward */
	unsigned tries;
	enum proto_start start; /* of this try */
	struct err lost;	/* how the call ended that waits for the reason */

	struct fc_api api;
	struct tail console, log, metrics;
	pid_t pid; /* of Firecracker, and its user */
	uid_t uid;
	char dir[PROTO_SOCKET_DIR], sock[PROTO_SOCKET_DIR + 16]; /* of the vsock device */
	char cmdline[PROTO_CMDLINE_MAX + 1];
	char snapshot[ID_SANDBOX_LEN + 1]; /* to be made */
	struct proto_sizes to;		   /* of a resize */
	bool network;
	bool warm;    /* a clone */
	bool paused;  /* nothing of it runs */
	bool stopped; /* by a signal to the process, not by Firecracker */
	bool snapped; /* a snapshot was taken since Firecracker paused it */
};

/* driver.c */
struct vmm *fc_ref(struct vmm *v);
void fc_unref(struct vmm *v);
/* From the answer to PROTO_VM_INFO. 0, or -errno and what is missing. */
int fc_learn(struct vmm *v, const struct proto_reply *reply, struct err *reterr);
uint64_t fc_whole_units(uint64_t bytes); /* of memory and disk: MiB */
/* What is wanted of the launcher for this spec; 0 or -EINVAL. */
int fc_create_of(const struct vmm_spec *spec, enum proto_start start, struct proto_create *ret,
    struct err *reterr);

/* inst.c */
struct vmm_inst *fc_inst_new(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, struct vmm_answer answer);
void fc_inst_unref(struct vmm_inst *inst); /* the owner's: it is not watched any more */
/* Forget the process: API, pipes; a next try begins anew. */
void fc_inst_detach(struct vmm_inst *inst);
void fc_inst_destroy(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
/* Run a table; its end is told to inst->answer. -EBUSY when one runs already. */
int fc_inst_run(struct vmm_inst *inst, const struct op_table *table, struct vmm_answer answer,
    void (*done)(struct op *op));
void fc_inst_end(struct vmm_inst *inst); /* in done(): the operation is over */
/* In a step: ask the launcher; the wait ends with its answer. take (may be NULL) sees a good one
 * first, its result counts. */
typedef int fc_take_fn(struct vmm_inst *inst, const struct proto_reply *reply, struct err *reterr);
struct fc_ask {
	struct vmm_inst *inst;
	uint32_t slot;
	unsigned generation;
	fc_take_fn *take;
};
struct fc_ask *fc_ask_new(struct vmm_inst *inst, fc_take_fn *take);
void fc_ask_done(const struct err *err, const struct proto_reply *reply, void *ask);
int fc_asked(struct fc_ask *ask, int r); /* OP_WAIT, or -errno: nothing was sent */
/* In a step that returns OP_WAIT: the wait is inst->slot from now on. */
void fc_step_waits(struct op *op);
/* Many steps are one of these. */
int fc_step_versions(struct op *op);
int fc_step_do(struct op *op, enum proto_vm_verb verb);
int fc_step_destroy(struct op *op); /* until it works */
void fc_step_cancel(struct op *op);
/* The process may have ended while its last answer was told. */
int fc_step_check(struct op *op);
/* In a step: one request over the API. r: what making the body returned. */
int fc_step_call(struct op *op, const char *method, const char *path, struct buf *body, int r,
    unsigned limit_ms);
/* A sentence with the exit and what was last said, for a failed operation. */
void fc_inst_explain(struct vmm_inst *inst, char *dst, size_t cap);

/* create.c; the steps are the probe's, too */
int fc_step_launch(struct op *op);
int fc_step_connect(struct op *op);
void fc_step_cancel_connect(struct op *op);
int fc_step_serial(struct op *op);
int fc_step_machine(struct op *op);
int fc_step_start(struct op *op);
void fc_create(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event, void *event_arg,
    vmm_inst_done_fn *done, void *arg);
void fc_adopt(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event, void *event_arg,
    vmm_inst_done_fn *done, void *arg);

/* power.c */
void fc_pause(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
void fc_resume(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
void fc_snapshot(struct vmm_inst *inst, const char *snapshot, vmm_done_fn *done, void *arg);
void fc_warm(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
void fc_resize(struct vmm_inst *inst, const struct vmm_sizes *to, vmm_done_fn *done, void *arg);

/* probe.c */
/* A guest that has nothing but a kernel must run, say so and end. */
void fc_probe(struct vmm *v, vmm_done_fn *done, void *arg);
