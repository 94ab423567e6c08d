/* SPDX-License-Identifier: Apache-2.0 */
/* One sandbox from its create to its end, by every way it can end. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "sandbox_tests.h"
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

START_TEST(create_and_look)
{
	static const char *const metadata[] = { "who", "me", "why", "test", NULL };
	static const char *const env[] = { "A=1", "B=x=y", NULL };
	struct sandbox_params p = world_params("python", "team-1");
	struct sandbox_view v;
	struct store_sandbox row = { 0 };
	struct made m;
	p.metadata = metadata;
	p.env = env;
	p.timeout_s = 77;
	p.allow_public_traffic = false;
	p.mask_host = "a:${PORT}";
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m);
	ck_assert_ptr_nonnull(sb);
	sandbox_view(sb, &v);
	ck_assert_str_eq(v.tmpl->name, "py");
	ck_assert_str_eq(v.team_id, "team-1");
	ck_assert_str_eq(v.isolation, "none");
	ck_assert_int_eq(v.state, SANDBOX_RUNNING);
	ck_assert_str_eq(v.end_detail, "");
	ck_assert_ptr_nonnull(v.access_token);
	ck_assert_ptr_nonnull(v.traffic_token);
	ck_assert_str_ne(v.access_token, v.traffic_token);
	ck_assert_str_eq(v.mask_host, "a:${PORT}");
	ck_assert_str_eq(v.metadata[3], "test");
	ck_assert_str_eq(v.env[1], "B=x=y");
	ck_assert_ptr_null(v.env[2]);
	ck_assert_int_eq(v.end_at_ns - v.started_ns, 77000000000);
	ck_assert_ptr_nonnull(sandbox_guest(sb));
	ck_assert_ptr_eq(sandboxes_find(w.boxes, v.id), sb);
	ck_assert_ptr_null(sandboxes_find(w.boxes, "other"));
	ck_assert_str_eq(fake_guests.sandbox_id, v.id);
	ck_assert(fake_guests.secured);
	ck_assert_uint_eq(fake_guests.n_env, 2);
	ck_assert_uint_eq(world_rows(&w, &row), 1);
	ck_assert_str_eq(row.id, v.id);
	ck_assert_str_eq(row.team_id, "team-1");
	ck_assert_str_eq(row.template_name, "py");
	ck_assert_str_eq(row.access_token, v.access_token);
	ck_assert_str_eq(row.env_json, "{\"A\":\"1\",\"B\":\"x=y\"}");
	ck_assert_str_eq(row.metadata_json, "{\"who\":\"me\",\"why\":\"test\"}");
	store_sandbox_fini(&row);
	made_forget(&m);
}
END_TEST

START_TEST(open_sandbox_has_no_token)
{
	struct sandbox_params p = world_params("bare", "t");
	struct sandbox_view v;
	struct made m;
	p.secure = false;
	made_begin(&w, &m, &p);
	sandbox_view(made_wait(&w, &m), &v);
	ck_assert_ptr_null(v.access_token);
	ck_assert_ptr_null(v.traffic_token);
	ck_assert(!fake_guests.secured);
	made_forget(&m);
}
END_TEST

static void expect_refused(struct sandbox_params p, int code, const char *words)
{
	struct made m;
	made_begin(&w, &m, &p);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, code);
	ck_assert_msg(strstr(m.err.text, words) != NULL, "%s", m.err.text);
}

START_TEST(refusals)
{
	struct sandbox_params p = world_params("nothing", "t");
	expect_refused(p, SANDBOX_E_TEMPLATE, "there is no template nothing");
	p.template_ref = NULL;
	expect_refused(p, SANDBOX_E_TEMPLATE, "there is no template");
	p = world_params("quiet", "t");
	p.timeout_s = 601;
	expect_refused(p, -ERANGE, "at most 600 seconds");
	p.timeout_s = 600;
	p.team_limit = 1;
	struct made m, n;
	made_begin(&w, &m, &p);
	made_begin(&w, &n, &p); /* the first is charged although it does not run yet */
	ck_assert_ptr_null(made_wait(&w, &n));
	ck_assert_int_eq(n.err.code, SANDBOX_E_LIMIT);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	expect_refused(p, SANDBOX_E_LIMIT, "the team has 1 sandboxes, of at most 1");
	p.team_id = "other";
	made_begin(&w, &n, &p);
	ck_assert_ptr_nonnull(made_wait(&w, &n));
	struct ended e = { 0 };
	sandbox_kill(m.sb, SANDBOX_END_KILLED, on_ended, &e);
	made_forget(&m);
	made_forget(&n);
	p.team_id = "t";
	made_begin(&w, &m, &p); /* one that stops is not charged */
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	made_forget(&m);
	world_until(&w, e.calls == 1);
}
END_TEST

/* A thread writes it. */
static bool row_is_stopping(void)
{
	struct store_sandbox row = { 0 };
	bool is = world_rows(&w, &row) == 1 && row.state == SANDBOX_ROW_STOPPING;
	store_sandbox_fini(&row);
	return is;
}

START_TEST(kill_twice_and_later)
{
	struct sandbox *sb = sandbox_ref(world_create(&w, "bare", "t"));
	struct sandbox_view v;
	struct ended a = { 0 }, b = { 0 }, c = { 0 };
	fake_vmm_script(w.vmm, FAKE_DESTROY, FAKE_HOLD);
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &a);
	ck_assert_ptr_null(sandbox_guest(sb));
	ck_assert_ptr_eq(sandboxes_find(w.boxes, sb->id), sb); /* stopping ones are still found */
	ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 0);
	world_until(&w, fake_vmm_calls(w.vmm, FAKE_DESTROY) == 1);
	ck_assert_uint_eq(fake_guests.resets, 1);
	sandbox_kill(sb, SANDBOX_END_TIMEOUT, on_ended, &b);
	sandbox_kill(sb, SANDBOX_END_KILLED, NULL, NULL);
	world_settle(&w);
	ck_assert_uint_eq(a.calls + b.calls, 0);
	world_until(&w, row_is_stopping());
	fake_vmm_release(w.vmm, FAKE_DESTROY, true);
	world_until(&w, a.calls == 1 && b.calls == 1);
	ck_assert_int_eq(a.err.code | b.err.code, 0);
	sandbox_view(sb, &v);
	ck_assert_int_eq(v.state, SANDBOX_GONE);
	ck_assert_int_eq(v.end, SANDBOX_END_KILLED); /* the first reason stays */
	ck_assert_ptr_null(sandboxes_find(w.boxes, sb->id));
	ck_assert_uint_eq(world_rows(&w, NULL), 0);
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &c);
	ck_assert_uint_eq(c.calls, 0);
	world_until(&w, c.calls == 1);
	ck_assert_int_eq(c.err.code, 0);
	(void)sandbox_unref(sb);
	fake_vmm_script(w.vmm, FAKE_DESTROY, FAKE_OK);
}
END_TEST

START_TEST(ends_by_itself)
{
	static const struct {
		bool oom;
		uint64_t later_ms;
		int64_t status;
		enum sandbox_end end;
		const char *words;
	} rows[] = {
		{ false, 0, 0x0300, SANDBOX_END_CRASHED, "exited with status 3" },
		{ false, 0, SIGSEGV, SANDBOX_END_CRASHED, "killed by signal 11" },
		{ false, 0, SIGKILL, SANDBOX_END_CRASHED, "killed by signal 9" },
		{ false, 0, -1, SANDBOX_END_CRASHED, "ended" },
		{ true, 0, SIGKILL, SANDBOX_END_OUT_OF_MEMORY, "ran out of memory" },
		{ true, 0, -1, SANDBOX_END_OUT_OF_MEMORY, "ran out of memory" },
		{ true, 0, SIGSEGV, SANDBOX_END_CRASHED, "killed by signal 11" },
		{ true, 60000, SIGKILL, SANDBOX_END_CRASHED, "killed by signal 9" },
	};
	clock_fake_start(1700000000000000000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sandbox *sb = sandbox_ref(world_create(&w, "bare", "t"));
		struct sandbox_view v;
		if (rows[i].oom)
			fake_vmm_event(w.vmm, sb->id, VMM_EVENT_OOM, 1);
		clock_fake_advance(rows[i].later_ms);
		fake_vmm_event(w.vmm, sb->id, VMM_END_EXITED, rows[i].status);
		world_until(&w, sb->state == SANDBOX_GONE);
		sandbox_view(sb, &v);
		ck_assert_int_eq(v.end, rows[i].end);
		ck_assert_msg(strstr(v.end_detail, rows[i].words) != NULL, "%s", v.end_detail);
		ck_assert_uint_eq(v.oom_kills, rows[i].oom);
		(void)sandbox_unref(sb);
	}
	clock_fake_stop();
}
END_TEST

/* ---- events ---- */

struct log {
	char text[256];
	struct sandbox_sub *sub, *victim;
};

static void on_event(enum sandbox_event_kind kind, struct sandbox *sb, void *arg)
{
	static const char letters[] = "CTOPSRE";
	struct log *log = arg;
	size_t n = strlen(log->text);
	log->text[n] = letters[kind];
	if (log->victim) {
		sandboxes_unsubscribe(log->victim);
		log->victim = NULL;
	}
}

START_TEST(events)
{
	struct log mine = { 0 }, all = { 0 }, other = { 0 };
	mine.sub = sandboxes_subscribe(w.boxes, "t", on_event, &mine);
	all.sub = sandboxes_subscribe(w.boxes, NULL, on_event, &all);
	other.sub = sandboxes_subscribe(w.boxes, "u", on_event, &other);
	struct sandbox *sb = world_create(&w, "bare", "t");
	world_settle(&w);
	ck_assert_str_eq(mine.text, "C");
	ck_assert_int_eq(sandbox_set_timeout(sb, 500, false, NULL), 0);
	ck_assert_str_eq(mine.text, "C"); /* never from inside */
	world_settle(&w);
	ck_assert_str_eq(mine.text, "CT");
	fake_vmm_event(w.vmm, sb->id, VMM_EVENT_OOM, 1);
	fake_vmm_event(w.vmm, sb->id, VMM_EVENT_OOM, 2);
	fake_vmm_event(w.vmm, sb->id, VMM_EVENT_PIDS, 9);
	world_settle(&w);
	ck_assert_str_eq(mine.text, "CTOP");
	ck_assert_uint_eq(fake_guests.notices, 3);
	ck_assert_uint_eq(sb->oom_kills, 2);
	ck_assert_uint_eq(sb->pids_refused, 9);
	all.victim = other.sub; /* unsubscribes another one from inside */
	fake_vmm_event(w.vmm, sb->id, VMM_END_EXITED, 0);
	world_settle(&w);
	ck_assert_str_eq(mine.text, "CTOPE");
	ck_assert_str_eq(all.text, "CTOPE");
	ck_assert_str_eq(other.text, "");
	sandboxes_unsubscribe(mine.sub);
	(void)world_create(&w, "bare", "t");
	world_settle(&w);
	ck_assert_str_eq(mine.text, "CTOPE");
	ck_assert_str_eq(all.text, "CTOPEC");
	sandboxes_unsubscribe(all.sub);
	sandboxes_unsubscribe(NULL);
}
END_TEST

/* ---- usage ---- */

struct used {
	unsigned calls;
	int code;
	uint64_t memory;
};

static void on_used(const struct err *err, const struct vmm_usage *u, void *arg)
{
	struct used *used = arg;
	used->calls++;
	used->code = err->code;
	used->memory = u ? u->memory_bytes : 0;
}

START_TEST(usage)
{
	struct sandbox *sb = sandbox_ref(world_create(&w, "bare", "t"));
	struct used a = { 0 }, b = { 0 }, c = { 0 };
	sandbox_usage(sb, on_used, &a);
	world_until(&w, a.calls == 1);
	ck_assert_uint_eq(a.memory, 77);
	fake_vmm_script(w.vmm, FAKE_USAGE, FAKE_FAIL);
	sandbox_usage(sb, on_used, &b);
	world_until(&w, b.calls == 1);
	ck_assert_int_eq(b.code, -EIO);
	sandbox_kill(sb, SANDBOX_END_KILLED, NULL, NULL);
	sandbox_usage(sb, on_used, &c);
	ck_assert_uint_eq(c.calls, 0);
	world_until(&w, c.calls == 1);
	ck_assert_int_eq(c.code, SANDBOX_E_STATE);
	(void)sandbox_unref(sb);
}
END_TEST

/* ---- time to live ---- */

START_TEST(expiry)
{
	struct sandbox *v[40];
	struct err err = ERR_INIT;
	clock_fake_start(1700000000000000000);
	for (unsigned i = 0; i < 40; i++) {
		struct sandbox_params p = world_params("bare", "t");
		struct made m;
		p.timeout_s = 10 + (i * 7) % 40; /* each second once, in no order */
		made_begin(&w, &m, &p);
		v[i] = made_wait(&w, &m);
	}
	expiry_run(w.boxes);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 40);
	for (unsigned s = 10; s < 50; s++) {
		clock_fake_advance(s == 10 ? 9999 : 999);
		expiry_run(w.boxes);
		ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 50 - s);
		clock_fake_advance(1);
		expiry_run(w.boxes);
		ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 49 - s);
		world_check(&w);
	}
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_int_eq(v[i]->end, SANDBOX_END_TIMEOUT);
		ck_assert_int_eq(sandbox_set_timeout(v[i], 10, false, &err), SANDBOX_E_STATE);
		err_reset(&err);
		(void)sandbox_unref(v[i]);
	}
	clock_fake_stop();
}
END_TEST

START_TEST(set_timeout)
{
	struct sandbox_view v;
	struct err err = ERR_INIT;
	clock_fake_start(1700000000000000000);
	struct sandbox *sb = world_create(&w, "quiet", "t"); /* 60 s, at most 600 */
	ck_assert_int_eq(sandbox_set_timeout(sb, 601, false, &err), -ERANGE);
	ck_assert_str_eq(err.text, "at most 600 seconds are allowed");
	ck_assert_int_eq(sandbox_set_timeout(sb, 30, true, NULL), 0); /* not earlier */
	sandbox_view(sb, &v);
	ck_assert_int_eq(v.end_at_ns - v.started_ns, 60000000000);
	ck_assert_int_eq(sandbox_set_timeout(sb, 600, true, NULL), 0);
	clock_fake_advance(599999);
	expiry_run(w.boxes);
	ck_assert_int_eq(sb->state, SANDBOX_RUNNING);
	ck_assert_int_eq(sandbox_set_timeout(sb, 5, false, NULL), 0); /* later or earlier */
	struct store_sandbox row = { 0 };
	world_settle(&w);
	ck_assert_uint_eq(world_rows(&w, &row), 1);
	ck_assert_int_eq(row.end_at_ns - row.started_ns, 604999000000);
	store_sandbox_fini(&row);
	ck_assert_int_eq(sandbox_set_timeout(sb, 0, false, NULL), 0);
	expiry_run(w.boxes);
	ck_assert_int_eq(sb->state, SANDBOX_STOPPING);
	clock_fake_stop();
}
END_TEST

/* Setting the wall clock ends nobody. */
START_TEST(wall_clock_jumps)
{
	clock_fake_start(1700000000000000000);
	struct sandbox *sb = world_create(&w, "bare", "t");
	clock_fake_start(1900000000000000000); /* the monotonic clock begins anew as well */
	expiry_run(w.boxes);
	ck_assert_int_eq(sb->state, SANDBOX_RUNNING);
	clock_fake_stop();
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(sandbox_state_name(SANDBOX_POOLED), "pooled");
	ck_assert_str_eq(sandbox_end_name(SANDBOX_END_OUT_OF_MEMORY), "out_of_memory");
	ck_assert_str_eq(sandbox_end_name(SANDBOX_END_LOST), "lost");
}
END_TEST

void lifecycle_tests(Suite *s)
{
	TCase *tc = test_case(s, "lifecycle", 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, create_and_look);
	tcase_add_test(tc, open_sandbox_has_no_token);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, kill_twice_and_later);
	tcase_add_test(tc, ends_by_itself);
	tcase_add_test(tc, events);
	tcase_add_test(tc, usage);
	tcase_add_test(tc, expiry);
	tcase_add_test(tc, set_timeout);
	tcase_add_test(tc, wall_clock_jumps);
	tcase_add_test(tc, names);
}
