/* SPDX-License-Identifier: Apache-2.0 */
/* Pause to the disk and back: every step, every way not to go well, and restarts between them. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "image/template.h"
#include "sandbox_tests.h"
#include "store/db.h"
#include "store/store.h"

static struct world w;

static void setup(void)
{
	const struct world_conf c = { .driver = &fake_vmm_driver_clones };
	clock_fake_start(1700000000000000000);
	world_start(&w, &c);
}

static void teardown(void)
{
	clock_fake_stop();
	world_stop(&w);
}

/* World's end leaves paused ones alone; so does the server's. */
static void kill_all(void)
{
	struct ended e = { 0 };
	void *it = NULL;
	unsigned n = 0;
	for (struct sandbox *sb; (sb = map_next(w.boxes->by_id, &it, NULL)); n++)
		sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &e);
	world_until(&w, e.calls == n && map_size(w.boxes->by_id) == 0);
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 0);
}

static struct ended pause_now(struct sandbox *sb)
{
	struct ended e = { 0 };
	sandbox_pause(sb, on_ended, &e);
	ck_assert_uint_eq(e.calls, 0);
	world_until(&w, e.calls == 1);
	return e;
}

static struct ended resume_now(struct sandbox *sb, unsigned seconds)
{
	struct ended e = { 0 };
	sandbox_resume(sb, seconds, 0, on_ended, &e);
	ck_assert_uint_eq(e.calls, 0);
	world_until(&w, e.calls == 1);
	return e;
}

static size_t listed(bool hide_running, bool hide_paused)
{
	struct sandbox *out[8];
	bool more;
	const struct sandbox_filter f = {
		.team_id = "t", .hide_running = hide_running, .hide_paused = hide_paused
	};
	return sandboxes_list(w.boxes, &f, out, 8, &more);
}

START_TEST(there_and_back)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	unsigned wakes = fake_guests.calls[FAKE_GUEST_WAKE];
	ck_assert_int_eq(pause_now(sb).err.code, 0);
	ck_assert_int_eq(sb->state, SANDBOX_PAUSED);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 1);
	ck_assert_uint_eq(fake_guests.live, 0);
	ck_assert_uint_eq(sandboxes_total(w.boxes), 0);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), 0);
	ck_assert_uint_eq(listed(false, false), 1);
	ck_assert_uint_eq(listed(true, false), 1);
	ck_assert_uint_eq(listed(false, true), 0);
	ck_assert_ptr_eq(sandboxes_find(w.boxes, sb->id), sb);
	ck_assert_ptr_null(sandbox_guest(sb));

	clock_fake_advance(1000000000); /* its time to live stands still, too */
	expiry_run(w.boxes);
	ck_assert_int_eq(sb->state, SANDBOX_PAUSED);

	ck_assert_int_eq(resume_now(sb, 60).err.code, 0);
	ck_assert_int_eq(sb->state, SANDBOX_RUNNING);
	ck_assert_int_eq(sb->end_mono_ms - clock_mono_ms(), 60000);
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_WAKE], wakes + 1);
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_INIT], 1); /* it knows who it is */
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 0);
	ck_assert_uint_eq(listed(true, false), 0);
	ck_assert_ptr_nonnull(sandbox_guest(sb));
}
END_TEST

START_TEST(what_is_possible_when)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	struct ended a = { 0 }, b = { 0 }, c = { 0 };
	ck_assert_int_eq(resume_now(sb, 1).err.code, SANDBOX_E_STATE); /* it runs */
	sandbox_pause(sb, on_ended, &a);
	sandbox_pause(sb, on_ended, &b); /* the same one */
	world_until(&w, a.calls == 1 && b.calls == 1);
	ck_assert_int_eq(a.err.code | b.err.code, 0);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_SNAPSHOT), 1);
	ck_assert_int_eq(pause_now(sb).err.code, SANDBOX_E_STATE);
	ck_assert_int_eq(resume_now(sb, 1000000000).err.code, -ERANGE);
	a = b = (struct ended){ 0 };
	sandbox_resume(sb, 60, 0, on_ended, &a);
	sandbox_resume(sb, 90, 0, on_ended, &b);
	sandbox_pause(sb, on_ended, &c);
	world_until(&w, a.calls == 1 && b.calls == 1 && c.calls == 1);
	ck_assert_int_eq(a.err.code | b.err.code, 0);
	ck_assert_int_eq(c.err.code, SANDBOX_E_STATE);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 1);
}
END_TEST

START_TEST(resume_during_a_pause_comes_after_it)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	struct ended a = { 0 }, b = { 0 };
	sandbox_pause(sb, on_ended, &a);
	sandbox_resume(sb, 60, 0, on_ended, &b);
	world_until(&w, a.calls == 1 && b.calls == 1);
	ck_assert_int_eq(a.err.code | b.err.code, 0);
	ck_assert_int_eq(sb->state, SANDBOX_RUNNING);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_SNAPSHOT), 1);
}
END_TEST

START_TEST(limits_hold_for_a_resume)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	struct ended e = { 0 };
	ck_assert_int_eq(pause_now(sb).err.code, 0);
	(void)world_create(&w, "bare", "t");
	sandbox_resume(sb, 60, 1, on_ended, &e);
	world_until(&w, e.calls == 1);
	ck_assert_int_eq(e.err.code, SANDBOX_E_LIMIT);
	w.boxes->conf.max_sandboxes = 1;
	ck_assert_int_eq(resume_now(sb, 60).err.code, SANDBOX_E_CAPACITY);
	ck_assert_int_eq(sb->state, SANDBOX_PAUSED);
	w.boxes->conf.max_sandboxes = 50;
	kill_all();
}
END_TEST

START_TEST(time_that_is_over_can_pause)
{
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	p.auto_pause = true;
	p.timeout_s = 5;
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m);
	clock_fake_advance(5000);
	expiry_run(w.boxes);
	world_until(&w, sb->state == SANDBOX_PAUSED);
	world_restart(&w);
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 1);
	made_forget(&m);
	struct ended e = { 0 };
	ck_assert_int_eq(sandboxes_recover(w.boxes, on_ended, &e), 0);
	world_until(&w, e.calls == 1);
	ck_assert_uint_eq(listed(true, false), 1);
	kill_all();
}
END_TEST

START_TEST(a_driver_that_cannot)
{
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	struct sandbox *sb = world_create(&w, "bare", "t");
	w.boxes->conf.driver = &fake_vmm_driver;
	ck_assert_int_eq(pause_now(sb).err.code, SANDBOX_E_DRIVER);
	ck_assert_int_eq(sb->state, SANDBOX_RUNNING);
	p.auto_pause = true;
	made_begin(&w, &m, &p);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, SANDBOX_E_DRIVER);
}
END_TEST

START_TEST(a_paused_one_can_be_killed)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	ck_assert_int_eq(pause_now(sb).err.code, 0);
	kill_all();
	ck_assert_uint_eq(world_rows(&w, NULL), 0);
}
END_TEST

/* ---- every step, every way ---- */

static const struct step {
	enum sandbox_job job;
	const char *name;
	enum wait_kind kind;
	int call;
	bool final; /* there is no way back here */
} steps[] = {
	{ JOB_PAUSE, "freeze", WAIT_VMM, FAKE_PAUSE, false },
	{ JOB_PAUSE, "snapshot", WAIT_VMM, FAKE_SNAPSHOT, false },
	{ JOB_PAUSE, "row", WAIT_STORE, 0, false },
	{ JOB_PAUSE, "destroy", WAIT_VMM, FAKE_DESTROY, true },
	{ JOB_RESUME, "create", WAIT_VMM, FAKE_CREATE, false },
	{ JOB_RESUME, "wake", WAIT_GUEST, FAKE_GUEST_WAKE, false },
	{ JOB_RESUME, "row", WAIT_STORE, 0, false },
	{ JOB_RESUME, "forget", WAIT_VMM, FAKE_SNAPSHOT_REMOVE, true },
};
#define N_STEPS (int)(sizeof(steps) / sizeof(steps[0]))

static bool is_at(const struct sandbox *sb, const struct step *st)
{
	return sb->job == st->job && sb->op.waiting && strcmp(op_step_name(&sb->op), st->name) == 0;
}

static void fail_once(const struct step *st)
{
	if (st->kind == WAIT_VMM)
		fake_vmm_script(w.vmm, st->call, FAKE_FAIL_ONCE);
	else if (st->kind == WAIT_GUEST)
		fake_guests.script[st->call] = FAKE_GUEST_FAIL_ONCE;
	else
		(void)sqlite3_exec(w.store->db.handle,
		    "CREATE TRIGGER no BEFORE UPDATE ON sandboxes BEGIN"
		    " SELECT RAISE(ABORT, 'no'); END",
		    NULL, NULL, NULL);
}

/* A sandbox just before the job of the step. */
static struct sandbox *ready_for(const struct step *st)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	if (st->job == JOB_RESUME)
		ck_assert_int_eq(pause_now(sb).err.code, 0);
	return sb;
}

static void begin(const struct step *st, struct sandbox *sb, struct ended *e)
{
	if (st->job == JOB_PAUSE)
		sandbox_pause(sb, on_ended, e);
	else
		sandbox_resume(sb, 60, 0, on_ended, e);
}

START_TEST(step_fails)
{
	const struct step *st = &steps[_i];
	struct ended e = { 0 };
	struct sandbox *sb = ready_for(st);
	enum sandbox_state before = sb->state;
	fail_once(st);
	begin(st, sb, &e);
	if (st->kind == WAIT_STORE) {
		/* taking the row back fails, too, once */
		world_until(&w, e.calls == 1 || sb->job == JOB_NONE);
		(void)sqlite3_exec(w.store->db.handle, "DROP TRIGGER no", NULL, NULL, NULL);
	}
	world_until(&w, e.calls == 1);
	ck_assert_int_eq(e.err.code == 0, st->final);
	ck_assert_int_eq(sb->state == before, !st->final);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), sb->state == SANDBOX_RUNNING);
	ck_assert_uint_eq(fake_guests.live, sb->state == SANDBOX_RUNNING);
	/* and it works the next time */
	e = (struct ended){ 0 };
	if (!st->final)
		begin(st, sb, &e);
	world_until(&w, st->final || e.calls == 1);
	ck_assert_int_eq(e.err.code, 0);
	ck_assert_int_eq(sb->state, st->job == JOB_PAUSE ? SANDBOX_PAUSED : SANDBOX_RUNNING);
	kill_all();
}
END_TEST

/* The answer still comes, good or bad, when nobody waits for it any more. */
START_TEST(step_times_out)
{
	const struct step *st = &steps[_i / 2];
	struct ended e = { 0 };
	struct sandbox *sb = ready_for(st);
	hold_step(&w, st->kind, st->call);
	begin(st, sb, &e);
	world_until(&w, is_at(sb, st));
	world_fire_limit(sb);
	if (st->kind == WAIT_STORE)
		release_step(
		    &w, st->kind, st->call, true); /* nothing of the store can be undone before */
	world_until(&w, e.calls == 1);
	ck_assert_int_eq(e.err.code == 0, st->final);
	if (st->kind != WAIT_STORE)
		release_step(&w, st->kind, st->call, _i % 2);
	world_settle(&w);
	kill_all();
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	ck_assert_uint_eq(fake_guests.live, 0);
}
END_TEST

START_TEST(killed_at_a_step)
{
	const struct step *st = &steps[_i / 2];
	struct ended e = { 0 }, k = { 0 };
	struct sandbox *sb = ready_for(st);
	hold_step(&w, st->kind, st->call);
	begin(st, sb, &e);
	world_until(&w, is_at(sb, st));
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &k);
	if (st->kind != WAIT_STORE)
		world_settle(&w);
	release_step(&w, st->kind, st->call, _i % 2);
	world_until(&w, k.calls == 1 && e.calls == 1);
	ck_assert_int_eq(e.err.code, SANDBOX_E_STATE);
	ck_assert_int_eq(k.err.code, 0);
	world_until(&w, map_size(w.boxes->by_id) == 0 && fake_vmm_pending(w.vmm) == 0);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 0);
	ck_assert_uint_eq(world_rows(&w, NULL), 0);
}
END_TEST

/* ---- restarts ---- */

/* Which sandbox the daemon finds when it comes back; what it does not own is gone then. */
static struct sandbox *come_back(const char *id)
{
	struct ended e = { 0 };
	world_open(&w);
	ck_assert_int_eq(sandboxes_recover(w.boxes, on_ended, &e), 0);
	world_until(&w, e.calls == 1);
	return map_get(w.boxes->by_id, id);
}

START_TEST(restart_with_a_paused_one)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	char id[32];
	memcpy(id, sb->id, strlen(sb->id) + 1);
	ck_assert_int_eq(pause_now(sb).err.code, 0);
	world_close(&w, true); /* kill_on_stop does not mean what is on the disk */
	sb = come_back(id);
	ck_assert_ptr_nonnull(sb);
	ck_assert_int_eq(sb->state, SANDBOX_PAUSED);
	ck_assert_int_eq(resume_now(sb, 60).err.code, 0);
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 0);
}
END_TEST

/* A kill between the snapshot and its row: it runs, and the snapshot is swept. */
START_TEST(restart_with_a_stray_snapshot)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	char id[32];
	memcpy(id, sb->id, strlen(sb->id) + 1);
	fake_vmm_plant_snapshot(w.vmm, id);
	fake_vmm_plant_snapshot(w.vmm, "inobody");
	world_close(&w, false);
	sb = come_back(id);
	ck_assert_ptr_nonnull(sb);
	ck_assert_int_eq(sb->state, SANDBOX_RUNNING);
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 0);
	ck_assert_uint_ge(fake_vmm_calls(w.vmm, FAKE_RESUME), 1); /* it may stand still */
}
END_TEST

/* A kill between the row and the end of the instance: it is paused, and the instance is swept. */
START_TEST(restart_with_a_stray_instance)
{
	struct sandbox *sb = world_create(&w, "bare", "t");
	char id[32];
	memcpy(id, sb->id, strlen(sb->id) + 1);
	ck_assert_int_eq(pause_now(sb).err.code, 0);
	fake_vmm_plant(w.vmm, id);
	world_close(&w, false);
	sb = come_back(id);
	ck_assert_ptr_nonnull(sb);
	ck_assert_int_eq(sb->state, SANDBOX_PAUSED);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	ck_assert_uint_eq(fake_vmm_snapshots(w.vmm), 1);
	kill_all();
}
END_TEST

/* ---- limits that only the guest's kernel sees ---- */

static struct {
	unsigned oom, pids;
} met;

static void on_limit(enum sandbox_event_kind kind, struct sandbox *sb, void *arg)
{
	met.oom += kind == SANDBOX_EVENT_OOM;
	met.pids += kind == SANDBOX_EVENT_PIDS_LIMIT;
}

START_TEST(limits_are_told_while_it_runs)
{
	struct sandbox_sub *sub = sandboxes_subscribe(w.boxes, NULL, on_limit, NULL);
	struct sandbox *sb = world_create(&w, "bare", "t");
	char id[32];
	memset(&met, 0, sizeof(met));
	memcpy(id, sb->id, strlen(sb->id) + 1);
	ck_assert_uint_eq(fake_guests.watches, 1);
	fake_guests_met_limits(0, 3);
	world_settle(&w);
	fake_guests_met_limits(1, 5);
	world_settle(&w);
	ck_assert_uint_eq(met.oom, 1);
	ck_assert_uint_eq(met.pids, 2);
	ck_assert_uint_eq(sb->oom_kills, 1);
	ck_assert_uint_eq(sb->pids_refused, 5);
	ck_assert_uint_eq(fake_guests.notices, 0); /* it knows */
	ck_assert_int_eq(pause_now(sb).err.code, 0);
	ck_assert_uint_eq(fake_guests.watches, 0);
	ck_assert_int_eq(resume_now(sb, 60).err.code, 0);
	fake_guests_met_limits(1, 5);
	world_settle(&w);
	ck_assert_uint_eq(met.oom + met.pids, 3); /* nothing new */
	sandboxes_unsubscribe(sub);
	world_close(&w, false);
	sb = come_back(id); /* what was told before is no news */
	sub = sandboxes_subscribe(w.boxes, NULL, on_limit, NULL);
	fake_guests_met_limits(1, 5);
	world_settle(&w);
	ck_assert_uint_eq(sb->pids_refused, 5);
	ck_assert_uint_eq(met.oom + met.pids, 3);
	fake_guests_met_limits(2, 5);
	world_settle(&w);
	ck_assert_uint_eq(met.oom, 2);
	sandboxes_unsubscribe(sub);
	kill_all();
	ck_assert_uint_eq(fake_guests.watches, 0);
}
END_TEST

/* The VMM of a machine ends as if nothing was wrong when its kernel gives up. */
START_TEST(a_machine_out_of_memory)
{
	struct sandbox *sb = sandbox_ref(world_create(&w, "bare", "t"));
	fake_guests_met_limits(1, 0); /* kills alone are no reason to end */
	fake_vmm_event(w.vmm, sb->id, VMM_END_EXITED, 0);
	world_settle(&w);
	ck_assert_int_eq(sb->end, SANDBOX_END_CRASHED);
	(void)sandbox_unref(sb);
	sb = sandbox_ref(world_create(&w, "bare", "t"));
	fake_vmm_event(w.vmm, sb->id, VMM_EVENT_OOM, 1);
	fake_vmm_event(w.vmm, sb->id, VMM_END_EXITED, 0);
	world_settle(&w);
	ck_assert_int_eq(sb->end, SANDBOX_END_OUT_OF_MEMORY);
	(void)sandbox_unref(sb);
}
END_TEST

void pause_tests(Suite *s)
{
	TCase *c = tcase_create("pause");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, there_and_back);
	tcase_add_test(c, limits_are_told_while_it_runs);
	tcase_add_test(c, a_machine_out_of_memory);
	tcase_add_test(c, what_is_possible_when);
	tcase_add_test(c, resume_during_a_pause_comes_after_it);
	tcase_add_test(c, limits_hold_for_a_resume);
	tcase_add_test(c, time_that_is_over_can_pause);
	tcase_add_test(c, a_driver_that_cannot);
	tcase_add_test(c, a_paused_one_can_be_killed);
	tcase_add_loop_test(c, step_fails, 0, N_STEPS);
	tcase_add_loop_test(c, step_times_out, 0, N_STEPS * 2);
	tcase_add_loop_test(c, killed_at_a_step, 0, N_STEPS * 2);
	tcase_add_test(c, restart_with_a_paused_one);
	tcase_add_test(c, restart_with_a_stray_snapshot);
	tcase_add_test(c, restart_with_a_stray_instance);
	suite_add_tcase(s, c);
}
