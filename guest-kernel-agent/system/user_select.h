/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which user of the sandbox a request acts as, and what a path means to him. */
#include "base/path.h"

struct call;
struct err;
struct identity;
struct user;

/* What an RPC says: Authorization: Basic base64("user:"), else the sandbox's default user. Other
 * schemes are none of ours. The password is not looked at: the access token protects.
 * 0 with a name to be freed; -EINVAL with reterr (a field that does not parse, or no user given and
 * no default); -ENOMEM. Whether the user exists is not known yet. */
int user_name_of_call(
    const struct call *c, const struct identity *id, char **ret_name, struct err *reterr);
/* The same for a name given in a query or a body; NULL and "" = not given. */
int user_name_or_default(
    const char *name, const struct identity *id, char **ret_name, struct err *reterr);
/* The value of an Authorization field: 0 with *ret_name set (NULL = it names nobody), -EINVAL,
 * -ENOMEM. */
int user_name_from_basic(const char *authorization, char **ret_name, struct err *reterr);

/*
 * The absolute path that a request means: "~" and "~/x" are in the user's home, a relative one and
 * "" start from workdir, which itself is read the same way ("" = the home). Doubled slashes, "."
 * and a slash at the end go; ".." stays, because what it means depends on links. 0, or -EINVAL or
 * -ENAMETOOLONG with reterr set.
 */
int user_path(char dst[PATH_LEN_MAX], const struct user *u, const char *workdir, const char *path,
    struct err *reterr);
