/* SPDX-License-Identifier: Apache-2.0 */
/* Kernelspecs, languages, and the counter of memory kills. */
#include "jupyter_tests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/kernelspec.h"
#include "guest-kernel-agent/system/environ.h"
#include "guest-kernel-agent/jupyter/language.h"
#include "guest-kernel-agent/system/counter.h"
#include "guest-kernel-agent/system/oom.h"

static int parse(const char *text, struct kernelspec *ret)
{
	struct err err = ERR_INIT;
	int r = kernelspec_parse(text, strlen(text), "/dir", "/py", ret, &err);

	ck_assert((r < 0) == (err.code != 0));
	return r;
}

START_TEST(test_python_spec)
{
	struct kernelspec s;
	char **argv;

	ck_assert_int_eq(parse("{\"argv\": [\"/usr/bin/python3\", \"-m\", \"ipykernel_launcher\", "
			       "\"-f\", \"{connection_file}\"], \"language\": \"Python\"}",
			     &s),
	    0);
	argv = kernelspec_argv(&s, "/c.json");
	ck_assert_str_eq(argv[0], "/usr/bin/python3");
	ck_assert_str_eq(argv[1], "/py/sandglass_kernel.py");
	ck_assert_str_eq(argv[2], "-f");
	ck_assert_str_eq(argv[3], "/c.json");
	ck_assert_ptr_null(argv[4]);
	ck_assert(!s.tcp);
	ck_assert(!s.interrupt_by_message);
	environ_free(argv);
	kernelspec_fini(&s);
}
END_TEST

START_TEST(test_other_specs)
{
	struct kernelspec s;
	char **argv;

	ck_assert_int_eq(
	    parse("{\"argv\": [\"R\", \"--a={connection_file}\", \"{resource_dir}/x\"], "
		  "\"language\": \"R\", \"interrupt_mode\": \"message\", "
		  "\"env\": {\"A\": \"b\"}}",
		&s),
	    0);
	argv = kernelspec_argv(&s, "/c");
	ck_assert_str_eq(argv[1], "--a=/c");
	ck_assert_str_eq(argv[2], "/dir/x");
	ck_assert(s.tcp);
	ck_assert(s.interrupt_by_message);
	ck_assert_str_eq(s.language, "r");
	environ_free(argv);
	kernelspec_fini(&s);
	ck_assert_int_eq(parse("{\"argv\": [\"x\"], \"language\": \"cobol\"}", &s), 1);
	ck_assert_int_eq(parse("{\"argv\": [\"x\"], \"language\": \"bash\", \"metadata\": "
			       "{\"sandglass\": {\"transport\": \"tcp\"}}}",
			     &s),
	    0);
	ck_assert(s.tcp);
	kernelspec_fini(&s);
}
END_TEST

START_TEST(test_bad_specs)
{
	static const char *const texts[] = { "", "[]", "{}", "{\"argv\": [\"x\"]}",
		"{\"language\": \"python\"}", "{\"argv\": [], \"language\": \"python\"}",
		"{\"argv\": [1], \"language\": \"python\"}",
		"{\"argv\": \"x\", \"language\": \"r\"}",
		"{\"argv\": [\"x\"], \"language\": \"python\", \"env\": {\"a\": 1}}",
		"{\"argv\": [\"x\"], \"language\": 7}" };
	struct kernelspec s;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(parse(texts[i], &s) < 0, "%s", texts[i]);
}
END_TEST

START_TEST(test_missing_kernels)
{
	struct err err = ERR_INIT;

	ck_assert_int_eq(language_missing("R", &err), -EINVAL);
	ck_assert_str_eq(err_text(&err), "No kernel for language 'R' in this sandbox: the template "
					 "lacks r-cran-irkernel (Debian)");
	err_reset(&err);
	ck_assert_int_eq(language_missing("cobol", &err), -EINVAL);
	ck_assert_str_eq(err_text(&err), "No kernel for language 'cobol' in this sandbox");
	err_reset(&err);
}
END_TEST

START_TEST(test_names)
{
	ck_assert_str_eq(language_find("js")->name, "javascript");
	ck_assert_str_eq(language_find(" TS\n")->name, "typescript");
	ck_assert_str_eq(language_find("R")->name, "r");
	ck_assert_ptr_null(language_find(""));
	ck_assert_ptr_null(language_find("python2"));
	ck_assert_ptr_null(language_find("an extremely long name of a language that nobody has"));
	ck_assert(!language_env_name_ok(""));
	ck_assert(!language_env_name_ok("a=b"));
}
END_TEST

/* Run code with a program, and return what it prints. */
static char *run(const char *program, const char *args, struct buf *code, struct buf *out)
{
	char path[] = "/tmp/sandglass-test-XXXXXX", command[256];
	int fd = mkstemp(path);
	FILE *p;
	char chunk[512];
	size_t n;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_all(fd, buf_data(code), buf_len(code)), 0);
	(void)fd_close(fd);
	(void)snprintf(command, sizeof(command), "%s %s %s 2>&1", program, args, path);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	while ((n = fread(chunk, 1, sizeof(chunk), p)) > 0)
		ck_assert_int_eq(buf_append(out, chunk, n), 0);
	(void)pclose(p);
	(void)remove(path);
	return buf_cstr(out);
}

#define NASTY "it's \"q\" \\ $(x) `y`\n\t{} \xe2\x82\xac \xf0\x9f\x98\x80"

static void check_env(const char *language, const char *program, const char *args,
    const char *before, const char *show)
{
	const struct language *lang = language_find(language);
	CLEAN_BUF struct buf code = BUF_INIT, out = BUF_INIT;
	json_t *vars = json_pack("{s:s, s:s}", "SG_A", NASTY, "SG_NEW", "2");

	ck_assert_int_eq(buf_append_str(&code, before), 0);
	ck_assert_int_eq(lang->env_enter(&code, vars), 0);
	ck_assert_int_eq(buf_append_str(&code, show), 0);
	ck_assert_int_eq(lang->env_leave(&code, vars), 0);
	ck_assert_int_eq(buf_append_str(&code, show), 0);
	json_decref(vars);
	ck_assert_str_eq(run(program, args, &code, &out), "[" NASTY "][2]\n[old][]\n");
}

START_TEST(test_env_of_bash)
{
	check_env("bash", "bash", "", "SG_A=old\n", "printf '[%s][%s]\\n' \"$SG_A\" \"$SG_NEW\"\n");
}
END_TEST

START_TEST(test_env_of_javascript)
{
	if (access("/usr/bin/node", X_OK) != 0) {
		(void)puts("skipped: env of javascript: /usr/bin/node is not installed");
		return;
	}
	check_env("js", "/usr/bin/node", "", "process.env.SG_A = 'old';\n",
	    "console.log(`[${process.env.SG_A}][${process.env.SG_NEW ?? ''}]`);\n");
}
END_TEST

/* Java and R: that no value can leave its literal. */
START_TEST(test_literals)
{
	static const char *const names[] = { "java", "r", "typescript", "python" };
	json_t *vars = json_pack("{s:s}", "K", "a\"b\\c\nd");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CLEAN_BUF struct buf code = BUF_INIT;

		ck_assert_int_eq(language_find(names[i])->env_enter(&code, vars), 0);
		ck_assert_ptr_nonnull(strstr(buf_cstr(&code), "\"a\\\"b\\\\c\\nd\""));
		ck_assert_ptr_nonnull(strstr(buf_cstr(&code), "\"K\""));
		ck_assert_ptr_eq(
		    strchr(buf_cstr(&code), '\n'), buf_cstr(&code) + buf_len(&code) - 1);
		buf_reset(&code);
		ck_assert_int_eq(language_find(names[i])->env_leave(&code, vars), 0);
		ck_assert_uint_gt(buf_len(&code), 0);
	}
	json_decref(vars);
}
END_TEST

static uint64_t counter_in(const char *text)
{
	uint64_t n = 99;
	return counter_parse(text, "oom_kill", &n) == 0 ? n : 99;
}

START_TEST(test_oom_counter)
{
	struct oom_watch w;

	ck_assert_uint_eq(counter_in("low 0\nhigh 0\nmax 3\noom 2\noom_kill 7\n"), 7);
	ck_assert_uint_eq(counter_in("oom_kill_disable 1\nunder_oom 0\noom_kill 12"), 12);
	ck_assert_uint_eq(counter_in("nr_free_pages 1\noom_kill 4\n"), 4);
	ck_assert_uint_eq(counter_in(""), 99);
	ck_assert_uint_eq(counter_in("oom_kill_disable 1\n"), 99);
	ck_assert_uint_eq(counter_in("oom_kill "), 0);
	oom_watch_init(&w, NULL);
	ck_assert(oom_watch_has_counter(&w)); /* at least that of /proc/vmstat */
	oom_watch_fini(&w);
	oom_watch_init(&w, "/dev/null");
	ck_assert(!oom_watch_has_counter(&w));
	ck_assert(!oom_watch_grew(&w, 0));
	oom_watch_fini(&w);
}
END_TEST

static void write_counter(const char *path, unsigned n)
{
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_gt(fprintf(f, "oom 9\noom_kill %u\n", n), 0);
	ck_assert_int_eq(fclose(f), 0);
}

/* What is counted before a victim began is not about it, nor is what was seen long before. */
START_TEST(test_oom_counter_grows)
{
	char path[] = "/tmp/sandglass-oom-XXXXXX";
	struct oom_watch w;
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	write_counter(path, 3);
	oom_watch_init(&w, path);
	uint64_t first = oom_watch_count(&w);
	ck_assert_uint_eq(first, 3);
	ck_assert(!oom_watch_grew(&w, first));
	write_counter(path, 4);
	ck_assert(oom_watch_grew(&w, first));
	ck_assert(oom_watch_grew(&w, first)); /* for each that began before */
	ck_assert(!oom_watch_grew(&w, oom_watch_count(&w)));
	w.seen_ms -= OOM_RECENT_MS + 1;
	ck_assert(!oom_watch_grew(&w, first));
	write_counter(path, 5);
	ck_assert(oom_watch_grew(&w, first));
	oom_watch_fini(&w);
	(void)unlink(path);
}
END_TEST

void add_spec_tests(Suite *s)
{
	TCase *tc = test_case(s, "spec", 20);

	tcase_add_test(tc, test_python_spec);
	tcase_add_test(tc, test_other_specs);
	tcase_add_test(tc, test_bad_specs);
	tcase_add_test(tc, test_missing_kernels);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_env_of_bash);
	tcase_add_test(tc, test_env_of_javascript);
	tcase_add_test(tc, test_literals);
	tcase_add_test(tc, test_oom_counter);
	tcase_add_test(tc, test_oom_counter_grows);
}
