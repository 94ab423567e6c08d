/* SPDX-License-Identifier: Apache-2.0 */

#include "base/err.h"
#include "grpc/health/v1/health.pb-c.h"
#include "rpc_call_tests.h"
#include "wire/pbwire.h"

#define SERVING 1

static const char *const fields[] = { "content-type", "application/grpc", NULL };

static void ask(struct world *w, const char *method, const char *service, struct exchange *x)
{
	Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	struct buf b = BUF_INIT, framed = BUF_INIT;
	char path[64];
	q.service = (char *)service;
	(void)snprintf(path, sizeof(path), "/grpc.health.v1.Health/%s", method);
	ck_assert_int_eq(pb_pack(&b, &q.base), 0);
	ck_assert_int_eq(rpc_frame(&framed, 0, buf_data(&b), buf_len(&b), false), 0);
	exchange_send(&w->lb, x, "POST", path, fields, buf_data(&framed), buf_len(&framed));
	buf_fini(&b);
	buf_fini(&framed);
	world_settle(w);
}

/* The statuses received so far, as digits. */
static const char *statuses(const struct exchange *x, char dst[64])
{
	struct rpc_deframer d;
	uint8_t flags;
	const void *p;
	size_t n, at = 0;
	rpc_deframer_init(&d, 1024, false);
	ck_assert_int_eq(rpc_deframer_feed(&d, buf_data(&x->body), buf_len(&x->body)), 0);
	while (rpc_deframer_next(&d, &flags, &p, &n) > 0) {
		struct err err = ERR_INIT;
		Grpc__Health__V1__HealthCheckResponse *m = (void *)pb_unpack(
		    &grpc__health__v1__health_check_response__descriptor, p, n, &err);
		ck_assert_ptr_nonnull(m);
		dst[at++] = (char)('0' + m->status);
		protobuf_c_message_free_unpacked(&m->base, NULL);
	}
	dst[at] = '\0';
	rpc_deframer_fini(&d);
	return dst;
}

static void health_world(struct world *w)
{
	world_init(w, 2);
	ck_assert_int_eq(rpc_health_add(w->router), 0);
}

static void check(struct world *w, const char *service, const char *want, const char *status)
{
	struct exchange x;
	char text[64];
	ask(w, "Check", service, &x);
	ck_assert_str_eq(statuses(&x, text), want);
	const char *got = http_fields_get(&x.trailers, "grpc-status");
	ck_assert_str_eq(got ? got : http_fields_get(&x.head, "grpc-status"), status);
	exchange_fini(&x);
}

START_TEST(check_answers)
{
	struct world w;
	health_world(&w);
	check(&w, "", "1", "0");
	check(&w, "sandglass.test.Echo", "1", "0");
	check(&w, "grpc.health.v1.Health", "1", "0");
	check(&w, "nobody.Home", "", "5");
	rpc_health_set(w.router, "sandglass.test.Echo", false);
	rpc_health_set(w.router, "nobody.Home", true);
	check(&w, "sandglass.test.Echo", "2", "0");
	check(&w, "", "1", "0");
	check(&w, "nobody.Home", "", "5");
	rpc_health_set(w.router, "", false);
	check(&w, "", "2", "0");
	world_fini(&w);
}
END_TEST

START_TEST(watch_follows)
{
	struct world w;
	struct exchange echo, all, late;
	char text[64];
	health_world(&w);
	ask(&w, "Watch", "sandglass.test.Echo", &echo);
	ask(&w, "Watch", "", &all);
	ask(&w, "Watch", "late.Echo", &late);
	rpc_health_set(w.router, "sandglass.test.Echo", false);
	rpc_health_set(w.router, "sandglass.test.Echo", false); /* no change, no message */
	world_settle(&w);
	rpc_health_set(w.router, "sandglass.test.Echo", true);
	ck_assert_int_eq(rpc_router_add_as(w.router, "late.Echo", &w.echo.service), 0);
	world_settle(&w);
	ck_assert_str_eq(statuses(&echo, text), "121");
	ck_assert_str_eq(statuses(&all, text), "1");
	ck_assert_str_eq(statuses(&late, text), "31");
	ck_assert(!echo.ended && !all.ended && !late.ended);
	exchange_fini(&echo);
	world_settle(&w);
	rpc_health_set(w.router, "sandglass.test.Echo", false); /* nobody watches any more */
	world_settle(&w);
	exchange_fini(&all);
	exchange_fini(&late);
	world_fini(&w);
}
END_TEST

/* One that does not read gets the latest status, not all of them. */
START_TEST(slow_watcher)
{
	struct world w;
	struct exchange x;
	health_world(&w);
	ask(&w, "Watch", "", &x);
	x.slow = true;
	for (unsigned i = 0; i < 200000; i++) {
		rpc_health_set(w.router, "", i % 2);
		if (i % 10000 == 0)
			loopback_pump(&w.lb);
	}
	world_settle(&w);
	ck_assert_uint_lt(buf_len(&x.body), 1000000);
	for (int i = 0; i < 20; i++) {
		exchange_resume(&x);
		world_settle(&w);
	}
	/* SERVING is the last word. */
	ck_assert_uint_ge(buf_len(&x.body), 7);
	ck_assert_int_eq(buf_data(&x.body)[buf_len(&x.body) - 1], SERVING);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

void health_tests(Suite *s)
{
	TCase *tc = test_case(s, "health", 20);
	tcase_add_test(tc, check_answers);
	tcase_add_test(tc, watch_follows);
	tcase_add_test(tc, slow_watcher);
}
