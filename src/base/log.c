/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LOG_LINE_MAX 2048

static struct {
	const char *program;
	enum log_level level;
	bool journal;
} log_state = { .program = "sandglass", .level = LOG_LEVEL_INFO };

static const struct {
	const char *name;
	int priority; /* syslog's */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARN] = { "warn", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

void log_open(const char *program, enum log_level level)
{
	log_state.program = program;
	log_state.level = level;
	log_state.journal = getenv("JOURNAL_STREAM") != NULL;
}

bool log_level_parse(const char *s, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(s, levels[i].name) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_enabled(enum log_level level)
{
	return level <= log_state.level;
}

/* Control bytes become '?', so that what a peer sent can neither break a line nor reach a terminal.
 */
static void make_printable(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			s[i] = '?';
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_MAX], when[CLOCK_RFC3339_MAX];
	int n, head;
	if (!log_enabled(level))
		return;
	if (log_state.journal)
		head = snprintf(line, sizeof(line), "<%d>", levels[level].priority);
	else
		head = snprintf(line, sizeof(line),
		    "%s %s %s: ", clock_rfc3339(clock_real_ms() * 1000000, when), log_state.program,
		    levels[level].name);
	va_list ap;
	va_start(ap, fmt);
	n = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	size_t room = sizeof(line) - (size_t)head - 2;
	size_t len = (size_t)n < room ? (size_t)n : room;
	make_printable(line + head, len);
	line[(size_t)head + len] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)head + len + 1);
}
