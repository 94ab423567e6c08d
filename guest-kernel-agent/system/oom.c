/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/oom.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdutil.h"

#define COUNTER "oom_kill "
#define FILE_BYTES_MAX (16 * 1024)

static const char *const files[] = {
	"/sys/fs/cgroup/memory.events",
	"/sys/fs/cgroup/memory/memory.oom_control",
	"/proc/vmstat",
};

uint64_t oom_counter_parse(const char *text)
{
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, COUNTER, strlen(COUNTER)) == 0)
			return strtoull(line + strlen(COUNTER), NULL, 10);
	}
	return 0;
}

static uint64_t read_counter(const struct oom_watch *w)
{
	char text[FILE_BYTES_MAX];
	ssize_t n = w->fd < 0 ? -1 : pread(w->fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return 0;
	text[n] = '\0';
	return oom_counter_parse(text);
}

void oom_watch_init(struct oom_watch *w)
{
	w->fd = -1;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && w->fd < 0; i++)
		w->fd = open(files[i], O_RDONLY | O_CLOEXEC);
	oom_watch_mark(w);
}

void oom_watch_fini(struct oom_watch *w)
{
	w->fd = fd_close(w->fd);
}

void oom_watch_mark(struct oom_watch *w)
{
	w->seen = read_counter(w);
}

bool oom_watch_grew(struct oom_watch *w)
{
	uint64_t before = w->seen;

	oom_watch_mark(w);
	return w->seen > before;
}
