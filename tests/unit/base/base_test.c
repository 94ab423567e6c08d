/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base_tests.h"

START_TEST(first_error_wins)
{
	struct err err = ERR_INIT;
	ck_assert_int_eq(err_set(&err, -EIO, "disk %d", 3), -EIO);
	ck_assert_int_eq(err_set(&err, -EPERM, "later"), -EPERM);
	ck_assert_int_eq(err.code, -EIO);
	err_prefix(&err, "sandbox %s", "i1");
	ck_assert_str_eq(err_text(&err), "sandbox i1: disk 3");
	err_reset(&err);
	ck_assert_int_eq(err.code, 0);
	ck_assert_int_eq(err_set(NULL, -EIO, "nobody"), -EIO);
}
END_TEST

START_TEST(buffers)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char expect[5000];
	size_t in = 0, out = 0;
	for (size_t i = 0; i < sizeof(expect); i++)
		expect[i] = (char)(i * 7);
	while (out < sizeof(expect)) {
		size_t n = in % 97 + 1 < sizeof(expect) - in ? in % 97 + 1 : sizeof(expect) - in;
		ck_assert_int_eq(buf_append(&b, expect + in, n), 0);
		in += n;
		size_t take = buf_len(&b) > 50 ? 50 : buf_len(&b);
		ck_assert_mem_eq(buf_data(&b), expect + out, take);
		buf_consume(&b, take);
		out += take;
	}
	ck_assert_uint_eq(buf_len(&b), 0);
	ck_assert_int_eq(buf_append_u32be(&b, 0x01020304), 0);
	ck_assert_mem_eq(buf_data(&b), "\1\2\3\4", 4);
	buf_consume(&b, 2);
	ck_assert_int_eq(buf_printf(&b, "%s", "tail"), 0);
	size_t n;
	CLEAN_FREE char *s = buf_steal(&b, &n);
	ck_assert_uint_eq(n, 6);
	ck_assert_str_eq(s, "\3\4tail");
	mem_fail_after(0);
	ck_assert_int_eq(buf_append(&b, "x", 1), -ENOMEM);
	mem_fail_after(-1);
	ck_assert_uint_eq(buf_len(&b), 0);
}
END_TEST

START_TEST(maps)
{
	struct map *m = map_new();
	char key[16];
	int values[1000];
	for (int i = 0; i < 1000; i++) {
		values[i] = i;
		(void)snprintf(key, sizeof(key), "key%d", i);
		ck_assert_int_eq(map_add(m, key, &values[i]), 0);
	}
	ck_assert_int_eq(map_add(m, "key1", &values[0]), -EEXIST);
	ck_assert_ptr_eq(map_get(m, "key999"), &values[999]);
	ck_assert_ptr_null(map_get(m, "key1000"));
	void *it = NULL;
	const char *k;
	int seen = 0;
	for (int *v; (v = map_next(m, &it, &k)); seen++)
		if (*v % 2)
			ck_assert_ptr_eq(
			    map_remove(m, k), v); /* removing the current one is allowed */
	ck_assert_int_eq(seen, 1000);
	ck_assert_uint_eq(map_size(m), 500);
	ck_assert_ptr_null(map_remove(m, "key1"));
	ck_assert_ptr_null(map_free(m));
}
END_TEST

START_TEST(lists)
{
	struct link head = LINK_INIT(head), a = { 0 }, b = { 0 };
	ck_assert(list_is_empty(&head) && !link_is_linked(&a));
	list_push_back(&head, &b);
	list_push_front(&head, &a);
	int n = 0;
	LIST_EACH_SAFE(it, &head)
	{
		link_remove(it);
		n++;
	}
	ck_assert_int_eq(n, 2);
	link_remove(&a); /* twice is fine */
	ck_assert_ptr_null(list_pop_front(&head));
}
END_TEST

START_TEST(allocation_failures)
{
	mem_fail_after(0);
	ck_assert_ptr_null(map_new());
	mem_fail_after(1);
	ck_assert_ptr_null(map_new());
	mem_fail_after(-1);
	char *s = NULL;
	ck_assert_int_eq(mem_set_str(&s, "one"), 0);
	mem_fail_after(0);
	ck_assert_int_eq(mem_set_str(&s, "two"), -ENOMEM);
	mem_fail_after(-1);
	ck_assert_str_eq(s, "one");
	ck_assert_int_eq(mem_set_str(&s, NULL), 0);
	ck_assert_ptr_null(s);
}
END_TEST

static Suite *base_suite(void)
{
	Suite *s = suite_create("base");
	TCase *tc = test_case(s, "core", 10);
	tcase_add_test(tc, first_error_wins);
	tcase_add_test(tc, buffers);
	tcase_add_test(tc, maps);
	tcase_add_test(tc, lists);
	tcase_add_test(tc, allocation_failures);
	text_tests(s);
	json_tests(s);
	fd_tests(s);
	return s;
}

TEST_MAIN(base_suite)
