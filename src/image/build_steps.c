/* SPDX-License-Identifier: Apache-2.0 */
/* Everything above the base: one layer a step, one a run command. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/build_inside.h"
#include "image/build_private.h"
#include "image/template.h"

#define SOURCE_MAX (64u << 20)
#define SETUP_FORMAT "2"

/* ---- programs ---- */

struct program {
	const char *script; /* for sh, with the words as "$@" */
	char *const *words;
	char *const *env;
};

static int run_program(struct build *b, const void *arg, struct err *reterr)
{
	const struct program *prog = arg;
	size_t n = 0, k = 0;
	while (prog->words && prog->words[n])
		n++;
	CLEAN_FREE const char **argv = mem_calloc(n + 6, sizeof(*argv));
	if (!argv)
		return err_set(reterr, -ENOMEM, "out of memory");
	argv[k++] = "/bin/sh";
	argv[k++] = "-ec";
	argv[k++] = prog->script;
	argv[k++] = "sh";
	for (size_t i = 0; i < n; i++)
		argv[k++] = prog->words[i];
	const struct jail_plan p = { .kind = JAIL_IMAGE,
		.argv = argv,
		.env = (const char *const *)prog->env,
		.online = true };
	return build_exec(b, &p, reterr);
}

static int add_words(struct buf *what, char *const *v)
{
	int r = 0;
	for (; v && *v && r == 0; v++)
		r = buf_printf(what, "%zu %s\n", strlen(*v), *v);
	return r;
}

static int program_layer(
    struct build *b, const char *step, const struct program *prog, struct err *reterr)
{
	CLEAN_BUF struct buf what = BUF_INIT;
	int r = buf_printf(&what, "%s\n", prog->script);
	if (r == 0)
		r = add_words(&what, prog->words);
	if (r == 0)
		r = add_words(&what, prog->env);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	return build_layer(
	    b, step, (char *)buf_data(&what), buf_len(&what), run_program, prog, reterr);
}

static const char apt_script[] =
    "command -v apt-get >/dev/null || { echo 'the base has no apt-get' >&2; exit 1; }\n"
    "apt-get -q update\n"
    "apt-get -q -y -o Dpkg::Options::=--force-unsafe-io install \"$@\"\n"
    "rm -f /var/cache/apt/*.bin\n";
static const char pip_script[] =
    "command -v python3 >/dev/null && python3 -m pip --version >/dev/null ||\n"
    "{ echo 'the image has no pip: add python3-pip to packages.apt' >&2; exit 1; }\n"
    "python3 -m pip install --no-input \"$@\"\n";
static const char npm_script[] =
    "command -v npm >/dev/null ||\n"
    "{ echo 'the image has no npm: add npm to packages.apt' >&2; exit 1; }\n"
    "npm install --global --loglevel=warn \"$@\"\n";

static int package_layers(struct build *b, struct err *reterr)
{
	const struct template_build *t = &b->t->build;
	const struct {
		const char *step, *script;
		char *const *words;
	} kinds[] = { { "apt", apt_script, t->apt }, { "pip", pip_script, t->pip },
		{ "npm", npm_script, t->npm } };
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct program prog = { kinds[i].script, kinds[i].words, NULL };
		if (prog.words && prog.words[0])
			r = program_layer(b, kinds[i].step, &prog, reterr);
	}
	return r;
}

/* ---- our own steps ---- */

static int run_setup(struct build *b, const void *arg, struct err *reterr)
{
	const struct jail_plan p = { .kind = JAIL_IMAGE, .fn = inside_setup, .arg = (void *)arg };
	return build_exec(b, &p, reterr);
}

static int setup_layer(struct build *b, struct err *reterr)
{
	char sources[1024], what[1600];
	const char *suite = str_after(b->base, "debian:");
	struct inside_setup s = { .user = b->t->user, .workdir = b->t->workdir };
	if (suite) { /* the public mirrors: the host's own may not be for sandboxes */
		(void)snprintf(sources, sizeof(sources),
		    "deb http://deb.debian.org/debian %s main\n"
		    "deb http://deb.debian.org/debian %s-updates main\n"
		    "deb http://deb.debian.org/debian-security %s-security main\n",
		    suite, suite, suite);
		s.sources_list = sources;
	}
	int n = snprintf(what, sizeof(what), SETUP_FORMAT " %s %s\n%s", s.user, s.workdir,
	    s.sources_list ? s.sources_list : "");
	return build_layer(b, "setup", what, (size_t)n, run_setup, &s, reterr);
}

static int run_finish(struct build *b, const void *arg, struct err *reterr)
{
	const struct jail_plan p = { .kind = JAIL_IMAGE, .fn = inside_finish };
	(void)arg;
	return build_exec(b, &p, reterr);
}

/* ---- files ---- */

/* Beneath the templates' directory, through no link. */
static int read_source(const char *dir, const char *source, struct buf *dst, struct err *reterr)
{
	const struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	CLEAN_FD int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEAN_FD int fd = at < 0 ? -1 : (int)syscall(SYS_openat2, at, source, &how, sizeof(how));
	int r = fd < 0 ? -errno : fd_read_all(fd, SOURCE_MAX, dst);
	return r < 0 ? err_set(reterr, r, "files: %s/%s: %s", dir, source, err_name(r)) : 0;
}

static int describe_file(struct buf *what, const struct template_file *f, const void *p, size_t n)
{
	char hex[2 * HASH_SHA256_LEN + 1];
	int r = hash_sha256_hex(p, n, hex);
	return r < 0 ? r
		     : buf_printf(what, "%zu %s %s %o %s\n", strlen(f->path), f->path, f->owner,
			   f->mode, hex);
}

struct gathered {
	struct inside_file *v;
	struct buf *sources; /* one a file */
	size_t n;
	struct buf what;
};

static void gathered_fini(struct gathered *g)
{
	for (size_t i = 0; g->sources && i < g->n; i++)
		buf_fini(&g->sources[i]);
	g->sources = mem_free(g->sources);
	g->v = mem_free(g->v);
	buf_fini(&g->what);
}

static int gather(const struct template *t, const char *dir, struct gathered *g, struct err *reterr)
{
	size_t n = t->build.n_files;
	g->v = mem_calloc(n + 1, sizeof(*g->v));
	g->sources = mem_calloc(n + 1, sizeof(*g->sources));
	if (!g->v || !g->sources)
		return err_set(reterr, -ENOMEM, "out of memory");
	for (g->n = 0; g->n < n; g->n++) {
		const struct template_file *f = &t->build.files[g->n];
		struct inside_file *to = &g->v[g->n];
		struct buf *src = &g->sources[g->n];
		int r = f->source ? read_source(dir, f->source, src, reterr) : 0;
		*to = (struct inside_file){ f->path, f->owner, f->mode,
			f->source ? (void *)buf_data(src) : f->content,
			f->source ? buf_len(src) : strlen(f->content) };
		if (r == 0)
			r = describe_file(&g->what, f, to->content, to->n);
		if (r < 0) {
			g->n++;
			return err_set(reterr, r, "files: %s", err_name(r));
		}
	}
	return 0;
}

static int run_files(struct build *b, const void *arg, struct err *reterr)
{
	const struct jail_plan p = { .kind = JAIL_IMAGE, .fn = inside_files, .arg = (void *)arg };
	return build_exec(b, &p, reterr);
}

static int files_layer(struct build *b, struct err *reterr)
{
	struct gathered g = { .n = 0 };
	if (b->t->build.n_files == 0)
		return 0;
	int r = gather(b->t, b->conf->templates_dir, &g, reterr);
	if (r == 0) {
		struct inside_files files = { g.v, g.n };
		r = build_layer(b, "files", (char *)buf_data(&g.what), buf_len(&g.what), run_files,
		    &files, reterr);
	}
	gathered_fini(&g);
	return r;
}

int build_inputs(
    const struct template *t, const char *templates_dir, char dst[65], struct err *reterr)
{
	struct gathered g = { .n = 0 };
	CLEAN_BUF struct buf text = BUF_INIT;
	const char *base = template_base(t, false);
	int r = gather(t, templates_dir, &g, reterr);
	if (r == 0)
		r = buf_printf(&text, "inputs " SETUP_FORMAT " %s\n%s %s\n", base ? base : "",
		    t->user, t->workdir);
	const struct {
		const char *name;
		char *const *v;
	} lists[] = { { "apt", t->build.apt }, { "pip", t->build.pip }, { "npm", t->build.npm },
		{ "run", t->build.run },
		{ "env", t->build.run && t->build.run[0] ? t->env : NULL } };
	for (size_t i = 0; r == 0 && i < sizeof(lists) / sizeof(lists[0]); i++) {
		r = buf_printf(&text, "%s\n", lists[i].name);
		if (r == 0)
			r = add_words(&text, lists[i].v);
	}
	if (r == 0)
		r = buf_append(&text, buf_data(&g.what), buf_len(&g.what));
	if (r == 0)
		r = hash_sha256_hex(buf_data(&text), buf_len(&text), dst);
	gathered_fini(&g);
	return r < 0 ? err_set(reterr, r, "template %s: %s", t->name, err_name(r)) : 0;
}

/* ---- all of them ---- */

int build_step_layers(struct build *b, struct err *reterr)
{
	int r = setup_layer(b, reterr);
	if (r == 0)
		r = package_layers(b, reterr);
	if (r == 0)
		r = files_layer(b, reterr);
	char *const *run = b->t->build.run;
	for (size_t i = 0; r == 0 && run && run[i]; i++) {
		char step[BUILD_STEP_MAX + 1];
		const struct program prog = { run[i], NULL, b->t->env };
		(void)snprintf(step, sizeof(step), "run %zu", i + 1);
		r = program_layer(b, step, &prog, reterr);
	}
	return r < 0 ? r : build_layer(b, "finish", "1", 1, run_finish, NULL, reterr);
}
