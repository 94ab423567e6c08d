/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "guest-kernel-agent/code/event.h"
#include "guest-kernel-agent/code/json_escape.h"
#include "guest-kernel-agent/code/ndjson.h"
#include "guest-kernel-agent/journal/journal.h"
#include "lib/test.h"
#include "unit/agent/agent_tests.h"

#define TIME_NS 1795237020123456789 /* 2026-11-21T04:57:00.123456789Z */
#define STAMP "\"timestamp\":\"2026-11-21T04:57:00.123456Z\""

struct fixture {
	struct journal *journal;
	struct journal_reader reader;
	struct ndjson lines;
	struct buf out;
};

static void ignore_call(void *arg)
{
}

static void setup(struct fixture *f)
{
	*f = (struct fixture){ .journal = journal_new(&(struct journal_conf){ .keep = true }) };
	clock_fake_start(TIME_NS);
	ck_assert_int_eq(journal_reader_init(&f->reader, f->journal, 1, ignore_call, NULL), 0);
}

static void teardown(struct fixture *f)
{
	clock_fake_stop();
	journal_reader_fini(&f->reader);
	journal_free(f->journal);
	buf_fini(&f->out);
}

/* Lines for everything that was added since the last call. */
static const char *lines(struct fixture *f)
{
	struct journal_record rec;
	struct event ev;
	buf_reset(&f->out);
	while (journal_read(&f->reader, &rec) == JOURNAL_RECORD) {
		ck_assert_int_eq(event_decode(&rec, &ev), 0);
		ck_assert_int_eq(ndjson_add_event(&f->lines, &f->out, &ev), 0);
	}
	return buf_cstr(&f->out);
}

static const char *result_line(struct fixture *f, bool main_result, const char *json)
{
	json_t *data = json_loads(json, JSON_ALLOW_NUL, NULL);
	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(event_add_result(f->journal, main_result, data), 0);
	json_decref(data);
	return lines(f);
}

START_TEST(test_output_lines)
{
	struct fixture f;
	setup(&f);
	(void)event_add_started(f.journal, "x", "c");
	ck_assert_str_eq(lines(&f), "");
	(void)event_add_busy(f.journal, 7);
	ck_assert_str_eq(lines(&f), "{\"type\":\"number_of_executions\",\"execution_count\":7}\n");
	(void)event_add_output(f.journal, OUTPUT_STDOUT, 0, "hi\n", 3);
	ck_assert_str_eq(lines(&f), "{\"type\":\"stdout\",\"text\":\"hi\\n\"," STAMP "}\n");
	(void)event_add_output(
	    f.journal, OUTPUT_STDERR, 0, "a\0\"\\\x7f\xc3\xa9\xf0\x9f\x98\x80", 11);
	ck_assert_str_eq(lines(&f), "{\"type\":\"stderr\",\"text\":\"a\\u0000\\\"\\\\\x7f"
				    "\\u00e9\\ud83d\\ude00\"," STAMP "}\n");
	(void)event_add_error(f.journal, "ValueError",
	    "b\xc3\xa4"
	    "d",
	    "line 1\n");
	ck_assert_str_eq(lines(&f), "{\"type\":\"error\",\"name\":\"ValueError\",\"value\":"
				    "\"b\\u00e4d\",\"traceback\":\"line 1\\n\"}\n");
	(void)event_add_end(f.journal, EXEC_ERROR, "", 7);
	ck_assert_str_eq(lines(&f), "{\"type\":\"end_of_execution\"}\n");
	teardown(&f);
}
END_TEST

START_TEST(test_result_lines)
{
	struct fixture f;
	setup(&f);
	ck_assert_str_eq(result_line(&f, true, "{\"text/plain\":\"'abc'\"}"),
	    "{\"type\":\"result\",\"text\":\"abc\",\"extra\":{},\"is_main_result\":true}\n");
	ck_assert_str_eq(result_line(&f, false, "{\"text/plain\":\"\\\"\"}"),
	    "{\"type\":\"result\",\"text\":\"\\\"\",\"extra\":{},\"is_main_result\":false}\n");
	ck_assert_str_eq(result_line(&f, false, "{\"text/plain\":\"'a\\\"\"}"),
	    "{\"type\":\"result\",\"text\":\"'a\\\"\",\"extra\":{},\"is_main_result\":false}\n");
	ck_assert_str_eq(
	    result_line(&f, false,
		"{\"text/html\":\"<b>\",\"text/markdown\":\"m\",\"image/svg+xml\":\"s\","
		"\"image/png\":\"p\",\"image/jpeg\":\"j\",\"application/pdf\":\"f\","
		"\"text/latex\":\"l\",\"application/javascript\":\"v\"}"),
	    "{\"type\":\"result\",\"html\":\"<b>\",\"markdown\":\"m\",\"svg\":\"s\","
	    "\"png\":\"p\",\"jpeg\":\"j\",\"pdf\":\"f\",\"latex\":\"l\",\"javascript\":\"v\","
	    "\"extra\":{},\"is_main_result\":false}\n");
	ck_assert_str_eq(result_line(&f, true,
			     "{\"application/json\":{\"a\":[1,null,\"\\u00e9\"]},"
			     "\"e2b/data\":{\"x\":[1]},\"e2b/chart\":{\"title\":null}}"),
	    "{\"type\":\"result\",\"json\":{\"a\":[1,null,\"\\u00E9\"]},\"data\":{\"x\":[1]},"
	    "\"chart\":{\"title\":null},\"extra\":{},\"is_main_result\":true}\n");
	ck_assert_str_eq(result_line(&f, false,
			     "{\"application/x-odd\":\"o\",\"text/plain\":\"t\","
			     "\"application/vnd.x+json\":{\"k\":1},\"image/png\":null}"),
	    "{\"type\":\"result\",\"text\":\"t\",\"extra\":{\"application/x-odd\":\"o\","
	    "\"application/vnd.x+json\":{\"k\":1}},\"is_main_result\":false}\n");
	ck_assert_str_eq(result_line(&f, false, "{\"text/plain\":\"n\\u0000l\"}"),
	    "{\"type\":\"result\",\"text\":\"n\\u0000l\",\"extra\":{},"
	    "\"is_main_result\":false}\n");
	teardown(&f);
}
END_TEST

static const struct {
	enum exec_end how;
	const char *name; /* of the error line, NULL = none */
	bool after_error; /* it comes although the kernel has reported an error */
} ends[] = {
	{ EXEC_OK, NULL, false },
	{ EXEC_ERROR, NULL, false },
	{ EXEC_INTERRUPTED, "ExecutionAborted", false },
	{ EXEC_DEADLINE, "ExecutionAborted", false },
	{ EXEC_OUTPUT_LIMIT, "ExecutionAborted", true },
	{ EXEC_RESTARTED, "ContextRestarting", true },
	{ EXEC_KERNEL_DIED, "UnexpectedEndOfExecution", true },
	{ EXEC_OUT_OF_MEMORY, "UnexpectedEndOfExecution", true },
};

START_TEST(test_end_lines)
{
	for (int with_error = 0; with_error < 2; with_error++) {
		struct fixture f;
		char want[128];
		setup(&f);
		if (with_error)
			(void)event_add_error(f.journal, "KeyboardInterrupt", "", "");
		(void)lines(&f);
		(void)event_add_end(f.journal, ends[_i].how, "why", 1);
		const char *got = lines(&f);
		bool expected = ends[_i].name && (!with_error || ends[_i].after_error);
		(void)snprintf(want, sizeof(want), "{\"type\":\"error\",\"name\":\"%s\",",
		    ends[_i].name ? ends[_i].name : "");
		ck_assert_int_eq(strncmp(got, want, strlen(want)) == 0, expected);
		if (expected)
			ck_assert_ptr_nonnull(strstr(got, "(why)\",\"traceback\":\"\"}\n"));
		const char *last = "{\"type\":\"end_of_execution\"}\n";
		ck_assert_str_eq(got + strlen(got) - strlen(last), last);
		teardown(&f);
	}
}
END_TEST

/* Against jansson's reading: whatever the text, the line gives it back, in ASCII. */
START_TEST(test_escape_round_trip)
{
	static const char *const pieces[] = { "plain text ", "\n", "\"", "\\", "\t", "\x01",
		"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "0123456789abcdef", "\x7f", "/" };
	unsigned seed = (unsigned)_i;
	CLEAN_BUF struct buf text = BUF_INIT, line = BUF_INIT;
	int n = rand_r(&seed) % 4000;
	while (n--)
		(void)buf_append_str(&text, pieces[rand_r(&seed) % 12]);
	ck_assert_int_eq(json_escape_string(&line, (char *)buf_data(&text), buf_len(&text)), 0);
	for (size_t i = 0; i < buf_len(&line); i++)
		ck_assert(buf_data(&line)[i] >= 0x20 && buf_data(&line)[i] < 0x80);
	json_t *v = json_loadb((char *)buf_data(&line), buf_len(&line), JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(v);
	ck_assert_uint_eq(json_string_length(v), buf_len(&text));
	if (buf_len(&text) > 0)
		ck_assert_mem_eq(json_string_value(v), buf_data(&text), buf_len(&text));
	json_decref(v);
}
END_TEST

START_TEST(test_escape_invalid)
{
	static const struct {
		const char *in, *out;
		size_t n;
	} cases[] = {
		{ "a\xff"
		  "b",
		    "\"a\\ufffdb\"", 3 },
		{ "\xc3", "\"\\ufffd\"", 1 },
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"", 2 },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"", 3 },
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"", 4 },
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"", 2 },
		{ "", "\"\"", 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEAN_BUF struct buf line = BUF_INIT;
		ck_assert_int_eq(json_escape_string(&line, cases[i].in, cases[i].n), 0);
		ck_assert_str_eq(buf_cstr(&line), cases[i].out);
	}
}
END_TEST

/* Long output is cut between characters, and nothing of it is lost. */
START_TEST(test_long_output)
{
	struct fixture f;
	CLEAN_BUF struct buf text = BUF_INIT, got = BUF_INIT;
	struct journal_record rec;
	struct event ev;
	setup(&f);
	for (int i = 0; i < _i; i++)
		(void)buf_append_str(&text, "x");
	while (buf_len(&text) < 200000)
		(void)buf_append_str(&text, "\xf0\x9f\x98\x80\xe2\x82\xac");
	ck_assert_int_eq(
	    event_add_output(f.journal, OUTPUT_STDOUT, 0, (char *)buf_data(&text), buf_len(&text)),
	    0);
	while (journal_read(&f.reader, &rec) == JOURNAL_RECORD) {
		ck_assert_int_eq(event_decode(&rec, &ev), 0);
		ck_assert_uint_le(ev.output.n, 32 * 1024);
		ck_assert_uint_ne((unsigned char)ev.output.text[0] & 0xc0, 0x80);
		ck_assert_int_eq(ev.output.text[ev.output.n], 0);
		(void)buf_append(&got, ev.output.text, ev.output.n);
	}
	ck_assert_uint_eq(buf_len(&got), buf_len(&text));
	ck_assert_mem_eq(buf_data(&got), buf_data(&text), buf_len(&text));
	teardown(&f);
}
END_TEST

START_TEST(test_garbage_records)
{
	static const unsigned char junk[] = { 1, 0, 0, 0, 255, 255, 255, 255, 0, 0 };
	for (unsigned type = 0; type < 10; type++) {
		for (size_t n = 0; n <= sizeof(junk); n++) {
			struct journal_record rec = { .type = type, .data = junk, .n = n };
			struct event_form form;
			struct event ev;
			if (event_decode(&rec, &ev) == 0 && ev.type == EVENT_RESULT)
				ck_assert(!event_next_form(&ev, &form));
		}
	}
}
END_TEST

void add_ndjson_tests(Suite *s)
{
	TCase *tc = test_case(s, "ndjson", 30);
	tcase_add_test(tc, test_output_lines);
	tcase_add_test(tc, test_result_lines);
	tcase_add_loop_test(tc, test_end_lines, 0, sizeof(ends) / sizeof(*ends));
	tcase_add_loop_test(tc, test_escape_round_trip, 0, 30);
	tcase_add_test(tc, test_escape_invalid);
	tcase_add_loop_test(tc, test_long_output, 0, 7);
	tcase_add_test(tc, test_garbage_records);
}
