/* SPDX-License-Identifier: Apache-2.0 */
#include "service/pb_sandbox.h"

#include <errno.h>

#include "base/mem.h"
#include "image/template.h"
#include "sandbox/sandbox.h"

#define NS_PER_S 1000000000

/* Protobuf's structs are not const; nothing writes through them. */
static char *text(const char *s)
{
	return (char *)(s ? s : "");
}

static Sandglass__V1__SandboxState state_of(enum sandbox_state s)
{
	switch (s) {
	case SANDBOX_RUNNING:
	case SANDBOX_PAUSING:
	case SANDBOX_RESUMING:
		return SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_RUNNING;
	case SANDBOX_PAUSED:
		return SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_PAUSED;
	default:
		return SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_ENDED;
	}
}

static Sandglass__V1__EndReason reason_of(enum sandbox_end e)
{
	static const Sandglass__V1__EndReason reasons[] = {
		[SANDBOX_END_NONE] = SANDGLASS__V1__END_REASON__END_REASON_UNSPECIFIED,
		[SANDBOX_END_KILLED] = SANDGLASS__V1__END_REASON__END_REASON_KILLED,
		[SANDBOX_END_TIMEOUT] = SANDGLASS__V1__END_REASON__END_REASON_TIMEOUT,
		[SANDBOX_END_CRASHED] = SANDGLASS__V1__END_REASON__END_REASON_CRASHED,
		[SANDBOX_END_OUT_OF_MEMORY] = SANDGLASS__V1__END_REASON__END_REASON_OUT_OF_MEMORY,
		[SANDBOX_END_FAILED] = SANDGLASS__V1__END_REASON__END_REASON_FAILED,
		[SANDBOX_END_SHUTDOWN] = SANDGLASS__V1__END_REASON__END_REASON_SHUTDOWN,
		[SANDBOX_END_LOST] = SANDGLASS__V1__END_REASON__END_REASON_LOST,
	};
	return reasons[e];
}

Google__Protobuf__Timestamp pb_timestamp(int64_t real_ns)
{
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	t.seconds = real_ns / NS_PER_S;
	t.nanos = (int32_t)(real_ns % NS_PER_S);
	if (t.nanos < 0) {
		t.nanos += NS_PER_S;
		t.seconds--;
	}
	return t;
}

static int fill_metadata(struct pb_sandbox *p, const char *const *kv)
{
	size_t n = 0;
	while (kv && kv[2 * n] && kv[2 * n + 1])
		n++;
	if (n == 0)
		return 0;
	p->entries = mem_calloc(n, sizeof(*p->entries));
	p->list = mem_calloc(n, sizeof(Sandglass__V1__Sandbox__MetadataEntry *));
	if (!p->entries || !p->list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		sandglass__v1__sandbox__metadata_entry__init(&p->entries[i]);
		p->entries[i].key = text(kv[2 * i]);
		p->entries[i].value = text(kv[2 * i + 1]);
		p->list[i] = &p->entries[i];
	}
	p->m.metadata = p->list;
	p->m.n_metadata = n;
	return 0;
}

int pb_sandbox_init(struct pb_sandbox *p, const struct sandbox *sb)
{
	struct sandbox_view v;
	sandbox_view(sb, &v);
	*p = (struct pb_sandbox){ .started = pb_timestamp(v.started_ns),
		.end = pb_timestamp(v.end_at_ns) };
	sandglass__v1__sandbox__init(&p->m);
	p->m.sandbox_id = text(v.id);
	p->m.template_id = text(v.tmpl->id);
	p->m.template_name = text(v.tmpl->name);
	p->m.state = state_of(v.state);
	p->m.started_at = &p->started;
	p->m.end_at = &p->end;
	p->m.isolation = text(v.isolation);
	p->m.cpu_milli = v.cpu_milli;
	p->m.memory_bytes = v.memory_bytes;
	p->m.disk_bytes = v.disk_bytes;
	p->m.internet = v.internet;
	p->m.auto_pause = v.auto_pause;
	p->m.end_reason = reason_of(v.end);
	p->m.end_detail = text(v.end_detail);
	p->m.oom_kills = v.oom_kills;
	p->m.pids_refused = v.pids_refused;
	return fill_metadata(p, v.metadata);
}

void pb_sandbox_fini(struct pb_sandbox *p)
{
	p->entries = mem_free(p->entries);
	p->list = mem_free(p->list);
}
