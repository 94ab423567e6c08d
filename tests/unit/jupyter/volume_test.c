/* SPDX-License-Identifier: Apache-2.0 */
/* Much output: nothing is lost, memory stays bounded, a slow reader slows the code down. */
#include "config.h"

#include "kernels.h"

#include <stdio.h>
#include <string.h>

#define LINES 20000

static void check_lines(struct record *r)
{
	char expected[16];
	const char *p = record_out(r);

	for (int i = 0; i < LINES; i++) {
		int n = snprintf(expected, sizeof(expected), "%d\n", i);

		ck_assert_msg(strncmp(p, expected, (size_t)n) == 0, "line %d: %.12s", i, p);
		p += n;
	}
	ck_assert_str_eq(p, "");
}

START_TEST(test_flushed_lines)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "for i in range(20000): print(i, flush=True)");

	ck_assert_int_eq(r->how, EXEC_OK);
	check_lines(r);
	record_free(r);
}
END_TEST

static long status_kb(const char *key)
{
	char line[256];
	long kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			kb = atol(line + strlen(key) + 1);
	(void)fclose(f);
	return kb;
}

/* The reader takes a little and then nothing for a while. */
static void read_slowly(struct context *c, struct record *r, size_t step, unsigned pause_ms)
{
	size_t mark = 0;

	while (!r->ended) {
		ck_assert_int_eq(loop_turn(kernels_loop, true), 0);
		if (r->stream_bytes < mark + step || r->ended)
			continue;
		mark = r->stream_bytes;
		r->closed = true;
		kernels_turns(pause_ms);
		ck_assert_uint_le(r->stream_bytes, mark + 64 * 1024);
		r->closed = false;
		context_resume_output(c);
	}
}

START_TEST(test_back_pressure)
{
	struct context *c = kernels_python();
	struct record *r = record_begin(
	    c, "s = 'x' * 1023\nfor i in range(100000): print(s)\nopen('done', 'w').close()");
	long before = status_kb("VmHWM"), used, kernel_kb;
	char path[128];

	r->drop = true;
	/* The code is stopped by the reader: long after it began, it is not done. */
	r->closed = true;
	kernels_turns(800);
	ck_assert(!path_exists(tmpdir_at(&kernels_dir, "done", path)));
	r->closed = false;
	context_resume_output(c);
	read_slowly(c, r, 20 * 1000 * 1000, 20);
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_uint_eq(r->stream_bytes, 100000 * 1024);
	used = status_kb("VmHWM") - before;
#ifndef SANDGLASS_SANITIZERS /* which keep what was freed */
	ck_assert_msg(used < 16 * 1024, "%ld KiB", used);
#endif
	(void)used;
	record_free(r);
	r = record_run(c, "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])");
	kernel_kb = atol(record_out(r));
	ck_assert_msg(kernel_kb > 0 && kernel_kb < 160 * 1024, "kernel used %ld KiB", kernel_kb);
	record_free(r);
}
END_TEST

START_TEST(test_one_large_print)
{
	struct context *c = kernels_python();
	struct record *r = record_begin(c, "print('\\u20ac' * 4_000_000)");

	r->drop = true;
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_uint_eq(r->stream_bytes, 12000001);
	record_free(r);
}
END_TEST

/* One message, which our launcher would never send: it is delivered in pieces all the same. */
START_TEST(test_one_large_message)
{
	struct context *c = kernels_python();
	struct record *r = record_begin(c, "k = get_ipython().kernel\n"
					   "k.send_response(k.iopub_socket, 'stream', {'name': "
					   "'stdout', 'text': 'y' * 12_000_000})");

	r->drop = true;
	read_slowly(c, r, 4 * 1000 * 1000, 10);
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_uint_eq(r->stream_bytes, 12000000);
	record_free(r);
}
END_TEST

START_TEST(test_subprocess_volume)
{
	struct context *c = kernels_python();
	struct record *r = record_begin(c, "import subprocess\nsubprocess.run('yes | head -c "
					   "10000000', shell=True);\nprint('end')");

	r->drop = true;
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_uint_eq(r->stream_bytes, 10000004);
	record_free(r);
}
END_TEST

/* Text and displays in the order of the code; a line may come in two pieces. */
START_TEST(test_many_displays)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "for i in range(500): print(i); display(i)");
	const char *order = record_order(r);

	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_uint_eq(json_array_size(r->results), 500);
	ck_assert_int_eq(*order++, 'b');
	for (int i = 0; i < 500; i++) {
		ck_assert_int_eq(*order, 'o');
		order += strspn(order, "o");
		ck_assert_int_eq(*order++, 'r');
	}
	ck_assert_str_eq(order, "$");
	record_free(r);
}
END_TEST

void add_volume_tests(Suite *s)
{
	TCase *tc = test_case(s, "volume", 120);

	tcase_add_checked_fixture(tc, kernels_setup, kernels_teardown);
	tcase_add_test(tc, test_flushed_lines);
	tcase_add_test(tc, test_back_pressure);
	tcase_add_test(tc, test_one_large_print);
	tcase_add_test(tc, test_one_large_message);
	tcase_add_test(tc, test_subprocess_volume);
	tcase_add_test(tc, test_many_displays);
}
