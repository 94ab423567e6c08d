/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"

#define COUNTER "oom_kill "
#define FILE_BYTES_MAX (16 * 1024)

static const char *const files[] = {
	"/sys/fs/cgroup/memory.events",
	"/sys/fs/cgroup/memory/memory.oom_control",
	"/proc/vmstat",
};

int oom_counter_parse(const char *text, uint64_t *ret)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, COUNTER, strlen(COUNTER)) != 0)
			continue;
		*ret = strtoull(line + strlen(COUNTER), NULL, 10);
		return 0;
	}
	return -ENOENT;
}

static int read_counter(int fd, uint64_t *ret)
{
	char text[FILE_BYTES_MAX];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return -ENOENT;
	text[n] = '\0';
	return oom_counter_parse(text, ret);
}

static bool open_counter(struct oom_watch *w, const char *file)
{
	w->fd = open(file, O_RDONLY | O_CLOEXEC);
	if (read_counter(w->fd, &w->seen) == 0)
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
	if (read_counter(w->fd, &count) == 0 && count > w->seen) {
		w->seen = count;
		w->seen_ms = clock_mono_ms();
	}
	return w->seen;
}

bool oom_watch_grew(struct oom_watch *w, uint64_t since)
{
	return oom_watch_count(w) > since && clock_mono_ms() - w->seen_ms <= OOM_RECENT_MS;
}
