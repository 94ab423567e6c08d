/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the namespace driver; others see vmm.h only. */
#include "vmm/answer.h"

struct vmm {
	unsigned refs; /* the owner's, and one a probe that waits for a late answer */
	struct loop *loop;
	struct launcher *launcher;
	struct vmm_late late;
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
