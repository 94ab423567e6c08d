/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Log lines to standard error: "<time> <level> <message>"; under systemd (JOURNAL_STREAM) the time
 * is left out and a "<n>" priority leads. Functions of base to wire never log above debug. Text
 * that came from a peer is escaped, so that a log line is always one line.
 */
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_open(const char *program, enum log_level level);
bool log_level_parse(const char *s, enum log_level *ret);
bool log_enabled(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                          \
	do {                                                    \
		if (log_enabled(LOG_LEVEL_DEBUG))               \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)
