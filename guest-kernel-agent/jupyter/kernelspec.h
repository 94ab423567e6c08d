/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The kernels that this sandbox has: every "kernels/NAME/kernel.json" of the Jupyter data
 * directories (the user's, $JUPYTER_PATH, /usr/local/share, /usr/share, each tree in /opt). The
 * first one found of a language is used. The Python kernel is started through our launcher, see
 * guest-kernel-agent/python.
 */
#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct err;
struct kernelspecs;
struct language;

struct kernelspec {
	char *language; /* lower case, as the file says */
	char **argv;	/* NULL at the end; "{connection_file}" stands for that */
	json_t *env;	/* object of strings, or NULL */
	bool interrupt_by_message;
	bool tcp;	      /* the kernel cannot use unix sockets */
	bool traceback_lines; /* each part of a traceback is a line without its end */
};

/* python_dir: where our launcher is. NULL on -ENOMEM. */
struct kernelspecs *kernelspecs_new(const char *python_dir);
struct kernelspecs *kernelspecs_free(struct kernelspecs *ks);
/* Look through the directories (again). home may be NULL. Files that cannot be used are logged.
 * Specs that were handed out before are invalid afterwards. 0 or -ENOMEM. */
int kernelspecs_scan(struct kernelspecs *ks, const char *home);
/* NULL when no kernel of that language was found. */
const struct kernelspec *kernelspecs_find(
    const struct kernelspecs *ks, const struct language *lang);

/* One kernel.json, which lies in dir. 0; 1 = of a language that is not offered; -EINVAL or -ENOMEM
 * with reterr set. ret is set only when 0. */
int kernelspec_parse(const void *text, size_t n, const char *dir, const char *python_dir,
    struct kernelspec *ret, struct err *reterr);
void kernelspec_fini(struct kernelspec *s);
/* argv with the connection file's path put in: NULL on -ENOMEM; free with environ_free().
 */
char **kernelspec_argv(const struct kernelspec *s, const char *connection_file);
