/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n: each call tells it once and nothing is left behind. */
#include <errno.h>

#include "base/mem.h"
#include "sandbox_tests.h"

static struct world w;

static void on_made(const struct err *err, struct sandbox *sb, void *arg)
{
	struct made *m = arg;
	m->calls++;
	m->err = *err;
	m->sb = sb;
}

static void on_used(const struct err *err, const struct vmm_usage *u, void *arg)
{
	struct ended *e = arg;
	e->calls++;
	e->err = *err;
}

static void on_event(enum sandbox_event_kind kind, struct sandbox *sb, void *arg)
{
}

static void turns_without_memory(long n)
{
	for (unsigned i = 0; i < 60; i++) {
		mem_fail_after(n);
		long before = mem_alloc_count();
		world_turn(&w, i > 5);
		n -= mem_alloc_count() - before;
		n = n < 0 ? 0 : n;
		mem_fail_after(-1);
	}
}

START_TEST(create)
{
	static const char *const metadata[] = { "a", "b", NULL };
	static const char *const env[] = { "A=b", NULL };
	bool worked = false;
	world_start(&w, NULL);
	for (long n = 0; !worked; n++) {
		struct made m = { 0 };
		struct sandbox_params p = world_params("bare", "t");
		p.metadata = metadata;
		p.env = env;
		p.allow_public_traffic = false;
		long before = mem_alloc_count();
		mem_fail_after(n);
		struct sandbox_create *c = sandbox_create(w.boxes, &p, on_made, &m);
		mem_fail_after(-1);
		long left = n - (mem_alloc_count() - before);
		ck_assert_uint_eq(m.calls, 0);
		if (!c)
			continue;
		turns_without_memory(left < 0 ? 0 : left);
		world_until(&w, m.calls == 1);
		worked = m.sb != NULL;
		ck_assert(worked || m.err.code == -ENOMEM);
		ck_assert_int_lt(n, 500);
	}
	world_stop(&w);
}
END_TEST

START_TEST(calls_on_one)
{
	struct err err = ERR_INIT;
	world_start(&w, NULL);
	struct sandbox *sb = world_create(&w, "bare", "t");
	struct ended kill = { 0 }, usage = { 0 };
	mem_fail_after(0);
	int64_t end = sb->end_at_ns;
	ck_assert_int_eq(sandbox_set_timeout(sb, 7, false, &err), -ENOMEM);
	ck_assert_int_eq(sb->end_at_ns, end);
	sandbox_usage(sb, on_used, &usage);
	ck_assert_int_eq(usage.err.code, -ENOMEM);
	ck_assert_ptr_null(sandboxes_subscribe(w.boxes, "t", on_event, NULL));
	mem_fail_after(1);
	ck_assert_ptr_null(sandboxes_subscribe(w.boxes, "t", on_event, NULL));
	mem_fail_after(0);
	sandbox_kill(sb, SANDBOX_END_KILLED, on_ended, &kill);
	ck_assert_int_eq(kill.err.code, -ENOMEM);
	mem_fail_after(-1);
	world_until(&w, sandboxes_total(w.boxes) == 0); /* it ends all the same */
	ck_assert_uint_eq(kill.calls, 1);
	world_stop(&w);
}
END_TEST

START_TEST(pool_refill)
{
	struct world_conf c = { .pool = true };
	world_start(&w, &c);
	for (long n = 0; n < 12; n++) {
		mem_fail_after(n);
		world_turn(&w, false);
		mem_fail_after(-1);
	}
	world_until(&w, w.boxes->count[SANDBOX_POOLED] > 0);
	world_stop(&w);
}
END_TEST

START_TEST(registry)
{
	struct err err = ERR_INIT;
	world_start(&w, NULL);
	struct sandboxes_conf c = w.boxes->conf;
	for (long n = 0;; n++) {
		err_reset(&err);
		mem_fail_after(n);
		struct sandboxes *s = sandboxes_new(&c, &err);
		mem_fail_after(-1);
		if (s) {
			(void)sandboxes_free(s);
			break;
		}
		ck_assert_int_eq(err.code, -ENOMEM);
	}
	world_stop(&w);
}
END_TEST

START_TEST(recover)
{
	world_start(&w, NULL);
	(void)world_create(&w, "bare", "t");
	for (long n = 0;; n++) {
		struct ended e = { 0 };
		world_restart(&w);
		mem_fail_after(n);
		long before = mem_alloc_count();
		int r = sandboxes_recover(w.boxes, on_ended, &e);
		long left = n - (mem_alloc_count() - before);
		mem_fail_after(-1);
		if (r == 0) {
			turns_without_memory(left < 0 ? 0 : left);
			world_until(&w, e.calls == 1);
		}
		if (r == 0 && e.err.code == 0 && sandboxes_count(w.boxes, "t") == 1)
			break;
		world_until(&w, w.boxes->n_jobs == 0);
		if (fake_vmm_live(w.vmm) == 0)
			(void)world_create(&w, "bare", "t"); /* it was lost, in order */
		ck_assert_int_lt(n, 500);
	}
	world_stop(&w);
}
END_TEST

void memory_tests(Suite *s)
{
	TCase *tc = test_case(s, "memory", 60);
	tcase_add_test(tc, create);
	tcase_add_test(tc, calls_on_one);
	tcase_add_test(tc, pool_refill);
	tcase_add_test(tc, registry);
	tcase_add_test(tc, recover);
}
