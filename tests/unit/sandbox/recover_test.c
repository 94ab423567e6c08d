/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon comes back: rows and instances that agree, and every way in which they do not. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "sandbox_tests.h"
#include "store/db.h"
#include "store/store.h"

static struct world w;

static void setup(void)
{
	world_start(&w, NULL);
}

static void teardown(void)
{
	world_stop(&w);
}

static void recover(int expected)
{
	struct ended e = { 0 };
	ck_assert_int_eq(sandboxes_recover(w.boxes, on_ended, &e), 0);
	world_until(&w, e.calls == 1);
	ck_assert_msg(e.err.code == expected, "%s", e.err.text);
	world_settle(&w);
}

static void on_put(int err, void *arg)
{
	ck_assert_int_eq(err, 0);
	*(bool *)arg = true;
}

static void put_row(const char *id, const char *tmpl, int state)
{
	struct store_sandbox r = {
		.team_id = "t",
		.template_name = (char *)tmpl,
		.metadata_json = (char *)"{}",
		.env_json = (char *)"{}",
		.state = state,
		.started_ns = clock_real_ns(),
		.end_at_ns = clock_real_ns() + 1000000000000,
	};
	(void)str_copy(r.id, sizeof(r.id), id);
	bool written = false; /* in a thread */
	ck_assert_int_eq(store_put_sandbox(w.store, &r, on_put, &written), 0);
	world_until(&w, written);
}

START_TEST(goes_on_as_before)
{
	static const char *const metadata[] = { "who", "me", NULL };
	static const char *const env[] = { "A=b=c", NULL };
	struct sandbox_params p = world_params("py", "team");
	struct sandbox_view v;
	struct made m;
	char id[ID_SANDBOX_LEN + 1], token[80];
	p.metadata = metadata;
	p.env = env;
	p.internet = false;
	p.mask_host = "a:${PORT}";
	p.timeout_s = 1234;
	made_begin(&w, &m, &p);
	sandbox_view(made_wait(&w, &m), &v);
	int64_t started = v.started_ns, end = v.end_at_ns;
	(void)str_copy(id, sizeof(id), v.id);
	(void)str_copy(token, sizeof(token), v.access_token);
	made_forget(&m);
	world_restart(&w);
	ck_assert_ptr_null(sandboxes_find(w.boxes, id));
	recover(0);
	struct sandbox *sb = sandboxes_find(w.boxes, id);
	ck_assert_ptr_nonnull(sb);
	sandbox_view(sb, &v);
	ck_assert_int_eq(v.state, SANDBOX_RUNNING);
	ck_assert_str_eq(v.team_id, "team");
	ck_assert_str_eq(v.tmpl->name, "py");
	ck_assert_str_eq(v.access_token, token);
	ck_assert_ptr_null(v.traffic_token);
	ck_assert_str_eq(v.mask_host, "a:${PORT}");
	ck_assert_str_eq(v.metadata[1], "me");
	ck_assert_str_eq(v.env[0], "A=b=c");
	ck_assert(!v.internet);
	ck_assert_int_eq(v.started_ns, started);
	ck_assert_int_eq(v.end_at_ns, end);
	ck_assert_ptr_nonnull(sandbox_guest(sb));
	ck_assert_uint_eq(sandboxes_count(w.boxes, "team"), 1);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 1);
	ck_assert_int_eq(sandbox_set_timeout(sb, 10, false, NULL), 0);
	/* what the instance tells reaches the new object */
	fake_vmm_event(w.vmm, id, VMM_END_EXITED, 0);
	world_until(&w, sandboxes_total(w.boxes) == 0);
}
END_TEST

START_TEST(order_survives)
{
	struct sandbox *out[3], *made[3];
	char ids[3][ID_SANDBOX_LEN + 1];
	struct sandbox_filter f = { .team_id = "t" };
	bool more;
	for (unsigned i = 0; i < 3; i++) {
		made[i] = world_create(&w, "bare", "t");
		(void)str_copy(ids[i], sizeof(ids[i]), made[i]->id);
	}
	world_restart(&w);
	recover(0);
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 3, &more), 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_str_eq(out[i]->id, ids[2 - i]);
}
END_TEST

START_TEST(what_is_dead_is_lost)
{
	put_row("idead", "bare", SANDBOX_ROW_RUNNING);
	recover(0);
	ck_assert_uint_eq(sandboxes_total(w.boxes), 0);
	world_until(&w, world_rows(&w, NULL) == 0); /* it is deleted in a thread */
}
END_TEST

START_TEST(agent_without_identity_is_lost)
{
	(void)world_create(&w, "bare", "t");
	world_restart(&w);
	fake_guests.script[FAKE_GUEST_CHECK] = FAKE_GUEST_FAIL;
	recover(0);
	world_until(&w, sandboxes_total(w.boxes) == 0);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	ck_assert_uint_eq(world_rows(&w, NULL), 0);
}
END_TEST

START_TEST(what_nobody_owns_is_removed)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	char id[ID_SANDBOX_LEN + 1];
	(void)str_copy(id, sizeof(id), sb->id);
	fake_vmm_plant(w.vmm, "istray");
	fake_vmm_plant(w.vmm, "istopping");
	fake_vmm_plant(w.vmm, "iother");
	put_row("istopping", "bare", SANDBOX_ROW_STOPPING);
	put_row("iother", "gone-template", SANDBOX_ROW_RUNNING);
	put_row("iBAD", "bare", SANDBOX_ROW_RUNNING);
	world_restart(&w);
	recover(0);
	ck_assert(fake_vmm_has(w.vmm, id));
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 1);
	ck_assert_uint_eq(world_rows(&w, NULL), 1);
	ck_assert_uint_eq(sandboxes_total(w.boxes), 1);
}
END_TEST

START_TEST(ended_while_nobody_looked)
{
	struct sandbox_params p = world_params("bare", "t");
	struct made m;
	clock_fake_start(1700000000000000000);
	p.timeout_s = 60;
	made_begin(&w, &m, &p);
	(void)made_wait(&w, &m);
	made_forget(&m);
	world_restart(&w);
	clock_fake_advance(3600000);
	recover(0);
	expiry_run(w.boxes);
	world_until(&w, sandboxes_total(w.boxes) == 0);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	clock_fake_stop();
}
END_TEST

START_TEST(the_limit_was_lowered)
{
	for (unsigned i = 0; i < 4; i++)
		(void)world_create(&w, "bare", "t");
	w.conf.max = 2;
	world_restart(&w);
	recover(0);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 2);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 2);
	ck_assert_uint_eq(world_rows(&w, NULL), 2);
}
END_TEST

START_TEST(many_rows)
{
	struct made m[40];
	struct sandbox_params p = world_params("bare", "t");
	for (unsigned i = 0; i < 40; i++)
		made_begin(&w, &m[i], &p);
	for (unsigned i = 0; i < 40; i++) {
		(void)made_wait(&w, &m[i]);
		made_forget(&m[i]);
	}
	world_restart(&w);
	recover(0);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 40);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_ADOPT), 40);
}
END_TEST

/* Creates that come too early wait. */
START_TEST(creates_wait_for_it)
{
	struct sandbox_params p = world_params("bare", "t");
	struct ended e = { 0 };
	struct made m;
	fake_vmm_script(w.vmm, FAKE_SWEEP, FAKE_HOLD);
	ck_assert_int_eq(sandboxes_recover(w.boxes, on_ended, &e), 0);
	made_begin(&w, &m, &p);
	world_settle(&w);
	ck_assert_uint_eq(e.calls + fake_vmm_calls(w.vmm, FAKE_CREATE), 0);
	fake_vmm_release(w.vmm, FAKE_SWEEP, true);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	ck_assert_uint_eq(e.calls, 1);
	made_forget(&m);
}
END_TEST

/* What fails keeps the rows: the next start tries again. */
START_TEST(sweep_fails)
{
	put_row("istopping", "bare", SANDBOX_ROW_STOPPING);
	fake_vmm_plant(w.vmm, "istopping");
	fake_vmm_script(w.vmm, FAKE_SWEEP, FAKE_FAIL);
	recover(0);
	ck_assert_uint_eq(world_rows(&w, NULL), 1);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 1);
	fake_vmm_script(w.vmm, FAKE_SWEEP, FAKE_OK);
	world_restart(&w);
	recover(0);
	ck_assert_uint_eq(world_rows(&w, NULL), 0);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
}
END_TEST

START_TEST(damaged_rows)
{
	put_row("ione", "bare", SANDBOX_ROW_RUNNING);
	fake_vmm_plant(w.vmm, "ione");
	(void)sqlite3_exec(
	    w.store->db.handle, "UPDATE sandboxes SET env_json = '[1'", NULL, NULL, NULL);
	recover(0);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	put_row("itwo", "bare", SANDBOX_ROW_RUNNING);
	(void)sqlite3_exec(w.store->db.handle,
	    "UPDATE sandboxes SET team_id = '0123456789012345678901234567890123456789'", NULL, NULL,
	    NULL);
	world_restart(&w);
	recover(-EBADMSG);
	(void)sqlite3_exec(w.store->db.handle, "DELETE FROM sandboxes", NULL, NULL, NULL);
}
END_TEST

/* A stop in the middle: those that were not taken over yet are left to the next start. */
START_TEST(stopped_in_the_middle)
{
	static const enum fake_call at[] = { FAKE_ADOPT, FAKE_SWEEP };
	struct ended e = { 0 };
	for (unsigned i = 0; i < 20; i++)
		(void)world_create(&w, "bare", "t");
	world_restart(&w);
	fake_vmm_script(w.vmm, at[_i], FAKE_HOLD);
	ck_assert_int_eq(sandboxes_recover(w.boxes, on_ended, &e), 0);
	world_until(&w, fake_vmm_pending(w.vmm) == (_i ? 1 : 16));
	fake_vmm_script(w.vmm, at[_i], FAKE_OK);
	fake_vmm_release(w.vmm, at[_i], true);
	world_close(&w, false);
	world_open(&w);
	ck_assert_uint_eq(e.calls, 1);
	ck_assert_int_eq(e.err.code, -ECANCELED);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 20);
	ck_assert_uint_eq(world_rows(&w, NULL), 20);
	recover(0);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 20);
}
END_TEST

void recover_tests(Suite *s)
{
	TCase *tc = test_case(s, "recover", 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, goes_on_as_before);
	tcase_add_test(tc, order_survives);
	tcase_add_test(tc, what_is_dead_is_lost);
	tcase_add_test(tc, agent_without_identity_is_lost);
	tcase_add_test(tc, what_nobody_owns_is_removed);
	tcase_add_test(tc, ended_while_nobody_looked);
	tcase_add_test(tc, the_limit_was_lowered);
	tcase_add_test(tc, many_rows);
	tcase_add_test(tc, creates_wait_for_it);
	tcase_add_test(tc, sweep_fails);
	tcase_add_test(tc, damaged_rows);
	tcase_add_loop_test(tc, stopped_in_the_middle, 0, 2);
}
