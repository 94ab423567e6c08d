/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/notices.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define RECENT_MS 3000

int notices_add(struct notices *n, const char *kind, int64_t count)
{
	if (str_eq(kind, "pids")) {
		log_warn("the sandbox has reached its limit of processes (%lld times)",
		    (long long)count);
		return 0;
	}
	if (!str_eq(kind, "oom"))
		return -EINVAL;
	if (count > n->ooms || !n->oom_seen) {
		n->oom_seen = true;
		n->oom_ms = clock_mono_ms();
		n->ooms = count;
	}
	return 0;
}

bool notices_oom_recent(const struct notices *n)
{
	return n->oom_seen && clock_mono_ms() - n->oom_ms <= RECENT_MS;
}

bool notices_oom_is_old(const struct notices *n, uint64_t kills)
{
	return n->oom_seen && n->ooms >= (int64_t)kills && !notices_oom_recent(n);
}
