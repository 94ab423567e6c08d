/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/meminfo.h"
#include "image/template.h"
#include "sandbox_tests.h"

static struct world w;

static const struct template *tmpl(const char *name)
{
	return templates_find(w.templates, name);
}

static size_t ready(const char *name)
{
	return sandboxes_pool_ready(w.boxes, tmpl(name));
}

static void start(struct world_conf c)
{
	clock_fake_start(1700000000000000000);
	world_start(&w, &c);
}

static void stop(void)
{
	clock_fake_stop();
	world_stop(&w);
}

/* Time passes, and the refill timer with it. */
static void later(uint64_t ms)
{
	clock_fake_advance(ms);
	sandboxes_run_pump(w.boxes);
	world_settle(&w);
}

START_TEST(pools_fill_up)
{
	start((struct world_conf){ .pool = true, .parallel = 2 });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	world_settle(&w);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 3);
	ck_assert_uint_le(fake_vmm_peak(w.vmm), 2);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_PREPARE), 2); /* once a template */
	ck_assert_uint_eq(sandboxes_count(w.boxes, NULL), 0);
	ck_assert_uint_eq(world_rows(&w, NULL), 0); /* nobody's yet */
	ck_assert_uint_eq(ready("bare"), 0);
	stop();
}
END_TEST

START_TEST(create_takes_a_pooled_one)
{
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	struct sandbox *a = world_create(&w, "py", "t"), *b = world_create(&w, "py", "u");
	ck_assert_ptr_ne(a, b);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 3); /* no boot for them */
	ck_assert_uint_eq(ready("py"), 0);
	ck_assert_str_eq(fake_guests.sandbox_id, b->id);
	world_settle(&w);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 3); /* quiet after a create */
	later(249);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 3);
	later(1);
	world_until(&w, ready("py") == 2);
	stop();
}
END_TEST

/* Creates that never pause do not keep the pool empty for ever. */
START_TEST(refills_are_not_starved)
{
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	(void)world_create(&w, "py", "t");
	unsigned boots = fake_vmm_calls(w.vmm, FAKE_CREATE), bare = 0;
	for (unsigned i = 0; i < 21; i++, bare++) {
		sandbox_kill(world_create(&w, "bare", "t"), SANDBOX_END_KILLED, NULL, NULL);
		later(100);
	}
	unsigned refills = fake_vmm_calls(w.vmm, FAKE_CREATE) - boots - bare;
	ck_assert_uint_eq(refills, 1);
	ck_assert_uint_eq(ready("py"), 2);
	stop();
}
END_TEST

START_TEST(no_refill_while_a_create_waits)
{
	struct made m;
	struct sandbox_params p;
	start((struct world_conf){ .pool = true, .parallel = 4 });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	p = world_params("bare", "t");
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	made_begin(&w, &m, &p);
	sandbox_kill(container_of(list_first(&pool_find(w.boxes, tmpl("py"))->idle), struct sandbox,
			 in_pool),
	    SANDBOX_END_KILLED, NULL, NULL);
	world_until(&w, fake_vmm_pending(w.vmm) == 1);
	later(60000);
	ck_assert_uint_eq(ready("py"), 1);
	ck_assert_uint_eq(w.boxes->n_boots, 1);
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_OK);
	fake_vmm_release(w.vmm, FAKE_CREATE, true);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	made_forget(&m);
	later(250);
	world_until(&w, ready("py") == 2);
	stop();
}
END_TEST

/* Creates come before refills, and take what is already being made. */
START_TEST(create_claims_a_booting_one)
{
	struct made a, b, c;
	struct sandbox_params p = world_params("py", "t");
	start((struct world_conf){ .parallel = 2 });
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	w.boxes->conf.pool = true;
	pool_find(w.boxes, tmpl("py"))->stage = POOL_STAGE_READY;
	pool_find(w.boxes, tmpl("quiet"))->stage = POOL_STAGE_READY;
	sandboxes_pump(w.boxes);
	world_until(&w, fake_vmm_calls(w.vmm, FAKE_CREATE) == 2);
	made_begin(&w, &a, &p);
	made_begin(&w, &b, &p);
	made_begin(&w, &c, &p);
	world_settle(&w);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 2); /* both slots are taken */
	ck_assert_ptr_nonnull(a.handle->sb);
	ck_assert_ptr_null(c.handle->sb);
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_OK);
	fake_vmm_release(w.vmm, FAKE_CREATE, true);
	ck_assert_ptr_nonnull(made_wait(&w, &a));
	ck_assert_ptr_nonnull(made_wait(&w, &b));
	ck_assert_ptr_nonnull(made_wait(&w, &c));
	ck_assert_uint_eq(fake_vmm_peak(w.vmm), 2);
	made_forget(&a);
	made_forget(&b);
	made_forget(&c);
	stop();
}
END_TEST

/* The claimed refill fails: the create gets a boot of its own. */
START_TEST(claimed_boot_fails)
{
	struct made m;
	struct sandbox_params p = world_params("quiet", "t");
	start((struct world_conf){ .parallel = 1 });
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	struct sandbox *sb = sandbox_new(w.boxes, "irefill", tmpl("quiet"));
	pool_add(sb);
	sandbox_boot(sb);
	made_begin(&w, &m, &p);
	world_until(&w, sb->create != NULL);
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_OK);
	world_until(&w, fake_vmm_pending(w.vmm) == 1);
	fake_vmm_release(w.vmm, FAKE_CREATE, false);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	ck_assert_str_ne(m.sb->id, "irefill");
	made_forget(&m);
	stop();
}
END_TEST

START_TEST(failing_refills_back_off)
{
	static const unsigned waits[] = { 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
	start((struct world_conf){ .parallel = 1 });
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_FAIL);
	pool_find(w.boxes, tmpl("py"))->retry_ms = UINT64_MAX; /* only "quiet" */
	w.boxes->conf.pool = true;
	later(0);
	for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), i + 1);
		later(waits[i] - 1);
		ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), i + 1);
		later(1);
	}
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_OK);
	later(60000);
	ck_assert_uint_eq(ready("quiet"), 1);
	ck_assert_uint_eq(pool_find(w.boxes, tmpl("quiet"))->failures, 0);
	stop();
}
END_TEST

/* A create is not held back by a pool that fails. */
START_TEST(create_beside_a_failing_pool)
{
	start((struct world_conf){ .pool = true });
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_FAIL);
	world_until(&w, fake_vmm_calls(w.vmm, FAKE_CREATE) >= 2);
	world_settle(&w);
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_OK);
	(void)world_create(&w, "py", "t");
	stop();
}
END_TEST

/* A pooled one that dies is replaced and never handed out. */
START_TEST(pooled_one_dies)
{
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	struct sandbox *sb = container_of(
	    list_first(&pool_find(w.boxes, tmpl("py"))->idle), struct sandbox, in_pool);
	fake_vmm_event(w.vmm, sb->id, VMM_END_EXITED, 9);
	ck_assert_uint_eq(ready("py"), 1);
	world_until(&w, ready("py") == 2);
	stop();
}
END_TEST

/* Without set_internet, only one with the right policy is taken. */
START_TEST(fixed_network_policy)
{
	struct made m;
	struct sandbox_params p;
	start((struct world_conf){ .pool = true, .driver = &fake_vmm_driver_fixed_net });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	p = world_params("py", "t");
	p.internet = false;
	made_begin(&w, &m, &p);
	ck_assert_ptr_nonnull(made_wait(&w, &m));
	ck_assert(!m.sb->internet);
	ck_assert_uint_eq(ready("py"), 2);
	made_forget(&m);
	p = world_params("quiet", "t"); /* the template allows none, whatever is asked for */
	made_begin(&w, &m, &p);
	ck_assert(!made_wait(&w, &m)->internet);
	ck_assert_uint_eq(ready("quiet"), 0);
	made_forget(&m);
	stop();
}
END_TEST

START_TEST(full_machine)
{
	struct made m;
	struct sandbox_params p;
	start((struct world_conf){ .pool = true, .max = 3 });
	world_until(&w, ready("py") + ready("quiet") == 3);
	/* other templates' idle ones make room */
	for (unsigned i = 0; i < 3; i++)
		(void)world_create(&w, "bare", "t");
	ck_assert_uint_eq(ready("py") + ready("quiet"), 0);
	p = world_params("bare", "t");
	made_begin(&w, &m, &p);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, SANDBOX_E_CAPACITY);
	ck_assert_str_eq(m.err.text, "this machine takes no more than 3 sandboxes");
	later(60000);
	ck_assert_uint_eq(sandboxes_total(w.boxes), 3);
	stop();
}
END_TEST

/* A create that waits for a slot does so for a limited time. */
START_TEST(waiting_has_a_limit)
{
	struct made a, b;
	struct sandbox_params p = world_params("bare", "t");
	start((struct world_conf){ .parallel = 1 });
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	made_begin(&w, &a, &p);
	made_begin(&w, &b, &p);
	world_until(&w, fake_vmm_pending(w.vmm) == 1);
	ck_assert(loop_timer_is_armed(&b.handle->limit));
	ck_assert(!loop_timer_is_armed(&a.handle->limit));
	b.handle->limit.cb(&b.handle->limit, b.handle->limit.arg);
	ck_assert_int_eq(b.err.code, SANDBOX_E_CAPACITY);
	ck_assert_str_eq(b.err.text, "no room for another sandbox became free within 60 s");
	fake_vmm_release(w.vmm, FAKE_CREATE, true);
	ck_assert_ptr_nonnull(made_wait(&w, &a));
	made_forget(&a);
	stop();
}
END_TEST

START_TEST(shutdown_tells_waiting_creates)
{
	struct made m[4];
	struct sandbox_params p = world_params("py", "t");
	start((struct world_conf){ .pool = true, .parallel = 1 });
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_HOLD);
	for (unsigned i = 0; i < 4; i++)
		made_begin(&w, &m[i], &p);
	world_until(&w, fake_vmm_pending(w.vmm) == 1);
	fake_vmm_release(w.vmm, FAKE_CREATE, true);
	clock_fake_stop();
	world_close(&w, true);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(m[i].calls, 1);
		ck_assert_int_eq(m[i].err.code, -ESHUTDOWN);
	}
	ck_assert_uint_eq(fake_vmm_live(w.vmm), 0);
	w.conf.pool = false;
	world_open(&w);
	world_stop(&w);
}
END_TEST

/* ---- room ---- */

#define EACH (1024ull << 20) /* of a template that says nothing */

START_TEST(memory_is_promised_once)
{
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	start((struct world_conf){ .memory_budget = 2 * EACH });
	struct sandbox *a = world_create(&w, "bare", "t");
	(void)world_create(&w, "bare", "t");
	made_begin(&w, &m, &p);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, SANDBOX_E_CAPACITY);
	ck_assert_ptr_nonnull(strstr(m.err.text, "MiB are taken and this one may use"));
	sandbox_kill(a, SANDBOX_END_KILLED, NULL, NULL);
	(void)world_create(&w, "bare", "t");
	stop();
}
END_TEST

/* Idle ones of other templates give way. */
START_TEST(memory_of_idle_ones_is_given_back)
{
	start((struct world_conf){ .pool = true, .memory_budget = 3 * EACH });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	(void)world_create(&w, "bare", "t");
	ck_assert_uint_eq(ready("py") + ready("quiet"), 2);
	stop();
}
END_TEST

static struct meminfo machine;

static int read_machine(struct meminfo *ret)
{
	*ret = machine;
	return 0;
}

START_TEST(nothing_starts_when_memory_is_short)
{
	struct made m;
	struct sandbox_params p = world_params("bare", "t");
	start((struct world_conf){ .pool = false });
	w.boxes->conf.read_memory = read_machine;
	w.boxes->conf.memory_reserve = 1000;
	machine = (struct meminfo){ 5000, 999 };
	made_begin(&w, &m, &p);
	ck_assert_ptr_null(made_wait(&w, &m));
	ck_assert_int_eq(m.err.code, SANDBOX_E_CAPACITY);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 0);
	machine.available = 1000;
	(void)world_create(&w, "bare", "t");
	stop();
}
END_TEST

START_TEST(hits_and_misses_are_counted)
{
	struct sandboxes_pool_stats st;
	struct sandboxes_stats all;
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	(void)world_create(&w, "py", "t");
	(void)world_create(&w, "py", "t");
	fake_vmm_script(w.vmm, FAKE_CREATE, FAKE_FAIL);
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	made_begin(&w, &m, &p);
	ck_assert_ptr_null(made_wait(&w, &m));
	for (size_t i = 0; i < sandboxes_pools(w.boxes); i++) {
		sandboxes_pool_stats(w.boxes, i, &st);
		if (strcmp(st.tmpl->name, "py") == 0)
			break;
	}
	ck_assert_uint_eq(st.hits, 2);
	ck_assert_uint_eq(st.misses, 1);
	ck_assert_uint_eq(st.boot_failures, 1);
	ck_assert_str_ne(st.last_failure, "");
	sandboxes_stats(w.boxes, &all);
	ck_assert_uint_eq(all.created, 2);
	ck_assert_uint_eq(all.refused, 1);
	ck_assert_uint_eq(all.running, 2);
	stop();
}
END_TEST

/* ---- sizes ---- */

START_TEST(sizes_are_given_to_a_pooled_one)
{
	struct made m;
	struct sandbox_view v;
	struct sandbox_params p = world_params("py", "t");
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	p.sizes = (struct sandbox_sizes){ .cpu_milli = 3000, .memory_bytes = 2 * EACH };
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m);
	ck_assert_ptr_nonnull(sb);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_CREATE), 3);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESIZE), 1);
	ck_assert_uint_eq(fake_vmm_sizes(w.vmm, sb->id).memory_bytes, 2 * EACH);
	ck_assert_uint_eq(fake_vmm_sizes(w.vmm, sb->id).cpu_milli, 3000);
	sandbox_view(sb, &v);
	ck_assert_uint_eq(v.memory_bytes, 2 * EACH);
	ck_assert_uint_eq(v.cpu_milli, 3000);
	ck_assert_uint_eq(v.disk_bytes, tmpl("py")->disk_bytes);
	made_forget(&m);
	stop();
}
END_TEST

/* A disk that the driver cannot change: one of its own, that is kept over a restart, too. */
START_TEST(sizes_that_cost_a_boot)
{
	struct made m;
	struct ended e = { 0 };
	struct sandbox_params p = world_params("py", "t");
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	p.sizes = (struct sandbox_sizes){ .disk_bytes = 3 * EACH };
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m);
	char id[32];
	memcpy(id, sb->id, strlen(sb->id) + 1);
	made_forget(&m);
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESIZE), 0);
	ck_assert_uint_eq(fake_vmm_sizes(w.vmm, id).disk_bytes, 3 * EACH);
	ck_assert_uint_eq(ready("py"), 2);
	world_restart(&w);
	ck_assert_int_eq(sandboxes_recover(w.boxes, on_ended, &e), 0);
	world_until(&w, e.calls == 1);
	sb = sandboxes_find(w.boxes, id);
	ck_assert_ptr_nonnull(sb);
	ck_assert_uint_eq(sb->sizes.disk_bytes, 3 * EACH);
	ck_assert_uint_eq(sb->sizes.memory_bytes, EACH);
	stop();
}
END_TEST

/* More memory than is left to promise is not to be had from the pool either. */
START_TEST(sizes_keep_to_the_budget)
{
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	w.boxes->conf.memory_budget = w.boxes->promised + EACH;
	p.sizes = (struct sandbox_sizes){ .memory_bytes = 3 * EACH };
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m); /* another of the pool had to give way */
	ck_assert_ptr_nonnull(sb);
	ck_assert_uint_eq(sb->sizes.memory_bytes, 3 * EACH);
	ck_assert_uint_le(w.boxes->promised, w.boxes->conf.memory_budget);
	made_forget(&m);
	stop();
}
END_TEST

/* Two that are claimed before either has grown: what is left is promised once. */
START_TEST(two_cannot_grow_into_the_same_room)
{
	struct made m[2];
	struct sandbox_params p = world_params("py", "t");
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	w.boxes->conf.memory_budget = w.boxes->promised + EACH;
	p.sizes = (struct sandbox_sizes){ .memory_bytes = 2 * EACH };
	for (int i = 0; i < 2; i++)
		made_begin(&w, &m[i], &p);
	for (int i = 0; i < 2; i++) {
		(void)made_wait(&w, &m[i]);
		ck_assert_uint_le(w.boxes->promised, w.boxes->conf.memory_budget);
	}
	for (int i = 0; i < 2; i++)
		made_forget(&m[i]);
	stop();
}
END_TEST

START_TEST(resize_fails)
{
	struct made m;
	struct sandbox_params p = world_params("py", "t");
	start((struct world_conf){ .pool = true });
	world_until(&w, ready("py") == 2 && ready("quiet") == 1);
	p.sizes = (struct sandbox_sizes){ .cpu_milli = 3000 };
	fake_vmm_script(w.vmm, FAKE_RESIZE, FAKE_FAIL_ONCE);
	made_begin(&w, &m, &p);
	ck_assert_ptr_nonnull(made_wait(&w, &m)); /* the next one of the pool */
	ck_assert_uint_eq(fake_vmm_calls(w.vmm, FAKE_RESIZE), 2);
	made_forget(&m);
	stop();
}
END_TEST

void pool_tests(Suite *s)
{
	TCase *tc = test_case(s, "pool", 30);
	tcase_add_test(tc, pools_fill_up);
	tcase_add_test(tc, create_takes_a_pooled_one);
	tcase_add_test(tc, refills_are_not_starved);
	tcase_add_test(tc, no_refill_while_a_create_waits);
	tcase_add_test(tc, create_claims_a_booting_one);
	tcase_add_test(tc, claimed_boot_fails);
	tcase_add_test(tc, failing_refills_back_off);
	tcase_add_test(tc, create_beside_a_failing_pool);
	tcase_add_test(tc, pooled_one_dies);
	tcase_add_test(tc, fixed_network_policy);
	tcase_add_test(tc, full_machine);
	tcase_add_test(tc, waiting_has_a_limit);
	tcase_add_test(tc, shutdown_tells_waiting_creates);
	tcase_add_test(tc, memory_is_promised_once);
	tcase_add_test(tc, memory_of_idle_ones_is_given_back);
	tcase_add_test(tc, nothing_starts_when_memory_is_short);
	tcase_add_test(tc, hits_and_misses_are_counted);
	tcase_add_test(tc, sizes_are_given_to_a_pooled_one);
	tcase_add_test(tc, sizes_that_cost_a_boot);
	tcase_add_test(tc, sizes_keep_to_the_budget);
	tcase_add_test(tc, two_cannot_grow_into_the_same_room);
	tcase_add_test(tc, resize_fails);
}
