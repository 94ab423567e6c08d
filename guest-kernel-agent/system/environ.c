/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/environ.h"

#include <stdlib.h>

#include "base/mem.h"
#include "guest-kernel-agent/system/users.h"

json_t *environ_of_user(const struct user *u)
{
	const char *path = getenv("PATH");
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "PATH", path ? path : ENVIRON_PATH, "HOME",
	    u->home, "USER", u->name, "LOGNAME", u->name, "LANG", "C.UTF-8");
}

char **environ_list(const json_t *env)
{
	char **list = mem_calloc(json_object_size(env) + 1, sizeof(*list));
	const char *name;
	json_t *value;
	size_t n = 0;

	if (!list)
		return NULL;
	json_object_foreach((json_t *)env, name, value)
	{
		list[n] = mem_printf("%s=%s", name, json_string_value(value));
		if (!list[n++])
			return environ_free(list);
	}
	return list;
}

char **environ_free(char **list)
{
	for (char **p = list; p && *p; p++)
		mem_free(*p);
	return mem_free(list);
}
