/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the namespace driver; others see vmm.h only. */
#include "launcher/launcher.h"
#include "loop/loop.h"
#include "vmm/vmm.h"

#define NAMESPACE_LATE_MAX 64

typedef void vmm_done_fn(const struct err *err, void *arg);
typedef void vmm_inst_done_fn(const struct err *err, struct vmm_inst *inst, void *arg);
typedef void vmm_usage_done_fn(const struct err *err, const struct vmm_usage *u, void *arg);
typedef void vmm_sweep_done_fn(const struct err *err, unsigned removed, void *arg);

/* A callback of one of four shapes; the others are NULL. */
struct vmm_answer {
	vmm_done_fn *plain;
	vmm_inst_done_fn *inst;
	vmm_usage_done_fn *usage;
	vmm_sweep_done_fn *sweep;
	void *arg;
};

struct vmm {
	unsigned refs; /* the owner's, and one a probe that waits for a late answer */
	struct loop *loop;
	struct launcher *launcher;
	/* Answers of calls that failed at once, most often for want of memory: told a turn later.
	 */
	struct {
		struct vmm_answer to;
		struct err err;
	} late[NAMESPACE_LATE_MAX];
	size_t n_late;
	struct loop_defer tell_late;
};

struct vmm_inst {
	struct vmm *vmm;
	struct launcher_watch watch; /* its id is ours */
	vmm_event_fn *on_event;
	void *event_arg;
	bool live;		  /* create or adopt has answered */
	struct vmm_answer answer; /* of the create or adopt, then of the destroy */
	struct loop_timer retry;
	char control[PROTO_SOCKET_DIR + 16], data[PROTO_SOCKET_DIR + 16];
};

struct vmm *namespace_ref(struct vmm *v);
void namespace_unref(struct vmm *v);
/* Tell a failure from a later turn. */
void namespace_fail_later(struct vmm *v, struct vmm_answer to, int code, const char *what);
/* Start a sandbox and wait until its agent says something on its control socket. */
void namespace_probe(struct vmm *v, vmm_done_fn *done, void *arg);
