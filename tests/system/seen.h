/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a driver answered and told, for tests that wait for one answer at a time. */
#include "vmm/vmm.h"

struct seen {
	int there, exits; /* an answer; ends that were told */
	int64_t status;	  /* the last end's */
	struct err err;
	struct vmm_inst *inst;
	struct vmm_usage usage;
	unsigned removed;
};

/* Callbacks of struct vmm_driver; arg is a struct seen. */
void on_plain(const struct err *err, void *arg);
void on_inst(const struct err *err, struct vmm_inst *inst, void *arg);
void on_usage(const struct err *err, const struct vmm_usage *u, void *arg);
void on_swept(const struct err *err, unsigned removed, void *arg);
void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg);
