/* SPDX-License-Identifier: Apache-2.0 */
/* multipart/form-data, in pieces of every size. */
#include <errno.h>
#include <string.h>

#include <check.h>

#include "base/err.h"
#include "base/mem.h"
#include "lib/test.h"
#include "unit/wire_http/harness.h"
#include "wire/header_param.h"
#include "wire/multipart.h"

#define TYPE "multipart/form-data; boundary=XX"

/* What the parser told, as text: "<name|filename>bytes</>" a part, "." at the end. */
struct told {
	struct multipart m;
	struct buf text;
	struct err why;
};

static int feed(struct told *t, const char *p, size_t n)
{
	enum multipart_event event = MULTIPART_MORE;
	for (size_t done = 0; done < n;) {
		const void *data;
		size_t len;
		ssize_t r = multipart_step(&t->m, p + done, n - done, &event, &data, &len, &t->why);
		if (r < 0)
			return (int)r;
		done += (size_t)r;
		if (event == MULTIPART_PART)
			r = buf_printf(
			    &t->text, "<%s|%s>", t->m.name, t->m.filename ? t->m.filename : "-");
		else if (event == MULTIPART_DATA)
			r = buf_append(&t->text, data, len);
		else if (event == MULTIPART_PART_END)
			r = buf_append_str(&t->text, "</>");
		else if (event == MULTIPART_END)
			r = buf_append_str(&t->text, ".");
		ck_assert_int_ge(r, 0);
	}
	return 0;
}

/* The body in pieces of step bytes, the first one shorter: 0 with the text compared, or -errno. */
static int parse(
    const char *type, const char *body, size_t n, size_t first, size_t step, const char *wanted)
{
	struct told t = { 0 };
	int r = multipart_init(&t.m, type, &t.why);
	for (size_t at = 0; r == 0 && at < n;) {
		size_t k = at == 0 && first ? first : step;
		if (k > n - at)
			k = n - at;
		/* A copy of its own shows reads beyond the piece. */
		char *piece = mem_dup(body + at, k);
		r = feed(&t, piece, k);
		mem_free(piece);
		at += k;
	}
	if (r == 0)
		r = multipart_finish(&t.m, &t.why);
	if (r == 0 && wanted) {
		ck_assert_uint_eq(buf_len(&t.text), strlen(wanted));
		ck_assert_mem_eq(buf_data(&t.text), wanted, strlen(wanted));
	}
	ck_assert(r == t.why.code);
	multipart_fini(&t.m);
	buf_fini(&t.text);
	return r;
}

#define PART(name) "Content-Disposition: form-data; " name "\r\n"

static const struct {
	const char *body, *wanted;
} good[] = {
	{ "--XX--", "." },
	{ "preamble\r\n--XX--\r\nepilogue --XX", "." },
	{ "--XX\r\n" PART("name=\"file\"; filename=\"a\"") "\r\nhello\r\n--XX--\r\n",
	    "<file|a>hello</>." },
	/* empty, with and without a line end of its own */
	{ "--XX\r\n" PART("name=f") "\r\n--XX--", "<f|->"
						  "</>." },
	{ "--XX\r\n" PART("name=f") "\r\n\r\n--XX--", "<f|->"
						      "</>." },
	/* two parts, blanks behind delimiters, other headers, letter case */
	{ "--XX \t\r\ncontent-type: text/plain\r\nCONTENT-disposition:FORM-DATA;NAME=\"f\"; "
	  "filename=\"a b/c.txt\"\r\nContent-Transfer-Encoding: "
	  "binary\r\n\r\n1\r\n2\r\n--XX\r\n" PART(
	      "name=\"f\"; filename=\"\xc3\xa9\"") "\r\n\r\n\r\n--XX--\r\n",
	    "<f|a b/c.txt>1\r\n2</><f|\xc3\xa9>\r\n</>." },
	/* almost delimiters are data */
	{ "--XX\r\n" PART("name=f") "\r\n\r\n--X\r\r\n--XY\r\n\r\n-\r\n--XX--",
	    "<f|->\r\n--X\r\r\n--XY\r\n\r\n-</>." },
	{ "--XX\r\n" PART("name=f") "\r\n--Xa--XX\r\n--XX--", "<f|->--Xa--XX</>." },
	{ "--XX\r\n" PART("name=f") "\r\n\r\n\r\r\n--XX--", "<f|->\r\n\r</>." },
};

START_TEST(test_every_split)
{
	const char *body = good[_i].body;
	size_t n = strlen(body);
	for (size_t step = 1; step <= n; step++)
		ck_assert_int_eq(parse(TYPE, body, n, 0, step, good[_i].wanted), 0);
	for (size_t first = 1; first < n; first++)
		ck_assert_int_eq(parse(TYPE, body, n, first, n, good[_i].wanted), 0);
}
END_TEST

/* No prefix of a body is a whole one, until the closing delimiter came. */
START_TEST(test_cut)
{
	static const char body[] =
	    "--XX\r\n" PART("name=\"file\"; filename=\"a\"") "\r\nhello\r\n--XX--\r\n";
	for (size_t n = 0; n < sizeof(body) - 1 - 2; n++)
		ck_assert_int_eq(parse(TYPE, body, n, 0, 7, NULL), -EINVAL);
	ck_assert_int_eq(parse(TYPE, body, sizeof(body) - 1 - 2, 0, 7, NULL), 0);
}
END_TEST

static const char *const bad_bodies[] = {
	"--XXY\r\n",
	"--XX-\r\n",
	"--XX \rX\r\n",
	"--XX\n" PART("name=f") "\r\n",
	"--XX\r\n\r\n",
	"--XX\r\nContent-Type: text/plain\r\n\r\n",
	"--XX\r\nno colon\r\n\r\n",
	"--XX\r\n: no name\r\n\r\n",
	"--XX\r\n" PART("filename=x") "\r\n",
	"--XX\r\n" PART("name=f; name=g") "\r\n",
	"--XX\r\n" PART("name=\"f") "\r\n",
	"--XX\r\n" PART("name=f") PART("name=g") "\r\n",
	"--XX\r\n" PART("name=f;\r\n filename=x") "\r\n",
	"--XX\r\n" PART("name=f; filename=\"\xff\"") "\r\n",
	"--XX\r\n" PART("name=f; filename*=latin1''x") "\r\n",
	"--XX\r\n" PART("name=f; filename*=UTF-8''%4") "\r\n",
	"--XX\r\n" PART("name=f; filename*=UTF-8''%00") "\r\n",
	"--XX\r\nContent-Disposition: attachment; name=f\r\n\r\n",
	"--XX\r\n" PART("name=f") "Content-Transfer-Encoding: base64\r\n\r\n",
};

START_TEST(test_malformed)
{
	const char *body = bad_bodies[_i];
	for (size_t step = 1; step <= strlen(body); step++)
		ck_assert_int_eq(parse(TYPE, body, strlen(body), 0, step, NULL), -EINVAL);
}
END_TEST

START_TEST(test_limits)
{
	struct told t = { 0 };
	char line[1024];
	memset(line, 'a', sizeof(line));
	ck_assert_int_eq(multipart_init(&t.m, TYPE, &t.why), 0);
	ck_assert_int_eq(feed(&t, "--XX\r\n", 6), 0);
	for (int i = 0; i < MULTIPART_HEAD_MAX / 1024; i++)
		ck_assert_int_eq(feed(&t, line, sizeof(line)), 0);
	ck_assert_int_eq(feed(&t, "a", 1), -EINVAL);
	ck_assert_ptr_nonnull(strstr(t.why.text, "16384"));
	multipart_fini(&t.m);

	err_reset(&t.why);
	static const char part[] = "--XX\r\n" PART("name=f") "\r\n\r\n";
	ck_assert_int_eq(multipart_init(&t.m, TYPE, &t.why), 0);
	for (int i = 0; i < MULTIPART_PARTS_MAX; i++)
		ck_assert_int_eq(feed(&t, part, sizeof(part) - 1), 0);
	ck_assert_int_eq(feed(&t, part, sizeof(part) - 1), -EINVAL);
	ck_assert_ptr_nonnull(strstr(t.why.text, "4096"));
	multipart_fini(&t.m);
	buf_fini(&t.text);
}
END_TEST

START_TEST(test_content_type)
{
	static const char body[] = "--a b--";
	ck_assert_int_eq(
	    parse("Multipart/Form-Data ; charset=x; boundary=\"a b\"", body, 7, 0, 7, "."), 0);
	static const char *const bad[] = { "multipart/mixed; boundary=a", "multipart/form-data",
		"multipart/form-data; boundary=\"\"",
		"multipart/form-data; boundary=", "multipart/form-data; boundary=a; boundary=b",
		"multipart/form-data boundary=a", "",
		"multipart/form-data; boundary="
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(parse(bad[i], body, 7, 0, 7, NULL) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(parse(NULL, body, 7, 0, 7, NULL), -EINVAL);
}
END_TEST

START_TEST(test_header_param)
{
	static const struct {
		const char *value, *wanted;
		int r;
	} t[] = {
		{ "x", NULL, 0 },
		{ "x; filename=a;", "a", 0 },
		{ "x; FileName=\"a\\\"b\\\\c\\d;e\"", "a\"b\\c\\d;e", 0 },
		{ "x; filename=a; filename*=UTF-8''%e2%82%ac%20b", "\xe2\x82\xac b", 0 },
		{ "x; filename*=utf-8'en'a+b; filename=\"z\"", "a+b", 0 },
		{ "x; filename=\"50%22\"", "50%22", 0 },
		{ "x; filename=\"\"", "", 0 },
		{ "x; filename", NULL, -EINVAL },
		{ "x; filename=\"a\"b", NULL, -EINVAL },
		{ "x; =a", NULL, -EINVAL },
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char *text = NULL;
		ck_assert_int_eq(header_param_utf8(t[i].value, "filename", &text), t[i].r);
		ck_assert_pstr_eq(text, t[i].wanted);
		mem_free(text);
	}
}
END_TEST

/* The n-th allocation fails: an error, no crash, nothing lost. */
START_TEST(test_memory)
{
	for (long n = 0;; n++) {
		mem_fail_after(n);
		struct told t = { 0 };
		int r = multipart_init(&t.m, TYPE, &t.why);
		static const char body[] = "--XX\r\n" PART("name=f; filename*=UTF-8''a") "\r\n";
		enum multipart_event event = MULTIPART_MORE;
		const void *data;
		size_t len;
		for (size_t at = 0; r == 0 && at < sizeof(body) - 1;) {
			ssize_t k = multipart_step(
			    &t.m, body + at, sizeof(body) - 1 - at, &event, &data, &len, &t.why);
			r = k < 0 ? (int)k : 0;
			at += k < 0 ? 0 : (size_t)k;
		}
		mem_fail_after(-1);
		multipart_fini(&t.m);
		if (r == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_int_lt(n, 50);
	}
}
END_TEST

void multipart_tests(Suite *s)
{
	TCase *tc = test_case(s, "multipart", 20);
	tcase_add_loop_test(tc, test_every_split, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_test(tc, test_cut);
	tcase_add_loop_test(tc, test_malformed, 0, sizeof(bad_bodies) / sizeof(bad_bodies[0]));
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_content_type);
	tcase_add_test(tc, test_header_param);
	tcase_add_test(tc, test_memory);
}
