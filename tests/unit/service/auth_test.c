/* SPDX-License-Identifier: Apache-2.0 */
#include "service_tests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "service/peer_limit.h"
#include "lib/tmpdir.h"
#include "store/store.h"

#define INVALID                                                      \
	"{\"code\":401,\"message\":\"Invalid API key, please visit " \
	"https://e2b.dev/docs/api-key for more information.\"}"
#define MISSING "{\"code\":401,\"message\":\"API key is missing, send it in the header X-API-KEY\"}"

START_TEST(a_made_key_has_the_shape)
{
	char text[AUTH_KEY_LEN + 1], other[AUTH_KEY_LEN + 1];
	struct store_key row, second;
	ck_assert_int_eq(auth_make_key(text, &row), 0);
	ck_assert_int_eq(auth_make_key(other, &second), 0);
	ck_assert(auth_is_key(text));
	ck_assert_str_ne(text, other);
	ck_assert_uint_eq(strlen(row.id), 16);
	ck_assert_uint_eq(strlen(row.prefix), 12);
	ck_assert_ptr_nonnull(str_after(text, row.prefix));
	ck_assert(memcmp(row.hash, second.hash, sizeof(row.hash)) != 0);
	ck_assert(!auth_is_key("e2b_"));
	ck_assert(!auth_is_key("e2b_0123456789abcdef0123456789abcdef0123456G"));
	ck_assert(!auth_is_key("e2x_0123456789abcdef0123456789abcdef01234567"));
	ck_assert(!auth_is_key("e2b_0123456789abcdef0123456789abcdef012345678"));
}
END_TEST

START_TEST(keys_are_known_in_either_header)
{
	char bearer[AUTH_KEY_LEN + 16], basic[AUTH_KEY_LEN + 16];
	(void)snprintf(bearer, sizeof(bearer), "Bearer %s", w.key_a);
	(void)snprintf(basic, sizeof(basic), "Basic %s", w.key_a);
	const char *const by_bearer[] = { "authorization", bearer, NULL };
	const char *const by_basic[] = { "authorization", basic, NULL };
	const char *const none[] = { NULL };
	const char *const empty[] = { "x-api-key", "", NULL };
	const char *const wrong[] = { "x-api-key", "e2b_0000000000000000000000000000000000000000",
		NULL };
	const char *const garbage[] = { "x-api-key", "garbage", NULL };
	const char *const twice[] = { "x-api-key", w.key_a, "x-api-key", w.key_b, NULL };
	expect_reply(call("GET", "/snapshots", NULL), 200, "[]");
	expect_reply(call_with("GET", "/snapshots", by_bearer, NULL), 200, "[]");
	expect_reply(call_with("GET", "/snapshots", by_basic, NULL), 401, MISSING);
	expect_reply(call_with("GET", "/snapshots", none, NULL), 401, MISSING);
	expect_reply(call_with("GET", "/snapshots", empty, NULL), 401, MISSING);
	expect_reply(call_with("GET", "/snapshots", wrong, NULL), 401, INVALID);
	expect_reply(call_with("GET", "/snapshots", garbage, NULL), 401, INVALID);
	expect_reply(call_with("GET", "/snapshots", twice, NULL), 401, INVALID);
	expect_reply(call_with("GET", "/health", none, NULL), 204, "");
}
END_TEST

START_TEST(failures_are_limited_and_good_keys_pass)
{
	const char *const garbage[] = { "x-api-key", "garbage", NULL };
	struct reply *r;
	int refused = 0;
	for (int i = 0; i < 30; i++) {
		r = call_with("GET", "/snapshots", garbage, NULL);
		if (r->status == 429)
			break;
		ck_assert_int_eq(r->status, 401);
		refused++;
	}
	expect_reply(r, 429, "{\"code\":429,\"message\":\"Rate limit exceeded\"}");
	ck_assert_int_eq(refused, 20);
	uint64_t wait = 0;
	ck_assert_int_eq(str_u64(reply_header(r, "retry-after"), 60, &wait), 0);
	ck_assert_uint_ge(wait, 1);
	expect_reply(call("GET", "/snapshots", NULL), 200, "[]");
}
END_TEST

START_TEST(revoked_keys_and_lost_teams_are_refused)
{
	struct store_team team = { .id = TEAM_A, .name = "a" };
	struct store_key keys[3];
	char text[3][AUTH_KEY_LEN + 1];
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(auth_make_key(text[i], &keys[i]), 0);
		(void)str_copy(keys[i].team_id, sizeof(keys[i].team_id), i == 2 ? TEAM_B : TEAM_A);
	}
	keys[1].revoked_ns = 1;
	ck_assert_int_eq(auth_set_keys(w.auth, keys, 3, &team, 1, NULL), 0);
	ck_assert_uint_eq(auth_key_count(w.auth), 1);
	for (int i = 0; i < 3; i++) {
		const char *const headers[] = { "x-api-key", text[i], NULL };
		ck_assert_int_eq(
		    call_with("GET", "/snapshots", headers, NULL)->status, i == 0 ? 200 : 401);
	}
	expect_reply(call("GET", "/snapshots", NULL), 401, INVALID);
}
END_TEST

static void on_reloaded(const struct err *err, void *arg)
{
	*(int *)arg = err->code;
}

/* Turns the loop until the keys were read; what came of it. */
static int reload(struct service *s)
{
	int code = 1;
	service_reload_keys(s, on_reloaded, &code);
	ck_assert_int_eq(code, 1); /* not from inside the call: a thread reads */
	for (int i = 0; code == 1 && i < 100; i++)
		ck_assert_int_eq(loop_turn(w.loop, true), 0);
	return code;
}

START_TEST(keys_are_read_again)
{
	struct tmpdir dir;
	struct err err = ERR_INIT;
	struct store_team team = { .id = TEAM_A, .name = "a", .max_sandboxes = 5 };
	struct store_key row;
	char path[128], text[AUTH_KEY_LEN + 1];
	tmpdir_make(&dir);
	struct store *store = store_open(w.loop, tmpdir_at(&dir, "keys.db", path), &err);
	ck_assert_msg(store != NULL, "%s", err.text);
	struct service_conf c = { .loop = w.loop,
		.sandboxes = w.sandboxes,
		.templates = w.templates,
		.auth = w.auth,
		.store = store };
	struct service *s = service_new(&c, &err);
	ck_assert_msg(s != NULL, "%s", err.text);
	ck_assert_int_eq(reload(s), 0);
	ck_assert_uint_eq(auth_key_count(w.auth), 0);
	ck_assert_int_eq(store_add_team(store, &team, &err), 0);
	ck_assert_int_eq(auth_make_key(text, &row), 0);
	(void)str_copy(row.team_id, sizeof(row.team_id), TEAM_A);
	ck_assert_int_eq(store_add_key(store, &row, &err), 0);
	ck_assert_int_eq(reload(s), 0);
	const char *const headers[] = { "x-api-key", text, NULL };
	expect_reply(call_with("GET", "/snapshots", headers, NULL), 200, "[]");
	ck_assert_int_eq(store_revoke_key(store, row.id, 1, &err), 0);
	ck_assert_int_eq(reload(s), 0);
	expect_reply(call_with("GET", "/snapshots", headers, NULL), 401, INVALID);
	/* The last of several counts; none comes after the service is gone. */
	int first = 1, second = 1, third = 1;
	service_reload_keys(s, on_reloaded, &first);
	service_reload_keys(s, on_reloaded, &second);
	for (int i = 0; second == 1 && i < 100; i++)
		ck_assert_int_eq(loop_turn(w.loop, true), 0);
	ck_assert_int_eq(second, 0);
	service_reload_keys(s, on_reloaded, &third);
	service_free(s);
	store_close(store);
	ck_assert_int_eq(first, 1);
	ck_assert_int_eq(third, 1);
	tmpdir_remove(&dir);
	service_reload_keys(w.service, on_reloaded, &first);
	ck_assert_int_eq(first, -ENOENT);
}
END_TEST

START_TEST(buckets_are_by_network)
{
	struct peer_limit *p = peer_limit_new(2, 60);
	clock_fake_start(0);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1:1000"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1:2000"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1"), 1);
	ck_assert_uint_eq(peer_limit_take(p, "[::ffff:192.0.2.1]:9"), 1);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.2:1000"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "[2001:db8::1]:5"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "2001:db8::2"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "[2001:db8::3]:6"), 1);
	ck_assert_uint_eq(peer_limit_take(p, "[2001:db8:0:1::3]:6"), 0);
	ck_assert_uint_eq(peer_limit_take(p, ""), 0);
	ck_assert_uint_eq(peer_limit_take(p, "no address"), 0);
	ck_assert_uint_eq(peer_limit_take(p, NULL), 1);
	clock_fake_advance(1000);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1"), 1);
	clock_fake_advance(3600 * 1000);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1"), 0);
	ck_assert_uint_eq(peer_limit_take(p, "192.0.2.1"), 1);
	clock_fake_stop();
	peer_limit_free(p);
}
END_TEST

START_TEST(a_full_table_forgets_idle_peers)
{
	struct peer_limit *p = peer_limit_new(50, 60);
	char peer[32];
	clock_fake_start(0);
	for (int i = 0; i < 50; i++)
		ck_assert_uint_eq(peer_limit_take(p, "198.51.100.1"), 0);
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(peer, sizeof(peer), "10.1.%d.%d", i / 250, i % 250);
		ck_assert_uint_eq(peer_limit_take(p, peer), 0);
	}
	/* The one bucket that is empty was not given up for those that are nearly full. */
	ck_assert_uint_eq(peer_limit_take(p, "198.51.100.1"), 1);
	clock_fake_stop();
	peer_limit_free(p);
}
END_TEST

void add_auth_tests(Suite *s)
{
	TCase *pure = test_case(s, "keys", 10), *tc = test_case(s, "auth", 20);
	tcase_add_test(pure, a_made_key_has_the_shape);
	tcase_add_test(pure, buckets_are_by_network);
	tcase_add_test(pure, a_full_table_forgets_idle_peers);
	tcase_add_checked_fixture(tc, world_start, world_stop);
	tcase_add_test(tc, keys_are_known_in_either_header);
	tcase_add_test(tc, failures_are_limited_and_good_keys_pass);
	tcase_add_test(tc, keys_are_read_again);
	tcase_add_test(tc, revoked_keys_and_lost_teams_are_refused);
}
