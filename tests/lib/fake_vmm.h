/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A driver that makes nothing, for tests of what uses drivers. Each kind of call answers as its
 * script says; the ledger tells what would be left behind.
 */
#include <stdbool.h>

#include "vmm/vmm.h"

enum fake_call {
	FAKE_PREPARE,
	FAKE_CREATE,
	FAKE_ADOPT,
	FAKE_SET_INTERNET,
	FAKE_DESTROY,
	FAKE_SWEEP,
	FAKE_USAGE,
	FAKE_RESIZE,
	FAKE_PAUSE,
	FAKE_RESUME,
	FAKE_WARM,
	FAKE_SNAPSHOT,
	FAKE_SNAPSHOT_REMOVE,
	FAKE_SWEEP_SNAPSHOTS,
	FAKE_CALLS_,
};

enum fake_mode {
	FAKE_OK,
	FAKE_FAIL,
	FAKE_FAIL_ONCE,
	FAKE_HOLD, /* no answer until fake_vmm_release() */
};

extern const struct vmm_driver fake_vmm_driver;
extern const struct vmm_driver fake_vmm_driver_fixed_net; /* cannot set_internet */
extern const struct vmm_driver fake_vmm_driver_clones;	  /* pauses, clones, keeps snapshots */

struct vmm *fake_vmm_new(struct loop *l);
void fake_vmm_free(struct vmm *v); /* instances and unanswered calls go without a word */
/* How calls of this kind answer from now on. */
void fake_vmm_script(struct vmm *v, enum fake_call call, enum fake_mode mode);
/* Answer the held calls of a kind. */
void fake_vmm_release(struct vmm *v, enum fake_call call, bool good);

unsigned fake_vmm_calls(const struct vmm *v, enum fake_call call);
unsigned fake_vmm_pending(const struct vmm *v); /* unanswered calls, held ones too */
unsigned fake_vmm_live(const struct vmm *v);	/* instances */
unsigned fake_vmm_peak(const struct vmm *v);	/* most create calls at the same time */
bool fake_vmm_has(const struct vmm *v, const char *id);
struct vmm_sizes fake_vmm_sizes(const struct vmm *v, const char *id); /* it exists */
unsigned fake_vmm_running(const struct vmm *v); /* instances that do not stand still */
unsigned fake_vmm_clones(const struct vmm *v);	/* instances that were made of a warm snapshot */
unsigned fake_vmm_snapshots(const struct vmm *v);
void fake_vmm_plant_snapshot(struct vmm *v, const char *id); /* from before */
/* The warm snapshot of every template is lost. */
void fake_vmm_forget_warm(struct vmm *v);
/* An instance from before, for adopt and sweep. */
void fake_vmm_plant(struct vmm *v, const char *id);
/* What the instance tells its owner. An exited one stays in the ledger until it is destroyed. */
void fake_vmm_event(struct vmm *v, const char *id, enum vmm_end kind, int64_t value);
