/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/events.h"

#include <string.h>

#include "launcher/proto.h"

/* Of a kernel that found nobody left to kill. */
#define OUT_OF_MEMORY "deadlocked on memory"

static void tell_end(const struct vmm_listener *l, const struct proto_event *e, const char *words)
{
	if (l->own_kernel && strstr(words, OUT_OF_MEMORY))
		l->fn(l->inst, VMM_EVENT_OOM, 1, l->arg);
	l->fn(l->inst, VMM_END_EXITED, e->value, l->arg);
}

void vmm_tell_owner(
    const struct vmm_listener *l, const struct proto_event *e, const char *last_words)
{
	switch (e->event) {
	case PROTO_EXITED:
		tell_end(l, e, last_words);
		break;
	case PROTO_OOM:
		l->fn(l->inst, VMM_EVENT_OOM, e->value, l->arg);
		break;
	case PROTO_PIDS:
		if (!l->own_kernel)
			l->fn(l->inst, VMM_EVENT_PIDS, e->value, l->arg);
		break;
	default:
		break;
	}
}
