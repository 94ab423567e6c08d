/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

START_TEST(test_results_and_counts)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "1+1");

	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_str_eq(record_order(r), "bR$");
	ck_assert_str_eq(json_string_value(record_data(r, 0, "text/plain")), "2");
	ck_assert_uint_eq(r->count, 1);
	record_free(r);
	r = record_run(c, "x = 5\nprint('out')\nimport sys\nprint('err', file=sys.stderr)\nx * 2");
	ck_assert_str_eq(record_out(r), "out\n");
	ck_assert_str_eq(record_err(r), "err\n");
	ck_assert_str_eq(record_order(r), "boeR$");
	ck_assert_uint_eq(r->count, 2);
	record_free(r);
	kernels_expect(c, "print(x)", "5\n");
}
END_TEST

START_TEST(test_errors)
{
	struct context *c = kernels_python();
	struct record *r = record_run(c, "def f():\n  return 1/0\nf()");

	ck_assert_int_eq(r->how, EXEC_ERROR);
	ck_assert_str_eq(record_order(r), "bx$");
	ck_assert_str_eq(r->error, "ZeroDivisionError");
	ck_assert_str_eq(r->value, "division by zero");
	ck_assert_ptr_nonnull(strstr(buf_cstr(&r->traceback), "in f()"));
	/* NoColor */
	ck_assert_ptr_null(strchr(buf_cstr(&r->traceback), '\x1b'));
	record_free(r);
	r = record_run(c, "1 +");
	ck_assert_str_eq(r->error, "SyntaxError");
	record_free(r);
	r = record_run(c, "input()");
	ck_assert_int_eq(r->how, EXEC_ERROR);
	ck_assert_str_eq(r->error, "StdinNotImplementedError");
	record_free(r);
	kernels_expect(c, "print('next')", "next\n");
}
END_TEST

/* The first line must be here while the code still waits for a file that only we make. Each line is
 * one write: what print() writes in two may come in two pieces. */
static void let_go(struct record *r)
{
	tmpdir_write(&kernels_dir, "go", "");
}

START_TEST(test_output_arrives_while_code_runs)
{
	struct context *c = kernels_python();
	struct record *r = record_begin(c, "import os, sys, time\nsys.stdout.write('first\\n')\n"
					   "while not os.path.exists('go'): time.sleep(0.002)\n"
					   "_ = sys.stdout.write('second\\n')");

	r->on_first = let_go;
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_str_eq(record_order(r), "boo$");
	ck_assert_str_eq(record_out(r), "first\nsecond\n");
	record_free(r);
}
END_TEST

START_TEST(test_output_arrives_while_the_interpreter_is_held)
{
	struct context *c = kernels_python();
	/* A regular expression that backtracks never gives other threads of Python a turn. */
	struct record *r = record_begin(c, "import re\nprint('first')\n"
					   "re.match('(a+)+$', 'a' * 26 + 'b')\nprint('last')");
	uint64_t held;

	record_wait(r);
	ck_assert_str_eq(record_out(r), "first\nlast\n");
	held = r->ended_us - r->first_us;
	ck_assert_msg(
	    held > 100 * (uint64_t)1000, "first output only %u us before the end", (unsigned)held);
	record_free(r);
}
END_TEST

START_TEST(test_partial_lines_and_flush)
{
	struct context *c = kernels_python();
	struct record *r = record_begin(c,
	    "import os, time\nprint('no newline', end='')\n"
	    "while not os.path.exists('go'): time.sleep(0.002)\nprint('.', flush=True)");

	r->on_first = let_go;
	record_wait(r);
	ck_assert_str_eq(record_out(r), "no newline.\n");
	record_free(r);
}
END_TEST

/* A line whose end comes a moment later is one piece, and what never ends comes all the same. */
START_TEST(test_lines_stay_whole)
{
	struct context *c = kernels_python();
	struct record *r =
	    record_begin(c, "import os, sys, time\n_ = sys.stdout.write('a')\ntime.sleep(0.02)\n"
			    "_ = sys.stdout.write('b\\n')\n_ = sys.stdout.write('end')\n"
			    "while not os.path.exists('go'): time.sleep(0.002)");

	while (buf_len(&r->out) < 6)
		kernels_turns(1);
	ck_assert_str_eq(record_out(r), "ab\nend");
	ck_assert_str_eq(record_order(r), "boo");
	let_go(r);
	record_wait(r);
	record_free(r);
}
END_TEST

START_TEST(test_subprocess_output)
{
	struct context *c = kernels_python();
	struct record *r = record_begin(c,
	    "import os, subprocess, sys\nos.write(1, b'raw\\n')\n"
	    "subprocess.run(['sh', '-c', 'echo one; echo two >&2; "
	    "while [ ! -e go ]; do sleep 0.01; done; echo three'])\n"
	    "subprocess.run(['echo', 'given'], stdout=sys.stdout)\n"
	    "os.write(1, '\\u20ac'.encode()[:1]); os.write(1, '\\u20ac'.encode()[1:])\n"
	    "os.system('echo system');");

	r->on_first = let_go;
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_str_eq(record_out(r), "raw\none\nthree\ngiven\n\xe2\x82\xacsystem\n");
	ck_assert_str_eq(record_err(r), "two\n");
	record_free(r);
}
END_TEST

START_TEST(test_odd_text)
{
	struct context *c = kernels_python();
	struct record *r;

	/* NUL, control characters, quotes, characters of two, three and four bytes */
	r = record_run(c, "print('\\x00\\x01\"\\\\ \\u00e9 \\u20ac \\U0001f600')");
	ck_assert_uint_eq(buf_len(&r->out), 17);
	ck_assert_mem_eq(
	    buf_data(&r->out), "\0\1\"\\ \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\n", 17);
	record_free(r);
	r = record_run(c, "print('a\\ud800b')");
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_ptr_nonnull(strstr(record_out(r), "\xef\xbf\xbd"));
	record_free(r);
	r = record_run(c, "'\\udc80'");
	ck_assert_int_eq(r->how, EXEC_OK);
	record_free(r);
	r = record_run(c, "print(b'\\xff'.decode('utf-8', 'surrogateescape'), 'x')");
	ck_assert_str_eq(record_out(r), "\xef\xbf\xbd x\n");
	record_free(r);
	r = record_run(c, "[2**100]");
	ck_assert_str_eq(record_order(r), "bR$");
	record_free(r);
}
END_TEST

START_TEST(test_await_and_threads)
{
	struct context *c = kernels_python();

	kernels_expect(
	    c, "import asyncio\nawait asyncio.sleep(0.01)\nprint('awaited')", "awaited\n");
	kernels_expect(c,
	    "import threading\nt = threading.Thread(target=lambda: print('thread'))\n"
	    "t.start()\nt.join()",
	    "thread\n");
	kernels_expect(c,
	    "import os\npid = os.fork()\nif pid == 0:\n  print('child', flush=True)\n  "
	    "os._exit(0)\n"
	    "os.waitpid(pid, 0)\nprint('parent')",
	    "child\nparent\n");
}
END_TEST

START_TEST(test_queue_keeps_order)
{
	struct context *c = kernels_python();
	struct record *r[5];

	ck_assert(!context_is_busy(c));
	r[0] = record_begin(c, "import time; time.sleep(0.05); l = ['a']");
	ck_assert(context_is_busy(c));
	r[1] = record_begin(c, "l.append('b')");
	r[2] = record_begin(c, "1/0");
	r[3] = record_begin(c, "l.append('c')");
	r[4] = record_begin(c, "print(l)");
	for (int i = 0; i < 5; i++) {
		record_wait(r[i]);
		ck_assert_uint_eq(r[i]->count, (unsigned)i + 1);
		ck_assert_int_eq(r[i]->how, i == 2 ? EXEC_ERROR : EXEC_OK);
	}
	ck_assert_str_eq(record_out(r[4]), "['a', 'b', 'c']\n");
	for (int i = 0; i < 5; i++)
		record_free(r[i]);
}
END_TEST

START_TEST(test_contexts_run_in_parallel)
{
	struct context *a = kernels_python(), *b = kernels_python();
	/* Each waits for a file of the other: one after the other they would never end. */
	struct record *ra = record_begin(a, "import os, time\nopen('a', 'w').close()\n"
					    "while not os.path.exists('b'): time.sleep(0.005)\n");
	struct record *rb = record_begin(b, "import os, time\nopen('b', 'w').close()\n"
					    "while not os.path.exists('a'): time.sleep(0.005)\n");

	record_wait(ra);
	record_wait(rb);
	ck_assert_int_eq(ra->how, EXEC_OK);
	ck_assert_int_eq(rb->how, EXEC_OK);
	record_free(ra);
	record_free(rb);
	ck_assert_ptr_eq(contexts_at(kernels, 0), a);
	ck_assert_ptr_eq(contexts_at(kernels, 1), b);
	ck_assert_ptr_null(contexts_at(kernels, 2));
	ck_assert_ptr_eq(context_find(kernels, context_id(b)), b);
	ck_assert_ptr_null(context_find(kernels, "nobody"));
	kernels_expect(a, "v = 1", "");
	kernels_expect(b, "print('v' in globals())", "False\n");
}
END_TEST

static void expect_env_of_one_execution(struct context *c)
{
	static const char *const env[] = { "A", "1", "Q", "it's \"q\"\\ $(x)\n{}", "U",
		"\xe2\x82\xac", "HOME", "/tmp", "NO=NAME", "x", NULL };
	static const char *const base[] = { "A=base", "G=global=1", NULL };
	struct record *r;

	ck_assert_int_eq(contexts_configure(kernels, NULL, NULL, base), 0);
	kernels_expect(c, "import os; print(os.environ['A'], os.environ['G'])", "base global=1\n");
	kernels_expect(c, "home = os.environ['HOME']; os.environ['Q'] = 'mine'", "");
	r = record_begin_env(c, "print([os.environ[k] for k in ('A', 'Q', 'U', 'HOME')])", env);
	record_wait(r);
	ck_assert_str_eq(
	    record_out(r), "['1', 'it\\'s \"q\"\\\\ $(x)\\n{}', '\xe2\x82\xac', '/tmp']\n");
	ck_assert_uint_eq(r->count, 4);
	record_free(r);
	kernels_expect(c,
	    "print(os.environ['A'], os.environ['Q'], 'U' in os.environ, os.environ['HOME'] == "
	    "home)",
	    "base mine False True\n");
	/* Restored after an error, too. */
	r = record_begin_env(c, "1/0", env);
	record_wait(r);
	ck_assert_int_eq(r->how, EXEC_ERROR);
	record_free(r);
	kernels_expect(c, "print(os.environ['A'])", "base\n");
}

START_TEST(test_env_of_one_execution)
{
	struct context *c = kernels_python();

	kernels_expect(c, "'its environment is complete when it starts'", "");
	expect_env_of_one_execution(c);
}
END_TEST

START_TEST(test_env_reaches_running_kernels)
{
	static const char *const later[] = { "G=later", NULL };
	static const char *const call[] = { "G", "call", NULL };
	struct context *c = kernels_python();
	struct record *r;

	kernels_expect(c, "import os; print(os.environ.get('G'))", "None\n");
	ck_assert_int_eq(contexts_configure(kernels, NULL, NULL, later), 0);
	r = record_begin_env(c, "print(os.environ['G'])", call);
	record_wait(r);
	ck_assert_str_eq(record_out(r), "call\n");
	record_free(r);
	kernels_expect(c, "print(os.environ['G'])", "later\n");
	kernels_restart(c);
	kernels_expect(c, "import os; print(os.environ['G'])", "later\n");
}
END_TEST

START_TEST(test_cwd)
{
	char dir[128], text[320];
	struct context *c = kernels_python();

	ck_assert_str_eq(context_cwd(c), kernels_dir.path);
	(void)tmpdir_at(&kernels_dir, "sub", dir);
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	c = kernels_create(" Python", dir);
	ck_assert_str_eq(context_language(c), "python");
	ck_assert_str_eq(context_cwd(c), dir);
	kernels_expect(c, "import os; print(os.path.basename(os.getcwd()))", "sub\n");
	ck_assert_int_eq(kernels_create_fails("python", "/no/such/dir", text), -EINVAL);
	ck_assert_str_eq(text, "directory '/no/such/dir' does not exist");
	ck_assert_int_eq(kernels_create_fails("python", "relative", text), -EINVAL);
	ck_assert_int_eq(kernels_create_fails("cobol", NULL, text), -EINVAL);
	ck_assert_str_eq(text, "No kernel for language 'cobol' in this sandbox");
	ck_assert_ptr_null(contexts_language(kernels, "cobol", NULL));
	ck_assert_str_eq(contexts_language(kernels, "\tPYTHON ", NULL), "python");
}
END_TEST

struct two {
	struct context *first, *second;
	bool done;
};

static void on_default(const struct err *err, struct context *c, void *arg)
{
	struct two *t = arg;

	ck_assert_ptr_null(err);
	t->done = t->first != NULL;
	*(t->first ? &t->second : &t->first) = c;
}

START_TEST(test_default_context)
{
	struct two t = { 0 };

	ck_assert_int_eq(context_default(kernels, "python", on_default, &t), 0);
	ck_assert_int_eq(context_default(kernels, "python", on_default, &t), 0);
	kernels_until(&t.done);
	ck_assert_ptr_eq(t.first, t.second);
	t = (struct two){ .first = t.first };
	ck_assert_int_eq(context_default(kernels, "python", on_default, &t), 0);
	kernels_until(&t.done);
	ck_assert_ptr_eq(t.first, t.second);
	ck_assert_ptr_eq(contexts_at(kernels, 0), t.first);
	ck_assert_ptr_null(contexts_at(kernels, 1));
}
END_TEST

static int silent_code;
static bool silent_done;

static void on_silent(const struct err *err, struct context *c, void *arg)
{
	ck_assert_ptr_nonnull(c);
	silent_code = err ? err->code : 0;
	silent_done = true;
}

static int run_silent(struct context *c, const char *code)
{
	silent_done = false;
	ck_assert_int_eq(context_run_silent(c, code, strlen(code), on_silent, NULL), 0);
	kernels_until(&silent_done);
	return silent_code;
}

START_TEST(test_silent_code)
{
	struct context *c = kernels_python();
	struct record *r;

	ck_assert_int_eq(run_silent(c, "w = 3; print('not seen')"), 0);
	ck_assert_int_eq(run_silent(c, "1/0"), -EIO);
	r = record_run(c, "print(w)");
	ck_assert_str_eq(record_out(r), "3\n");
	ck_assert_uint_eq(r->count, 1);
	record_free(r);
}
END_TEST

/* The kernel of a specification of our own in place of the installed one. */
static struct context *kernel_of_spec(const char *spec)
{
	kernels_add_spec("own", spec);
	kernels_use_specs();
	return kernels_python();
}

START_TEST(test_tcp_kernels)
{
	struct context *c = kernel_of_spec(
	    "{\"argv\": [\"/usr/bin/python3\", \"-m\", \"ipykernel_launcher\", \"-f\", "
	    "\"{connection_file}\"], \"language\": \"python\", "
	    "\"metadata\": {\"sandglass\": {\"transport\": \"tcp\"}}, \"env\": {\"S\": \"spec\"}}");

	kernels_expect(c, "import os; print(os.environ['S'])", "spec\n");
}
END_TEST

/* One that is started by other means than ours takes nothing along: code does it. */
START_TEST(test_env_of_plain_kernels)
{
	struct context *c = kernel_of_spec(
	    "{\"argv\": [\"/usr/bin/python3\", \"-c\", \"import ipykernel.kernelapp as a; "
	    "a.launch_new_instance()\", \"-f\", \"{connection_file}\"], \"language\": \"python\"}");

	kernels_expect(c, "1", "");
	ck_assert(!context_reseed(c));
	expect_env_of_one_execution(c);
}
END_TEST

START_TEST(test_seeds_go_along)
{
	struct context *c = kernels_python();
	const char *draw = "print(random.random() == 0.13436424411240122)";

	kernels_expect(c, "import random; random.seed(1)", "");
	kernels_expect(c, draw, "True\n");
	kernels_expect(c, "random.seed(1)", "");
	ck_assert(context_reseed(c));
	kernels_expect(c, draw, "False\n");
	kernels_expect(c, "random.seed(1)", ""); /* once only */
	kernels_expect(c, draw, "True\n");
	kernels_expect(
	    c, "import ssl; got = []; ssl.RAND_add = lambda b, n: got.append((len(b), n))", "");
	ck_assert(context_reseed(c));
	kernels_expect(c, "print(got)", "[(32, 32.0)]\n");
}
END_TEST

void add_basic_tests(Suite *s)
{
	TCase *tc = test_case(s, "basic", 60);

	tcase_add_checked_fixture(tc, kernels_setup, kernels_teardown);
	tcase_add_test(tc, test_results_and_counts);
	tcase_add_test(tc, test_errors);
	tcase_add_test(tc, test_output_arrives_while_code_runs);
	tcase_add_test(tc, test_output_arrives_while_the_interpreter_is_held);
	tcase_add_test(tc, test_partial_lines_and_flush);
	tcase_add_test(tc, test_lines_stay_whole);
	tcase_add_test(tc, test_subprocess_output);
	tcase_add_test(tc, test_odd_text);
	tcase_add_test(tc, test_await_and_threads);
	tcase_add_test(tc, test_queue_keeps_order);
	tcase_add_test(tc, test_contexts_run_in_parallel);
	tcase_add_test(tc, test_env_of_one_execution);
	tcase_add_test(tc, test_env_reaches_running_kernels);
	tcase_add_test(tc, test_cwd);
	tcase_add_test(tc, test_default_context);
	tcase_add_test(tc, test_silent_code);
	tcase_add_test(tc, test_tcp_kernels);
	tcase_add_test(tc, test_env_of_plain_kernels);
	tcase_add_test(tc, test_seeds_go_along);
}
