/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver between a launcher and a QEMU, both played by the test. The words that QEMU hears
 * matter: "live" saving would give up the disks of a stopped VM, paths and URIs other than those of
 * descriptors that it was born with are closed to it, and memory is never migrated, because a clone
 * has it mapped already.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/str.h"
#include "image/template.h"
#include "launcher/launcher.h"
#include "launcher/vm_child.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"
#include "qemu_tests.h"
#include "vmm/vmm.h"

#define TURNS 1000 /* of 2 ms at most: far more than anything here takes */
#define GREETING                                                                          \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}," \
	" \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}\r\n"

static const struct vmm_driver *const drv = &vmm_qemu_driver;

static struct {
	struct loop *loop;
	struct launcher *la;
	struct tmpdir dir;
	struct vmm *v;
	struct vmm_inst *inst;
	struct template tmpl;
	int launcher, listener, qemu; /* the launcher's end, the monitor, its connection */
	unsigned id;		      /* of the last command on it */
	int answered;
	struct err err;
} w;

/* One packet or line that was sent to fd; "" when none comes. */
static size_t next(int fd, void *dst, size_t cap)
{
	memset(dst, 0, cap);
	for (int i = 0; i < TURNS; i++) {
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
		ssize_t n = recv(fd, dst, cap, MSG_DONTWAIT);
		if (n > 0)
			return (size_t)n;
		struct pollfd p = { fd, POLLIN, 0 };
		(void)poll(&p, 1, 2);
	}
	return 0;
}

/* ---- the launcher ---- */

static struct proto_request next_request(enum proto_kind kind)
{
	union proto_any m;
	struct err err = ERR_INIT;
	size_t n = next(w.launcher, &m, sizeof(m));
	ck_assert_msg(n > 0, "the launcher is asked nothing, expected request %d", (int)kind);
	ck_assert_msg(proto_check_request(&m, n, &err) == 0, "%s", err_text(&err));
	ck_assert_uint_eq(m.head.kind, kind);
	return m.request;
}

static void refuse(enum proto_kind kind, int code, const char *why)
{
	struct proto_request q = next_request(kind);
	struct proto_reply m = { .head = { PROTO_REPLY, PROTO_VERSION, q.head.seq }, .code = code };
	(void)str_copy(m.text, sizeof(m.text), why);
	ck_assert_int_eq(send(w.launcher, &m, sizeof(m), 0), sizeof(m));
}

static struct proto_request serve(enum proto_kind kind)
{
	struct proto_request q = next_request(kind);
	struct proto_reply m = { .head = { PROTO_REPLY, PROTO_VERSION, q.head.seq } };
	if (kind == PROTO_VM_PREPARE)
		m.vm.warm = 1;
	else
		(void)str_copy(m.box.socket_dir, sizeof(m.box.socket_dir), w.dir.path);
	ck_assert_int_eq(send(w.launcher, &m, sizeof(m), 0), sizeof(m));
	return q;
}

/* ---- QEMU ---- */

static void say(const char *text)
{
	ck_assert_int_eq(send(w.qemu, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

/* The next line is this command, and its result that. */
static void obey(const char *command, const char *args, const char *result)
{
	char got[512], want[512];
	(void)next(w.qemu, got, sizeof(got) - 1);
	(void)snprintf(want, sizeof(want), "{\"execute\":\"%s\",\"id\":%u%s%s}\n", command, ++w.id,
	    args[0] ? ",\"arguments\":" : "", args);
	ck_assert_str_eq(got, want);
	(void)snprintf(got, sizeof(got), "{\"return\": %s, \"id\": %u}\r\n", result, w.id);
	say(got);
}

static void be_connected(void)
{
	char got[512];
	for (int i = 0; i < TURNS && w.qemu < 0; i++) {
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
		w.qemu = accept4(w.listener, NULL, NULL, SOCK_CLOEXEC);
	}
	ck_assert_int_ge(w.qemu, 0);
	say(GREETING);
	(void)next(w.qemu, got, sizeof(got) - 1);
	ck_assert_str_eq(got, "{\"execute\":\"qmp_capabilities\",\"id\":0}\n");
	say("{\"return\": {}, \"id\": 0}\r\n");
}

/* ---- the driver ---- */

static void on_plain(const struct err *err, void *arg)
{
	w.answered++;
	w.err = *err;
}

static void on_inst(const struct err *err, struct vmm_inst *inst, void *arg)
{
	w.inst = inst;
	on_plain(err, arg);
}

static void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
}

/* It has answered, and QEMU has heard nothing that was not looked at. */
static void expect_done(void)
{
	char c;
	for (int i = 0; i < TURNS && !w.answered; i++)
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
	ck_assert_int_eq(w.answered, 1);
	ck_assert_msg(w.err.code == 0, "%s", err_text(&w.err));
	if (w.qemu >= 0)
		ck_assert_int_le(recv(w.qemu, &c, 1, MSG_DONTWAIT), 0);
	w.answered = 0;
}

static struct vmm_spec spec_of(enum vmm_start start)
{
	return (struct vmm_spec){ .id = "ia",
		.start = start,
		.snapshot = "isnap",
		.tmpl = &w.tmpl,
		.memory_bytes = w.tmpl.memory_bytes,
		.disk_bytes = w.tmpl.disk_bytes,
		.cpu_milli = w.tmpl.cpu_milli,
		.max_pids = w.tmpl.max_pids };
}

static void setup(void)
{
	int sv[2];
	char path[128];
	memset(&w, 0, sizeof(w));
	w.tmpl = (struct template){ .name = "test",
		.memory_bytes = 512ull << 20,
		.disk_bytes = 64ull << 20,
		.cpu_milli = 1000,
		.max_pids = 64 };
	memset(w.tmpl.hash, 'a', 64);
	tmpdir_make(&w.dir);
	w.loop = loop_new();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	w.launcher = sv[0];
	w.la = launcher_new(w.loop, sv[1], NULL, NULL);
	w.listener = fd_listen_unix(tmpdir_at(&w.dir, "monitor.sock", path), 0600, 4);
	w.qemu = -1;
	ck_assert(w.la && w.listener >= 0);
	ck_assert_int_eq(drv->open(w.loop, w.la, &w.v, NULL), 0);
}

static void teardown(void)
{
	drv->destroy(w.inst, on_plain, NULL);
	ck_assert_str_eq(serve(PROTO_DESTROY).box.id, "ia");
	w.qemu = fd_close(w.qemu);
	expect_done();
	w.v = drv->close(w.v);
	(void)launcher_free(w.la);
	(void)fd_close(w.launcher);
	(void)fd_close(w.listener);
	(void)loop_free(w.loop);
	tmpdir_remove(&w.dir);
}

#define SAVE "{\"filename\":\"/dev/fdset/9\",\"live\":false}"

START_TEST(stopped_kept_and_gone_on)
{
	const struct vmm_spec spec = spec_of(VMM_START_BEST);
	drv->adopt(w.v, &spec, on_event, NULL, on_inst, NULL);
	ck_assert_str_eq(serve(PROTO_ADOPT).box.id, "ia");
	be_connected();
	expect_done();
	drv->pause(w.inst, on_plain, NULL);
	obey("stop", "", "{}");
	expect_done();
	drv->snapshot(w.inst, "isnap", on_plain, NULL);
	obey("xen-save-devices-state", SAVE, "{}");
	ck_assert_str_eq(serve(PROTO_VM_SNAPSHOT).box.snapshot, "isnap");
	expect_done();
	drv->resume(w.inst, on_plain, NULL);
	obey("cont", "", "{}");
	expect_done();
}
END_TEST

START_TEST(booted_and_kept_to_be_cloned)
{
	const struct vmm_spec spec = spec_of(VMM_START_COLD);
	drv->create(w.v, &spec, on_event, NULL, on_inst, NULL);
	ck_assert_uint_eq(serve(PROTO_CREATE).create.start, PROTO_START_COLD);
	be_connected();
	expect_done();
	drv->warm(w.inst, on_plain, NULL);
	obey("stop", "", "{}");
	obey("xen-save-devices-state", SAVE, "{}");
	ck_assert_str_eq(serve(PROTO_VM_WARM).box.id, "ia");
	expect_done();
}
END_TEST

#define DISK (64ull << 20)

/* What the launcher was asked for, and QEMU after it. */
static void resize(uint64_t disk_bytes, unsigned cpu_milli, uint64_t asked, const char *told)
{
	const struct vmm_sizes to = { 512ull << 20, disk_bytes, cpu_milli };
	drv->resize(w.inst, &to, on_plain, NULL);
	struct proto_request q = serve(PROTO_RESIZE);
	ck_assert_str_eq(q.resize.id, "ia");
	ck_assert_uint_eq(q.resize.to.cpu_milli, cpu_milli);
	ck_assert_uint_eq(q.resize.to.memory_bytes, 0);
	ck_assert_uint_eq(q.resize.to.disk_bytes, asked);
	if (told)
		obey("block_resize", told, "{}");
	expect_done();
}

START_TEST(given_other_sizes)
{
	const struct vmm_spec spec = spec_of(VMM_START_COLD);
	drv->create(w.v, &spec, on_event, NULL, on_inst, NULL);
	(void)serve(PROTO_CREATE);
	be_connected();
	expect_done();
	resize(DISK, 500, 0, NULL);
	resize(2 * DISK, 1000, 2 * DISK, "{\"device\":\"disk\",\"size\":134217728}");
	/* as creates do: whole MiB, none less than was asked for */
	resize(2 * DISK - 1, 1000, 2 * DISK, "{\"device\":\"disk\",\"size\":134217728}");
}
END_TEST

static void start_from(enum vmm_start start, enum proto_start as)
{
	const struct vmm_spec spec = spec_of(start);
	drv->create(w.v, &spec, on_event, NULL, on_inst, NULL);
	ck_assert_uint_eq(serve(PROTO_CREATE).create.start, as);
	be_connected();
	if (as == PROTO_START_SNAPSHOT) /* memory first */
		ck_assert_str_eq(serve(PROTO_VM_LOAD).box.id, "ia");
	obey("migrate-incoming", "{\"uri\":\"fd:10\"}", "{}");
	obey("query-migrate", "", "{}");
	obey("query-migrate", "", "{\"status\": \"active\"}");
	obey("query-migrate", "", "{\"status\": \"completed\"}");
	obey("cont", "", "{}");
	expect_done();
}

START_TEST(started_from_a_snapshot)
{
	start_from(VMM_START_SNAPSHOT, PROTO_START_SNAPSHOT);
}
END_TEST

START_TEST(started_as_a_clone)
{
	drv->prepare(w.v, &w.tmpl, on_plain, NULL);
	(void)serve(PROTO_VM_PREPARE);
	expect_done();
	start_from(VMM_START_BEST, PROTO_START_CLONE);
}
END_TEST

static void wait_answer(void)
{
	for (int i = 0; i < TURNS && !w.answered; i++)
		ck_assert_int_eq(loop_turn(w.loop, false), 0);
	ck_assert_int_eq(w.answered, 1);
	w.answered = 0;
}

/* The next one is a cold start, or the owner makes another snapshot first: both need to know. */
START_TEST(what_was_to_be_cloned_is_gone)
{
	static const struct {
		int code;
		bool lost;
	} refusals[] = { { -ENOENT, true }, { -ESTALE, true }, { -EBADMSG, true },
		{ -ENOSPC, false }, { -ENOMEM, false } };
	const struct vmm_spec spec = spec_of(VMM_START_BEST);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		drv->prepare(w.v, &w.tmpl, on_plain, NULL);
		(void)serve(PROTO_VM_PREPARE);
		expect_done();
		ck_assert(drv->has_warm(w.v, &w.tmpl));
		drv->create(w.v, &spec, on_event, NULL, on_inst, NULL);
		refuse(PROTO_CREATE, refusals[i].code, "not to be had");
		(void)serve(PROTO_DESTROY);
		wait_answer();
		ck_assert_int_eq(w.err.code, refusals[i].code);
		ck_assert(drv->has_warm(w.v, &w.tmpl) != refusals[i].lost);
	}
	start_from(VMM_START_BEST, PROTO_START_CLONE); /* for the teardown */
}
END_TEST

/* The driver only says the numbers; the launcher's table gives them. */
START_TEST(descriptors_have_the_numbers_that_are_said)
{
	ck_assert_int_eq(VM_FD_STATE, 9);
	ck_assert_int_eq(VM_FD_STATE_IN, 10);
}
END_TEST

void add_driver_tests(Suite *s)
{
	TCase *tc = test_case(s, "driver", 20);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, stopped_kept_and_gone_on);
	tcase_add_test(tc, given_other_sizes);
	tcase_add_test(tc, what_was_to_be_cloned_is_gone);
	tcase_add_test(tc, booted_and_kept_to_be_cloned);
	tcase_add_test(tc, started_from_a_snapshot);
	tcase_add_test(tc, started_as_a_clone);
	tc = test_case(s, "descriptors", 5);
	tcase_add_test(tc, descriptors_have_the_numbers_that_are_said);
}
