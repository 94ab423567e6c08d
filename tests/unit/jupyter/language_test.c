/* SPDX-License-Identifier: Apache-2.0 */
/* Other kernels than IPython's: our own for bash, and a made-up one with habits of others. */
#include "kernels.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

/* ---- bash ---- */

START_TEST(test_bash_output_and_status)
{
	struct context *c = kernels_create("sh", NULL);
	struct record *r;

	ck_assert_str_eq(context_language(c), "bash");
	r = record_run(c, "echo out; echo err >&2; printf 'no end'");
	ck_assert_int_eq(r->how, EXEC_OK);
	ck_assert_str_eq(record_out(r), "out\nno end");
	ck_assert_str_eq(record_err(r), "err\n");
	ck_assert_uint_eq(r->count, 1);
	record_free(r);
	r = record_run(c, "false");
	ck_assert_int_eq(r->how, EXEC_ERROR);
	ck_assert_str_eq(r->error, "ExitStatus");
	ck_assert_str_eq(r->value, "1");
	record_free(r);
	r = record_run(c, "return 7; echo never");
	ck_assert_str_eq(record_order(r), "bx$");
	ck_assert_str_eq(r->value, "7");
	record_free(r);
}
END_TEST

START_TEST(test_bash_keeps_state)
{
	struct context *c = kernels_create("bash", NULL);

	kernels_expect(c, "x='a b'; f() { echo \"f $1\"; }; alias g='f of'; mkdir d; cd d", "");
	kernels_expect(c, "echo \"$x\"; f 1\ng\nbasename \"$PWD\"", "a b\nf 1\nf of\nd\n");
	kernels_expect(c, "cat <<-X\n\t\xc3\xbc '$x' \\\\ !!\n\tX\n", "\xc3\xbc 'a b' \\ !!\n");
	kernels_expect(c, "read -r y; echo \"[$y]\"", "[]\n");
	kernels_expect(c, "PS1='prompt> ' PS2='more> ' PROMPT_COMMAND='echo command'", "");
	kernels_expect(c, "seq 50000 | tail -n 1; sleep 60 & true", "50000\n");
	kernels_expect(c, "kill %1; ls /proc/self/fd | wc -l", "4\n");
}
END_TEST

/* Incomplete code must not wait for the rest of it, nor take the next cell for it. */
START_TEST(test_bash_incomplete_code)
{
	static const char *const codes[] = { "if true; then", "echo 'x", "echo $(", "cat <(", "{",
		"echo x |" };
	struct context *c = kernels_create("bash", NULL);

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct record *r = record_run(c, codes[i]);

		ck_assert_msg(r->how == EXEC_ERROR, "%s", codes[i]);
		ck_assert_ptr_nonnull(strstr(record_err(r), "cell: line "));
		record_free(r);
		kernels_expect(c, "echo next", "next\n");
	}
}
END_TEST

static void interrupt(struct record *r)
{
	exec_interrupt(r->exec, EXEC_INTERRUPTED);
}

START_TEST(test_bash_interrupt)
{
	static const char *const codes[] = { "echo go; sleep 60; echo never",
		"echo go; while :; do sleep 0.01; done; echo never", "echo go; while :; do :; done",
		"echo go; cat <(sleep 60)", "f() { sleep 60; f; }; echo go; f; echo never" };
	struct context *c = kernels_create("bash", NULL);

	kernels_expect(c, "x=kept", "");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct record *r = record_begin(c, codes[i]);

		r->on_first = interrupt;
		record_wait(r);
		ck_assert_msg(r->how == EXEC_INTERRUPTED, "%s: %s", codes[i], r->detail);
		ck_assert_str_eq(record_out(r), "go\n");
		ck_assert_str_eq(r->detail, "");
		record_free(r);
		kernels_expect(c, "echo $x", "kept\n");
	}
}
END_TEST

START_TEST(test_bash_that_exits)
{
	static const char *const codes[] = { "x=1; exit 4", "x=1; set -e; (exit 4); echo never",
		"x=1; exec sh -c 'exit 4'", "x=1; set -u; exit 4" };
	struct context *c = kernels_create("bash", NULL);

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct record *r = record_run(c, codes[i]);

		ck_assert_str_eq(r->error, "ExitStatus");
		ck_assert_str_eq(r->value, "4");
		ck_assert_str_eq(record_out(r), "");
		ck_assert_str_eq(
		    record_err(r), "bash exited with status 4; the next cell gets a new one\n");
		record_free(r);
		r = record_run(c, "echo \"[$x]\"");
		ck_assert_str_eq(record_out(r), "[]\n");
		ck_assert_str_eq(record_err(r), "");
		record_free(r);
	}
}
END_TEST

START_TEST(test_bash_env)
{
	static const char *const env[] = { "SG_A", "it's\n\"q\" $(x) \\", "SG_B", "2", NULL };
	struct context *c = kernels_create("bash", NULL);
	struct record *r;

	kernels_expect(c, "export SG_B=old", "");
	r = record_begin_env(c, "printenv SG_A; echo $SG_B", env);
	record_wait(r);
	ck_assert_str_eq(record_out(r), "it's\n\"q\" $(x) \\\n2\n");
	record_free(r);
	kernels_expect(c, "echo \"${SG_A-unset} $SG_B\"", "unset old\n");
}
END_TEST

/* ---- a kernel with the habits of others ---- */

/* TCP only, tracebacks in lines, interrupts by message, some errors told in the reply alone. */
static const char odd_kernel[] =
    "import sys\n"
    "from ipykernel.kernelapp import IPKernelApp\n"
    "from ipykernel.kernelbase import Kernel\n"
    "class Odd(Kernel):\n"
    "    implementation = banner = 'odd'\n"
    "    implementation_version = '1'\n"
    "    language_info = {'name': 'r', 'mimetype': 'x', 'file_extension': '.r'}\n"
    "    def do_execute(self, code, silent, *args, **kwargs):\n"
    "        error = {'ename': code, 'evalue': code, 'traceback': ['one', 'two']}\n"
    "        if code.startswith('loud'):\n"
    "            self.send_response(self.iopub_socket, 'error', error)\n"
    "        return dict(error, status='error', execution_count=self.execution_count)\n"
    "IPKernelApp.launch_instance(kernel_class=Odd)\n";

static struct context *odd_context(void)
{
	static const char spec[] = "{\"argv\": [\"/usr/bin/python3\", \"{resource_dir}/odd.py\", "
				   "\"-f\", \"{connection_file}\"], \"language\": \"R\"}";

	kernels_add_spec("odd", spec);
	tmpdir_write(&kernels_dir, "kernels/odd/odd.py", odd_kernel);
	kernels_use_specs();
	return kernels_create("R", NULL);
}

START_TEST(test_errors_of_other_kernels)
{
	static const struct {
		const char *code, *name, *value;
	} cases[] = {
		{ "loud", "loud", "loud" },
		{ "quiet", "quiet", "quiet" },
		{ "loudError: no good: 1", "loudError", "no good: 1" },
		{ "Two words: x", "Two words: x", "Two words: x" },
	};
	struct context *c = odd_context();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record *r = record_run(c, cases[i].code);

		ck_assert_str_eq(record_order(r), "bx$");
		ck_assert_int_eq(r->how, EXEC_ERROR);
		ck_assert_str_eq(r->error, cases[i].name);
		ck_assert_str_eq(r->value, cases[i].value);
		ck_assert_str_eq(buf_cstr(&r->traceback), "one\ntwo");
		record_free(r);
	}
}
END_TEST

void add_language_tests(Suite *s)
{
	TCase *tc = test_case(s, "language", 60);

	tcase_add_checked_fixture(tc, kernels_setup, kernels_teardown);
	tcase_add_test(tc, test_bash_output_and_status);
	tcase_add_test(tc, test_bash_keeps_state);
	tcase_add_test(tc, test_bash_incomplete_code);
	tcase_add_test(tc, test_bash_interrupt);
	tcase_add_test(tc, test_bash_that_exits);
	tcase_add_test(tc, test_bash_env);
	tcase_add_test(tc, test_errors_of_other_kernels);
}
