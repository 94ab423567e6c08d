/* SPDX-License-Identifier: Apache-2.0 */
#include "jupyter_tests.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "guest-kernel-agent/system/users.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "# comment\n"
			     "\n"
			     "short:x:5\n"
			     "bad:x:12x:0::/:/bin/sh\n"
			     "huge:x:4294967295:0::/:/bin/sh\n"
			     "negative:x:-1:0::/:/bin/sh\n"
			     "user:x:1000:1001:U:/home/user:/bin/zsh\n"
			     "user:x:1:1:second:/:/bin/sh\n"
			     "bare:x:7:8:::";
static const char group[] = "root:x:0:\n"
			    "user:x:1001:user\n"
			    "sudo:x:27:other,user\n"
			    "wrong:x:abc:user\n"
			    "prefix:x:30:user2,use\n"
			    "last:x:31:user";

static int look_up(const char *name, struct user *u)
{
	struct err err = ERR_INIT;
	int r = user_lookup_in(passwd, sizeof(passwd) - 1, group, sizeof(group) - 1, name, u, &err);

	ck_assert_int_eq(r, err.code);
	return r;
}

START_TEST(test_by_name)
{
	struct user u;

	ck_assert_int_eq(look_up("user", &u), 0);
	ck_assert_str_eq(u.name, "user");
	ck_assert_uint_eq(u.uid, 1000);
	ck_assert_uint_eq(u.gid, 1001);
	ck_assert_str_eq(u.home, "/home/user");
	ck_assert_str_eq(u.shell, "/bin/zsh");
	ck_assert_uint_eq(u.n_groups, 3);
	ck_assert_uint_eq(u.groups[0], 1001);
	ck_assert_uint_eq(u.groups[1], 27);
	ck_assert_uint_eq(u.groups[2], 31);
	user_fini(&u);
	ck_assert_int_eq(look_up("bare", &u), 0);
	ck_assert_str_eq(u.home, "/");
	ck_assert_str_eq(u.shell, "/bin/sh");
	user_fini(&u);
}
END_TEST

START_TEST(test_by_number)
{
	struct user u;

	ck_assert_int_eq(look_up("1000", &u), 0);
	ck_assert_str_eq(u.name, "user");
	user_fini(&u);
	ck_assert_int_eq(look_up("4242", &u), 0);
	ck_assert_str_eq(u.name, "4242");
	ck_assert_uint_eq(u.uid, 4242);
	ck_assert_uint_eq(u.gid, 4242);
	user_fini(&u);
}
END_TEST

START_TEST(test_unknown)
{
	static const char *const names[] = { "", "nobody", "short", "bad", "huge", "negative", "-1",
		"4294967295", "99999999999", "use", "user:x", "# comment" };
	struct user u;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(look_up(names[i], &u) == -ENOENT, "%s", names[i]);
}
END_TEST

START_TEST(test_names_of_this_machine)
{
	char name[USERS_NAME_MAX];
	struct user u;

	ck_assert_str_eq(user_name_of(0, name), "root");
	ck_assert_str_eq(group_name_of(0, name), "root");
	ck_assert_str_eq(user_name_of(987654, name), "987654");
	ck_assert_int_eq(user_lookup_uid(geteuid(), &u, NULL), 0);
	ck_assert_uint_eq(u.uid, geteuid());
	user_fini(&u);
}
END_TEST

void add_users_tests(Suite *s)
{
	TCase *tc = test_case(s, "users", 10);

	tcase_add_test(tc, test_by_name);
	tcase_add_test(tc, test_by_number);
	tcase_add_test(tc, test_unknown);
	tcase_add_test(tc, test_names_of_this_machine);
}
