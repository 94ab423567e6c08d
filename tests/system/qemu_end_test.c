/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that end badly, files that were damaged, launchers and daemons that die: reasons are clear,
 * nothing is left, and what lived goes on. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "lib/test.h"
#include "qemu_rig.h"
#include "qemu_system_tests.h"

static const struct vmm_driver *const drv = &vmm_qemu_driver;

static void expect_ok(int r, const struct qemu_seen *s)
{
	ck_assert_msg(r == 0, "%s", err_text(&s->err));
}

static void expect_nothing_left(struct qemu_rig *q)
{
	struct rig_ledger l;
	rig_take_ledger(&q->r, &l);
	ck_assert_msg(l.mounts + l.cgroups + l.files + l.sockets + l.processes == 0,
	    "%u mounts %u groups %u files %u sockets %u processes", l.mounts, l.cgroups, l.files,
	    l.sockets, l.processes);
}

static void clone_one(struct qemu_rig *q, struct qemu_seen *s, const char *id)
{
	struct vmm_spec spec = qemu_rig_spec(q, id, VMM_START_BEST);
	expect_ok(qemu_rig_create(q, s, &spec), s);
}

/* The launcher's own watch, for the words that come with the end. */
START_TEST(every_end_of_a_guest_is_told)
{
	static const char *const commands[] = { "panic", "off", "reboot" };
	static const char *const words[] = { "Kernel panic - not syncing: sysrq",
		"the VM has ended", "the VM has ended" };
	struct qemu_rig q;
	struct qemu_seen s;
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		clone_one(&q, &s, "iend");
		qemu_rig_expect(&q, &s, commands[i], "");
		ck_assert_msg(rig_wait(&q.r, &s.exits, 10000), "%s", commands[i]);
		/* what is asked of it now fails, with the reason */
		ck_assert_int_eq(qemu_rig_do(&q, &s, drv->pause), -ECHILD);
		ck_assert_msg(strstr(s.err.text, words[i]) != NULL, "%s", s.err.text);
		qemu_rig_destroy(&q, &s);
		ck_assert_int_eq(s.exits, 1);
	}
	clone_one(&q, &s, "ikill");
	ck_assert_int_eq(kill(qemu_rig_pid(&q, "ikill"), SIGKILL), 0);
	ck_assert(rig_wait(&q.r, &s.exits, 5000));
	qemu_rig_destroy(&q, &s);
	/* destroyed in the middle of something */
	clone_one(&q, &s, "imid");
	struct qemu_seen pausing = s;
	drv->pause(s.inst, NULL, NULL);
	qemu_rig_destroy(&q, &s);
	(void)pausing;
	expect_nothing_left(&q);
	qemu_rig_close(&q);
}
END_TEST

START_TEST(a_full_disk_hurts_only_its_guest)
{
	struct qemu_rig q;
	struct qemu_seen s;
	struct proto_usage u;
	unsigned long long written = 0;
	int code = 0;
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	clone_one(&q, &s, "ifull");
	ck_assert_int_eq(sscanf(qemu_rig_ask(&q, &s, "fill"), "%llu %d", &written, &code), 2);
	ck_assert_int_eq(code, ENOSPC);
	ck_assert_uint_gt(written, RIG_DISK / 2);
	ck_assert_uint_lt(written, RIG_DISK);
	ck_assert_int_eq(rig_usage(&q.r, "ifull", &u), 0);
	ck_assert_uint_le(u.disk_bytes, RIG_DISK);
	ck_assert_uint_gt(u.disk_bytes, RIG_DISK / 2);
	qemu_rig_expect(&q, &s, "echo alive", "alive");
	qemu_rig_destroy(&q, &s);
	/* the warm snapshot is as it was */
	clone_one(&q, &s, "inext");
	qemu_rig_expect(&q, &s, "read", "warm");
	ck_assert_int_eq(rig_usage(&q.r, "inext", &u), 0);
	ck_assert_uint_lt(u.disk_bytes, RIG_DISK / 2);
	(void)printf("memory of a clone: %.1f MB of %.1f\n", (double)u.memory_bytes / 1e6,
	    (double)u.memory_limit / 1e6);
	qemu_rig_destroy(&q, &s);
	qemu_rig_close(&q);
}
END_TEST

static const char *snapshot_file(const struct qemu_rig *q, const char *name)
{
	static char path[PATH_LEN_MAX];
	(void)path_printf(
	    path, sizeof(path), "%s/state/launcher/snapshots/isnap/%s", q->r.dir, name);
	return path;
}

static void swap_in_file(const char *path, const char *key)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	ck_assert_int_eq(fd_read_file(AT_FDCWD, path, 65536, &b), 0);
	char *at = strstr(buf_cstr(&b), key);
	ck_assert_ptr_nonnull(at);
	at += strlen(key);
	*at = *at == '0' ? '1' : '0';
	CLEAN_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(fd_write_all(fd, buf_data(&b), buf_len(&b)), 0);
}

static void restore_fails(struct qemu_rig *q, int code, const char *words)
{
	struct qemu_seen s;
	struct vmm_spec spec = qemu_rig_spec(q, "ibad", VMM_START_SNAPSHOT);
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "isnap");
	int r = qemu_rig_create(q, &s, &spec);
	ck_assert_msg(r == code, "%d: %s", r, err_text(&s.err));
	ck_assert_msg(strstr(s.err.text, words) != NULL, "%s", s.err.text);
	ck_assert_ptr_null(s.inst);
	expect_nothing_left(q);
}

static void damage(const char *path, off_t at)
{
	unsigned char bytes[64];
	memset(bytes, 0xee, sizeof(bytes));
	CLEAN_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes), at), sizeof(bytes));
}

START_TEST(damaged_snapshots_say_why)
{
	static const char *const files[] = { "mem", "state", "disk" };
	struct qemu_rig q;
	struct qemu_seen s;
	struct stat st;
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	restore_fails(&q, -ENOENT, "there is no snapshot isnap");
	clone_one(&q, &s, "ia");
	qemu_rig_expect(&q, &s, "dirty 4", "ok");
	rig_pause(&q.r, 100);
	expect_ok(qemu_rig_do(&q, &s, drv->pause), &s);
	expect_ok(qemu_rig_snapshot(&q, &s, "isnap"), &s);
	qemu_rig_destroy(&q, &s);
	for (size_t i = 0; i < 3; i++) { /* truncated */
		const char *path = snapshot_file(&q, files[i]);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_int_eq(truncate(path, st.st_size / 2), 0);
		restore_fails(&q, -EBADMSG, files[i]);
		ck_assert_int_eq(truncate(path, st.st_size), 0);
	}
	/* of the same size, but rubbish: found before, or by, the VMM */
	damage(snapshot_file(&q, "mem"), 0);
	restore_fails(&q, -EBADMSG, "damaged");
	/* of another machine or version */
	swap_in_file(snapshot_file(&q, "manifest"), "host ");
	restore_fails(&q, -ESTALE, "another processor, QEMU or accelerator");
	swap_in_file(snapshot_file(&q, "manifest"), "host ");
	swap_in_file(snapshot_file(&q, "manifest"), "sandglass-vm ");
	restore_fails(&q, -EBADMSG, "not one of this version");
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
	qemu_rig_close(&q);
}
END_TEST

START_TEST(rubbish_device_state_is_refused)
{
	struct qemu_rig q;
	struct qemu_seen s;
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	clone_one(&q, &s, "ia");
	rig_pause(&q.r, 100);
	expect_ok(qemu_rig_do(&q, &s, drv->pause), &s);
	expect_ok(qemu_rig_snapshot(&q, &s, "isnap"), &s);
	qemu_rig_destroy(&q, &s);
	damage(snapshot_file(&q, "state"), 0);
	restore_fails(&q, -ECHILD, "the VM has ended");
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
	qemu_rig_close(&q);
}
END_TEST

static void restart(struct qemu_rig *q)
{
	rig_stop_launcher(&q->r, SIGKILL);
	rig_start_launcher(&q->r);
}

/* The launcher dies; then the daemon: a new driver finds the VM. Both can go on with it. */
START_TEST(vms_outlive_launcher_and_daemon)
{
	struct qemu_rig q;
	struct qemu_seen s, lost;
	qemu_rig_open(&q, true, false);
	q.tmpl.internet = true;
	qemu_rig_make_warm(&q);
	clone_one(&q, &s, "ia");
	clone_one(&q, &lost, "ilost");
	qemu_rig_expect(&q, &s, "dirty 5", "ok");
	rig_stop_launcher(&q.r, SIGKILL);
	qemu_rig_expect(&q, &s, "echo alone", "alone");
	ck_assert_int_eq(kill(qemu_rig_pid(&q, "ilost"), SIGKILL), 0);
	rig_pause(&q.r, 100);
	rig_start_launcher(&q.r);
	ck_assert(rig_wait(&q.r, &lost.exits, 5000));
	qemu_rig_destroy(&q, &lost);
	qemu_rig_expect(&q, &s, "echo found", "found");
	/* without the descriptors that the launcher had */
	rig_pause(&q.r, 100);
	expect_ok(qemu_rig_do(&q, &s, drv->pause), &s);
	expect_ok(qemu_rig_snapshot(&q, &s, "isnap"), &s);
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
	/* the memory of the warm snapshot is read from disk now */
	clone_one(&q, &lost, "ib");
	qemu_rig_expect(&q, &lost, "read", "warm");
	qemu_rig_check_sealed(&q, "ib");
	qemu_rig_destroy(&q, &lost);
	/* the daemon */
	struct vmm_spec spec = qemu_rig_spec(&q, "ia", VMM_START_BEST);
	qemu_rig_abandon(&q, &s);
	ck_assert_int_eq(qemu_rig_adopt(&q, &s, &spec), 0);
	ck_assert(drv->is_warm(s.inst));
	expect_ok(qemu_rig_do(&q, &s, drv->resume), &s);
	qemu_rig_expect(&q, &s, "echo adopted", "adopted");
	spec = qemu_rig_spec(&q, "inone", VMM_START_BEST);
	ck_assert_int_eq(qemu_rig_adopt(&q, &lost, &spec), -ENOENT);
	qemu_rig_destroy(&q, &s);
	expect_nothing_left(&q);
	qemu_rig_close(&q);
}
END_TEST

static void on_ignored(const struct err *err, struct vmm_inst *inst, void *arg)
{
	struct qemu_seen *s = arg;
	s->err = *err;
	s->inst = inst;
	s->there = 1;
}

static void on_plain(const struct err *err, void *arg)
{
	struct qemu_seen *s = arg;
	s->err = *err;
	s->there = 1;
}

static void ignore_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
}

/* At moments that differ from round to round, in creates and in snapshots. */
START_TEST(kills_at_any_moment_leak_nothing)
{
	struct qemu_rig q;
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	for (unsigned round = 0; round < 10; round++) {
		struct qemu_seen s = { 0 };
		struct vmm_spec spec = qemu_rig_spec(&q, "ik", VMM_START_BEST);
		drv->create(q.v, &spec, ignore_event, &s, on_ignored, &s);
		rig_pause(&q.r, round * 7);
		restart(&q);
		ck_assert(rig_wait(&q.r, &s.there, 60000));
		if (s.inst)
			qemu_rig_destroy(&q, &s);
		expect_nothing_left(&q);
	}
	for (unsigned round = 0; round < 6; round++) {
		struct qemu_seen s;
		clone_one(&q, &s, "ik");
		expect_ok(qemu_rig_do(&q, &s, drv->pause), &s);
		s.there = 0;
		drv->snapshot(s.inst, "isnap", on_plain, &s);
		rig_pause(&q.r, round * 4);
		restart(&q);
		ck_assert(rig_wait(&q.r, &s.there, 60000));
		s.there = 0;
		/* complete or not there; never in between */
		ck_assert_uint_eq(
		    qemu_rig_count(&q, "snapshots"), path_exists(snapshot_file(&q, "manifest")));
		qemu_rig_destroy(&q, &s);
		ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
		expect_nothing_left(&q);
	}
	qemu_rig_close(&q);
}
END_TEST

START_TEST(faults_of_every_step_leave_nothing)
{
	static const char *const create[] = { "reserve", "files", "master", "cgroup", "memory",
		"spawn", "enter-cgroups", "disk", "network", "root", "rights", "exec", "publish" };
	static const char *const saves[] = { "save-state", "save-store" };
	static const char *const warms[] = { "save-end", "save-seal", "save-store",
		"save-publish" };
	struct qemu_rig q;
	struct qemu_seen s;
	qemu_rig_open(&q, false, true);
	struct vmm_spec spec = qemu_rig_spec(&q, "icold", VMM_START_COLD);
	for (size_t i = 0; i < sizeof(warms) / sizeof(warms[0]); i++) {
		ck_assert_int_eq(qemu_rig_prepare(&q, NULL), 0);
		expect_ok(qemu_rig_create(&q, &s, &spec), &s);
		rig_set_fault(&q.r, warms[i]);
		ck_assert_int_eq(qemu_rig_do(&q, &s, drv->warm), -EIO);
		rig_set_fault(&q.r, NULL);
		qemu_rig_destroy(&q, &s);
		expect_nothing_left(&q);
		if (!str_eq(warms[i], "save-publish"))
			ck_assert_uint_eq(qemu_rig_count(&q, "warm"), 0);
	}
	qemu_rig_clear_warm(&q);
	qemu_rig_make_warm(&q);
	spec = qemu_rig_spec(&q, "iclone", VMM_START_BEST);
	for (size_t i = 0; i < sizeof(create) / sizeof(create[0]); i++) {
		rig_set_fault(&q.r, create[i]);
		ck_assert_int_eq(qemu_rig_create(&q, &s, &spec), -EIO);
		expect_nothing_left(&q);
	}
	rig_set_fault(&q.r, NULL);
	clone_one(&q, &s, "ia");
	expect_ok(qemu_rig_do(&q, &s, drv->pause), &s);
	for (size_t i = 0; i < sizeof(saves) / sizeof(saves[0]); i++) {
		rig_set_fault(&q.r, saves[i]);
		ck_assert_int_eq(qemu_rig_snapshot(&q, &s, "isnap"), -EIO);
		ck_assert_uint_eq(qemu_rig_count(&q, "snapshots"), 0);
	}
	rig_set_fault(&q.r, NULL);
	expect_ok(qemu_rig_snapshot(&q, &s, "isnap"), &s);
	qemu_rig_destroy(&q, &s);
	spec = qemu_rig_spec(&q, "irest", VMM_START_SNAPSHOT);
	(void)str_copy(spec.snapshot, sizeof(spec.snapshot), "isnap");
	rig_set_fault(&q.r, "load-memory");
	ck_assert_int_eq(qemu_rig_create(&q, &s, &spec), -EIO);
	expect_nothing_left(&q);
	rig_set_fault(&q.r, NULL);
	ck_assert_int_eq(qemu_rig_forget(&q, "isnap"), 0);
	qemu_rig_close(&q);
}
END_TEST

static const char *warm_file(struct qemu_rig *q, const char *name)
{
	static char path[PATH_LEN_MAX];
	(void)path_printf(path, sizeof(path), "%s/%s", qemu_rig_warm_dir(q), name);
	return path;
}

/* What does not fit is made anew; what is damaged, too. */
START_TEST(warm_snapshots_must_fit)
{
	struct qemu_rig q;
	struct err err = ERR_INIT;
	qemu_rig_open(&q, false, false);
	qemu_rig_make_warm(&q);
	ck_assert_int_eq(qemu_rig_prepare(&q, NULL), 0);
	ck_assert(drv->has_warm(q.v, &q.tmpl));
	/* another size is another one; the first stays */
	q.tmpl.memory_bytes += 32 << 20;
	ck_assert_int_eq(qemu_rig_prepare(&q, NULL), 0);
	ck_assert(!drv->has_warm(q.v, &q.tmpl));
	ck_assert_uint_eq(qemu_rig_count(&q, "warm"), 1);
	q.tmpl.memory_bytes -= 32 << 20;
	/* truncated while no launcher runs */
	rig_stop_launcher(&q.r, SIGKILL);
	ck_assert_int_eq(truncate(warm_file(&q, "mem"), 4096), 0);
	rig_start_launcher(&q.r);
	ck_assert_int_eq(qemu_rig_prepare(&q, NULL), 0);
	ck_assert(!drv->has_warm(q.v, &q.tmpl));
	rig_pause(&q.r, 200);
	ck_assert_uint_eq(qemu_rig_count(&q, "warm"), 0);
	qemu_rig_make_warm(&q);
	/* another content: the old one is of no use any more */
	q.tmpl.hash[0] = 'b';
	ck_assert_int_eq(qemu_rig_prepare(&q, NULL), 0);
	ck_assert(!drv->has_warm(q.v, &q.tmpl));
	rig_pause(&q.r, 200);
	ck_assert_uint_eq(qemu_rig_count(&q, "warm"), 0);
	/* a template that was never built */
	(void)str_copy(q.tmpl.name, sizeof(q.tmpl.name), "unbuilt");
	ck_assert_int_eq(qemu_rig_prepare(&q, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "sandglass template build unbuilt"));
	qemu_rig_close(&q);
}
END_TEST

void add_qemu_end_tests(Suite *s)
{
	TCase *tc = test_case(s, "ends", 180);
	tcase_add_test(tc, every_end_of_a_guest_is_told);
	tcase_add_test(tc, a_full_disk_hurts_only_its_guest);
	tcase_add_test(tc, damaged_snapshots_say_why);
	tcase_add_test(tc, rubbish_device_state_is_refused);
	tcase_add_test(tc, vms_outlive_launcher_and_daemon);
	tcase_add_test(tc, kills_at_any_moment_leak_nothing);
	tcase_add_test(tc, faults_of_every_step_leave_nothing);
	tcase_add_test(tc, warm_snapshots_must_fit);
}
