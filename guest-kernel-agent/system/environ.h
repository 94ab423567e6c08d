/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The environment of what the agent starts: an object of names and values while it is put
 * together, a list for exec at the end. */
#include <jansson.h>

struct user;

#define ENVIRON_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* What every process of the user has: PATH, HOME, USER, LOGNAME, LANG. NULL on -ENOMEM. */
json_t *environ_of_user(const struct user *u);
/* "K=V" and NULL at the end, to be freed with environ_free(); NULL on -ENOMEM. */
char **environ_list(const json_t *env);
/* Frees any list of texts that ends in NULL; accepts NULL, returns NULL. */
char **environ_free(char **list);
