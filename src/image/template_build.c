/* SPDX-License-Identifier: Apache-2.0 */
#include "image/template_build.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "image/yaml.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

#define BASES_MAX 8
#define BASE_LEN_MAX 512
#define PACKAGES_MAX 512
#define FILES_MAX 128
#define CONTENT_MAX (64u * 1024)
#define MODE_MAX 07777u

/* ---- what texts may look like ---- */

static bool is_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			return false;
	return true;
}

bool template_path_clean(const char *s)
{
	if (str_eq(s, "/"))
		return true;
	while (*s == '/') {
		size_t n = strcspn(++s, "/");
		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		s += n;
	}
	return *s == '\0';
}

static bool is_host_path(const char *s)
{
	return template_path_clean(s) && s[1] && is_printable(s);
}

static bool is_suite(const char *s)
{
	return s[0] && strchr(LOWER, s[0]) && strlen(s) <= 32 && str_only(s, LOWER DIGITS "-");
}

/* oci:dir:/path[:tag] or oci:REFERENCE, as skopeo knows them. */
static bool is_oci(const char *s)
{
	const char *path = str_after(s, "dir:");
	if (path)
		return is_host_path(path);
	return s[0] && strchr(LOWER DIGITS, s[0]) && str_only(s, LOWER UPPER DIGITS "._-/:@");
}

static bool is_base(const char *s)
{
	const char *rest;
	if (strlen(s) > BASE_LEN_MAX)
		return false;
	if ((rest = str_after(s, "debian:")))
		return is_suite(rest);
	if ((rest = str_after(s, "oci:")))
		return is_oci(rest);
	if ((rest = str_after(s, "dir:")) || (rest = str_after(s, "tar:")))
		return is_host_path(rest);
	return str_eq(s, "host");
}

static bool is_apt_package(const char *s)
{
	return s[0] && strchr(LOWER DIGITS, s[0]) && strlen(s) <= 200 &&
	       str_only(s, LOWER UPPER DIGITS "+-.:=~_/");
}

/* No option of the program that gets it. */
static bool is_requirement(const char *s)
{
	return s[0] && s[0] != '-' && s[0] != ' ' && strlen(s) <= 256 && is_printable(s);
}

bool template_run_valid(const char *s)
{
	return s[0] != '\0';
}

static bool is_file_path(const char *s)
{
	return template_path_clean(s) && s[1] && s[strlen(s) - 1] != '/';
}

/* Beneath the directory of the template. */
static bool is_source(const char *s)
{
	char path[BASE_LEN_MAX + 2] = "/";
	return s[0] != '/' && str_copy(path + 1, sizeof(path) - 1, s) < sizeof(path) - 1 &&
	       is_file_path(path);
}

static bool is_owner(const char *s)
{
	const char *colon = strchr(s, ':');
	return s[0] && s[0] != ':' && s[0] != '-' && strlen(s) <= 65 &&
	       str_only(s, LOWER DIGITS "_-:") && (!colon || (colon[1] && !strchr(colon + 1, ':')));
}

/* ---- base ---- */

#define BASE_FORM                                                                  \
	"\"host\", \"debian:SUITE\", \"oci:REFERENCE\", \"oci:dir:/PATH[:TAG]\", " \
	"\"dir:/PATH\" or \"tar:/PATH\""

static int read_one_base(const struct yaml_node *v, char *dst, size_t cap, struct err *reterr)
{
	const char *s = yaml_node_text(v);
	if (!s || !is_base(s))
		return yaml_node_error(v, reterr, "expected %s", BASE_FORM);
	(void)str_copy(dst, cap, s);
	return 0;
}

int template_build_read_base(const struct yaml_node *v, void *target, struct err *reterr)
{
	struct template_build *b = target;
	bool list = yaml_node_is_list(v);
	const struct yaml_node *at = list ? yaml_node_first(v) : v;
	char **bases = mem_calloc(BASES_MAX + 1, sizeof(*bases));
	char one[BASE_LEN_MAX + 1];
	size_t n = 0;
	int r = bases ? 0 : err_set(reterr, -ENOMEM, "out of memory");
	if (r == 0 && list && !at)
		r = yaml_node_error(v, reterr, "expected 1 to %d entries", BASES_MAX);
	for (; r == 0 && at; at = list ? yaml_node_next(at) : NULL) {
		if (n == BASES_MAX)
			r = yaml_node_error(v, reterr, "expected 1 to %d entries", BASES_MAX);
		else
			r = read_one_base(at, one, sizeof(one), reterr);
		if (r == 0 && !(bases[n++] = mem_strdup(one)))
			r = err_set(reterr, -ENOMEM, "out of memory");
	}
	if (r < 0) {
		(void)yaml_strv_free(bases);
		return r;
	}
	(void)yaml_strv_free(b->bases);
	b->bases = bases;
	return 0;
}

const char *template_base(const struct template *t, bool can_host)
{
	for (char **b = t->build.bases; *b; b++)
		if (can_host || !str_eq(*b, "host"))
			return *b;
	return NULL;
}

/* ---- packages ---- */

#define AT(member) .offset = offsetof(struct template_build, member)

const struct yaml_key template_package_keys[] = {
	{ "apt", YAML_STR_LIST, AT(apt), .max = PACKAGES_MAX, .ok = is_apt_package,
	    .expected = "the name of a Debian package" },
	{ "pip", YAML_STR_LIST, AT(pip), .max = PACKAGES_MAX, .ok = is_requirement,
	    .expected = "a requirement as pip takes it, no option" },
	{ "npm", YAML_STR_LIST, AT(npm), .max = PACKAGES_MAX, .ok = is_requirement,
	    .expected = "a package as npm takes it, no option" },
	{ .key = NULL },
};

/* ---- files ---- */

static int read_mode(const struct yaml_node *v, void *target, struct err *reterr)
{
	const char *s = yaml_node_text(v);
	unsigned mode = 0;
	bool good = s && s[0] && strlen(s) <= 5 && str_only(s, "01234567");
	for (; good && *s; s++)
		mode = mode * 8 + (unsigned)(*s - '0');
	if (!good || mode > MODE_MAX)
		return yaml_node_error(v, reterr, "expected permissions in octal, such as 0644");
	*(unsigned *)target = mode;
	return 0;
}

static int read_content(const struct yaml_node *v, void *target, struct err *reterr)
{
	const char *s = yaml_node_text(v);
	if (!s || strlen(s) > CONTENT_MAX)
		return yaml_node_error(
		    v, reterr, "expected a text of at most %u bytes", CONTENT_MAX);
	return mem_set_str(target, s) < 0 ? err_set(reterr, -ENOMEM, "out of memory") : 0;
}

#undef AT
#define AT(member) .offset = offsetof(struct template_file, member)

static const struct yaml_key file_keys[] = {
	{ "path", YAML_STR, .required = true, AT(path), .min = 2, .max = 1024, .ok = is_file_path,
	    .expected = "an absolute path without empty, \".\" or \"..\" components" },
	{ "content", YAML_CALL, AT(content), .set = read_content },
	{ "source", YAML_STR, AT(source), .min = 1, .max = BASE_LEN_MAX, .ok = is_source,
	    .expected = "a path relative to the template's directory, without \"..\"" },
	{ "mode", YAML_CALL, AT(mode), .set = read_mode },
	{ "owner", YAML_STR, AT(owner), .ok = is_owner,
	    .expected = "a user and perhaps a group, such as user:user or 1000" },
	{ .key = NULL },
};

static void file_fini(struct template_file *f)
{
	yaml_read_fini(file_keys, f);
	f->content = mem_free(f->content);
}

static int read_file(const struct yaml_node *v, struct template_file *f, struct err *reterr)
{
	f->mode = 0644;
	int r = yaml_read(v, file_keys, f, reterr);
	if (r == 0 && !f->content == !f->source)
		r = yaml_node_error(v, reterr, "expected one of \"content\" and \"source\"");
	if (r == 0 && !f->owner && mem_set_str(&f->owner, "root") < 0)
		r = err_set(reterr, -ENOMEM, "out of memory");
	return r;
}

int template_build_read_files(const struct yaml_node *v, void *target, struct err *reterr)
{
	struct template_build *b = target;
	size_t n = 0;
	if (!yaml_node_is_list(v))
		return yaml_node_error(v, reterr, "expected a list");
	for (const struct yaml_node *c = yaml_node_first(v); c; c = yaml_node_next(c))
		n++;
	if (n > FILES_MAX)
		return yaml_node_error(v, reterr, "expected 0 to %d entries", FILES_MAX);
	b->files = mem_calloc(n + 1, sizeof(*b->files));
	if (!b->files)
		return err_set(reterr, -ENOMEM, "out of memory");
	int r = 0;
	for (const struct yaml_node *c = yaml_node_first(v); r == 0 && c; c = yaml_node_next(c))
		r = read_file(c, &b->files[b->n_files++], reterr);
	return r;
}

/* ---- the whole ---- */

int template_build_check(
    const struct template_build *b, const struct yaml_node *root, struct err *reterr)
{
	static const char *const keys[] = { "packages", "files", "run" };
	bool only_host = b->bases[0] && str_eq(b->bases[0], "host") && !b->bases[1];
	for (size_t i = 0; only_host && i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct yaml_node *v = yaml_node_get(root, keys[i]);
		if (v)
			return yaml_node_error(v, reterr,
			    "base \"host\" shows the host as it is; expected a base that is built "
			    "too, such as base: [host, debian:bookworm]");
	}
	return 0;
}

void template_build_fini(struct template_build *b)
{
	b->bases = yaml_strv_free(b->bases);
	for (size_t i = 0; i < b->n_files; i++)
		file_fini(&b->files[i]);
	b->files = mem_free(b->files);
	b->n_files = 0;
}

static int add_text(struct buf *dst, const char *what, const char *s)
{
	return s ? buf_printf(dst, "%s %zu %s\n", what, strlen(s), s) : 0;
}

static int add_list(struct buf *dst, const char *what, char *const *v)
{
	int r = 0;
	for (; v && *v && r == 0; v++)
		r = add_text(dst, what, *v);
	return r;
}

int template_build_describe(const struct template_build *b, struct buf *dst)
{
	int r = add_list(dst, "base", b->bases);
	if (r == 0)
		r = add_list(dst, "apt", b->apt);
	if (r == 0)
		r = add_list(dst, "pip", b->pip);
	if (r == 0)
		r = add_list(dst, "npm", b->npm);
	for (size_t i = 0; i < b->n_files && r == 0; i++) {
		const struct template_file *f = &b->files[i];
		r = buf_printf(dst, "file %o\n", f->mode);
		if (r == 0)
			r = add_text(dst, "path", f->path);
		if (r == 0)
			r = add_text(dst, "owner", f->owner);
		if (r == 0)
			r = add_text(dst, "content", f->content);
		if (r == 0)
			r = add_text(dst, "source", f->source);
	}
	return r < 0 ? r : add_list(dst, "run", b->run);
}
