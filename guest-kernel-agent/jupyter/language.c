/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/jupyter/language.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#define NAME_MAX_BYTES 32
#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- literals ---- */

/* A JSON string is a string literal in all languages here but bash. R and Java know no surrogate
 * pairs respectively read \uXXXX early, so characters beyond ASCII stay what they are. */
static int put_string(struct buf *dst, const char *s)
{
	CLEAN_JSON json_t *v = json_string(s);

	return v ? json_write(dst, v, false) : -ENOMEM;
}

/* bash: $'...' on one line, because kernels feed bash line by line. */
static int put_bash_string(struct buf *dst, const char *s)
{
	int r = buf_append_str(dst, "$'");

	for (; *s && r == 0; s++) {
		if (*s == '\'' || *s == '\\')
			r = buf_append_byte(dst, '\\');
		if (r == 0)
			r = (unsigned char)*s < ' ' ? buf_printf(dst, "\\%03o", (unsigned char)*s)
						    : buf_append_byte(dst, (unsigned char)*s);
	}
	return r < 0 ? r : buf_append_byte(dst, '\'');
}

/* Append open, then each name or (name, value) as one() writes it with commas between, then close.
 */
static int put_list(struct buf *dst, const json_t *vars, const char *open,
    int (*one)(struct buf *dst, const char *name, const char *value), const char *close)
{
	const char *name, *comma = "";
	json_t *value;
	int r = buf_append_str(dst, open);

	json_object_foreach((json_t *)vars, name, value)
	{
		if (r == 0)
			r = buf_append_str(dst, comma);
		if (r == 0)
			r = one(dst, name, json_string_value(value));
		comma = ",";
	}
	return r < 0 ? r : buf_append_str(dst, close);
}

static int put_name(struct buf *dst, const char *name, const char *value)
{
	return put_string(dst, name);
}

static int put_value(struct buf *dst, const char *name, const char *value)
{
	return put_string(dst, value);
}

/* An object literal; also a dict of Python. */
static int put_object(struct buf *dst, const json_t *vars)
{
	return json_write(dst, vars, false);
}

/* ---- python: for kernels that do not take variables along with the code ---- */

static int python_enter(struct buf *dst, const json_t *vars)
{
	int r = buf_append_str(dst,
	    "None if (lambda s, e, v: (setattr(s, '_sandglass_env', {k: e.get(k) "
	    "for k in v}), e.update(v)))"
	    "(__import__('sys'), __import__('os').environ, ");

	if (r == 0)
		r = put_object(dst, vars);
	return r < 0 ? r : buf_append_str(dst, ") else None\n");
}

static int python_leave(struct buf *dst, const json_t *vars)
{
	return buf_append_str(dst,
	    "None if (lambda s, e: [e.pop(k, None) if v is None else e.update({k: v}) "
	    "for k, v in s.__dict__.pop('_sandglass_env', {}).items()])"
	    "(__import__('sys'), __import__('os').environ) else None\n");
}

/* ---- javascript and typescript: free of implicit any, for the latter's sake ---- */

static int js_enter(struct buf *dst, const json_t *vars)
{
	int r = buf_append_str(dst, "{ const vars = ");

	if (r == 0)
		r = put_object(dst, vars);
	return r < 0 ? r
		     : buf_append_str(dst, "; Reflect.set(globalThis, Symbol.for('sandglass.env'), "
					   "Object.keys(vars).map(k => [k, process.env[k]])); "
					   "Object.assign(process.env, vars); }\n");
}

static int js_leave(struct buf *dst, const json_t *vars)
{
	return buf_append_str(dst,
	    "for (const [k, v] of Reflect.get(globalThis, Symbol.for('sandglass.env')) ?? []) "
	    "{ if (v === undefined) delete process.env[k]; else process.env[k] = v; }\n");
}

/* ---- R ---- */

static int r_enter(struct buf *dst, const json_t *vars)
{
	int r = put_list(dst, vars, "invisible(local({ k <- c(", put_name, "); v <- list(");

	if (r == 0)
		r = put_list(dst, vars, "", put_value, "); ");
	return r < 0 ? r
		     : buf_append_str(dst,
			   "options(sandglass.env = Sys.getenv(k, NA, names = TRUE)); "
			   "do.call(Sys.setenv, setNames(v, k)) }))\n");
}

static int r_leave(struct buf *dst, const json_t *vars)
{
	return buf_append_str(dst,
	    "invisible(local({ s <- getOption('sandglass.env'); for (k in names(s)) "
	    "if (is.na(s[[k]])) Sys.unsetenv(k) else "
	    "do.call(Sys.setenv, setNames(list(s[[k]]), k)) }))\n");
}

/* ---- java ---- */

static int java_pair(struct buf *dst, const char *name, const char *value)
{
	int r = buf_append_byte(dst, '{');

	if (r == 0)
		r = put_string(dst, name);
	if (r == 0)
		r = buf_append_byte(dst, ',');
	if (r == 0)
		r = put_string(dst, value);
	return r < 0 ? r : buf_append_byte(dst, '}');
}

static int java_enter(struct buf *dst, const json_t *vars)
{
	return put_list(dst, vars, "for (String[] e : new String[][] {", java_pair,
	    "}) { String old = System.getProperty(e[0]); "
	    "if (old == null) System.clearProperty(\"sandglass.env.\" + e[0]); "
	    "else System.setProperty(\"sandglass.env.\" + e[0], old); "
	    "System.setProperty(e[0], e[1]); }\n");
}

static int java_leave(struct buf *dst, const json_t *vars)
{
	return put_list(dst, vars, "for (String k : new String[] {", put_name,
	    "}) { String old = System.getProperty(\"sandglass.env.\" + k); "
	    "if (old == null) System.clearProperty(k); else System.setProperty(k, old); }\n");
}

/* ---- bash ---- */

/* Only these names can be assigned to; others cannot be exported from bash at all. */
static bool is_bash_name(const char *s)
{
	return !isdigit((unsigned char)*s) &&
	       str_only(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
}

static int bash_enter(struct buf *dst, const json_t *vars)
{
	const char *name;
	json_t *value;
	int r = buf_append_str(dst, "declare -gA SANDGLASS_ENV=()");

	json_object_foreach((json_t *)vars, name, value)
	{
		if (!is_bash_name(name))
			continue;
		if (r == 0)
			r = buf_printf(dst,
			    "; [[ -v %s ]] && SANDGLASS_ENV[%s]=\"$%s\"; export %s=", name, name,
			    name, name);
		if (r == 0)
			r = put_bash_string(dst, json_string_value(value));
	}
	return r < 0 ? r : buf_append_byte(dst, '\n');
}

static int bash_leave(struct buf *dst, const json_t *vars)
{
	const char *name;
	json_t *value;
	int r = buf_append_str(dst, ":");

	json_object_foreach((json_t *)vars, name, value)
	{
		if (r == 0 && is_bash_name(name))
			r = buf_printf(dst,
			    "; if [[ -v SANDGLASS_ENV[%s] ]]; then export "
			    "%s=\"${SANDGLASS_ENV[%s]}\"; "
			    "else unset %s; fi",
			    name, name, name, name);
	}
	return r < 0 ? r : buf_append_byte(dst, '\n');
}

/* ---- the table ---- */

static const struct language languages[] = {
	{ .name = "python",
	    .aliases = NAMES("py", "python3"),
	    .kernels = NAMES("python"),
	    .ipc = true,
	    .get = "python3-ipykernel (Debian) or ipykernel (PyPI)",
	    .env_enter = python_enter,
	    .env_leave = python_leave },
	{ .name = "javascript",
	    .aliases = NAMES("js"),
	    .kernels = NAMES("javascript", "typescript"),
	    .traceback_lines = true,
	    .get = "deno (npm)",
	    .env_enter = js_enter,
	    .env_leave = js_leave },
	{ .name = "typescript",
	    .aliases = NAMES("ts"),
	    .kernels = NAMES("typescript"),
	    .traceback_lines = true,
	    .get = "deno (npm)",
	    .env_enter = js_enter,
	    .env_leave = js_leave },
	{ .name = "r",
	    .aliases = NAMES(NULL),
	    .kernels = NAMES("r"),
	    .traceback_lines = true,
	    .get = "r-cran-irkernel (Debian)",
	    .env_enter = r_enter,
	    .env_leave = r_leave },
	{ .name = "java",
	    .aliases = NAMES(NULL),
	    .kernels = NAMES("java"),
	    .traceback_lines = true,
	    .get = "ijava (conda-forge)",
	    .env_enter = java_enter,
	    .env_leave = java_leave },
	{ .name = "bash",
	    .aliases = NAMES("sh"),
	    .kernels = NAMES("bash"),
	    .ipc = true,
	    .traceback_lines = true,
	    .get = "python3-ipykernel (Debian) or bash_kernel (PyPI)",
	    .env_enter = bash_enter,
	    .env_leave = bash_leave },
};

const struct language *language_at(size_t i)
{
	return i < sizeof(languages) / sizeof(languages[0]) ? &languages[i] : NULL;
}

static bool is_one_of(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (str_eq(*names, name))
			return true;
	return false;
}

const struct language *language_find(const char *name)
{
	char key[NAME_MAX_BYTES];
	const struct language *lang;
	size_t n;

	while (isspace((unsigned char)*name))
		name++;
	n = strlen(name);
	while (n && isspace((unsigned char)name[n - 1]))
		n--;
	if (n >= sizeof(key))
		return NULL;
	memcpy(key, name, n);
	key[n] = '\0';
	(void)str_lower(key);
	for (size_t i = 0; (lang = language_at(i)); i++)
		if (str_eq(lang->name, key) || is_one_of(lang->aliases, key))
			return lang;
	return NULL;
}

int language_missing(const char *name, struct err *reterr)
{
	const struct language *lang = language_find(name);

	return err_set(reterr, -EINVAL, "No kernel for language '%s' in this sandbox%s%s", name,
	    lang ? ": the template lacks " : "", lang ? lang->get : "");
}

bool language_env_name_ok(const char *name)
{
	return *name && !strchr(name, '=');
}
