/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "vmm/vmm.h"

const struct vmm_driver *const vmm_drivers[] = { &vmm_firecracker_driver, &vmm_qemu_driver,
	&vmm_namespace_driver, NULL };
