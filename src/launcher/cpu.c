/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "launcher/cpu.h"

#define CPUINFO_MAX (4u << 20)

int cpu_identity(struct buf *dst)
{
	/* As x86 and ARM call them; "model" is its name, too. */
	static const char *const keys[] = { "vendor_id", "cpu family", "model", "stepping",
		"microcode", "flags", "CPU ", "Features" };
	CLEAN_BUF struct buf text = BUF_INIT;
	char *save = NULL;
	int r = fd_read_file(AT_FDCWD, "/proc/cpuinfo", CPUINFO_MAX, &text);
	char *s = r == 0 ? buf_cstr(&text) : NULL;
	if (!s)
		return r < 0 ? r : -ENOMEM;
	char *end = strstr(s, "\n\n");
	if (end)
		*end = '\0';
	for (const char *line = strtok_r(s, "\n", &save); line && r == 0;
	     line = strtok_r(NULL, "\n", &save))
		for (size_t i = 0; r == 0 && i < sizeof(keys) / sizeof(keys[0]); i++)
			if (str_after(line, keys[i]))
				r = buf_printf(dst, "%s\n", line);
	return r;
}
