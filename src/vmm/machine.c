/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine.h"

unsigned vmm_vcpus(unsigned cpu_milli)
{
	unsigned n = (cpu_milli + 999) / 1000;
	return n < 1 ? 1 : n;
}

bool vmm_machine_can_resize(const struct vmm_sizes *has, const struct vmm_sizes *to)
{
	return has->memory_bytes == to->memory_bytes && has->disk_bytes == to->disk_bytes &&
	       vmm_vcpus(has->cpu_milli) == vmm_vcpus(to->cpu_milli);
}
