/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The tag of a server on its machine: control groups, interfaces, nftables and user ids are named
 * or chosen by it. It follows from the path of the state directory. */

#define INSTANCE_LEN 4

/* state_dir exists. 0 or -errno. */
int instance_tag(const char *state_dir, char dst[INSTANCE_LEN + 1]);
