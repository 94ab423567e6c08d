/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the QEMU driver; others see vmm.h only. The launcher starts and ends processes and
 * keeps what is on disk; here are the control sockets of the VMMs, and the order of things.
 */
#include <jansson.h>

#include "loop/op.h"
#include "vmm/answer.h"
#include "vmm/qemu/qmp.h"

struct map;

#define QEMU_VERSION_MIN 7002000u /* 7.2: what the command lines were made for */

#define QEMU_GRACE_MS 500u

struct vmm {
	unsigned refs; /* the owner's, and one an instance or a probe */
	struct loop *loop;
	struct launcher *launcher;
	struct vmm_late late;
	bool kvm; /* the probe has shown that it works */
	/* By name of the template: which content of it was prepared, and has it a warm snapshot? */
	struct map *known;
};

struct qemu_known {
	char hash[65];
	bool warm;
};

struct vmm_inst {
	struct vmm *vmm;
	unsigned refs; /* the user's, and one a request to the launcher that is open */
	struct launcher_watch watch; /* its id is ours */
	vmm_event_fn *on_event;
	void *event_arg;
	bool live; /* create or adopt has answered */
	bool ended, destroying;
	char last_words[ERR_TEXT_MAX]; /* of one that has ended */
	bool kvm, warm;
	enum proto_start start;
	const struct template *tmpl;
	struct proto_create want;	   /* of the create */
	char snapshot[ID_SANDBOX_LEN + 1]; /* that is being made */
	struct proto_sizes to;		   /* of a resize */
	struct op op;			   /* one at a time */
	bool op_runs;
	struct vmm_answer answer; /* of the op */
	struct vmm_answer destroy_answer;
	uint32_t wait;	     /* number of the step's wait */
	uint64_t ask_serial; /* of the request that the step waits for */
	struct qmp *qmp;
	struct loop_timer grace; /* after the control socket was lost */
	struct err lost;
	struct loop_timer again; /* looking at a migration; retrying a destroy */
	char control[PROTO_SOCKET_DIR + 16], data[PROTO_SOCKET_DIR + 16],
	    monitor[PROTO_SOCKET_DIR + 16];
};

struct vmm *qemu_ref(struct vmm *v);
void qemu_unref(struct vmm *v);

/* inst.c */
struct vmm_inst *qemu_inst_new(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg); /* NULL on -ENOMEM */
void qemu_inst_unref(struct vmm_inst *inst);
/* Only from a step of inst->op, which then waits: the answer wakes it. -errno when it was not
 * sent. take (may be NULL) sees a good reply first. */
typedef void qemu_take_fn(struct vmm_inst *inst, const struct proto_reply *reply);
typedef int qemu_send_fn(struct vmm_inst *inst, launcher_done_fn *done, void *arg);
int qemu_ask(struct vmm_inst *inst, qemu_send_fn *send, qemu_take_fn *take);
/* Likewise, a command without interest in its result. */
int qemu_do(struct vmm_inst *inst, const char *command, json_t *args_consume);
/* A step: connect the control socket, if it is not connected. */
int qemu_begin_connect(struct op *op);
void qemu_cancel(struct op *op); /* answers that are still to come are of no interest */
/* Run a table; the answer is told at its end. */
void qemu_start_op(struct vmm_inst *inst, const struct op_table *table, struct vmm_answer answer,
    void (*done)(struct op *op));
/* First thing that done does; a destroy that waited for it begins. */
void qemu_op_ended(struct vmm_inst *inst);
void qemu_wake(struct vmm_inst *inst, int r);
/* The control socket is gone while a step waits for it. */
void qemu_lost(struct vmm_inst *inst, const struct err *err);

/* create.c */
void qemu_create(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
    void *event_arg, vmm_inst_done_fn *done, void *arg);
void qemu_adopt(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event, void *event_arg,
    vmm_inst_done_fn *done, void *arg);
void qemu_destroy(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
/* What the launcher is asked for: sizes in its units. */
uint64_t qemu_whole_units(uint64_t bytes);
void qemu_describe(const struct vmm *v, const struct template *t, struct proto_create *ret);

/* power.c */
void qemu_pause(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
void qemu_resume(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
void qemu_warm(struct vmm_inst *inst, vmm_done_fn *done, void *arg);
void qemu_snapshot(struct vmm_inst *inst, const char *snapshot, vmm_done_fn *done, void *arg);
void qemu_resize(struct vmm_inst *inst, const struct vmm_sizes *to, vmm_done_fn *done, void *arg);

/* known.c: what prepare has learnt. */
void qemu_prepare(struct vmm *v, const struct template *t, vmm_done_fn *done, void *arg);
bool qemu_has_warm(struct vmm *v, const struct template *t);
void qemu_set_warm(struct vmm *v, const struct template *t, bool warm);
void qemu_forget_known(struct vmm *v);

/* probe.c: a guest is started with KVM; if that fails, without. */
void qemu_probe(struct vmm *v, vmm_done_fn *done, void *arg);
