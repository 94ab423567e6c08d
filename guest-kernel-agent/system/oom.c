/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/oom.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "guest-kernel-agent/system/counter.h"

#define COUNTER "oom_kill"

static const char *const files[] = {
	"/sys/fs/cgroup/memory.events",
	"/sys/fs/cgroup/memory/memory.oom_control",
	"/proc/vmstat",
};

static bool open_counter(struct oom_watch *w, const char *file)
{
	w->fd = open(file, O_RDONLY | O_CLOEXEC);
	if (counter_read(w->fd, COUNTER, &w->seen) == 0)
		return true;
	w->fd = fd_close(w->fd);
	return false;
}

void oom_watch_init(struct oom_watch *w, const char *file)
{
	*w = (struct oom_watch){ .fd = -1 };
	if (file) {
		(void)open_counter(w, file);
		return;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (open_counter(w, files[i]))
			return;
}

void oom_watch_fini(struct oom_watch *w)
{
	w->fd = fd_close(w->fd);
}

bool oom_watch_has_counter(const struct oom_watch *w)
{
	return w->fd >= 0;
}

uint64_t oom_watch_count(struct oom_watch *w)
{
	uint64_t count;
	if (counter_read(w->fd, COUNTER, &count) == 0 && count > w->seen) {
		w->seen = count;
		w->seen_ms = clock_mono_ms();
	}
	return w->seen;
}

bool oom_watch_grew(struct oom_watch *w, uint64_t since)
{
	return oom_watch_count(w) > since && clock_mono_ms() - w->seen_ms <= OOM_RECENT_MS;
}
