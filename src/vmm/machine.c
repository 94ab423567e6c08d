/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine.h"

#include <errno.h>

unsigned vmm_vcpus(unsigned cpu_milli)
{
	unsigned n = (cpu_milli + 999) / 1000;
	return n < 1 ? 1 : n;
}

/* Making a file system larger takes about as long as a boot then, which formats it anew. */
#define GROW_MAX (512ull << 30)

bool vmm_machine_can_resize(const struct vmm_sizes *has, const struct vmm_sizes *to)
{
	return has->memory_bytes == to->memory_bytes && has->disk_bytes <= to->disk_bytes &&
	       to->disk_bytes - has->disk_bytes <= GROW_MAX &&
	       vmm_vcpus(has->cpu_milli) == vmm_vcpus(to->cpu_milli);
}

bool vmm_warm_is_lost(int code)
{
	return code == -ENOENT || code == -ESTALE || code == -EBADMSG;
}
