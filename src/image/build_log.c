/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "image/build_private.h"

/* Colours and cursor movements of programs that think they have a terminal go; what is no text is
 * shown as '?'. */
static size_t clean(char *dst, size_t cap, const char *p, size_t n)
{
	size_t k = 0;
	for (size_t i = 0; i < n && k + 1 < cap; i++) {
		unsigned char c = (unsigned char)p[i];
		if (c == 27 && i + 1 < n && p[i + 1] == '[') {
			for (i += 2; i < n && !(p[i] >= '@' && p[i] <= '~'); i++)
				;
			continue;
		}
		dst[k++] = (char)(c == '\t' ? ' ' : c < ' ' || c == 127 ? '?' : c);
	}
	k = str_utf8_whole(dst, k, NULL);
	for (size_t i = 0; !str_utf8_valid(dst, k) && i < k; i++)
		if ((unsigned char)dst[i] >= 0x80)
			dst[i] = '?';
	dst[k] = '\0';
	return k;
}

void build_log_text(struct build *b, enum build_level level, const char *text, size_t n)
{
	struct build_event e = {
		.kind = BUILD_LOG, .level = level, .time_real_ns = clock_real_ns()
	};
	(void)str_copy(e.step, sizeof(e.step), b->step);
	if (clean(e.text, sizeof(e.text), text, n) > 0)
		(void)fd_send_msg(b->conf->event_fd, &e, sizeof(e), NULL, 0);
}

void build_log(struct build *b, enum build_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		build_log_text(b, level, text, strlen(text));
}

int build_check_space(const struct build *b, struct err *reterr)
{
	struct statvfs fs;
	if (statvfs(".", &fs) < 0)
		return err_set(reterr, -errno, "cannot look at the disk: %s", err_name(-errno));
	uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (have >= b->conf->min_free_bytes)
		return 0;
	return err_set(reterr, -ENOSPC,
	    "the disk of the state directory has %" PRIu64 " MiB left, a build needs %" PRIu64
	    " MiB to stay free",
	    have >> 20, b->conf->min_free_bytes >> 20);
}
