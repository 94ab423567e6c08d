/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX (16 * 1024) /* /proc/vmstat is the largest */

int counter_parse(const char *text, const char *name, uint64_t *ret)
{
	size_t n = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) != 0 || line[n] != ' ')
			continue;
		*ret = strtoull(line + n, NULL, 10);
		return 0;
	}
	return -ENOENT;
}

int counter_read(int fd, const char *name, uint64_t *ret)
{
	char text[FILE_BYTES_MAX];
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return -ENOENT;
	text[n] = '\0';
	return counter_parse(text, name, ret);
}
