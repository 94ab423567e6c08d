/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The QEMU driver over a real launcher and real guests, whose init is vm_init.c. Needs QEMU and a
 * directory with a kernel (vmlinux, modules/ as in STATE/launcher/kernels/VERSION), named by
 * SANDGLASS_TEST_KERNEL.
 */
#include "image/template.h"
#include "rig.h"
#include "vmm/vmm.h"

#define QEMU_RIG_MEMORY (128ull << 20)

struct qemu_rig {
	struct rig r;
	struct vmm *v;
	struct template tmpl;
};

struct qemu_seen {
	int there;
	struct err err;
	struct vmm_inst *inst;
	struct vmm_usage usage;
	unsigned removed;
	int exits;
};

/* False, with the reason printed: this machine cannot. */
bool qemu_rig_possible(void);
void qemu_rig_open(struct qemu_rig *q, bool network, bool faults);
void qemu_rig_close(struct qemu_rig *q);
void qemu_rig_open_driver(struct qemu_rig *q); /* after the launcher was replaced by hand */

struct vmm_spec qemu_rig_spec(struct qemu_rig *q, const char *id, enum vmm_start start);
int qemu_rig_create(struct qemu_rig *q, struct qemu_seen *s, const struct vmm_spec *spec);
void qemu_rig_destroy(struct qemu_rig *q, struct qemu_seen *s);
int qemu_rig_prepare(struct qemu_rig *q, struct err *reterr);
/* pause, resume, warm */
int qemu_rig_do(struct qemu_rig *q, struct qemu_seen *s,
    void (*fn)(struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg));
int qemu_rig_resize(struct qemu_rig *q, struct qemu_seen *s, const struct vmm_sizes *to);
int qemu_rig_snapshot(struct qemu_rig *q, struct qemu_seen *s, const char *snapshot);
int qemu_rig_forget(struct qemu_rig *q, const char *snapshot);
/* A warm snapshot exists afterwards. */
void qemu_rig_make_warm(struct qemu_rig *q);
/* One command to the guest's init: its answer; "" when there was none in time. */
const char *qemu_rig_ask(struct qemu_rig *q, const struct qemu_seen *s, const char *command);
void qemu_rig_expect(
    struct qemu_rig *q, const struct qemu_seen *s, const char *command, const char *answer);
/* As a daemon that dies: nothing is told to anybody. */
void qemu_rig_abandon(struct qemu_rig *q, struct qemu_seen *s);
int qemu_rig_adopt(struct qemu_rig *q, struct qemu_seen *s, const struct vmm_spec *spec);
unsigned qemu_rig_count(struct qemu_rig *q, const char *dir); /* entries of STATE/launcher/dir */
const char *qemu_rig_warm_dir(struct qemu_rig *q);	      /* of the only one */
/* Remove warm snapshots, as the launcher does with those that do not fit. */
void qemu_rig_clear_warm(struct qemu_rig *q);
pid_t qemu_rig_pid(struct qemu_rig *q, const char *id); /* of the VMM, from its record */
/* What a clone could do to its siblings: their memory is one file, and sealed. */
void qemu_rig_check_sealed(struct qemu_rig *q, const char *id);
