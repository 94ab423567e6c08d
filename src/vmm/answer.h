/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What drivers share: answers of the four shapes that vmm.h knows, those that must come a turn
 * later, and calls that are one request to the launcher.
 */
#include "base/err.h"
#include "launcher/launcher.h"
#include "loop/loop.h"
#include "vmm/vmm.h"

#define VMM_LATE_MAX 64

typedef void vmm_done_fn(const struct err *err, void *arg);
typedef void vmm_inst_done_fn(const struct err *err, struct vmm_inst *inst, void *arg);
typedef void vmm_usage_done_fn(const struct err *err, const struct vmm_usage *u, void *arg);
typedef void vmm_sweep_done_fn(const struct err *err, unsigned removed, void *arg);

/* A callback of one of the shapes; the others are NULL. */
struct vmm_answer {
	vmm_done_fn *plain;
	vmm_inst_done_fn *inst;
	vmm_usage_done_fn *usage;
	vmm_sweep_done_fn *sweep;
	void *arg;
};

/* Tell a failure. */
void vmm_tell(const struct vmm_answer *to, const struct err *err);

/* Answers of calls that failed at once, most often for want of memory: told a turn later. */
struct vmm_late {
	struct {
		struct vmm_answer to;
		struct err err;
	} late[VMM_LATE_MAX];
	size_t n;
	struct loop_defer tell;
};
void vmm_late_init(struct vmm_late *l, struct loop *loop);
void vmm_late_fini(struct vmm_late *l);
void vmm_fail_later(struct vmm_late *l, struct vmm_answer to, int code, const char *what);

/* Calls that are one request; they answer as vmm.h says. */
void vmm_ask_prepare(
    struct vmm_late *l, struct launcher *la, const char *base, vmm_done_fn *done, void *arg);
void vmm_ask_internet(
    struct vmm_late *l, struct launcher *la, const char *id, bool on, vmm_done_fn *done, void *arg);
void vmm_ask_resize(struct vmm_late *l, struct launcher *la, const char *id,
    const struct proto_sizes *to, vmm_done_fn *done, void *arg);
void vmm_ask_forget(
    struct vmm_late *l, struct launcher *la, const char *snapshot, vmm_done_fn *done, void *arg);
void vmm_ask_usage(
    struct vmm_late *l, struct launcher *la, const char *id, vmm_usage_done_fn *done, void *arg);
/* Remove every sandbox of the launcher that keep() does not claim. */
void vmm_ask_sweep(struct vmm_late *l, struct launcher *la, bool (*keep)(const char *id, void *arg),
    void *keep_arg, vmm_sweep_done_fn *done, void *arg);
/* The same for snapshots. */
void vmm_ask_sweep_snapshots(struct vmm_late *l, struct launcher *la,
    bool (*keep)(const char *id, void *arg), void *keep_arg, vmm_sweep_done_fn *done, void *arg);
