/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random lives of a whole registry: creates, kills, cancels, time, failing and late drivers and
 * agents, limits that run out, instances that die, restarts. Invariants hold at every turn
 * (world_check), every create is answered once, and at the end nothing is left. A seed that fails
 * is run again by SIM_SEED=n SIM_COUNT=1.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "lib/sandbox_world.h"

#define ACTIONS 400
#define CREATES 64
#define DEFAULT_COUNT 8

static struct world w;
static struct made creates[CREATES];
static unsigned n_creates;
static uint64_t rng;

static unsigned pick(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)((rng >> 20) % n);
}

/* Any sandbox, or NULL. */
static struct sandbox *any(void)
{
	size_t n = map_size(w.boxes->by_id);
	void *it = NULL;
	struct sandbox *sb = NULL;
	for (unsigned i = n ? pick((unsigned)n) + 1 : 0; i > 0; i--)
		sb = map_next(w.boxes->by_id, &it, NULL);
	return sb;
}

/* ---- what can happen ---- */

static void act_create(void)
{
	static const char *const names[] = { "py", "bare", "quiet", "python", "nothing" };
	static const char *const teams[] = { "a", "b" };
	struct sandbox_params p = world_params(names[pick(5)], teams[pick(2)]);
	if (n_creates == CREATES)
		return;
	p.internet = pick(3) > 0;
	p.secure = pick(2);
	p.timeout_s = pick(4) ? pick(500) + 1 : 0;
	p.team_limit = 12;
	made_begin(&w, &creates[n_creates++], &p);
}

static void act_cancel(void)
{
	struct made *m = n_creates ? &creates[pick(n_creates)] : NULL;
	if (!m || !m->handle)
		return;
	sandbox_create_cancel(m->handle);
	m->handle = NULL;
	m->calls = 1;
	m->err.code = -ECANCELED;
}

static void act_kill(void)
{
	struct sandbox *sb = any();
	if (sb)
		sandbox_kill(sb, SANDBOX_END_KILLED, NULL, NULL);
}

static void act_timeout(void)
{
	struct sandbox *sb = any();
	if (sb)
		(void)sandbox_set_timeout(sb, pick(700), pick(2), NULL);
}

static void act_time(void)
{
	clock_fake_advance(pick(3) ? pick(1000) : pick(200000));
	expiry_run(w.boxes);
	sandboxes_pump(w.boxes);
}

static void act_script(void)
{
	static const enum fake_mode modes[] = { FAKE_OK, FAKE_OK, FAKE_FAIL_ONCE, FAKE_HOLD };
	static const enum fake_guest_mode guest_modes[] = { FAKE_GUEST_OK, FAKE_GUEST_OK,
		FAKE_GUEST_FAIL_ONCE, FAKE_GUEST_HOLD };
	if (pick(2))
		fake_vmm_script(w.vmm, pick(FAKE_CALLS_), modes[pick(4)]);
	else
		fake_guests.script[pick(FAKE_GUEST_CALLS_)] = guest_modes[pick(4)];
}

static void act_release(void)
{
	if (pick(2))
		fake_vmm_release(w.vmm, pick(FAKE_CALLS_), pick(4) > 0);
	else
		fake_guests_release(pick(FAKE_GUEST_CALLS_), pick(4) > 0);
}

static void act_limit(void)
{
	struct sandbox *sb = any();
	if (sb && sb->job != JOB_NONE && loop_timer_is_armed(&sb->op.limit))
		world_fire_limit(sb);
}

static void act_exit(void)
{
	struct sandbox *sb = any();
	if (!sb || !sb->inst || !fake_vmm_has(w.vmm, sb->id))
		return;
	if (pick(2))
		fake_vmm_event(w.vmm, sb->id, VMM_EVENT_OOM, 1);
	fake_vmm_event(w.vmm, sb->id, pick(3) ? VMM_END_EXITED : VMM_EVENT_PIDS, 9);
}

static void retry_destroys(void)
{
	void *it = NULL;
	for (struct sandbox *sb; (sb = map_next(w.boxes->by_id, &it, NULL));) {
		if (loop_timer_is_armed(&sb->retry))
			sb->retry.cb(&sb->retry, sb->retry.arg);
	}
}

/* Everybody answers from now on. */
static void calm_down(void)
{
	for (unsigned i = 0; i < FAKE_CALLS_; i++)
		fake_vmm_script(w.vmm, i, FAKE_OK);
	for (unsigned i = 0; i < FAKE_GUEST_CALLS_; i++)
		fake_guests.script[i] = FAKE_GUEST_OK;
	for (unsigned i = 0; i < FAKE_CALLS_; i++)
		fake_vmm_release(w.vmm, i, true);
	for (unsigned i = 0; i < FAKE_GUEST_CALLS_; i++)
		fake_guests_release(i, true);
}

static void act_restart(void)
{
	struct ended e = { 0 };
	if (pick(4))
		return;
	calm_down();
	world_restart(&w);
	ck_assert_int_eq(sandboxes_recover(w.boxes, on_ended, &e), 0);
	world_until(&w, e.calls == 1);
	ck_assert_msg(e.err.code == 0, "%s", e.err.text);
}

static void (*const actions[])(void) = {
	act_create,
	act_create,
	act_create,
	act_create,
	act_cancel,
	act_kill,
	act_kill,
	act_timeout,
	act_time,
	act_time,
	act_script,
	act_script,
	act_release,
	act_release,
	act_limit,
	act_exit,
	act_restart,
};

/* ---- one life ---- */

static void live(uint64_t seed)
{
	const struct world_conf c = { .pool = true, .max = 24, .parallel = 3 };
	rng = seed * 0x9e3779b97f4a7c15u + 1;
	n_creates = 0;
	clock_fake_start(1700000000000000000);
	world_start(&w, &c);
	for (unsigned i = 0; i < ACTIONS; i++) {
		actions[pick(sizeof(actions) / sizeof(actions[0]))]();
		world_check(&w);
		for (unsigned t = pick(4); t > 0; t--)
			world_turn(&w, pick(8) == 0);
	}
	calm_down();
	world_settle(&w);
	retry_destroys();
	world_until(&w, w.boxes->n_creates == 0 && w.boxes->count[SANDBOX_STOPPING] == 0);
	for (unsigned i = 0; i < n_creates; i++) {
		ck_assert_uint_eq(creates[i].calls, 1);
		made_forget(&creates[i]);
	}
	clock_fake_stop();
	world_stop(&w);
}

START_TEST(random_lives)
{
	const char *seed = getenv("SIM_SEED"), *count = getenv("SIM_COUNT");
	unsigned long first = seed ? strtoul(seed, NULL, 10) : 1;
	unsigned long n = count ? strtoul(count, NULL, 10) : DEFAULT_COUNT;
	for (unsigned long i = first; i < first + n; i++) {
		(void)printf("seed %lu\n", i);
		(void)fflush(stdout);
		live(i);
	}
}
END_TEST

static Suite *sim_suite(void)
{
	Suite *s = suite_create("sandbox_sim");
	log_open("sandbox_sim", LOG_LEVEL_ERROR);
	tcase_add_test(test_case(s, "lives", 300), random_lives);
	return s;
}

TEST_MAIN(sim_suite)
