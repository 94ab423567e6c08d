/* SPDX-License-Identifier: Apache-2.0 */
#include "base/meminfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fdutil.h"

#define FILE_MAX 16384

static bool find(const char *text, const char *key, uint64_t *ret)
{
	const char *at = strstr(text, key);
	unsigned long long kib;
	if (!at || (at != text && at[-1] != '\n') || sscanf(at + strlen(key), "%llu kB", &kib) != 1)
		return false;
	*ret = (uint64_t)kib * 1024;
	return true;
}

int meminfo_parse(const char *text, struct meminfo *ret)
{
	struct meminfo m;
	if (!find(text, "MemTotal:", &m.total) || !find(text, "MemAvailable:", &m.available))
		return -EBADMSG;
	*ret = m;
	return 0;
}

int meminfo_read(struct meminfo *ret)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	int r = fd_read_file(AT_FDCWD, "/proc/meminfo", FILE_MAX, &text);
	if (r < 0)
		return r;
	const char *s = buf_cstr(&text);
	return s ? meminfo_parse(s, ret) : -ENOMEM;
}
