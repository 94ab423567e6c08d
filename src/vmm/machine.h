/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the drivers of virtual machines have in common. */
#include <stdbool.h>

#include "vmm/vmm.h"

/* Processors of a machine that may use so much of them: as many as are needed, one at least. */
unsigned vmm_vcpus(unsigned cpu_milli);
/* As vmm_driver's: memory and processors of a machine are fixed, how much of the processors it gets
 * is not, and its disk can grow, unless by very much. */
bool vmm_machine_can_resize(const struct vmm_sizes *has, const struct vmm_sizes *to);
/* Does the launcher's refusal of a clone mean that there is no warm snapshot, or none that fits or
 * is whole? */
bool vmm_warm_is_lost(int code);
