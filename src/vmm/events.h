/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the launcher saw of an instance, as its owner is told it. */
#include <stdbool.h>

#include "vmm/vmm.h"

struct proto_event;

struct vmm_listener {
	struct vmm_inst *inst;
	vmm_event_fn *fn;
	void *arg;
	/* A virtual machine: its processes are its own business, and how it died is told by the
	 * last words of its kernel. */
	bool own_kernel;
};

/* last_words: "" = none. The listener may be gone afterwards. */
void vmm_tell_owner(
    const struct vmm_listener *l, const struct proto_event *e, const char *last_words);
