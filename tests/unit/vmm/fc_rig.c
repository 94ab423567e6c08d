/* SPDX-License-Identifier: Apache-2.0 */
#include "fc_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"

#define LIMIT_MS 20000
#define REASON_MS 60
#define DRIVER vmm_firecracker_driver

void fc_rig_open(struct fc_rig *r, const char *script)
{
	*r = (struct fc_rig){ .loop = loop_new() };
	r->la = fake_launcher_new(r->loop);
	if (script)
		fake_launcher_script(r->la, script);
	ck_assert_int_eq(DRIVER.open(r->loop, r->la, &r->vmm, &r->err), 0);
	r->vmm->reason_ms = REASON_MS;
	r->tmpl = mem_zalloc(sizeof(*r->tmpl));
	(void)str_copy(r->tmpl->name, sizeof(r->tmpl->name), "py");
	memset(r->tmpl->hash, 'a', 64);
	r->tmpl->cpu_milli = 1500;
	r->tmpl->memory_bytes = 128ull << 20;
	r->tmpl->disk_bytes = 64ull << 20;
	r->tmpl->max_pids = 64;
}

void fc_rig_close(struct fc_rig *r)
{
	ck_assert_uint_eq(r->vmm->refs, 1);
	(void)DRIVER.close(r->vmm);
	fake_launcher_free(r->la);
	(void)mem_free(r->tmpl);
	(void)loop_free(r->loop);
}

void fc_rig_turns(struct fc_rig *r, unsigned ms)
{
	uint64_t end = clock_mono_ms() + ms;
	while (clock_mono_ms() < end) {
		(void)loop_turn(r->loop, false);
		(void)poll(NULL, 0, 1);
	}
}

void fc_rig_until(struct fc_rig *r, const int *v)
{
	uint64_t end = clock_mono_ms() + LIMIT_MS;
	while (!*v) {
		ck_assert_msg(clock_mono_ms() < end, "it never came");
		fc_rig_turns(r, 1);
	}
}

static void begin(struct fc_rig *r)
{
	r->answers = 0;
	err_reset(&r->err);
}

void fc_rig_wait(struct fc_rig *r)
{
	uint64_t end = clock_mono_ms() + LIMIT_MS;
	while (r->answers == 0) {
		ck_assert_msg(clock_mono_ms() < end, "no answer");
		(void)loop_turn(r->loop, false);
		(void)poll(NULL, 0, 0);
	}
	for (int i = 0; i < 5; i++)
		(void)loop_turn(r->loop, false);
	ck_assert_uint_eq(r->answers, 1);
}

static int end(struct fc_rig *r)
{
	fc_rig_wait(r);
	return r->err.code;
}

void fc_rig_on_plain(const struct err *err, void *arg)
{
	struct fc_rig *r = arg;
	r->answers++;
	r->err = *err;
}

static void on_inst(const struct err *err, struct vmm_inst *inst, void *arg)
{
	struct fc_rig *r = arg;
	ck_assert((err->code == 0) == (inst != NULL));
	r->inst = inst;
	fc_rig_on_plain(err, r);
}

static void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
	struct fc_rig *r = arg;
	r->ooms += kind == VMM_EVENT_OOM;
	if (kind != VMM_END_EXITED)
		return;
	r->exits++;
	r->exit_status = value;
}

int fc_rig_prepare(struct fc_rig *r)
{
	begin(r);
	DRIVER.prepare(r->vmm, r->tmpl, fc_rig_on_plain, r);
	return end(r);
}

int fc_rig_probe(struct fc_rig *r)
{
	begin(r);
	DRIVER.probe(r->vmm, fc_rig_on_plain, r);
	return end(r);
}

static struct vmm_spec spec_of(struct fc_rig *r, enum vmm_start start)
{
	struct vmm_spec s = { .start = start,
		.tmpl = r->tmpl,
		.memory_bytes = r->tmpl->memory_bytes,
		.disk_bytes = r->tmpl->disk_bytes,
		.cpu_milli = r->tmpl->cpu_milli,
		.max_pids = r->tmpl->max_pids };
	id_sandbox(s.id);
	return s;
}

int fc_rig_create(struct fc_rig *r, enum vmm_start start)
{
	const struct vmm_spec s = spec_of(r, start);
	begin(r);
	DRIVER.create(r->vmm, &s, on_event, r, on_inst, r);
	return end(r);
}

int fc_rig_create_from(struct fc_rig *r, const char *snapshot)
{
	struct vmm_spec s = spec_of(r, VMM_START_SNAPSHOT);
	(void)str_copy(s.snapshot, sizeof(s.snapshot), snapshot);
	begin(r);
	DRIVER.create(r->vmm, &s, on_event, r, on_inst, r);
	return end(r);
}

int fc_rig_adopt(struct fc_rig *r, const char *id)
{
	struct vmm_spec s = spec_of(r, VMM_START_BEST);
	(void)str_copy(s.id, sizeof(s.id), id);
	begin(r);
	DRIVER.adopt(r->vmm, &s, on_event, r, on_inst, r);
	return end(r);
}

int fc_rig_destroy(struct fc_rig *r)
{
	begin(r);
	DRIVER.destroy(r->inst, fc_rig_on_plain, r);
	r->inst = NULL;
	return end(r);
}

int fc_rig_pause(struct fc_rig *r)
{
	begin(r);
	DRIVER.pause(r->inst, fc_rig_on_plain, r);
	return end(r);
}

int fc_rig_resume(struct fc_rig *r)
{
	begin(r);
	DRIVER.resume(r->inst, fc_rig_on_plain, r);
	return end(r);
}

int fc_rig_resize(struct fc_rig *r, uint64_t disk_bytes, unsigned cpu_milli)
{
	const struct vmm_sizes to = { r->tmpl->memory_bytes, disk_bytes, cpu_milli };
	begin(r);
	DRIVER.resize(r->inst, &to, fc_rig_on_plain, r);
	return end(r);
}

int fc_rig_snapshot(struct fc_rig *r, const char *id)
{
	begin(r);
	DRIVER.snapshot(r->inst, id, fc_rig_on_plain, r);
	return end(r);
}

int fc_rig_warm(struct fc_rig *r)
{
	begin(r);
	DRIVER.warm(r->inst, fc_rig_on_plain, r);
	return end(r);
}

int fc_rig_forget(struct fc_rig *r, const char *id)
{
	begin(r);
	DRIVER.snapshot_remove(r->vmm, id, fc_rig_on_plain, r);
	return end(r);
}

void fc_rig_make_warm(struct fc_rig *r)
{
	ck_assert_msg(fc_rig_prepare(r) == 0, "%s", r->err.text);
	ck_assert_msg(fc_rig_create(r, VMM_START_COLD) == 0, "%s", r->err.text);
	ck_assert_msg(fc_rig_warm(r) == 0, "%s", r->err.text);
	ck_assert_int_eq(fc_rig_destroy(r), 0);
	ck_assert(DRIVER.has_warm(r->vmm, r->tmpl));
}

static bool ask(int fd, const char *text, const char *want)
{
	char got[64];
	size_t n = strlen(want), at = 0;
	struct pollfd p = { fd, POLLIN, 0 };
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		return false;
	while (at < n && poll(&p, 1, 5000) == 1) {
		ssize_t k = read(fd, got + at, n - at);
		if (k <= 0)
			return false;
		at += (size_t)k;
	}
	return at == n && memcmp(got, want, n) == 0;
}

bool fc_rig_echoes(struct fc_rig *r, unsigned port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char text[32], number[16];
	const struct vmm_channel c =
	    port == FC_CONTROL_PORT ? DRIVER.control(r->inst) : DRIVER.data(r->inst);
	ck_assert_int_eq(c.kind, VMM_CHANNEL_VSOCK);
	ck_assert_uint_eq(c.port, port);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", c.path);
	CLEAN_FD int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)snprintf(text, sizeof(text), "CONNECT %u\n", c.port);
	(void)snprintf(number, sizeof(number), "OK %u\n", 1u << 30);
	/* Numbers are allotted in order; the first connection of a machine has the first. */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || !ask(fd, text, "OK 10737418"))
		return false;
	char rest[8];
	return read(fd, rest, 3) == 3 && ask(fd, "hello", "hello");
}
