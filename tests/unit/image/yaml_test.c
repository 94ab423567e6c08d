/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/yaml.h"
#include "image_tests.h"

struct listener {
	char *address;
	bool tls;
};
struct target {
	char *text, *second;
	char code[9];
	bool on;
	unsigned count, cpus;
	uint64_t size, wait_ms, big;
	int colour;
	char **list, **map;
	struct listener inner;
	unsigned listeners;
};

static bool is_upper(const char *s)
{
	return str_only(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static const struct yaml_choice colours[] = { { "red", 1 }, { "green", 2 }, { NULL, 0 } };

static const struct yaml_key inner_keys[] = {
	{ "address", YAML_STR, .required = true, .offset = offsetof(struct listener, address) },
	{ "tls", YAML_BOOL, .offset = offsetof(struct listener, tls) },
	{ .key = NULL },
};

static int count_listeners(const struct yaml_node *v, void *target, struct err *reterr)
{
	if (!yaml_node_is_list(v))
		return yaml_node_error(v, reterr, "expected a list of listeners");
	for (const struct yaml_node *c = yaml_node_first(v); c; c = yaml_node_next(c)) {
		struct listener l = { 0 };
		int r = yaml_read(c, inner_keys, &l, reterr);
		yaml_read_fini(inner_keys, &l);
		if (r < 0)
			return r;
		++*(unsigned *)target;
	}
	return 0;
}

#define AT(member) .offset = offsetof(struct target, member)
static const struct yaml_key keys[] = {
	{ "text", YAML_STR, AT(text), .min = 1, .max = 8 },
	{ "second", YAML_STR, AT(second), .ok = is_upper, .expected = "upper case" },
	{ "code", YAML_CHARS, AT(code), .max = 8 },
	{ "on", YAML_BOOL, AT(on) },
	{ "count", YAML_UINT, AT(count), .min = 2, .max = 9 },
	{ "cpus", YAML_MILLI, AT(cpus), .min = 100, .max = 4000 },
	{ "size", YAML_SIZE, AT(size), .min = 1024, .max = UINT64_C(1) << 40 },
	{ "big", YAML_SIZE, AT(big) },
	{ "wait", YAML_DURATION, AT(wait_ms), .max = 86400000 },
	{ "colour", YAML_ENUM, AT(colour), .choices = colours },
	{ "list", YAML_STR_LIST, AT(list), .min = 1, .max = 3, .ok = is_upper,
	    .expected = "upper case" },
	{ "map", YAML_STR_MAP, AT(map), .max = 2, .ok = is_upper, .expected = "upper case" },
	{ "inner", YAML_MAP, AT(inner), .keys = inner_keys },
	{ "listeners", YAML_CALL, AT(listeners), .set = count_listeners },
	{ .key = NULL },
};

static int read_text(const char *text, size_t n, struct target *t, struct err *err)
{
	struct yaml_doc *d = yaml_doc_parse("f", text, n, err);
	int r = d ? yaml_read(yaml_doc_root(d), keys, t, err) : err->code;
	(void)yaml_doc_free(d);
	return r;
}

static const char full[] = "text: no\n"
			   "second: 'ABC'\n"
			   "code: \"1.10\"\n"
			   "on: true\n"
			   "count: 9\n"
			   "cpus: 1.25\n"
			   "size: 512MiB\n"
			   "big: 0\n"
			   "wait: 90s\n"
			   "colour: green\n"
			   "list: [A, B]\n"
			   "map: {K: v=1, L: \"\"}\n"
			   "inner:\n"
			   "  address: 127.0.0.1:80\n"
			   "  tls: true\n"
			   "listeners:\n"
			   "  - address: a\n"
			   "  - {address: b, tls: false}\n";

START_TEST(every_type_is_read)
{
	struct target t = { 0 };
	struct err err = ERR_INIT;
	ck_assert_msg(read_text(full, strlen(full), &t, &err) == 0, "%s", err.text);
	ck_assert_str_eq(t.text, "no"); /* never a boolean */
	ck_assert_str_eq(t.second, "ABC");
	ck_assert_str_eq(t.code, "1.10");
	ck_assert(t.on);
	ck_assert_uint_eq(t.count, 9);
	ck_assert_uint_eq(t.cpus, 1250);
	ck_assert_uint_eq(t.size, 512u << 20);
	ck_assert_uint_eq(t.big, 0);
	ck_assert_uint_eq(t.wait_ms, 90000);
	ck_assert_int_eq(t.colour, 2);
	ck_assert_str_eq(t.list[1], "B");
	ck_assert_ptr_null(t.list[2]);
	ck_assert_str_eq(t.map[0], "K=v=1");
	ck_assert_str_eq(t.map[1], "L=");
	ck_assert_ptr_null(t.map[2]);
	ck_assert_str_eq(t.inner.address, "127.0.0.1:80");
	ck_assert(t.inner.tls);
	ck_assert_uint_eq(t.listeners, 2);
	yaml_read_fini(keys, &t);
	ck_assert_ptr_null(t.list);
	ck_assert_ptr_null(t.inner.address);
}
END_TEST

START_TEST(absent_keys_change_nothing)
{
	struct target t = { .count = 5, .on = true, .text = mem_strdup("kept") };
	struct err err = ERR_INIT;
	const char *empty[] = { "", "# only a comment\n", "---\n", "{}" };
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		ck_assert_msg(read_text(empty[i], strlen(empty[i]), &t, &err) == 0, "%s", err.text);
		ck_assert_uint_eq(t.count, 5);
		ck_assert_str_eq(t.text, "kept");
	}
	yaml_read_fini(keys, &t);
}
END_TEST

static const struct {
	const char *text, *error;
} bad[] = {
	{ "- a\n", "f:1: expected a mapping of keys to values" },
	{ "word\n", "f:1: expected a mapping of keys to values" },
	{ "on: true\n\non: false\n", "f:3: on: duplicate key, first given in line 1" },
	{ "on: &x true\n", "f:1: anchors are not supported" },
	{ "on: *x\n", "f:1: aliases are not supported" },
	{ "on: !!bool true\n", "f:1: tags are not supported" },
	{ "inner: !t {}\n", "f:1: tags are not supported" },
	{ "inner: &a {}\n", "f:1: anchors are not supported" },
	{ "on: true\n---\non: true\n", "f:2: expected a single document" },
	{ "[a]: b\n", "f:1: expected a text as key" },
	{ "? {a: b}\n: c\n", "f:1: expected a text as key" },
	{ "\"\": b\n", "f:1: expected a key of 1 to 4096 characters" },
	{ "text: \"a\\0b\"\n", "f:1: a text must not contain a NUL character" },
	{ "on: [\n", "f:2: not valid YAML: did not find expected node content while parsing a "
		     "flow node" },
	{ "on: true\n\tx: 1\n", "f:2: not valid YAML: found a tab character that violates "
				"indentation while scanning a plain scalar" },
	{ "oon: true\n", "f:1: oon: unknown key; did you mean \"on\"?" },
	{ "colours: red\n", "f:1: colours: unknown key; did you mean \"colour\"?" },
	{ "nothing: 1\n", "f:1: nothing: unknown key" },
	{ "inner:\n  address: a\n  tsl: 1\n",
	    "f:3: inner.tsl: unknown key; did you mean \"tls\"?" },
	{ "inner:\n  tls: true\n", "f:2: inner: the key \"address\" is missing" },
	{ "inner: 1\n", "f:1: inner: expected a mapping of keys to values" },
	{ "listeners:\n- address: a\n- tls: true\n",
	    "f:3: listeners[1]: the key \"address\" is missing" },
	{ "listeners:\n- address: a\n  tls: maybe\n",
	    "f:3: listeners[0].tls: expected true or false" },
	{ "listeners: 1\n", "f:1: listeners: expected a list of listeners" },
	{ "on: yes\n", "f:1: on: expected true or false" },
	{ "on: 'true'\n", "f:1: on: expected true or false" },
	{ "on:\n", "f:1: on: expected true or false" },
	{ "count: 1\n", "f:1: count: expected an integer from 2 to 9" },
	{ "count: 10\n", "f:1: count: expected an integer from 2 to 9" },
	{ "count: -3\n", "f:1: count: expected an integer from 2 to 9" },
	{ "count: 3.0\n", "f:1: count: expected an integer from 2 to 9" },
	{ "count: 0x3\n", "f:1: count: expected an integer from 2 to 9" },
	{ "count: '3'\n", "f:1: count: expected an integer from 2 to 9" },
	{ "count: [3]\n", "f:1: count: expected an integer from 2 to 9" },
	{ "count: 99999999999999999999\n", "f:1: count: expected an integer from 2 to 9" },
	{ "cpus: 0.0001\n",
	    "f:1: cpus: expected a number from 0.1 to 4 with at most three decimals" },
	{ "cpus: 5\n", "f:1: cpus: expected a number from 0.1 to 4 with at most three decimals" },
	{ "cpus: .5\n", "f:1: cpus: expected a number from 0.1 to 4 with at most three decimals" },
	{ "cpus: 1.\n", "f:1: cpus: expected a number from 0.1 to 4 with at most three decimals" },
	{ "size: 512\n",
	    "f:1: size: expected a size with a unit (B, KiB, MiB, GiB, TiB) from 1KiB to 1TiB" },
	{ "size: 2TiB\n",
	    "f:1: size: expected a size with a unit (B, KiB, MiB, GiB, TiB) from 1KiB to 1TiB" },
	{ "size: 18446744073709551615TiB\n",
	    "f:1: size: expected a size with a unit (B, KiB, MiB, GiB, TiB) from 1KiB to 1TiB" },
	{ "size: 1 GiB\n",
	    "f:1: size: expected a size with a unit (B, KiB, MiB, GiB, TiB) from 1KiB to 1TiB" },
	{ "big: x\n",
	    "f:1: big: expected a size with a unit (B, KiB, MiB, GiB, TiB) of at least 0" },
	{ "wait: 5\n", "f:1: wait: expected a duration with a unit (ms, s, m, h, d) from 0 to 1d" },
	{ "wait: 2d\n",
	    "f:1: wait: expected a duration with a unit (ms, s, m, h, d) from 0 to 1d" },
	{ "colour: blue\n", "f:1: colour: expected one of red, green" },
	{ "colour: [red]\n", "f:1: colour: expected one of red, green" },
	{ "text: ''\n", "f:1: text: expected a text of 1 to 8 bytes" },
	{ "text: 123456789\n", "f:1: text: expected a text of 1 to 8 bytes" },
	{ "text:\n", "f:1: text: expected a text" },
	{ "text: ~\n", "f:1: text: expected a text" },
	{ "text: [a]\n", "f:1: text: expected a text" },
	{ "code: 123456789\n", "f:1: code: expected a text of 0 to 8 bytes" },
	{ "second: abc\n", "f:1: second: expected upper case" },
	{ "list: A\n", "f:1: list: expected a list" },
	{ "list: []\n", "f:1: list: expected 1 to 3 entries" },
	{ "list: [A, A, A, A]\n", "f:1: list: expected 1 to 3 entries" },
	{ "list:\n- A\n- b\n", "f:3: list[1]: expected upper case" },
	{ "list: [A, [B]]\n", "f:1: list[1]: expected upper case" },
	{ "map: [A]\n", "f:1: map: expected a mapping of keys to texts" },
	{ "map: {a: b}\n", "f:1: map.a: expected upper case as key" },
	{ "map: {A: [b]}\n", "f:1: map.A: expected a text" },
	{ "map: {A: }\n", "f:1: map.A: expected a text" },
	{ "map: {A: 1, B: 2, C: 3}\n", "f:1: map: expected 0 to 2 entries" },
	{ "a: [[[[[[[[[[[[[[[[b]]]]]]]]]]]]]]]]\n", "f:1: nested too deeply" },
};

START_TEST(errors_name_line_key_and_expectation)
{
	struct target t = { 0 };
	struct err err = ERR_INIT;
	ck_assert_int_eq(read_text(bad[_i].text, strlen(bad[_i].text), &t, &err), -EINVAL);
	ck_assert_str_eq(err.text, bad[_i].error);
	yaml_read_fini(keys, &t);
}
END_TEST

START_TEST(size_is_bounded)
{
	struct err err = ERR_INIT;
	struct target t = { 0 };
	CLEAN_BUF struct buf b = BUF_INIT;
	for (unsigned i = 0; i < YAML_MAX_NODES; i++)
		ck_assert_int_eq(buf_append_str(&b, "- \n"), 0);
	ck_assert_int_eq(read_text((char *)buf_data(&b), buf_len(&b), &t, &err), -EINVAL);
	ck_assert_str_eq(err.text, "f:20000: too many entries");
	err_reset(&err);
	while (buf_len(&b) <= YAML_MAX_BYTES)
		ck_assert_int_eq(buf_append_str(&b, "################"), 0);
	ck_assert_int_eq(read_text((char *)buf_data(&b), buf_len(&b), &t, &err), -EINVAL);
	ck_assert_str_eq(err.text, "f: larger than 256 KiB");
	err_reset(&err);
	ck_assert_ptr_null(yaml_doc_load("/nonexistent/f.yaml", &err));
	ck_assert_str_eq(
	    err.text, "/nonexistent/f.yaml: cannot be read: No such file or directory");
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	for (long n = 0;; n++) {
		struct target t = { 0 };
		struct err err = ERR_INIT;
		mem_fail_after(n);
		int r = read_text(full, strlen(full), &t, &err);
		mem_fail_after(-1);
		yaml_read_fini(keys, &t);
		if (r == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_int_lt(n, 1000);
	}
}
END_TEST

void yaml_tests(Suite *s)
{
	TCase *tc = test_case(s, "yaml", 10);
	tcase_add_test(tc, every_type_is_read);
	tcase_add_test(tc, absent_keys_change_nothing);
	tcase_add_loop_test(
	    tc, errors_name_line_key_and_expectation, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, size_is_bounded);
	tcase_add_test(tc, every_allocation_may_fail);
}
