/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which Firecracker this is, and what it may be asked for: it refuses a whole request for one field
 * that it does not know, and some versions have faults that we stay clear of.
 */
#include <stdbool.h>

struct err;

struct fc_version {
	unsigned major, minor, patch;
};

#define FC_CAP_SERIAL_LIMIT 1u	 /* PUT /serial rate_limiter */
#define FC_CAP_VSOCK_OVERRIDE 2u /* load vsock_override */
#define FC_CAP_MTU 4u		 /* network interface mtu */
#define FC_CAP_METRICS_ID 8u	 /* metrics properties */
#define FC_CAP_BARE_PAUSE 16u /* pause and resume with no snapshot in between leave vsock alive */

/* From what `firecracker --version` (or `jailer`) printed: "Firecracker v1.16.1\n...". 0 or
 * -EBADMSG. */
int fc_version_parse(const char *program, const char *text, struct fc_version *ret);
/* From what `--snapshot-version` printed: "v10.0.0". */
int fc_version_parse_plain(const char *text, struct fc_version *ret);
/* Is it one that we work with? 0, or -ENOTSUP with the reason. */
int fc_version_check(const struct fc_version *v, struct err *reterr);
unsigned fc_version_caps(const struct fc_version *v);
bool fc_version_is_at_least(
    const struct fc_version *v, unsigned major, unsigned minor, unsigned patch);
