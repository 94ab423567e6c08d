/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which processor this machine has: a snapshot is loaded only on the one that it was taken on. */

struct buf;

/*
 * Adds lines that differ where what the first processor is or can do differs: vendor, model,
 * stepping, microcode and features. -errno: /proc/cpuinfo could not be read.
 */
int cpu_identity(struct buf *dst);
