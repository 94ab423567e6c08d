/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line puts into a configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/args.h"
#include "daemon/config.h"
#include "daemon_tests.h"
#include "lib/test.h"

static void apply(struct config *c, char *const *words, int n)
{
	char *argv[8] = { (char *)"sandglassd" };
	struct args a;
	memcpy(argv + 1, words, (size_t)n * sizeof(*words));
	ck_assert(args_parse(&a, n + 1, argv));
	memset(c, 0, sizeof(*c));
	ck_assert_int_eq(args_apply(&a, c), 0);
}

static void drop(struct config *c)
{
	char **const set[] = { &c->state_dir, &c->runtime_dir, &c->template_dir, &c->web_dir,
		&c->listen };
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		*set[i] = mem_free(*set[i]);
}

/* Everything behind it, other processes too, is told whole paths. */
START_TEST(paths_are_of_where_they_were_typed)
{
	static char *const words[] = { "--state", "some/state", "--templates", "mine", "--listen",
		"[::1]:80" };
	struct config c;
	char *cwd = getcwd(NULL, 0), want[512];
	apply(&c, words, 6);
	(void)snprintf(want, sizeof(want), "%s/some/state", cwd);
	ck_assert_str_eq(c.state_dir, want);
	(void)snprintf(want, sizeof(want), "%s/some/state/run", cwd);
	ck_assert_str_eq(c.runtime_dir, want);
	(void)snprintf(want, sizeof(want), "%s/mine", cwd);
	ck_assert_str_eq(c.template_dir, want);
	ck_assert_str_eq(c.listen, "[::1]:80");
	ck_assert_ptr_null(c.agent);
	drop(&c);
	free(cwd);
}
END_TEST

START_TEST(whole_paths_and_none_stay)
{
	static char *const words[] = { "--state", "/srv/x", "--web", "" };
	struct config c;
	apply(&c, words, 4);
	ck_assert_str_eq(c.state_dir, "/srv/x");
	ck_assert_str_eq(c.runtime_dir, "/srv/x/run");
	ck_assert_str_eq(c.web_dir, ""); /* no web pages */
	drop(&c);
}
END_TEST

void args_tests(Suite *s)
{
	TCase *tc = test_case(s, "args", 10);
	tcase_add_test(tc, paths_are_of_where_they_were_typed);
	tcase_add_test(tc, whole_paths_and_none_stay);
}
