/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many calls at once, each started, fed, spoilt, cut, held back and reset at random moments.
 * Whatever the order: every call that passed the gate hears on_done exactly once, and nothing
 * leaks.
 */
#include <string.h>

#include "rpc_call_tests.h"

#define EXCHANGES 8
#define STEPS 600

struct storm {
	struct world w;
	struct exchange x[EXCHANGES];
	bool used[EXCHANGES];
	uint64_t random;
};

static unsigned pick(struct storm *s, unsigned n)
{
	s->random = s->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(s->random >> 33) % n;
}

/* One or two messages, sometimes cut or with a flipped bit. */
static void make_body(struct storm *s, const struct speech *sp, struct buf *b)
{
	static const char *const texts[] = { "x", "hang", "metadata", "silent" };
	for (unsigned n = 1 + pick(s, 2); n > 0; n--)
		speech_add(sp, b, texts[pick(s, 4)], pick(s, 700), pick(s, 3) ? 0 : pick(s, 17));
	if (pick(s, 4) == 0)
		buf_data(b)[pick(s, (unsigned)buf_len(b))] ^= (unsigned char)(1u << pick(s, 8));
}

static void start(struct storm *s, struct exchange *x)
{
	static const char *const methods[] = { "Unary", "Download", "Upload", "Chat", "Nope" };
	const struct speech *sp = &speeches[pick(s, n_speeches)];
	const char *fields[] = { "content-type", sp->content_type, "grpc-timeout",
		pick(s, 8) ? "9S" : "1m", NULL };
	char path[64];
	struct buf body = BUF_INIT;
	(void)snprintf(path, sizeof(path), "/sandglass.test.Echo/%s", methods[pick(s, 5)]);
	make_body(s, sp, &body);
	exchange_start(&s->w.lb, x, "POST", path, fields);
	x->slow = pick(s, 3) == 0;
	size_t n = pick(s, 3) ? buf_len(&body) : pick(s, (unsigned)buf_len(&body));
	ck_assert_int_eq(http_stream_write(x->st, buf_data(&body), n), 0);
	if (pick(s, 3))
		ck_assert_int_eq(http_stream_end(x->st, NULL), 0);
	buf_fini(&body);
}

static void disturb(struct storm *s, struct exchange *x)
{
	switch (pick(s, 5)) {
	case 0:
		if (x->st)
			http_stream_reset(x->st, HTTP_RESET_CANCEL);
		break;
	case 1:
		if (x->st)
			(void)http_stream_write(x->st, "\0\0\0\0\0garbage", 12);
		break;
	case 2:
		if (x->st)
			(void)http_stream_end(x->st, NULL);
		break;
	case 3:
		exchange_resume(x);
		break;
	default:
		if (s->w.echo.hanging)
			call_finish(s->w.echo.hanging, RPC_ABORTED, "disturbed");
		s->w.echo.hanging = NULL;
		break;
	}
}

static void step(struct storm *s)
{
	unsigned i = pick(s, EXCHANGES);
	if (!s->used[i]) {
		start(s, &s->x[i]);
		s->used[i] = true;
	} else if (pick(s, 4) == 0) {
		exchange_fini(&s->x[i]);
		s->used[i] = false;
	} else {
		disturb(s, &s->x[i]);
	}
	s->w.lb.piece = pick(s, 3) ? 0 : 1 + pick(s, 40);
	if (pick(s, 2))
		loopback_pump(&s->w.lb);
	if (pick(s, 2))
		ck_assert_int_ge(loop_turn(s->w.loop, false), 0);
	ck_assert(!s->w.lb.broken);
}

START_TEST(storm)
{
	struct storm s = { .random = (uint64_t)_i + 1 };
	world_init(&s.w, 2);
	for (int i = 0; i < STEPS; i++)
		step(&s);
	for (int i = 0; i < EXCHANGES; i++) {
		if (s.used[i])
			exchange_fini(&s.x[i]);
	}
	world_settle(&s.w);
	ck_assert_uint_gt(s.w.echo.passed, 20);
	ck_assert_uint_eq(s.w.echo.dones, s.w.echo.passed);
	world_fini(&s.w);
	ck_assert_uint_eq(s.w.echo.dones, s.w.echo.passed);
}
END_TEST

void storm_tests(Suite *s)
{
	TCase *tc = test_case(s, "storm", 60);
	tcase_add_loop_test(tc, storm, 0, 6);
}
