/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/jupyter/kernelspec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/language.h"
#include "guest-kernel-agent/system/environ.h"

#define SPEC_BYTES_MAX (64 * 1024)
#define SPECS_MAX 64
#define ARGV_MAX 64
#define ARG_MAX_BYTES 4096
#define OPT_DIR "/opt"
#define LAUNCHER "sandglass_kernel.py"
#define BASH_LAUNCHER "sandglass_bash.py"

struct kernelspecs {
	char *python_dir;
	struct kernelspec specs[SPECS_MAX]; /* best first */
	size_t n;
};

/* ---- one file ---- */

/* s with every occurrence of what replaced: NULL on -ENOMEM. */
static char *replace_all(const char *s, const char *what, const char *with)
{
	CLEAN_BUF struct buf out = BUF_INIT;
	const char *at;
	int r = 0;

	while (r == 0 && (at = strstr(s, what))) {
		r = buf_append(&out, s, (size_t)(at - s));
		if (r == 0)
			r = buf_append_str(&out, with);
		s = at + strlen(what);
	}
	if (r < 0 || buf_append_str(&out, s) < 0)
		return NULL;
	return buf_steal(&out, NULL);
}

static bool is_launcher_module(const json_t *argv, size_t i)
{
	return str_eq(json_string_value(json_array_get(argv, i)), "-m") &&
	       str_eq(json_string_value(json_array_get(argv, i + 1)), "ipykernel_launcher");
}

static int parse_argv(struct kernelspec *s, const json_t *argv, const char *dir,
    const char *python_dir, struct err *reterr)
{
	size_t n = 0;

	s->argv = mem_calloc(json_array_size(argv) + 1, sizeof(*s->argv));
	if (!s->argv)
		return err_set(reterr, -ENOMEM, "no memory");
	for (size_t i = 0; i < json_array_size(argv); i++) {
		const char *arg = json_string_value(json_array_get(argv, i));

		if (!arg || strlen(arg) > ARG_MAX_BYTES)
			return err_set(reterr, -EINVAL, "argv: expected strings");
		if (is_launcher_module(argv, i)) {
			s->argv[n++] = mem_printf("%s/" LAUNCHER, python_dir);
			i++;
		} else {
			s->argv[n++] = replace_all(arg, "{resource_dir}", dir);
		}
		if (!s->argv[n - 1])
			return err_set(reterr, -ENOMEM, "no memory");
	}
	return n ? 0 : err_set(reterr, -EINVAL, "argv: expected at least the program");
}

/* Which transport: as the file's own metadata says, else what kernels of the language usually can
 * do. */
static bool wants_tcp(const json_t *file, const struct language *lang)
{
	const json_t *ours = json_object_get(json_object_get(file, "metadata"), "sandglass");
	const char *transport = json_string_value(json_object_get(ours, "transport"));

	return transport ? str_eq(transport, "tcp") : !lang->ipc;
}

static const struct language *language_of_kernel(const char *name)
{
	const struct language *lang;

	for (size_t i = 0; (lang = language_at(i)); i++)
		for (size_t k = 0; lang->kernels[k]; k++)
			if (str_eq(lang->kernels[k], name))
				return lang;
	return NULL;
}

static int parse_fields(struct kernelspec *s, const json_t *file, const char *dir,
    const char *python_dir, struct err *reterr)
{
	const char *language = NULL, *interrupt = NULL;
	const struct language *lang;
	json_t *argv = NULL, *env = NULL;
	int r = json_get_str(file, "language", 64, &language, reterr);

	if (r >= 0)
		r = json_get_array(file, "argv", ARGV_MAX, &argv, reterr);
	if (r >= 0)
		r = json_get_str(file, "interrupt_mode", 16, &interrupt, reterr);
	if (r >= 0)
		r = json_get_str_map(file, "env", ARGV_MAX, SPEC_BYTES_MAX, &env, reterr);
	if (r < 0)
		return r;
	if (!language || !argv)
		return err_set(reterr, -EINVAL, "expected 'language' and 'argv'");
	s->language = mem_strdup(language);
	if (!s->language)
		return err_set(reterr, -ENOMEM, "no memory");
	lang = language_of_kernel(str_lower(s->language));
	if (!lang)
		return 1;
	s->env = json_incref(env);
	s->interrupt_by_message = str_eq(interrupt, "message");
	s->tcp = wants_tcp(file, lang);
	s->traceback_lines = lang->traceback_lines;
	return parse_argv(s, argv, dir, python_dir, reterr);
}

int kernelspec_parse(const void *text, size_t n, const char *dir, const char *python_dir,
    struct kernelspec *ret, struct err *reterr)
{
	CLEAN_JSON json_t *file = json_parse_object(text, n, SPEC_BYTES_MAX, false, reterr);
	struct kernelspec s = { 0 };
	int r;

	if (!file)
		return -EINVAL;
	r = parse_fields(&s, file, dir, python_dir, reterr);
	if (r == 0)
		*ret = s;
	else
		kernelspec_fini(&s);
	return r;
}

void kernelspec_fini(struct kernelspec *s)
{
	s->language = mem_free(s->language);
	s->argv = environ_free(s->argv);
	json_decref(s->env);
	s->env = NULL;
}

/* A copy of list with what replaced in each: NULL on -ENOMEM. */
static char **replace_args(char *const *list, const char *what, const char *with)
{
	size_t n = 0;

	while (list[n])
		n++;
	char **argv = mem_calloc(n + 1, sizeof(*argv));
	for (size_t i = 0; argv && i < n; i++) {
		argv[i] = replace_all(list[i], what, with);
		if (!argv[i])
			return environ_free(argv);
	}
	return argv;
}

char **kernelspec_argv(const struct kernelspec *s, const char *connection_file)
{
	return replace_args(s->argv, "{connection_file}", connection_file);
}

/* ---- all files ---- */

static int load_file(struct kernelspecs *ks, const char *dir)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	char path[PATH_LEN_MAX];
	int r;

	if (ks->n == SPECS_MAX || path_printf(path, sizeof(path), "%s/kernel.json", dir) < 0)
		return 0;
	r = fd_read_file(AT_FDCWD, path, SPEC_BYTES_MAX, &text);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == 0)
		r = kernelspec_parse(
		    buf_data(&text), buf_len(&text), dir, ks->python_dir, &ks->specs[ks->n], &err);
	else
		(void)err_set(&err, r, "%s", err_name(r));
	if (r == 0)
		ks->n++;
	if (r < 0)
		log_warn("%s: %s", path, err_text(&err));
	return r == -ENOMEM ? r : 0;
}

/* Every entry of dir with a kernel.json. Names in order, so that the choice does not depend on the
 * disk. */
static int scan_dir(struct kernelspecs *ks, const char *dir)
{
	struct dirent **entries;
	char path[PATH_LEN_MAX];
	int n = scandir(dir, &entries, NULL, alphasort), r = 0;

	for (int i = 0; i < n; i++) {
		if (r == 0 && entries[i]->d_name[0] != '.' &&
		    path_join(path, sizeof(path), dir, entries[i]->d_name) == 0)
			r = load_file(ks, path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return n < 0 && errno == ENOMEM ? -ENOMEM : r;
}

static int scan_under(struct kernelspecs *ks, const char *base, const char *below)
{
	char dir[PATH_LEN_MAX];

	return path_join(dir, sizeof(dir), base, below) == 0 ? scan_dir(ks, dir) : 0;
}

static int scan_jupyter_path(struct kernelspecs *ks)
{
	const char *list = getenv("JUPYTER_PATH");
	char dir[PATH_LEN_MAX];
	int r = 0;

	for (; list && *list && r == 0; list += *list == ':') {
		int len = (int)strcspn(list, ":");

		if (len && path_printf(dir, sizeof(dir), "%.*s/kernels", len, list) == 0)
			r = scan_dir(ks, dir);
		list += len;
	}
	return r;
}

static int scan_opt(struct kernelspecs *ks)
{
	struct dirent **entries;
	char tree[PATH_LEN_MAX];
	int n = scandir(OPT_DIR, &entries, NULL, alphasort), r = 0;

	for (int i = 0; i < n; i++) {
		if (r == 0 && entries[i]->d_name[0] != '.' &&
		    path_join(tree, sizeof(tree), OPT_DIR, entries[i]->d_name) == 0)
			r = scan_under(ks, tree, "share/jupyter/kernels");
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return r;
}

static void forget_all(struct kernelspecs *ks)
{
	while (ks->n)
		kernelspec_fini(&ks->specs[--ks->n]);
}

static const struct kernelspec *find_kernel(const struct kernelspecs *ks, const char *language)
{
	for (size_t i = 0; i < ks->n; i++)
		if (str_eq(ks->specs[i].language, language))
			return &ks->specs[i];
	return NULL;
}

/* Where no kernel of bash is installed, the Python that runs ipykernel can run ours. */
static int add_bash(struct kernelspecs *ks)
{
	const struct kernelspec *python = find_kernel(ks, "python");
	CLEAN_FREE char *from = mem_printf("%s/" LAUNCHER, ks->python_dir);
	CLEAN_FREE char *to = mem_printf("%s/" BASH_LAUNCHER, ks->python_dir);
	bool ours = false;

	if (!from || !to)
		return -ENOMEM;
	for (size_t i = 0; python && python->argv[i]; i++)
		ours = ours || str_eq(python->argv[i], from);
	if (!ours || find_kernel(ks, "bash") || ks->n == SPECS_MAX)
		return 0;
	struct kernelspec *s = &ks->specs[ks->n++];
	*s = (struct kernelspec){ .language = mem_strdup("bash"),
		.argv = replace_args(python->argv, from, to),
		.env = json_incref(python->env) };
	return s->language && s->argv ? 0 : -ENOMEM;
}

int kernelspecs_scan(struct kernelspecs *ks, const char *home)
{
	int r = 0;

	forget_all(ks);
	if (home)
		r = scan_under(ks, home, ".local/share/jupyter/kernels");
	if (r == 0)
		r = scan_jupyter_path(ks);
	if (r == 0)
		r = scan_dir(ks, "/usr/local/share/jupyter/kernels");
	if (r == 0)
		r = scan_dir(ks, "/usr/share/jupyter/kernels");
	if (r == 0)
		r = scan_opt(ks);
	return r < 0 ? r : add_bash(ks);
}

const struct kernelspec *kernelspecs_find(const struct kernelspecs *ks, const struct language *lang)
{
	const struct kernelspec *s = NULL;

	for (size_t k = 0; lang->kernels[k] && !s; k++)
		s = find_kernel(ks, lang->kernels[k]);
	return s;
}

struct kernelspecs *kernelspecs_new(const char *python_dir)
{
	struct kernelspecs *ks = mem_zalloc(sizeof(*ks));

	if (ks)
		ks->python_dir = mem_strdup(python_dir);
	return ks && ks->python_dir ? ks : kernelspecs_free(ks);
}

struct kernelspecs *kernelspecs_free(struct kernelspecs *ks)
{
	if (!ks)
		return NULL;
	forget_all(ks);
	mem_free(ks->python_dir);
	return mem_free(ks);
}
