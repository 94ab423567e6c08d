/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A driver over the fake launcher; calls block until answered. */
#include "lib/fake_launcher.h"
#include "lib/test.h"
#include "vmm/firecracker/firecracker.h"

struct template;

struct fc_rig {
	struct loop *loop;
	struct launcher *la;
	struct vmm *vmm;
	struct template *tmpl;
	struct vmm_inst *inst; /* of the last create */
	struct err err;	       /* of the last call */
	unsigned answers;      /* callbacks of the call that is open */
	int exits, ooms;       /* events */
	int64_t exit_status;
};

void fc_rig_open(struct fc_rig *r, const char *script);
void fc_rig_close(struct fc_rig *r); /* nothing may be left */
/* Each returns the code. */
int fc_rig_probe(struct fc_rig *r);
int fc_rig_prepare(struct fc_rig *r);
int fc_rig_create(struct fc_rig *r, enum vmm_start start);
int fc_rig_create_from(struct fc_rig *r, const char *snapshot);
int fc_rig_adopt(struct fc_rig *r, const char *id);
int fc_rig_destroy(struct fc_rig *r);
int fc_rig_pause(struct fc_rig *r);
int fc_rig_resume(struct fc_rig *r);
int fc_rig_resize(struct fc_rig *r, uint64_t disk_bytes, unsigned cpu_milli);
int fc_rig_snapshot(struct fc_rig *r, const char *id);
int fc_rig_warm(struct fc_rig *r);
int fc_rig_forget(struct fc_rig *r, const char *id);
/* A warm snapshot of the template, made as the registry makes it. */
void fc_rig_make_warm(struct fc_rig *r);
/* CONNECT to a port of the newest machine and see an echo. */
bool fc_rig_echoes(struct fc_rig *r, unsigned port);
void fc_rig_until(struct fc_rig *r, const int *v);
void fc_rig_turns(struct fc_rig *r, unsigned ms);
void fc_rig_wait(struct fc_rig *r); /* for the answer of a call that was begun */
void fc_rig_on_plain(const struct err *err, void *arg);
