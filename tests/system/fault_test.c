/* SPDX-License-Identifier: Apache-2.0 */
/* Every step of making a sandbox fails once: the caller hears which, and nothing is left. */
#include <errno.h>
#include <string.h>

#include "lib/test.h"
#include "rig.h"
#include "system_tests.h"

static const char *const launcher_steps[] = { "reserve", "files", "master", "cgroup", "net",
	"spawn", "publish" };
static const char *const child_steps[] = { "enter-cgroups", "network", "root", "stage", "disk",
	"layers", "dev", "run", "proc", "sys", "pivot", "enter-user", "rights", "exec" };

static void assert_nothing(struct rig *r)
{
	struct rig_ledger l;
	rig_take_ledger(r, &l);
	ck_assert_uint_eq(l.mounts + l.loops + l.cgroups + l.files + l.sockets + l.processes, 0);
}

static void fail_at(struct rig *r, const char *step)
{
	struct rig_box b;
	struct err err = ERR_INIT;
	rig_set_fault(r, step);
	int rc = rig_create(r, &b, "ifault", &err);
	ck_assert_msg(rc == -EIO, "%s: %d %s", step, rc, err.text);
	ck_assert_msg(
	    strstr(err.text, step) || strstr(err.text, "create"), "%s: %s", step, err.text);
	assert_nothing(r);
	rig_set_fault(r, NULL);
}

START_TEST(every_step_can_fail)
{
	struct rig r;
	struct rig_box b;
	rig_open(&r, true);
	for (size_t i = 0; i < sizeof(launcher_steps) / sizeof(launcher_steps[0]); i++)
		fail_at(&r, launcher_steps[i]);
	for (size_t i = 0; i < sizeof(child_steps) / sizeof(child_steps[0]); i++)
		fail_at(&r, child_steps[i]);
	ck_assert_int_eq(rig_create(&r, &b, "ifault", NULL), 0);
	ck_assert(rig_answers(&r, &b));
	ck_assert_int_eq(rig_destroy(&r, &b), 0);
	rig_close(&r);
}
END_TEST

void add_fault_tests(Suite *s)
{
	TCase *tc = test_case(s, "fault", 120);
	tcase_add_test(tc, every_step_can_fail);
}
