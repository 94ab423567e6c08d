/* SPDX-License-Identifier: Apache-2.0 */
#include "image/template.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template_build.h"
#include "image/yaml.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* ---- what texts may look like ---- */

static bool is_name(const char *s)
{
	return s[0] && !strchr("-_", s[0]) && strlen(s) <= TEMPLATE_NAME_MAX &&
	       str_only(s, LOWER DIGITS "-_");
}

static bool is_user(const char *s)
{
	return s[0] && !strchr(DIGITS "-", s[0]) && strlen(s) <= 32 &&
	       str_only(s, LOWER DIGITS "_-");
}

static bool is_env_name(const char *s)
{
	return s[0] && !strchr(DIGITS, s[0]) &&
	       str_only(s, LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "_");
}

static bool is_kernel(const char *s)
{
	return s[0] && strlen(s) <= 32 && str_only(s, LOWER DIGITS "+#_-");
}

/* ---- the tables ---- */

#define AT(member) .offset = offsetof(struct template, member)
#define NAME_FORM "a name: a lower-case letter or digit, then up to 62 of a-z 0-9 - _"

static const struct yaml_key resource_keys[] = {
	{ "cpus", YAML_MILLI, AT(cpu_milli), .min = 100, .max = 256000 },
	{ "memory", YAML_SIZE, AT(memory_bytes), .min = 64 * MIB, .max = TIB },
	{ "disk", YAML_SIZE, AT(disk_bytes), .min = 16 * MIB, .max = 4 * TIB },
	{ "pids", YAML_UINT, AT(max_pids), .min = 32, .max = 4194304 },
	{ .key = NULL },
};

static const struct yaml_key network_keys[] = {
	{ "internet", YAML_BOOL, AT(internet) },
	{ .key = NULL },
};

static const struct yaml_key pool_keys[] = {
	{ "size", YAML_UINT, AT(pool_size), .max = 1000 },
	{ "max", YAML_UINT, AT(pool_max), .max = 1000 },
	{ .key = NULL },
};

static const struct yaml_key timeout_keys[] = {
	{ "default", YAML_UINT, AT(timeout_default_s), .min = 1, .max = 31536000 },
	{ "max", YAML_UINT, AT(timeout_max_s), .min = 1, .max = 31536000 },
	{ .key = NULL },
};

static const struct yaml_key history_keys[] = {
	{ "seconds", YAML_UINT, AT(history_s), .max = 31536000 },
	{ "count", YAML_UINT, AT(history_count), .max = 100000 },
	{ "size", YAML_SIZE, AT(history_bytes), .max = TIB },
	{ .key = NULL },
};

static const struct yaml_key template_keys[] = {
	{ "name", YAML_CHARS, .required = true, AT(name), .max = TEMPLATE_NAME_MAX, .ok = is_name,
	    .expected = NAME_FORM },
	{ "aliases", YAML_STR_LIST, AT(aliases), .max = 16, .ok = is_name, .expected = NAME_FORM },
	{ "description", YAML_STR, AT(description), .max = 1024 },
	{ "base", YAML_CALL, AT(build), .set = template_build_read_base },
	{ "packages", YAML_MAP, AT(build), .keys = template_package_keys },
	{ "files", YAML_CALL, AT(build), .set = template_build_read_files },
	{ "run", YAML_STR_LIST, AT(build.run), .max = 64, .ok = template_run_valid,
	    .expected = "a command for /bin/sh" },
	{ "user", YAML_STR, AT(user), .ok = is_user, .expected = "a user name" },
	{ "workdir", YAML_STR, AT(workdir), .ok = template_path_clean,
	    .expected = "an absolute path without empty, \".\" or \"..\" components" },
	{ "env", YAML_STR_MAP, AT(env), .max = 256, .ok = is_env_name,
	    .expected = "an environment variable's name" },
	{ "kernels", YAML_STR_LIST, AT(kernels), .max = 8, .ok = is_kernel,
	    .expected = "a language in lower case, such as python" },
	{ "resources", YAML_MAP, .keys = resource_keys },
	{ "network", YAML_MAP, .keys = network_keys },
	{ "pool", YAML_MAP, .keys = pool_keys },
	{ "timeout", YAML_MAP, .keys = timeout_keys },
	{ "history", YAML_MAP, .keys = history_keys },
	{ .key = NULL },
};

/* ---- reading one ---- */

static int set_defaults(struct template *t)
{
	t->cpu_milli = 2000;
	t->memory_bytes = GIB;
	t->disk_bytes = 2 * GIB;
	t->max_pids = 512;
	t->internet = true;
	t->pool_max = 20;
	t->timeout_default_s = 300;
	t->timeout_max_s = 86400;
	t->history_s = 3600;
	t->history_count = 64;
	t->history_bytes = 512 * MIB;
	t->env = mem_calloc(1, sizeof(*t->env));
	t->kernels = mem_calloc(1, sizeof(*t->kernels));
	t->build.bases = mem_calloc(2, sizeof(*t->build.bases));
	bool good = t->env && t->kernels && t->build.bases &&
		    (t->build.bases[0] = mem_strdup("host")) != NULL &&
		    mem_set_str(&t->user, "user") == 0 &&
		    mem_set_str(&t->workdir, "/home/user") == 0 &&
		    mem_set_str(&t->description, "") == 0;
	return good ? 0 : -ENOMEM;
}

/* What only holds between keys. */
static int check_together(
    const struct template *t, const struct yaml_node *root, struct err *reterr)
{
	const struct yaml_node *pool = yaml_node_get(root, "pool");
	const struct yaml_node *timeout = yaml_node_get(root, "timeout");
	if (t->pool_size > t->pool_max)
		return yaml_node_error(
		    pool, reterr, "size %u is larger than max %u", t->pool_size, t->pool_max);
	if (t->timeout_default_s > t->timeout_max_s)
		return yaml_node_error(timeout, reterr, "default %u is larger than max %u",
		    t->timeout_default_s, t->timeout_max_s);
	return template_build_check(&t->build, root, reterr);
}

/* Names keep their id over edits and restarts, so it is drawn from the name alone. */
static int derive_id(struct template *t)
{
	static const char alphabet[] = LOWER DIGITS;
	unsigned char digest[HASH_SHA256_LEN];
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = buf_printf(&b, "sandglass template %s", t->name);
	if (r == 0)
		r = hash_sha256(buf_data(&b), buf_len(&b), digest);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(t->id) - 1; i++)
		t->id[i] = alphabet[digest[i] % (sizeof(alphabet) - 1)];
	return 0;
}

static int add_strv(struct buf *b, const char *what, char *const *v)
{
	int r = 0;
	for (; v && *v && r == 0; v++)
		r = buf_printf(b, "%s %zu %s\n", what, strlen(*v), *v);
	return r;
}

/* Everything that shapes a sandbox, with lengths, so that no two contents give the same text. Pool
 * and time to live do not shape it. */
static int derive_hash(struct template *t)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = buf_printf(&b,
	    "name %s\nuser %s\nworkdir %zu %s\ncpu %u\nmemory %" PRIu64 "\ndisk %" PRIu64
	    "\npids %u\ninternet %d\nhistory %u %u %" PRIu64 "\n",
	    t->name, t->user, strlen(t->workdir), t->workdir, t->cpu_milli, t->memory_bytes,
	    t->disk_bytes, t->max_pids, t->internet, t->history_s, t->history_count,
	    t->history_bytes);
	if (r == 0)
		r = add_strv(&b, "env", t->env);
	if (r == 0)
		r = add_strv(&b, "kernel", t->kernels);
	if (r == 0)
		r = template_build_describe(&t->build, &b);
	return r < 0 ? r : hash_sha256_hex(buf_data(&b), buf_len(&b), t->hash);
}

struct template *template_read(const struct yaml_node *root, struct err *reterr)
{
	struct template *t = mem_zalloc(sizeof(*t));
	if (!t || set_defaults(t) < 0) {
		(void)err_set(reterr, -ENOMEM, "out of memory");
		return template_free(t);
	}
	if (yaml_read(root, template_keys, t, reterr) < 0 || check_together(t, root, reterr) < 0)
		return template_free(t);
	if (derive_id(t) < 0 || derive_hash(t) < 0) {
		(void)err_set(reterr, -ENOMEM, "template %s: out of memory", t->name);
		return template_free(t);
	}
	t->loaded_real_ns = clock_real_ns();
	return t;
}

struct template *template_free(struct template *t)
{
	if (!t)
		return NULL;
	yaml_read_fini(template_keys, t);
	template_build_fini(&t->build);
	return mem_free(t);
}
