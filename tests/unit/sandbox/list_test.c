/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "image/template.h"
#include "sandbox_tests.h"

#define MANY 1000

static struct world w;

static void setup(void)
{
	const struct world_conf c = { .max = MANY + 10, .parallel = 8 };
	clock_fake_start(1700000000000000000);
	world_start(&w, &c);
}

static void teardown(void)
{
	clock_fake_stop();
	world_stop(&w);
}

static struct sandbox *create_with(const char *tmpl, const char *team, const char *const *metadata)
{
	struct made m;
	struct sandbox_params p = world_params(tmpl, team);
	p.metadata = metadata;
	made_begin(&w, &m, &p);
	struct sandbox *sb = made_wait(&w, &m);
	made_forget(&m);
	return sb;
}

static struct sandbox_cursor cursor_at(const struct sandbox *sb)
{
	struct sandbox_cursor c = { .started_ns = sb->started_ns };
	(void)str_copy(c.id, sizeof(c.id), sb->id);
	return c;
}

static void expect_order(const struct sandbox *a, const struct sandbox *b, bool ascending)
{
	bool in_order = a->started_ns > b->started_ns ||
			(a->started_ns == b->started_ns && strcmp(a->id, b->id) < 0);
	ck_assert(in_order != ascending);
}

/* Pages of several sizes, both ways, while things are removed behind and at the cursor. */
static void walk(bool ascending, size_t page, unsigned kill_every, size_t expected)
{
	struct sandbox *out[100], *last = NULL;
	struct sandbox_filter f = { .team_id = "t", .ascending = ascending };
	struct sandbox_cursor c;
	size_t total = 0;
	bool more = true;
	for (unsigned i = 0; more; i++) {
		size_t n = sandboxes_list(w.boxes, &f, out, page, &more);
		ck_assert_uint_le(n, page);
		ck_assert(n == page || !more);
		for (size_t k = 0; k < n; k++) {
			if (k > 0)
				expect_order(out[k - 1], out[k], ascending);
			ck_assert_str_eq(out[k]->who->team->id, "t");
		}
		total += n;
		if (n == 0)
			break;
		last = out[n - 1];
		c = cursor_at(last);
		f.after = &c;
		if (kill_every && i % kill_every == 0)
			sandbox_kill(last, SANDBOX_END_KILLED, NULL, NULL);
	}
	ck_assert_uint_eq(total, expected);
}

START_TEST(thousand_in_pages)
{
	struct made m[MANY];
	struct sandbox_params p = world_params("bare", "t");
	for (unsigned i = 0; i < MANY; i++) {
		made_begin(&w, &m[i], &p);
		if (i % 10 == 0)
			clock_fake_advance(1); /* many start in the same instant */
		if (i % 50 == 0)
			(void)loop_turn(w.loop, false);
	}
	for (unsigned i = 0; i < MANY; i++) {
		for (unsigned t = 0; m[i].calls == 0; t++) {
			ck_assert_uint_lt(t, 100000);
			ck_assert_int_eq(loop_turn(w.loop, true), 0);
		}
		ck_assert_msg(m[i].sb != NULL, "%s", m[i].err.text);
		made_forget(&m[i]);
	}
	world_check(&w);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "t"), MANY);
	walk(false, 100, 0, MANY);
	walk(true, 100, 0, MANY);
	walk(false, 7, 0, MANY);
	walk(true, 1, 0, MANY);
	walk(false, 100, 3, MANY); /* the one at the cursor goes: nothing is lost or told twice */
	walk(true, 50, 3, MANY - 4);
	world_check(&w);
	for (unsigned i = 0; sandboxes_total(w.boxes) > 0; i++) {
		struct sandbox *sb = sandboxes_total(w.boxes) ? w.boxes->heap[0] : NULL;
		if (w.boxes->n_heap)
			sandbox_kill(sb, SANDBOX_END_KILLED, NULL, NULL);
		else
			ck_assert_int_eq(loop_turn(w.loop, true), 0);
	}
}
END_TEST

START_TEST(teams_are_apart)
{
	struct sandbox *out[10];
	struct sandbox_filter f = { .team_id = "a" };
	bool more;
	struct sandbox *one = create_with("bare", "a", NULL);
	(void)create_with("bare", "b", NULL);
	(void)create_with("bare", "b", NULL);
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 1);
	ck_assert_ptr_eq(out[0], one);
	ck_assert(!more);
	f.team_id = "b";
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 2);
	/* a cursor of another team's sandbox is only a place in time */
	struct sandbox_cursor c = cursor_at(one);
	f.after = &c;
	ck_assert_uint_le(sandboxes_list(w.boxes, &f, out, 10, &more), 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert_ptr_ne(out[i], one);
	f.team_id = "nobody";
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 0);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "a"), 1);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "b"), 2);
	ck_assert_uint_eq(sandboxes_count(w.boxes, "nobody"), 0);
	ck_assert_uint_eq(sandboxes_count(w.boxes, NULL), 3);
	/* a team that has nothing any more is forgotten */
	sandbox_kill(one, SANDBOX_END_KILLED, NULL, NULL);
	world_until(&w, sandboxes_total(w.boxes) == 2);
	world_settle(&w);
	ck_assert_uint_eq(map_size(w.boxes->teams), 1);
}
END_TEST

START_TEST(filters)
{
	static const char *const red[] = { "colour", "red", "size", "1", NULL };
	static const char *const blue[] = { "colour", "blue", NULL };
	static const char *const want_red[] = { "size", "1", "colour", "red", NULL };
	static const char *const want_both[] = { "size", "1", "colour", "blue", NULL };
	struct sandbox *out[10];
	bool more;
	struct sandbox *a = create_with("bare", "t", red);
	clock_fake_advance(1000);
	struct sandbox *b = create_with("py", "t", blue);
	struct sandbox_filter f = { .team_id = "t", .metadata = want_red };
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 1);
	ck_assert_ptr_eq(out[0], a);
	f.metadata = want_both;
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 0);
	f = (struct sandbox_filter){ .team_id = "t", .tmpl = templates_find(w.templates, "py") };
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 1);
	ck_assert_ptr_eq(out[0], b);
	f = (struct sandbox_filter){ .team_id = "t", .started_after_ns = b->started_ns };
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 1);
	ck_assert_ptr_eq(out[0], b);
	f.started_after_ns++;
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 10, &more), 0);
	f = (struct sandbox_filter){ .team_id = "t" };
	ck_assert_uint_eq(sandboxes_list(w.boxes, &f, out, 1, &more), 1);
	ck_assert(more);
	ck_assert_ptr_eq(out[0], b);
}
END_TEST

void list_tests(Suite *s)
{
	TCase *tc = test_case(s, "list", 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, thousand_in_pages);
	tcase_add_test(tc, teams_are_apart);
	tcase_add_test(tc, filters);
}
