/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/user_select.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/users.h"
#include "rpc/call.h"

#define BASIC "Basic "

/* ---- which user ---- */

static int bad_basic(struct err *reterr)
{
	return err_set(reterr, -EINVAL, "authorization: expected Basic base64(\"user:\")");
}

int user_name_from_basic(const char *authorization, char **ret_name, struct err *reterr)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	*ret_name = NULL;
	if (!authorization || strncasecmp(authorization, BASIC, sizeof(BASIC) - 1) != 0)
		return 0;
	const char *encoded = authorization + sizeof(BASIC) - 1;
	int r = str_unbase64(&text, encoded, strlen(encoded));
	const char *colon =
	    r == 0 && buf_len(&text) ? memchr(buf_data(&text), ':', buf_len(&text)) : NULL;
	if (r == -ENOMEM)
		return r;
	if (!colon)
		return bad_basic(reterr);
	size_t n = (size_t)(colon - (char *)buf_data(&text));
	if (n >= USERS_NAME_MAX || memchr(buf_data(&text), '\0', n) ||
	    !str_utf8_valid(buf_data(&text), n))
		return bad_basic(reterr);
	if (n == 0)
		return 0;
	*ret_name = mem_strndup((char *)buf_data(&text), n);
	return *ret_name ? 0 : -ENOMEM;
}

int user_name_or_default(
    const char *name, const struct identity *id, char **ret_name, struct err *reterr)
{
	if (str_empty(name))
		name = identity_user(id);
	if (str_empty(name))
		return err_set(
		    reterr, -EINVAL, "no user given, and the template has no default user");
	if (strlen(name) >= USERS_NAME_MAX)
		return err_set(reterr, -EINVAL, "username: at most %d bytes", USERS_NAME_MAX - 1);
	*ret_name = mem_strdup(name);
	return *ret_name ? 0 : -ENOMEM;
}

int user_name_of_call(
    const struct call *c, const struct identity *id, char **ret_name, struct err *reterr)
{
	CLEAN_FREE char *name = NULL;
	int r = user_name_from_basic(call_header(c, "authorization"), &name, reterr);
	return r < 0 ? r : user_name_or_default(name, id, ret_name, reterr);
}

/* ---- which path ---- */

static int too_long(struct err *reterr)
{
	return err_set(
	    reterr, -ENAMETOOLONG, "path: longer than %d bytes when absolute", PATH_LEN_MAX - 1);
}

/* Drop what says nothing: doubled slashes, ".", a slash at the end. path begins with a slash. */
static void tidy(char *path)
{
	char *to = path;
	for (const char *p = path; *p;) {
		p += strspn(p, "/");
		size_t n = strcspn(p, "/");
		if (n > 0 && !(n == 1 && *p == '.')) {
			*to++ = '/';
			memmove(to, p, n);
			to += n;
		}
		p += n;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

/* path against base, which is absolute; "~" against the home. */
static int resolve(char dst[PATH_LEN_MAX], const char *home, const char *base, const char *path,
    struct err *reterr)
{
	const char *below = str_after(path, "~");
	int r;
	if (*path == '/')
		r = path_join(dst, PATH_LEN_MAX, "/", path);
	else if (below && (*below == '/' || !*below))
		r = path_join(dst, PATH_LEN_MAX, home, below);
	else if (below)
		return err_set(reterr, -EINVAL, "path '%s': only ~ and ~/ are expanded", path);
	else
		r = path_join(dst, PATH_LEN_MAX, base, path);
	if (r < 0)
		return too_long(reterr);
	tidy(dst);
	return 0;
}

int user_path(char dst[PATH_LEN_MAX], const struct user *u, const char *workdir, const char *path,
    struct err *reterr)
{
	char base[PATH_LEN_MAX];
	const char *home = *u->home == '/' ? u->home : "/";
	int r = resolve(base, home, home, workdir ? workdir : "", reterr);
	return r < 0 ? r : resolve(dst, home, base, path, reterr);
}
