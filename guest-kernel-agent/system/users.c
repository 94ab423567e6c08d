/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"

#define PASSWD_PATH "/etc/passwd"
#define GROUP_PATH "/etc/group"
#define FILE_MAX (1024 * 1024)
#define ID_MAX (UINT32_MAX - 1) /* the highest value means "no id" */

enum {
	PASSWD_NAME,
	PASSWD_HASH,
	PASSWD_UID,
	PASSWD_GID,
	PASSWD_GECOS,
	PASSWD_HOME,
	PASSWD_SHELL,
	PASSWD_N
};
enum { GROUP_NAME, GROUP_HASH, GROUP_GID, GROUP_MEMBERS, GROUP_N };

struct span {
	const char *p;
	size_t n;
};

/* Cut the first field that ends in sep off s. */
static struct span span_cut(struct span *s, char sep)
{
	const char *end = memchr(s->p, sep, s->n);
	struct span field = { s->p, end ? (size_t)(end - s->p) : s->n };
	size_t skip = field.n + (end != NULL);

	s->p += skip;
	s->n -= skip;
	return field;
}

static bool span_is(struct span s, const char *text)
{
	return strlen(text) == s.n && memcmp(s.p, text, s.n) == 0;
}

static bool span_id(struct span s, uint32_t *ret)
{
	char digits[16];
	uint64_t v;

	if (s.n == 0 || s.n >= sizeof(digits) || memchr(s.p, '\0', s.n))
		return false;
	memcpy(digits, s.p, s.n);
	digits[s.n] = '\0';
	if (str_u64(digits, ID_MAX, &v) < 0)
		return false;
	*ret = (uint32_t)v;
	return true;
}

/* Next line of the file as exactly n fields; lines with fewer are skipped. */
static bool next_entry(struct span *file, struct span *fields, size_t n)
{
	while (file->n) {
		struct span line = span_cut(file, '\n');
		size_t got = 0;

		while (got + 1 < n && memchr(line.p, ':', line.n))
			fields[got++] = span_cut(&line, ':');
		fields[got++] = line;
		if (got == n && fields[0].n)
			return true;
	}
	return false;
}

static bool passwd_matches(const struct span *f, const char *name, uint32_t uid)
{
	uint32_t line_uid;

	return name ? span_is(f[PASSWD_NAME], name)
		    : span_id(f[PASSWD_UID], &line_uid) && line_uid == uid;
}

/* By name, or by uid when name is NULL. Both ids of the line must be numbers. */
static bool passwd_find(struct span file, const char *name, uint32_t uid, struct span *fields)
{
	uint32_t id;

	while (next_entry(&file, fields, PASSWD_N))
		if (passwd_matches(fields, name, uid) && span_id(fields[PASSWD_UID], &id) &&
		    span_id(fields[PASSWD_GID], &id))
			return true;
	return false;
}

static bool members_have(struct span members, const char *name)
{
	while (members.n)
		if (span_is(span_cut(&members, ','), name))
			return true;
	return false;
}

static int user_fill_groups(struct user *u, struct span group_file)
{
	struct span f[GROUP_N];
	uint32_t gid;

	u->groups = mem_calloc(USERS_GROUPS_MAX, sizeof(*u->groups));
	if (!u->groups)
		return -ENOMEM;
	u->groups[u->n_groups++] = u->gid;
	while (u->n_groups < USERS_GROUPS_MAX && next_entry(&group_file, f, GROUP_N))
		if (members_have(f[GROUP_MEMBERS], u->name) && span_id(f[GROUP_GID], &gid) &&
		    gid != u->gid)
			u->groups[u->n_groups++] = gid;
	return 0;
}

static char *span_dup_or(struct span s, const char *fallback)
{
	return s.n ? mem_strndup(s.p, s.n) : mem_strdup(fallback);
}

static int user_fill(struct user *u, const struct span *f, struct span group_file)
{
	if (!span_id(f[PASSWD_UID], &u->uid) || !span_id(f[PASSWD_GID], &u->gid))
		return -EINVAL;
	u->name = mem_strndup(f[PASSWD_NAME].p, f[PASSWD_NAME].n);
	u->home = span_dup_or(f[PASSWD_HOME], "/");
	u->shell = span_dup_or(f[PASSWD_SHELL], "/bin/sh");
	if (!u->name || !u->home || !u->shell)
		return -ENOMEM;
	return user_fill_groups(u, group_file);
}

int user_lookup_in(const char *passwd, size_t n_passwd, const char *group, size_t n_group,
    const char *name, struct user *ret, struct err *reterr)
{
	struct span passwd_file = { passwd, n_passwd };
	struct span by_number = { name, strlen(name) };
	struct span f[PASSWD_N] = { 0 };
	struct user u = { 0 };
	uint32_t uid;
	int r;

	if (!passwd_find(passwd_file, name, 0, f)) {
		if (!span_id(by_number, &uid))
			return err_set(reterr, -ENOENT, "user '%s' does not exist", name);
		if (!passwd_find(passwd_file, NULL, uid, f))
			f[PASSWD_NAME] = f[PASSWD_UID] = f[PASSWD_GID] = by_number;
	}
	r = user_fill(&u, f, (struct span){ group, n_group });
	if (r < 0) {
		user_fini(&u);
		return err_set(reterr, r, "user '%s': %s", name, err_name(r));
	}
	*ret = u;
	return 0;
}

int user_lookup(const char *name, struct user *ret, struct err *reterr)
{
	CLEAN_BUF struct buf passwd = BUF_INIT, group = BUF_INIT;

	/* A missing file is an empty one: numbers can still be used. */
	(void)fd_read_file(AT_FDCWD, PASSWD_PATH, FILE_MAX, &passwd);
	(void)fd_read_file(AT_FDCWD, GROUP_PATH, FILE_MAX, &group);
	return user_lookup_in((char *)buf_data(&passwd), buf_len(&passwd), (char *)buf_data(&group),
	    buf_len(&group), name, ret, reterr);
}

int user_lookup_uid(uid_t uid, struct user *ret, struct err *reterr)
{
	char name[USERS_NAME_MAX];

	return user_lookup(user_name_of(uid, name), ret, reterr);
}

void user_fini(struct user *u)
{
	u->name = mem_free(u->name);
	u->home = mem_free(u->home);
	u->shell = mem_free(u->shell);
	u->groups = mem_free(u->groups);
	u->n_groups = 0;
}

/* First name in path (entries of n fields, the id in field id_at) that stands for id. */
static char *name_of(
    const char *path, size_t n, size_t id_at, uint32_t id, char dst[USERS_NAME_MAX])
{
	CLEAN_BUF struct buf text = BUF_INIT;
	struct span f[PASSWD_N], file;
	uint32_t line_id;

	(void)fd_read_file(AT_FDCWD, path, FILE_MAX, &text);
	file = (struct span){ (char *)buf_data(&text), buf_len(&text) };
	while (next_entry(&file, f, n))
		if (span_id(f[id_at], &line_id) && line_id == id && f[0].n < USERS_NAME_MAX) {
			memcpy(dst, f[0].p, f[0].n);
			dst[f[0].n] = '\0';
			return dst;
		}
	(void)snprintf(dst, USERS_NAME_MAX, "%u", id);
	return dst;
}

char *user_name_of(uid_t uid, char dst[USERS_NAME_MAX])
{
	return name_of(PASSWD_PATH, PASSWD_N, PASSWD_UID, uid, dst);
}

char *group_name_of(gid_t gid, char dst[USERS_NAME_MAX])
{
	return name_of(GROUP_PATH, GROUP_N, GROUP_GID, gid, dst);
}
