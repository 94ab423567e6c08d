/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers that clone and pause: the warm snapshot of a template, and pools that stand still. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "image/template.h"
#include "store/store.h"
#include "sandbox_tests.h"

static struct world w;

static void start(bool pool)
{
	const struct world_conf c = { .pool = pool, .driver = &fake_vmm_driver_clones };
	clock_fake_start(1700000000000000000);
	world_start(&w, &c);
}

static void stop(void)
{
	clock_fake_stop();
	world_stop(&w);
}

static struct pool *pool_of(const char *name)
{
	return pool_find(w.boxes, templates_find(w.templates, name));
}

static struct sandbox *at_job(enum sandbox_job job, const char *step)
{
	void *it = NULL;
	for (struct sandbox *sb; (sb = map_next(w.boxes->by_id, &it, NULL));) {
		if (sb->job == job && sb->op.waiting && strcmp(op_step_name(&sb->op), step) == 0)
			return sb;
	}
	return NULL;
}

START_TEST(pools_are_clones_that_stand_still)
{
	start(true);
	world_until(&w, pool_of("py")->n_idle == 2 && pool_of("quiet")->n_idle == 1);
	/* one a template, nothing else ever booted */
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_BOOT], 2);
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_QUIESCE], 2);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_WARM), 2);
	ck_assert_uint_eq(fake_vmm_clones(w.vmm), 3);
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_WAKE], 3);
	world_until(&w, fake_vmm_live(w.vmm) == 3); /* those that were booted are gone */
	ck_assert_uint_eq(fake_vmm_running(w.vmm), 0);

	struct sandbox *sb = world_create(&w, "py", "t");
	ck_assert(!sb->paused);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESUME), 1);
	ck_assert_uint_eq(fake_vmm_running(w.vmm), 1);
	stop();
}
END_TEST

START_TEST(a_create_waits_for_the_first_snapshot)
{
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	start(false);
	fake_vmm_script(w.vmm, FAKE_WARM, FAKE_HOLD);
	made_begin(&w, &m, &p);
	world_until(&w, at_job(JOB_WARM, "warm") != NULL);
	ck_assert_uint_eq(fake_guests.live, 0); /* its channels are closed before */
	m.handle->limit.cb(&m.handle->limit, m.handle->limit.arg);
	world_settle(&w);
	ck_assert_uint_eq(m.calls, 0); /* that a snapshot takes its time is no reason to give up */
	fake_vmm_release(w.vmm, FAKE_WARM, true);
	struct sandbox *sb = made_wait(&w, &m);
	ck_assert_ptr_nonnull(sb);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_PAUSE), 0); /* it never was idle */
	made_forget(&m);
	stop();
}
END_TEST

START_TEST(one_that_is_claimed_while_it_boots_is_not_paused)
{
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	start(true);
	fake_guests.script[FAKE_GUEST_WAKE] = FAKE_GUEST_HOLD;
	world_until(&w, at_job(JOB_BOOT, "boot") != NULL);
	made_begin(&w, &m, &p);
	world_settle(&w);
	ck_assert_ptr_nonnull(m.handle->sb);
	fake_guests.script[FAKE_GUEST_WAKE] = FAKE_GUEST_OK;
	fake_guests_release(FAKE_GUEST_WAKE, true);
	struct sandbox *sb = made_wait(&w, &m);
	ck_assert_ptr_nonnull(sb);
	ck_assert(!sb->paused);
	made_forget(&m);
	stop();
}
END_TEST

START_TEST(one_that_is_claimed_while_it_pauses_is_resumed)
{
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	start(true);
	fake_vmm_script(w.vmm, FAKE_PAUSE, FAKE_HOLD);
	world_until(&w, at_job(JOB_BOOT, "pause") != NULL);
	made_begin(&w, &m, &p);
	world_settle(&w);
	fake_vmm_script(w.vmm, FAKE_PAUSE, FAKE_OK);
	fake_vmm_release(w.vmm, FAKE_PAUSE, true);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	ck_assert_uint_ge(fake_vmm_calls(w.vmm, FAKE_RESUME), 1);
	ck_assert(!m.sb->paused);
	made_forget(&m);
	stop();
}
END_TEST

/* ---- sizes ---- */

#define EACH (64ull << 20) /* more than any template of these has to begin with */

static struct sandbox *create_with(struct sandbox_sizes sizes)
{
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	p.sizes = sizes;
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m);
	ck_assert_ptr_nonnull(sb);
	made_forget(&m);
	return sb;
}

/* With a pool it is one that waits; without, a clone, not a boot from the image. */
START_TEST(a_disk_grows_when_it_is_handed_out)
{
	bool pool = _i == 1;
	start(pool);
	const struct template *t = templates_find(w.templates, "py");
	if (pool)
		world_until(&w, pool_of("py")->n_idle == 2 && pool_of("quiet")->n_idle == 1);
	struct sandbox *sb =
	    create_with((struct sandbox_sizes){ .disk_bytes = t->disk_bytes + 3 * EACH + 1 });
	ck_assert_uint_eq(pool_of("py")->hits, pool ? 1 : 0);
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_BOOT], pool ? 2 : 1); /* to be cloned */
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESIZE), 1);
	ck_assert_uint_eq(fake_vmm_sizes(w.vmm, sb->id).disk_bytes, t->disk_bytes + 3 * EACH + 1);
	ck_assert_uint_eq(sb->sizes.disk_bytes, t->disk_bytes + 3 * EACH + 1);
	/* the file system is asked for no more than what the disk surely has */
	ck_assert_uint_eq(fake_guests.disk_bytes, t->disk_bytes + 3 * EACH);
	stop();
}
END_TEST

START_TEST(a_disk_like_the_templates_is_left_alone)
{
	start(true);
	world_until(&w, pool_of("py")->n_idle == 2);
	fake_guests.disk_bytes = 1;
	(void)world_create(&w, "py", "t");
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESIZE), 0);
	ck_assert_uint_eq(fake_guests.disk_bytes, 0);
	stop();
}
END_TEST

START_TEST(a_smaller_disk_is_one_of_its_own)
{
	start(true);
	world_until(&w, pool_of("py")->n_idle == 2);
	const struct template *t = templates_find(w.templates, "py");
	struct sandbox *sb = create_with((struct sandbox_sizes){ .disk_bytes = t->disk_bytes / 2 });
	ck_assert_uint_eq(pool_of("py")->misses, 1);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESIZE), 0);
	ck_assert_uint_eq(fake_vmm_sizes(w.vmm, sb->id).disk_bytes, t->disk_bytes / 2);
	stop();
}
END_TEST

/* Nobody gets less than was asked for. */
START_TEST(a_disk_that_cannot_grow_is_no_sandbox)
{
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	start(false);
	fake_guests.script[FAKE_GUEST_INIT] = FAKE_GUEST_FAIL;
	p.sizes = (struct sandbox_sizes){ .disk_bytes = 1ull << 40 };
	made_begin(&w, &m, &p);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_ne(m.err.code, 0);
	made_forget(&m);
	world_until(&w, fake_vmm_live(w.vmm) == 0);
	stop();
}
END_TEST

START_TEST(a_snapshot_that_is_there_is_used)
{
	start(false);
	sandbox_kill(world_create(&w, "bare", "t"), SANDBOX_END_KILLED, NULL, NULL);
	world_restart(&w); /* pools know nothing; the driver still has it */
	(void)world_create(&w, "bare", "t");
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_BOOT], 1);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_WARM), 1);
	stop();
}
END_TEST

/* Without one an instance boots from the image, as if it were the first. */
START_TEST(a_snapshot_that_got_lost_costs_a_boot)
{
	start(false);
	(void)world_create(&w, "bare", "t");
	fake_vmm_forget_warm(w.vmm);
	(void)world_create(&w, "bare", "t");
	ck_assert_uint_eq(fake_guests.calls[FAKE_GUEST_BOOT], 2);
	ck_assert_uint_eq(fake_vmm_clones(w.vmm), 1);
	stop();
}
END_TEST

/* ---- another image ---- */

static void image_changes(const char *name)
{
	fake_vmm_forget_warm(w.vmm); /* it fits the new one no more */
	sandboxes_image_changed(w.boxes, name);
}

static bool are_all_new(struct pool *p)
{
	LIST_EACH(l, &p->idle)
	if (pool_is_past(container_of(l, struct sandbox, in_pool)))
		return false;
	return true;
}

START_TEST(another_image_renews_the_pool)
{
	start(true);
	struct pool *p = pool_of("py");
	world_until(&w, p->n_idle == 2 && pool_of("quiet")->n_idle == 1);
	unsigned warms = fake_vmm_calls(w.vmm, FAKE_WARM);
	image_changes("py");
	world_until(&w, p->n_idle == 2 && are_all_new(p) && fake_vmm_live(w.vmm) == 3);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_WARM), warms + 1);
	ck_assert_uint_eq(pool_of("quiet")->n_idle, 1); /* another template's */
	ck_assert_uint_eq(p->boot_failures, 0);
	sandboxes_image_changed(w.boxes, "nobody");
	stop();
}
END_TEST

/* What was being made then is finished, and not used: neither the snapshot nor clones. */
START_TEST(another_image_in_the_midst_of_it)
{
	static const struct {
		enum sandbox_job job;
		const char *step;
		enum fake_call call;
	} at[] = { { JOB_WARM, "prepare", FAKE_PREPARE }, { JOB_WARM, "warm", FAKE_WARM },
		{ JOB_BOOT, "create", FAKE_CREATE }, { JOB_BOOT, "pause", FAKE_PAUSE } };
	struct made m;
	struct sandbox_params params = world_params("py", "t");
	struct pool *p;
	start(true);
	p = pool_of("py");
	if (at[_i].job == JOB_BOOT) { /* of which the next call is the one */
		fake_vmm_script(w.vmm, FAKE_WARM, FAKE_HOLD);
		world_until(&w, at_job(JOB_WARM, "warm") != NULL);
		fake_vmm_script(w.vmm, FAKE_WARM, FAKE_OK);
		fake_vmm_release(w.vmm, FAKE_WARM, true);
	}
	fake_vmm_script(w.vmm, at[_i].call, FAKE_HOLD);
	world_until(&w, at_job(at[_i].job, at[_i].step) != NULL);
	image_changes("py");
	image_changes("quiet");
	fake_vmm_script(w.vmm, at[_i].call, FAKE_OK);
	fake_vmm_release(w.vmm, at[_i].call, true);
	world_until(&w, p->n_idle == 2 && are_all_new(p));
	ck_assert_int_eq(p->stage, POOL_STAGE_READY);
	made_begin(&w, &m, &params);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	ck_assert(!pool_is_past(m.sb));
	made_forget(&m);
	stop();
}
END_TEST

/* One that is said to be there and cannot be cloned is not tried without a pause. */
START_TEST(refills_that_lose_their_snapshot_wait)
{
	start(true);
	struct pool *p = pool_of("py");
	world_until(&w, p->n_idle == 2 && pool_of("quiet")->n_idle == 1);
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	sandbox_end(container_of(list_first(&p->idle), struct sandbox, in_pool),
	    SANDBOX_END_SHUTDOWN, "for the test");
	world_until(&w, at_job(JOB_BOOT, "create") != NULL);
	fake_vmm_forget_warm(w.vmm);
	fake_vmm_release(w.vmm, FAKE_CREATE, false);
	world_settle(&w);
	ck_assert_int_eq(p->stage, POOL_STAGE_NEW);
	ck_assert_uint_eq(p->failures, 1);
	ck_assert_uint_gt(p->retry_ms, clock_mono_ms());
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_OK);
	stop();
}
END_TEST

/* A create does not pay for it: what it began with is gone, there is something new. */
START_TEST(a_create_outlives_the_snapshot_it_was_to_clone)
{
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	start(false);
	(void)world_create(&w, "bare", "t");
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	made_begin(&w, &m, &p);
	world_settle(&w);
	fake_vmm_forget_warm(w.vmm);
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_OK);
	fake_vmm_release(w.vmm, FAKE_CREATE, false);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	made_forget(&m);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_WARM), 2);
	ck_assert_uint_eq(pool_of("bare")->failures, 0);
	stop();
}
END_TEST

/* ---- every step of making one, and every way not to go well ---- */

static const struct {
	const char *name;
	bool guest;
	int call;
} steps[] = {
	{ "prepare", false, FAKE_PREPARE },
	{ "create", false, FAKE_CREATE },
	{ "boot", true, FAKE_GUEST_BOOT },
	{ "quiesce", true, FAKE_GUEST_QUIESCE },
	{ "close", true, FAKE_GUEST_CLOSE },
	{ "warm", false, FAKE_WARM },
};
#define N_STEPS (int)(sizeof(steps) / sizeof(steps[0]))

static void script(int i, enum fake_mode vmm, enum fake_guest_mode guest)
{
	if (steps[i].guest)
		fake_guests.script[steps[i].call] = guest;
	else
		fake_vmm_script(w.vmm, steps[i].call, vmm);
}

static void release(int i, bool good)
{
	script(i, FAKE_OK, FAKE_GUEST_OK);
	if (steps[i].guest)
		fake_guests_release(steps[i].call, good);
	else
		fake_vmm_release(w.vmm, steps[i].call, good);
}

/* Everybody who waits is told, nothing is left, and the next create tries again. */
static void failed_and_recovers(struct made *m, int code)
{
	ck_assert_ptr_null(made_wait(&w, m));
	ck_assert_int_eq(m->err.code, code);
	ck_assert_str_ne(m->err.text, "");
	world_until(&w, sandboxes_total(w.boxes) == 0 && fake_vmm_pending(w.vmm) == 0);
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	ck_assert_uint_eq(fake_guests.live, 0);
	ck_assert(pool_of("bare")->stage == POOL_STAGE_NEW);
	ck_assert_uint_gt(pool_of("bare")->retry_ms, clock_mono_ms());
	(void)world_create(&w, "bare", "t");
	ck_assert(pool_of("bare")->stage == POOL_STAGE_READY);
	ck_assert_uint_eq(pool_of("bare")->failures, 0);
}

START_TEST(step_of_a_snapshot_fails)
{
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	start(false);
	script(_i, FAKE_FAIL_ONCE, FAKE_GUEST_FAIL_ONCE);
	made_begin(&w, &m, &p);
	failed_and_recovers(&m, steps[_i].guest ? -EPROTO : -EIO);
	stop();
}
END_TEST

START_TEST(step_of_a_snapshot_times_out)
{
	int i = _i / 2;
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	start(false);
	script(i, FAKE_HOLD, FAKE_GUEST_HOLD);
	made_begin(&w, &m, &p);
	world_until(&w, at_job(JOB_WARM, steps[i].name) != NULL);
	world_fire_limit(at_job(JOB_WARM, steps[i].name));
	world_settle(&w);
	release(i, _i % 2);
	if (steps[i].call == FAKE_WARM && !steps[i].guest && _i % 2)
		fake_vmm_forget_warm(w.vmm); /* an answer that came late made one after all */
	failed_and_recovers(&m, -ETIMEDOUT);
	stop();
}
END_TEST

START_TEST(step_of_a_snapshot_is_cut_short)
{
	int i = _i / 2;
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	start(false);
	script(i, FAKE_HOLD, FAKE_GUEST_HOLD);
	made_begin(&w, &m, &p);
	world_until(&w, at_job(JOB_WARM, steps[i].name) != NULL);
	sandbox_end(at_job(JOB_WARM, steps[i].name), SANDBOX_END_CRASHED, "it fell over");
	world_settle(&w);
	release(i, _i % 2);
	if (steps[i].call == FAKE_WARM && !steps[i].guest && _i % 2)
		fake_vmm_forget_warm(w.vmm);
	failed_and_recovers(&m, -ECANCELED);
	stop();
}
END_TEST

static void on_stopped(void *arg)
{
	++*(unsigned *)arg;
}

/* The server stops while one is being made. */
START_TEST(shutdown_at_each_step)
{
	start(true);
	script(_i, FAKE_HOLD, FAKE_GUEST_HOLD);
	world_until(&w, at_job(JOB_WARM, steps[_i].name) != NULL);
	sandboxes_shutdown(w.boxes, true, on_stopped, &w.closed);
	world_settle(&w);
	release(_i, true);
	world_until(&w, w.closed == 1);
	w.boxes = sandboxes_free(w.boxes);
	w.store = store_close(w.store);
	world_open(&w);
	stop();
}
END_TEST

/* One template that cannot be made never holds up another. */
START_TEST(a_bad_template_starves_nobody)
{
	struct made bad;
	struct sandbox_params p = world_params("bare", "t");
	start(true);
	world_until(&w, pool_of("py")->n_idle == 2 && pool_of("quiet")->n_idle == 1);
	fake_vmm_script(w.vmm, FAKE_PREPARE, FAKE_FAIL);
	made_begin(&w, &bad, &p);
	ck_assert_ptr_null(made_wait(&w, &bad));
	ck_assert_ptr_nonnull(world_create(&w, "py", "t"));
	clock_fake_advance(250);
	sandboxes_run_pump(w.boxes);
	world_until(&w, pool_of("py")->n_idle == 2);
	stop();
}
END_TEST

/* ---- resuming one of a pool ---- */

START_TEST(resume_fails)
{
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	start(true);
	world_until(&w, pool_of("py")->n_idle == 2);
	fake_vmm_script(w.vmm, FAKE_RESUME, FAKE_FAIL_ONCE);
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m); /* another one takes its place */
	ck_assert_ptr_nonnull(sb);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESUME), 2);
	made_forget(&m);
	stop();
}
END_TEST

void clone_tests(Suite *s)
{
	TCase *c = tcase_create("clones");
	tcase_add_test(c, pools_are_clones_that_stand_still);
	tcase_add_test(c, a_create_waits_for_the_first_snapshot);
	tcase_add_test(c, one_that_is_claimed_while_it_boots_is_not_paused);
	tcase_add_test(c, one_that_is_claimed_while_it_pauses_is_resumed);
	tcase_add_loop_test(c, a_disk_grows_when_it_is_handed_out, 0, 2);
	tcase_add_test(c, a_disk_like_the_templates_is_left_alone);
	tcase_add_test(c, a_smaller_disk_is_one_of_its_own);
	tcase_add_test(c, a_disk_that_cannot_grow_is_no_sandbox);
	tcase_add_test(c, a_snapshot_that_is_there_is_used);
	tcase_add_test(c, a_snapshot_that_got_lost_costs_a_boot);
	tcase_add_test(c, another_image_renews_the_pool);
	tcase_add_loop_test(c, another_image_in_the_midst_of_it, 0, 4);
	tcase_add_test(c, refills_that_lose_their_snapshot_wait);
	tcase_add_test(c, a_create_outlives_the_snapshot_it_was_to_clone);
	tcase_add_loop_test(c, step_of_a_snapshot_fails, 0, N_STEPS);
	tcase_add_loop_test(c, step_of_a_snapshot_times_out, 0, N_STEPS * 2);
	tcase_add_loop_test(c, step_of_a_snapshot_is_cut_short, 0, N_STEPS * 2);
	tcase_add_loop_test(c, shutdown_at_each_step, 0, N_STEPS);
	tcase_add_test(c, a_bad_template_starves_nobody);
	tcase_add_test(c, resume_fails);
	suite_add_tcase(s, c);
}
