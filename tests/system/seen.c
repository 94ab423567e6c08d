/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"

void on_plain(const struct err *err, void *arg)
{
	struct seen *s = arg;
	s->err = *err;
	s->there = 1;
}

void on_inst(const struct err *err, struct vmm_inst *inst, void *arg)
{
	struct seen *s = arg;
	s->inst = inst;
	on_plain(err, arg);
}

void on_usage(const struct err *err, const struct vmm_usage *u, void *arg)
{
	struct seen *s = arg;
	if (u)
		s->usage = *u;
	on_plain(err, arg);
}

void on_swept(const struct err *err, unsigned removed, void *arg)
{
	struct seen *s = arg;
	s->removed = removed;
	on_plain(err, arg);
}

void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
	struct seen *s = arg;
	s->exits += kind == VMM_END_EXITED;
	s->status = value;
}
