/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

static void parse_version(struct fake_script *s)
{
	unsigned major = 0, minor = 0, patch = 0;
	(void)sscanf(s->version, "%u.%u.%u", &major, &minor, &patch);
	s->v = major * 10000 + minor * 100 + patch;
}

static void parse_fault(struct fake_script *s, const char *line)
{
	struct fake_fault *x = &s->faults[s->n_faults];
	char path[96];
	if (s->n_faults == FAKE_FAULTS_MAX ||
	    sscanf(line, "fault %7s %95s %15s %159[^\n]", x->method, path, x->kind, x->arg) < 3)
		return;
	char *word = strchr(path, '=');
	if (word) {
		*word = '\0';
		(void)snprintf(x->word, sizeof(x->word), "%s", word + 1);
	}
	(void)snprintf(x->path, sizeof(x->path), "%.63s", path);
	s->n_faults++;
}

static void add_console(struct fake_script *s, const char *line)
{
	size_t have = strlen(s->console);
	(void)snprintf(s->console + have, sizeof(s->console) - have, "%s\n", line);
}

static void parse_line(struct fake_script *s, const char *line)
{
	int n = 0;
	(void)sscanf(line, "version %23s", s->version);
	(void)sscanf(line, "snapshot-version %23s", s->snapshot_version);
	(void)sscanf(line, "start-exit %d", &s->start_exit);
	(void)sscanf(line, "start-delay %u", &s->start_delay);
	(void)sscanf(line, "guest-delay %u", &s->guest_delay);
	(void)sscanf(line, "guest-exit %u", &s->guest_exit);
	if (sscanf(line, "console %n", &n) == 0 && n > 0)
		add_console(s, line + n);
	n = 0;
	s->no_tap |= strcmp(line, "no-tap") == 0;
	s->guest_none |= strcmp(line, "guest none") == 0;
	s->guest_silent |= strcmp(line, "guest silent") == 0;
	if (sscanf(line, "fault %n", &n) == 0 && n > 0)
		parse_fault(s, line);
}

void fake_script_parse(struct fake_script *s, char *text)
{
	char *save = NULL;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		parse_line(s, l);
	parse_version(s);
}

void fake_script_load(struct fake_script *s, const char *program)
{
	static const char mark[] = FAKE_SCRIPT_MARK;
	struct stat st;
	*s = (struct fake_script){
		.version = "1.17.0", .snapshot_version = "11.0.0", .start_exit = -1
	};
	parse_version(s);
	int fd = open(program, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* The script is short: it is within the last kilobytes. */
	char text[8193];
	off_t from = fstat(fd, &st) == 0 && st.st_size > 8192 ? st.st_size - 8192 : 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, from);
	(void)close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	char *at = NULL;
	/* The mark's text is in the program, too: the last one counts. */
	for (char *p = text; (p = memmem(p, (size_t)(text + n - p), mark, sizeof(mark) - 1)); p++)
		at = p;
	if (at)
		fake_script_parse(s, at + sizeof(mark) - 1);
}
