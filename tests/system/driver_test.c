/* SPDX-License-Identifier: Apache-2.0 */
/* The namespace driver through its table, as the daemon uses it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "image/template.h"
#include "lib/test.h"
#include "rig.h"
#include "seen.h"
#include "system_tests.h"
#include "vmm/vmm.h"

static const struct vmm_driver *const drv = &vmm_namespace_driver;

static void wait_for(struct rig *r, struct seen *s)
{
	ck_assert_msg(rig_wait(r, &s->there, 60000), "the driver does not answer");
	s->there = 0;
}

static char *host_base[] = { (char *)"host", NULL };
static struct template tmpl = { .build.bases = host_base };

static struct vmm_spec spec_of(const char *id)
{
	struct vmm_spec spec = { .tmpl = &tmpl,
		.memory_bytes = RIG_MEMORY,
		.disk_bytes = RIG_DISK,
		.cpu_milli = 1000,
		.max_pids = RIG_PIDS };
	(void)str_copy(spec.id, sizeof(spec.id), id);
	return spec;
}

static void create(struct rig *r, struct vmm *v, const char *id, struct seen *s)
{
	const struct vmm_spec spec = spec_of(id);
	drv->create(v, &spec, on_event, s, on_inst, s);
	ck_assert_int_eq(s->there, 0); /* not from inside the call */
	wait_for(r, s);
	ck_assert_msg(s->err.code == 0, "%s", err_text(&s->err));
	ck_assert_ptr_nonnull(s->inst);
}

static void destroy(struct rig *r, struct seen *s)
{
	drv->destroy(s->inst, on_plain, s);
	wait_for(r, s);
	ck_assert_int_eq(s->err.code, 0);
}

START_TEST(probe_proves_and_leaves_nothing)
{
	struct rig r;
	struct vmm *v;
	struct seen s = { 0 };
	rig_open(&r, false);
	ck_assert_int_eq(drv->open(r.loop, r.la, &v, NULL), 0);
	drv->probe(v, on_plain, &s);
	wait_for(&r, &s);
	ck_assert_msg(s.err.code == 0, "%s", err_text(&s.err));
	ck_assert_ptr_null(drv->close(v));
	rig_close(&r);
}
END_TEST

START_TEST(instances_live_and_die)
{
	struct rig r;
	struct vmm *v;
	struct seen s = { 0 };
	struct stat st;
	rig_open(&r, false);
	ck_assert_int_eq(drv->open(r.loop, r.la, &v, NULL), 0);
	drv->prepare(v, &tmpl, on_plain, &s);
	wait_for(&r, &s);
	ck_assert_int_eq(s.err.code, 0);
	create(&r, v, "idriver", &s);
	ck_assert_int_eq(stat(drv->control(s.inst).path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(drv->data(s.inst).path, &st), 0);
	drv->usage(s.inst, on_usage, &s);
	wait_for(&r, &s);
	ck_assert_uint_ge(s.usage.pids, 1);
	ck_assert_uint_eq(s.usage.memory_limit, RIG_MEMORY);
	const struct vmm_sizes has = { RIG_MEMORY, RIG_DISK, 1000 };
	struct vmm_sizes to = { 2 * RIG_MEMORY, RIG_DISK, 700 };
	ck_assert(drv->can_resize(&has, &to));
	drv->resize(s.inst, &to, on_plain, &s);
	wait_for(&r, &s);
	ck_assert_msg(s.err.code == 0, "%s", s.err.text);
	drv->usage(s.inst, on_usage, &s);
	wait_for(&r, &s);
	ck_assert_uint_eq(s.usage.memory_limit, 2 * RIG_MEMORY);
	to.memory_bytes = RIG_MEMORY / 2; /* back down, which nobody is asked for */
	ck_assert(!drv->can_resize(&has, &to));
	drv->resize(s.inst, &to, on_plain, &s);
	wait_for(&r, &s);
	ck_assert_msg(s.err.code == 0, "%s", s.err.text);
	drv->usage(s.inst, on_usage, &s);
	wait_for(&r, &s);
	ck_assert_uint_eq(s.usage.memory_limit, RIG_MEMORY / 2);
	to = (struct vmm_sizes){ RIG_MEMORY, 2 * RIG_DISK, 700 };
	ck_assert(!drv->can_resize(&has, &to));
	drv->set_internet(s.inst, false, on_plain, &s);
	wait_for(&r, &s);
	ck_assert_int_eq(s.err.code, 0);
	drv->set_internet(s.inst, true, on_plain, &s);
	wait_for(&r, &s);
	ck_assert_int_eq(s.err.code, -ENOTSUP);
	destroy(&r, &s);
	(void)drv->close(v);
	rig_close(&r);
}
END_TEST

static bool keep_one(const char *id, void *arg)
{
	return str_eq(id, arg);
}

START_TEST(a_restart_adopts_and_sweeps)
{
	struct rig r;
	struct vmm *v;
	struct seen kept = { 0 }, lost = { 0 }, s = { 0 };
	rig_open(&r, false);
	ck_assert_int_eq(drv->open(r.loop, r.la, &v, NULL), 0);
	create(&r, v, "ikept", &kept);
	create(&r, v, "ilost", &lost);
	rig_stop_launcher(&r, SIGKILL);
	rig_start_launcher(&r);
	drv->sweep(v, keep_one, (void *)"ikept", on_swept, &s);
	wait_for(&r, &s);
	ck_assert_int_eq(s.err.code, 0);
	ck_assert_uint_eq(s.removed, 1);
	destroy(&r, &lost); /* gone already: that is fine */
	drv->usage(kept.inst, on_usage, &s);
	wait_for(&r, &s);
	ck_assert_int_eq(s.err.code, 0);
	const struct vmm_spec dead = spec_of("ilost");
	drv->adopt(v, &dead, on_event, &s, on_inst, &s);
	wait_for(&r, &s);
	ck_assert_int_eq(s.err.code, -ENOENT);
	ck_assert_ptr_null(s.inst);
	destroy(&r, &kept);
	(void)drv->close(v);
	rig_close(&r);
}
END_TEST

void add_driver_tests(Suite *s)
{
	TCase *tc = test_case(s, "driver", 120);
	tcase_add_test(tc, probe_proves_and_leaves_nothing);
	tcase_add_test(tc, instances_live_and_die);
	tcase_add_test(tc, a_restart_adopts_and_sweeps);
}
