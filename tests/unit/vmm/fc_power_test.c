/* SPDX-License-Identifier: Apache-2.0 */
/* Pause, resume, snapshot, restore, warm; what each leaves when it fails. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/path.h"
#include "base/str.h"
#include "image/template.h"
#include "fc_rig.h"
#include "vmm_tests.h"

#define DRIVER vmm_firecracker_driver

#define HANG_MS 500

static void open_running(struct fc_rig *r, const char *script)
{
	fc_rig_open(r, script);
	ck_assert_msg(fc_rig_create(r, VMM_START_COLD) == 0, "%s", r->err.text);
	if (script && strstr(script, "hang"))
		r->vmm->limit_max_ms = HANG_MS;
}

static void close_all(struct fc_rig *r)
{
	ck_assert_int_eq(fc_rig_destroy(r), 0);
	ck_assert_uint_eq(fake_launcher_boxes(r->la), 0);
	fc_rig_close(r);
}

/* The versions differ in how a pause is made, never in what it is. */
static const char *const versions[] = { "no-tap\nversion 1.15.1\n", "no-tap\nversion 1.16.1\n",
	"no-tap\nversion 1.17.0\n" };

START_TEST(test_pause)
{
	struct fc_rig r;
	open_running(&r, versions[_i]);
	for (int i = 0; i < 3; i++) {
		ck_assert_msg(fc_rig_pause(&r) == 0, "%s", r.err.text);
		ck_assert_int_eq(fc_rig_pause(&r), 0);
		ck_assert_int_eq(fc_rig_resume(&r), 0);
		ck_assert_int_eq(fc_rig_resume(&r), 0);
		/* On 1.16.1 a pause over the API would be the end of it. */
		ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	}
	ck_assert_uint_eq(fake_launcher_verbs(r.la, PROTO_VM_STOP), _i == 1 ? 3 : 0);
	close_all(&r);
}
END_TEST

START_TEST(test_destroy_paused)
{
	struct fc_rig r;
	open_running(&r, versions[_i]);
	ck_assert_int_eq(fc_rig_pause(&r), 0);
	close_all(&r);
}
END_TEST

/* The loop may be frozen although the request was refused. */
START_TEST(test_pause_refused)
{
	struct fc_rig r;
	open_running(&r, "no-tap\nfault PATCH /vm=Paused dead-loop Cannot pause.\n");
	ck_assert_int_eq(fc_rig_pause(&r), -EREMOTEIO);
	ck_assert_msg(strstr(r.err.text, "Cannot pause.") != NULL, "%s", r.err.text);
	ck_assert(!r.inst->paused);
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT)); /* it was resumed */
	close_all(&r);
}
END_TEST

/* What cannot be brought into a known state is killed, and its owner told. */
static void check_killed(const char *script, int code, int (*act)(struct fc_rig *r))
{
	struct fc_rig r;
	open_running(&r, script);
	ck_assert_msg(act(&r) == code, "%d %s", r.err.code, r.err.text);
	fc_rig_until(&r, &r.exits);
	ck_assert_int_eq(r.exit_status, SIGKILL);
	close_all(&r);
}

START_TEST(test_pause_hangs)
{
	check_killed("no-tap\nfault PATCH /vm=Paused hang\n", -ETIMEDOUT, fc_rig_pause);
	check_killed("no-tap\nfault PATCH /vm=Paused garbage\n", -EBADMSG, fc_rig_pause);
}
END_TEST

static int pause_and_resume(struct fc_rig *r)
{
	ck_assert_int_eq(fc_rig_pause(r), 0);
	return fc_rig_resume(r);
}

START_TEST(test_resume_hangs)
{
	check_killed("no-tap\nfault PATCH /vm=Resumed hang\n", -ETIMEDOUT, pause_and_resume);
}
END_TEST

START_TEST(test_resume_refused)
{
	struct fc_rig r;
	open_running(&r, "no-tap\nfault PATCH /vm=Resumed refuse Not now.\n");
	ck_assert_int_eq(pause_and_resume(&r), -EREMOTEIO);
	ck_assert(r.inst->paused);
	close_all(&r);
}
END_TEST

START_TEST(test_pause_dies)
{
	struct fc_rig r;
	open_running(&r, "no-tap\nfault PATCH /vm=Paused exit 149\n");
	ck_assert_int_eq(fc_rig_pause(&r), -ECHILD);
	ck_assert_msg(strstr(r.err.text, "SIGBUS") != NULL, "%s", r.err.text);
	ck_assert_int_eq(r.exits, 1);
	close_all(&r);
}
END_TEST

START_TEST(test_pause_by_signal_fails)
{
	struct fc_rig r;
	open_running(&r, versions[1]);
	fake_launcher_fail(r.la, PROTO_VM_DO, PROTO_VM_STOP, -EIO, 1);
	ck_assert_int_eq(fc_rig_pause(&r), -EIO);
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	close_all(&r);
}
END_TEST

/* ---- sizes ---- */

static off_t disk_of(const struct fc_rig *r)
{
	struct stat st;
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/disk", fake_launcher_dir(r->la));
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

START_TEST(test_resize)
{
	struct fc_rig r;
	open_running(&r, versions[_i]);
	const uint64_t disk = r.tmpl->disk_bytes;
	off_t before = disk_of(&r);
	ck_assert_int_eq(fc_rig_resize(&r, disk, 700), 0);
	ck_assert_int_eq(disk_of(&r), before);
	ck_assert_msg(fc_rig_resize(&r, 3 * disk, 700) == 0, "%s", r.err.text);
	ck_assert_int_eq(disk_of(&r), (off_t)(3 * disk));
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	close_all(&r);
}
END_TEST

START_TEST(test_resize_fails)
{
	struct fc_rig r;
	open_running(&r, "no-tap\nfault PATCH /drives/disk refuse No such size.\n");
	ck_assert_int_eq(fc_rig_resize(&r, 2 * r.tmpl->disk_bytes, 1000), -EREMOTEIO);
	ck_assert_msg(strstr(r.err.text, "No such size.") != NULL, "%s", r.err.text);
	close_all(&r);

	open_running(&r, "no-tap\n");
	fake_launcher_fail(r.la, PROTO_RESIZE, 0, -EBUSY, 1);
	ck_assert_int_eq(fc_rig_resize(&r, r.tmpl->disk_bytes, 1000), -EBUSY);
	close_all(&r);

	open_running(&r, "no-tap\nfault PATCH /drives/disk exit 148\n");
	ck_assert_int_eq(fc_rig_resize(&r, 2 * r.tmpl->disk_bytes, 1000), -ECHILD);
	ck_assert_int_eq(r.exits, 1);
	close_all(&r);

	open_running(&r, "no-tap\nfault PATCH /drives/disk hang\n");
	ck_assert_int_eq(fc_rig_resize(&r, 2 * r.tmpl->disk_bytes, 1000), -ETIMEDOUT);
	close_all(&r);
}
END_TEST

START_TEST(test_snapshot)
{
	char path[160];
	struct fc_rig r;
	open_running(&r, versions[_i]);
	ck_assert_int_eq(fc_rig_pause(&r), 0);
	ck_assert_msg(fc_rig_snapshot(&r, "snap1") == 0, "%s", r.err.text);
	ck_assert(r.inst->paused);
	ck_assert_int_eq(fc_rig_snapshot(&r, "snap2"), 0); /* a second one of the same pause */
	ck_assert_int_eq(fc_rig_resume(&r), 0);
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	struct vmm_inst *source = r.inst;
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(fc_rig_create_from(&r, "snap1") == 0, "%s", r.err.text);
		ck_assert(fc_rig_echoes(&r, FC_DATA_PORT));
		ck_assert_int_eq(fc_rig_destroy(&r), 0);
	}
	ck_assert_int_eq(fc_rig_create_from(&r, "snap2"), 0);
	ck_assert_int_eq(fc_rig_forget(&r, "snap2"), 0);
	ck_assert_int_eq(fc_rig_forget(&r, "snap2"), 0);
	ck_assert(fc_rig_echoes(&r, FC_DATA_PORT)); /* those made of it go on */
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fake_launcher_kept(r.la, "snap2", "state", path);
	ck_assert(!path_exists(path));
	r.inst = source;
	close_all(&r);
}
END_TEST

START_TEST(test_snapshot_running)
{
	struct fc_rig r;
	open_running(&r, NULL);
	ck_assert_int_eq(fc_rig_snapshot(&r, "snap1"), -EINVAL);
	close_all(&r);
}
END_TEST

/* It stays paused and can go on; nothing of the snapshot is left. */
static void check_not_kept(struct fc_rig *r, int code)
{
	char path[160];
	ck_assert_int_eq(fc_rig_pause(r), 0);
	ck_assert_msg(fc_rig_snapshot(r, "snap1") == code, "%d %s", r->err.code, r->err.text);
	fake_launcher_kept(r->la, "snap1", "", path);
	ck_assert(!path_exists(path));
	ck_assert(r->inst->paused);
	ck_assert_int_eq(fc_rig_resume(r), 0);
	ck_assert(fc_rig_echoes(r, FC_CONTROL_PORT));
	ck_assert_int_eq(r->exits, 0);
}

START_TEST(test_snapshot_fails)
{
	struct fc_rig r;
	open_running(&r, "no-tap\nfault PUT /snapshot/create refuse No space left on device\n");
	check_not_kept(&r, -EREMOTEIO);
	ck_assert_uint_eq(fake_launcher_verbs(r.la, PROTO_VM_DISCARD), 1);
	close_all(&r);
	open_running(&r, NULL);
	fake_launcher_fail(r.la, PROTO_VM_DO, PROTO_VM_OUT, -ENOSPC, 1);
	check_not_kept(&r, -ENOSPC);
	fake_launcher_fail(r.la, PROTO_VM_SNAPSHOT, 0, -EIO, 1);
	check_not_kept(&r, -EIO);
	close_all(&r);
}
END_TEST

static int snapshot(struct fc_rig *r)
{
	ck_assert_int_eq(fc_rig_pause(r), 0);
	return fc_rig_snapshot(r, "snap1");
}

START_TEST(test_snapshot_hangs)
{
	check_killed("no-tap\nfault PUT /snapshot/create hang\n", -ETIMEDOUT, snapshot);
	/* Nothing was taken, so that this version could not be resumed. */
	check_killed("no-tap\nversion 1.16.1\nfault PUT /snapshot/create refuse No.\n", -EREMOTEIO,
	    snapshot);
}
END_TEST

START_TEST(test_snapshot_dies)
{
	struct fc_rig r;
	open_running(&r, "no-tap\nfault PUT /snapshot/create exit 151\n");
	ck_assert_int_eq(snapshot(&r), -ECHILD);
	ck_assert_msg(strstr(r.err.text, "larger than its limit") != NULL, "%s", r.err.text);
	ck_assert_int_eq(r.exits, 1);
	close_all(&r);
}
END_TEST

static const char *const warm_faults[] = { "PATCH /vm=Paused refuse No.", "PATCH /vm=Paused hang",
	"PATCH /vm=Paused exit 1", "PUT /snapshot/create refuse No.", "PUT /snapshot/create kill",
	"PUT /snapshot/create hang" };

START_TEST(test_warm_fails)
{
	char script[128];
	struct fc_rig r;
	(void)snprintf(script, sizeof(script), "no-tap\nfault %s\n", warm_faults[_i]);
	open_running(&r, script);
	ck_assert_int_lt(fc_rig_warm(&r), 0);
	ck_assert(!DRIVER.has_warm(r.vmm, r.tmpl));
	close_all(&r);
}
END_TEST

START_TEST(test_warm_not_kept)
{
	struct fc_rig r;
	open_running(&r, NULL);
	fake_launcher_fail(r.la, PROTO_VM_WARM, 0, -ENOSPC, 1);
	ck_assert_int_eq(fc_rig_warm(&r), -ENOSPC);
	ck_assert(!DRIVER.has_warm(r.vmm, r.tmpl));
	close_all(&r);
}
END_TEST

/* Whoever destroys while something runs: both are answered, the first as cancelled. */
START_TEST(test_destroy_during)
{
	struct fc_rig r;
	open_running(&r, _i == 0 ? "no-tap\nfault PATCH /vm=Paused delay 300\n" : versions[1]);
	if (_i == 1)
		fake_launcher_hold(r.la, PROTO_VM_DO, true);
	struct fc_rig pausing = { 0 };
	DRIVER.pause(r.inst, fc_rig_on_plain, &pausing);
	fc_rig_turns(&r, 20);
	struct fc_rig again = { 0 };
	DRIVER.pause(r.inst, fc_rig_on_plain, &again);
	fc_rig_turns(&r, 20);
	ck_assert_int_eq(again.err.code, -EBUSY);
	if (_i == 1) {
		r.answers = 0;
		DRIVER.destroy(r.inst, fc_rig_on_plain, &r);
		fc_rig_turns(&r, 50);
		fake_launcher_hold(r.la, PROTO_VM_DO, false);
		fc_rig_wait(&r);
		ck_assert_int_eq(r.err.code, 0);
	} else {
		ck_assert_int_eq(fc_rig_destroy(&r), 0);
	}
	ck_assert_uint_eq(pausing.answers, 1);
	ck_assert_int_eq(pausing.err.code, -ECANCELED);
	ck_assert_uint_eq(fake_launcher_boxes(r.la), 0);
	fc_rig_close(&r);
}
END_TEST

void add_fc_power(Suite *s)
{
	TCase *tc = test_case(s, "power", 60);
	tcase_add_loop_test(tc, test_pause, 0, 3);
	tcase_add_loop_test(tc, test_destroy_paused, 0, 3);
	tcase_add_test(tc, test_pause_refused);
	tcase_add_test(tc, test_pause_hangs);
	tcase_add_test(tc, test_resume_hangs);
	tcase_add_test(tc, test_resume_refused);
	tcase_add_test(tc, test_pause_dies);
	tcase_add_test(tc, test_pause_by_signal_fails);
	tcase_add_loop_test(tc, test_resize, 0, 3);
	tcase_add_test(tc, test_resize_fails);
	tcase_add_loop_test(tc, test_snapshot, 0, 3);
	tcase_add_test(tc, test_snapshot_running);
	tcase_add_test(tc, test_snapshot_fails);
	tcase_add_test(tc, test_snapshot_hangs);
	tcase_add_test(tc, test_snapshot_dies);
	tcase_add_loop_test(tc, test_warm_fails, 0, 6);
	tcase_add_test(tc, test_warm_not_kept);
	tcase_add_loop_test(tc, test_destroy_during, 0, 2);
}
