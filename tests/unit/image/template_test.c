/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "image/yaml.h"
#include "image_tests.h"
#include "lib/tmpdir.h"

static struct template *read_text(const char *text, struct err *err)
{
	struct yaml_doc *d = yaml_doc_parse("t.yaml", text, strlen(text), err);
	struct template *t = d ? template_read(yaml_doc_root(d), err) : NULL;
	(void)yaml_doc_free(d);
	return t;
}

START_TEST(defaults)
{
	struct err err = ERR_INIT;
	struct template *t = read_text("name: x\n", &err);
	ck_assert_msg(t != NULL, "%s", err.text);
	ck_assert_str_eq(t->name, "x");
	ck_assert_str_eq(t->build.bases[0], "host");
	ck_assert_ptr_null(t->build.bases[1]);
	ck_assert_str_eq(t->user, "user");
	ck_assert_str_eq(t->workdir, "/home/user");
	ck_assert_str_eq(t->description, "");
	ck_assert_ptr_null(t->env[0]);
	ck_assert_ptr_null(t->kernels[0]);
	ck_assert_uint_eq(t->cpu_milli, 2000);
	ck_assert_uint_eq(t->memory_bytes, 1u << 30);
	ck_assert_uint_eq(t->pool_size, 0);
	ck_assert_uint_eq(t->timeout_default_s, 300);
	ck_assert(t->internet);
	(void)template_free(t);
}
END_TEST

static const char rich[] = "name: py\n"
			   "aliases: [python, snake]\n"
			   "description: text\n"
			   "base: host\n"
			   "user: me\n"
			   "workdir: /srv/work\n"
			   "env: {A: 1, B: two words}\n"
			   "kernels: [python, c++]\n"
			   "resources: {cpus: 0.5, memory: 256MiB, disk: 1GiB, pids: 64}\n"
			   "network: {internet: false}\n"
			   "pool: {size: 3, max: 4}\n"
			   "timeout: {default: 60, max: 600}\n"
			   "history: {seconds: 60, count: 7, size: 3MiB}\n";

START_TEST(every_key)
{
	struct err err = ERR_INIT;
	struct template *t = read_text(rich, &err), *u = read_text("name: py\n", &err);
	ck_assert_msg(t && u, "%s", err.text);
	ck_assert_str_eq(t->aliases[1], "snake");
	ck_assert_str_eq(t->env[1], "B=two words");
	ck_assert_str_eq(t->kernels[1], "c++");
	ck_assert_uint_eq(t->cpu_milli, 500);
	ck_assert_uint_eq(t->memory_bytes, 256u << 20);
	ck_assert_uint_eq(t->disk_bytes, 1u << 30);
	ck_assert_uint_eq(t->max_pids, 64);
	ck_assert(!t->internet);
	ck_assert_uint_eq(t->pool_size, 3);
	ck_assert_uint_eq(t->pool_max, 4);
	ck_assert_uint_eq(t->timeout_max_s, 600);
	ck_assert_uint_eq(t->history_s, 60);
	ck_assert_uint_eq(t->history_count, 7);
	ck_assert_uint_eq(t->history_bytes, 3u << 20);
	ck_assert_uint_eq(u->history_s, 3600);
	/* the id is the name's, the hash the content's */
	ck_assert_uint_eq(strlen(t->id), 20);
	ck_assert_str_eq(t->id, u->id);
	ck_assert_uint_eq(strlen(t->hash), 64);
	ck_assert_str_ne(t->hash, u->hash);
	(void)template_free(t);
	(void)template_free(u);
}
END_TEST

#define NAME_FORM "a name: a lower-case letter or digit, then up to 62 of a-z 0-9 - _"

#define BASE_FORM                                                                  \
	"\"host\", \"debian:SUITE\", \"oci:REFERENCE\", \"oci:dir:/PATH[:TAG]\", " \
	"\"dir:/PATH\" or \"tar:/PATH\""
#define BUILT "name: x\nbase: debian:bookworm\n"

static const struct {
	const char *text, *error;
} bad[] = {
	{ "", "t.yaml:1: the key \"name\" is missing" },
	{ "user: x\n", "t.yaml:1: the key \"name\" is missing" },
	{ "name: -x\n", "t.yaml:1: name: expected " NAME_FORM },
	{ "name: X\n", "t.yaml:1: name: expected " NAME_FORM },
	{ "name: a/b\n", "t.yaml:1: name: expected " NAME_FORM },
	{ "name: ''\n", "t.yaml:1: name: expected " NAME_FORM },
	{ "name: a234567890123456789012345678901234567890123456789012345678901234\n",
	    "t.yaml:1: name: expected a text of 0 to 63 bytes" },
	{ "name: x\naliases: [ok, No]\n", "t.yaml:2: aliases[1]: expected " NAME_FORM },
	{ "name: x\nbase: alpine\n", "t.yaml:2: base: expected " BASE_FORM },
	{ "name: x\nbase: [host, 'debian:../x']\n", "t.yaml:2: base[1]: expected " BASE_FORM },
	{ "name: x\nbase: oci:-v\n", "t.yaml:2: base: expected " BASE_FORM },
	{ "name: x\nbase: dir:/a/../etc\n", "t.yaml:2: base: expected " BASE_FORM },
	{ "name: x\nbase: tar:x.tar\n", "t.yaml:2: base: expected " BASE_FORM },
	{ "name: x\nbase: []\n", "t.yaml:2: base: expected 1 to 8 entries" },
	{ "name: x\nbase: {a: b}\n", "t.yaml:2: base: expected " BASE_FORM },
	{ "name: x\npackages: {apt: [curl]}\n",
	    "t.yaml:2: packages: base \"host\" shows the host as it is; expected a base that is "
	    "built too, such as base: [host, debian:bookworm]" },
	{ BUILT "packages: {apt: [--purge]}\n",
	    "t.yaml:3: packages.apt[0]: expected the name of a Debian package" },
	{ BUILT "packages: {pip: ['--index-url=x']}\n",
	    "t.yaml:3: packages.pip[0]: expected a requirement as pip takes it, no option" },
	{ BUILT "packages: {npm: [\"a\\nb\"]}\n",
	    "t.yaml:3: packages.npm[0]: expected a package as npm takes it, no option" },
	{ BUILT "packages: {gem: [x]}\n",
	    "t.yaml:3: packages.gem: unknown key; did you mean \"npm\"?" },
	{ BUILT "run: make\n", "t.yaml:3: run: expected a list" },
	{ BUILT "run: ['']\n", "t.yaml:3: run[0]: expected a command for /bin/sh" },
	{ BUILT "files: {path: /x}\n", "t.yaml:3: files: expected a list" },
	{ BUILT "files: [{content: x}]\n", "t.yaml:3: files[0]: the key \"path\" is missing" },
	{ BUILT "files:\n- path: /x\n",
	    "t.yaml:4: files[0]: expected one of \"content\" and \"source\"" },
	{ BUILT "files: [{path: /x, content: y, source: z}]\n",
	    "t.yaml:3: files[0]: expected one of \"content\" and \"source\"" },
	{ BUILT "files: [{path: x, content: y}]\n",
	    "t.yaml:3: files[0].path: expected a text of 2 to 1024 bytes" },
	{ BUILT "files: [{path: /a/, content: y}]\n",
	    "t.yaml:3: files[0].path: expected an absolute path without empty, \".\" or \"..\" "
	    "components" },
	{ BUILT "files: [{path: /x, source: ../y}]\n",
	    "t.yaml:3: files[0].source: expected a path relative to the template's directory, "
	    "without \"..\"" },
	{ BUILT "files: [{path: /x, content: y, mode: 888}]\n",
	    "t.yaml:3: files[0].mode: expected permissions in octal, such as 0644" },
	{ BUILT "files: [{path: /x, content: y, owner: 'a:b:c'}]\n",
	    "t.yaml:3: files[0].owner: expected a user and perhaps a group, such as user:user or "
	    "1000" },
	{ "name: x\nuser: 0root\n", "t.yaml:2: user: expected a user name" },
	{ "name: x\nworkdir: home\n", "t.yaml:2: workdir: expected an absolute path without empty, "
				      "\".\" or \"..\" components" },
	{ "name: x\nworkdir: /a/../b\n", "t.yaml:2: workdir: expected an absolute path without "
					 "empty, \".\" or \"..\" components" },
	{ "name: x\nworkdir: /a//b\n", "t.yaml:2: workdir: expected an absolute path without "
				       "empty, \".\" or \"..\" components" },
	{ "name: x\nenv: {1A: b}\n",
	    "t.yaml:2: env.1A: expected an environment variable's name as key" },
	{ "name: x\nenv: {A=B: b}\n",
	    "t.yaml:2: env.A=B: expected an environment variable's name as key" },
	{ "name: x\nkernels: python\n", "t.yaml:2: kernels: expected a list" },
	{ "name: x\nkernels: [Python 3]\n",
	    "t.yaml:2: kernels[0]: expected a language in lower case, such as python" },
	{ "name: x\nresources:\n  memry: 1GiB\n",
	    "t.yaml:3: resources.memry: unknown key; did you mean \"memory\"?" },
	{ "name: x\nresources:\n  memory: 1GB\n",
	    "t.yaml:3: resources.memory: expected a size with a unit (B, KiB, MiB, GiB, TiB) from "
	    "64MiB to 1TiB" },
	{ "name: x\nresources:\n  cpus: 0\n",
	    "t.yaml:3: resources.cpus: expected a number from 0.1 to 256 with at most three "
	    "decimals" },
	{ "name: x\nresources:\n  pids: 8\n",
	    "t.yaml:3: resources.pids: expected an integer from 32 to 4194304" },
	{ "name: x\nnetwork: {internet: on}\n",
	    "t.yaml:2: network.internet: expected true or false" },
	{ "name: x\npool: {size: 1001}\n",
	    "t.yaml:2: pool.size: expected an integer from 0 to 1000" },
	{ "name: x\npool: {size: 30}\n", "t.yaml:2: pool: size 30 is larger than max 20" },
	{ "name: x\ntimeout: {default: 0}\n",
	    "t.yaml:2: timeout.default: expected an integer from 1 to 31536000" },
	{ "name: x\ntimeout:\n  max: 10\n",
	    "t.yaml:3: timeout: default 300 is larger than max 10" },
	{ "name: x\ntiemout: {max: 10}\n",
	    "t.yaml:2: tiemout: unknown key; did you mean \"timeout\"?" },
};

static const char built[] = "name: py\n"
			    "base: [host, 'debian:bookworm']\n"
			    "packages:\n"
			    "  apt: [python3, libfoo:amd64=1.2~x]\n"
			    "  pip: ['pandas>=2,<3']\n"
			    "  npm: ['@a/b@1']\n"
			    "files:\n"
			    "- {path: /etc/motd, content: hello, mode: 0600, owner: user:1000}\n"
			    "- {path: /opt/x, source: more/x.bin}\n"
			    "run:\n"
			    "- |\n"
			    "  a\n"
			    "  b\n";

START_TEST(what_is_built)
{
	struct err err = ERR_INIT;
	struct template *t = read_text(built, &err);
	ck_assert_msg(t != NULL, "%s", err.text);
	ck_assert_str_eq(template_base(t, true), "host");
	ck_assert_str_eq(template_base(t, false), "debian:bookworm");
	ck_assert_str_eq(t->build.apt[1], "libfoo:amd64=1.2~x");
	ck_assert_str_eq(t->build.pip[0], "pandas>=2,<3");
	ck_assert_str_eq(t->build.npm[0], "@a/b@1");
	ck_assert_uint_eq(t->build.n_files, 2);
	ck_assert_str_eq(t->build.files[0].content, "hello");
	ck_assert_uint_eq(t->build.files[0].mode, 0600);
	ck_assert_str_eq(t->build.files[0].owner, "user:1000");
	ck_assert_str_eq(t->build.files[1].source, "more/x.bin");
	ck_assert_uint_eq(t->build.files[1].mode, 0644);
	ck_assert_str_eq(t->build.files[1].owner, "root");
	ck_assert_str_eq(t->build.run[0], "a\nb\n");
	(void)template_free(t);
	t = read_text("name: x\n", &err);
	ck_assert_ptr_null(template_base(t, false));
	(void)template_free(t);
}
END_TEST

static const char *const bases[] = { "host", "debian:trixie", "oci:alpine",
	"oci:registry.example:5000/a/b:1.2", "oci:python@sha256:0123", "oci:dir:/srv/layout:tag",
	"dir:/srv/root", "tar:/srv/root.tar.gz" };

START_TEST(good_bases)
{
	struct err err = ERR_INIT;
	char text[128];
	(void)snprintf(text, sizeof(text), "name: x\nbase: '%s'\n", bases[_i]);
	struct template *t = read_text(text, &err);
	ck_assert_msg(t != NULL, "%s", err.text);
	ck_assert_str_eq(template_base(t, true), bases[_i]);
	(void)template_free(t);
}
END_TEST

/* Every build input is part of the hash. */
START_TEST(builds_differ)
{
	static const char *const more[] = { "", "packages: {apt: [a]}\n", "packages: {pip: [a]}\n",
		"packages: {npm: [a]}\n", "run: [a]\n", "files: [{path: /a, content: b}]\n",
		"files: [{path: /a, source: b}]\n", "files: [{path: /a, content: b, mode: 1}]\n",
		"files: [{path: /a, content: b, owner: c}]\n" };
	char hash[sizeof(more) / sizeof(more[0])][65];
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		struct err err = ERR_INIT;
		char text[128];
		(void)snprintf(text, sizeof(text), BUILT "%s", more[i]);
		struct template *t = read_text(text, &err);
		ck_assert_msg(t != NULL, "%s", err.text);
		(void)str_copy(hash[i], sizeof(hash[i]), t->hash);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(hash[i], hash[k]);
		(void)template_free(t);
	}
}
END_TEST

START_TEST(errors)
{
	struct err err = ERR_INIT;
	ck_assert_ptr_null(read_text(bad[_i].text, &err));
	ck_assert_int_eq(err.code, -EINVAL);
	ck_assert_str_eq(err.text, bad[_i].error);
}
END_TEST

START_TEST(a_directory)
{
	struct tmpdir dir;
	struct err err = ERR_INIT;
	tmpdir_make(&dir);
	tmpdir_write(&dir, "b.yaml", "name: second\n");
	tmpdir_write(&dir, "a.yaml", rich);
	tmpdir_write(&dir, ".hidden.yaml", "bad: 1\n");
	tmpdir_write(&dir, "notes.txt", "bad: 1\n");
	struct templates *ts = templates_load(dir.path, &err);
	ck_assert_msg(ts != NULL, "%s", err.text);
	ck_assert_uint_eq(templates_count(ts), 2);
	const struct template *py = templates_at(ts, 0);
	ck_assert_str_eq(py->name, "py");
	ck_assert_ptr_null(templates_at(ts, 2));
	const char *good[] = { "py", "snake", "PY", "py:default", "acme/py", "acme/snake:default",
		py->id };
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(templates_find(ts, good[i]) == py, "%s", good[i]);
	const char *unknown[] = { "", "other", "py:v2", "a/b/py", "/py", "py/", "py:", ":default" };
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		ck_assert_msg(!templates_find(ts, unknown[i]), "%s", unknown[i]);
	ck_assert_ptr_null(templates_find(ts, NULL));
	(void)templates_free(ts);
	tmpdir_remove(&dir);
}
END_TEST

START_TEST(names_are_unique)
{
	static const struct {
		const char *a, *b, *error;
	} pairs[] = {
		{ "name: x\n", "\nname: x\n",
		    "b.yaml:2: name: \"x\" already stands for template x" },
		{ "name: x\naliases: [y]\n", "name: z\naliases:\n- w\n- y\n",
		    "b.yaml:4: aliases[1]: \"y\" already stands for template x" },
		{ "name: x\n", "name: y\naliases: [y]\n",
		    "b.yaml:2: aliases[0]: \"y\" is given twice" },
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct tmpdir dir;
		struct err err = ERR_INIT;
		tmpdir_make(&dir);
		tmpdir_write(&dir, "a.yaml", pairs[i].a);
		tmpdir_write(&dir, "b.yaml", pairs[i].b);
		ck_assert_ptr_null(templates_load(dir.path, &err));
		ck_assert_str_eq(err.text + strlen(dir.path) + 1, pairs[i].error);
		tmpdir_remove(&dir);
	}
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	struct tmpdir dir;
	tmpdir_make(&dir);
	tmpdir_write(&dir, "a.yaml", rich);
	struct err err = ERR_INIT;
	ck_assert_ptr_null(templates_load("/nonexistent", &err));
	for (long n = 0;; n++) {
		err_reset(&err);
		mem_fail_after(n);
		struct templates *ts = templates_load(dir.path, &err);
		mem_fail_after(-1);
		if (ts) {
			(void)templates_free(ts);
			break;
		}
		ck_assert_int_eq(err.code, -ENOMEM);
		ck_assert_int_lt(n, 1000);
	}
	tmpdir_remove(&dir);
}
END_TEST

/* What is shipped must load. */
START_TEST(shipped_templates)
{
	const char *top = getenv("top_srcdir");
	char path[4096];
	struct err err = ERR_INIT;
	(void)snprintf(path, sizeof(path), "%s/templates", top ? top : TOP_SRCDIR);
	struct templates *ts = templates_load(path, &err);
	ck_assert_msg(ts != NULL, "%s", err.text);
	const struct template *ci = templates_find(ts, "code-interpreter");
	ck_assert_ptr_nonnull(ci);
	ck_assert_str_eq(ci->name, "code-interpreter-v1");
	ck_assert_str_eq(ci->kernels[0], "python");
	ck_assert_ptr_nonnull(templates_find(ts, "base"));
	(void)templates_free(ts);
}
END_TEST

void template_tests(Suite *s)
{
	TCase *tc = test_case(s, "template", 20);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, every_key);
	tcase_add_test(tc, what_is_built);
	tcase_add_test(tc, builds_differ);
	tcase_add_loop_test(tc, good_bases, 0, sizeof(bases) / sizeof(bases[0]));
	tcase_add_loop_test(tc, errors, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, a_directory);
	tcase_add_test(tc, names_are_unique);
	tcase_add_test(tc, every_allocation_may_fail);
	tcase_add_test(tc, shipped_templates);
}
