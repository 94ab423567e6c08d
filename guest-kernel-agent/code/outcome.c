/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/outcome.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define NAME_MAX_BYTES 256
#define VALUE_MAX_BYTES (4 * 1024)
#define TRACEBACK_MAX_BYTES (64 * 1024)

static void set_cut(char **dst, const char *text, size_t max)
{
	size_t n = strlen(text);
	mem_free(*dst);
	*dst = mem_strndup(text, n > max ? str_utf8_whole(text, max, NULL) : n);
}

void outcome_fini(struct outcome *o)
{
	mem_free(o->name);
	mem_free(o->value);
	mem_free(o->traceback);
	mem_free(o->detail);
	*o = (struct outcome){ 0 };
}

void outcome_set_error(
    struct outcome *o, const char *name, const char *value, const char *traceback)
{
	set_cut(&o->name, name, NAME_MAX_BYTES);
	set_cut(&o->value, value, VALUE_MAX_BYTES);
	set_cut(&o->traceback, traceback, TRACEBACK_MAX_BYTES);
}

void outcome_set_end(struct outcome *o, enum exec_end how, const char *detail)
{
	o->how = how;
	o->ended_ns = clock_real_ns();
	(void)mem_set_str(&o->detail, detail);
}
