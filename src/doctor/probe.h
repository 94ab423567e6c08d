/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Test boots: a driver is opened and probed as the server's worker does it, in a child with the
 * worker's rights, through a launcher of its own. */

struct children;
struct doctor_conf;
struct err;
struct report_driver;
struct scratch;
struct vmm_driver;

/* Fills works, isolation, why and note. What a probe that went wrong leaves ends with the scratch.
 */
void probe_driver(struct children *c, const struct scratch *s, const struct doctor_conf *conf,
    const struct vmm_driver *d, struct report_driver *ret);
/* The last line in the log of the process of that name, from byte at on; "" = none. */
void probe_last_words(const struct scratch *s, long at, const char *process, char *dst, int cap);
long probe_log_size(const struct scratch *s);
