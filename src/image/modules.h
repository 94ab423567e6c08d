/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The kernel modules that a guest loads before it can mount its root, and what they depend on. */
struct buf;
struct err;

/* Copy the modules that guests want, and all that these need, from a tree such as
 * /lib/modules/VERSION/kernel to dir; dir/order names them in the order in which they are to be
 * loaded, one file name a line, "-" before those that a guest can do without. What is built into
 * the kernel (builtin: the text of modules.builtin) is left out. 0 or -errno and reterr. */
int modules_collect(const char *tree, const char *builtin, const char *dir, struct err *reterr);
/* The same with other wishes: names, NULL at the end, "-" as above. For tests. */
int modules_collect_these(const char *const *wanted, const char *tree, const char *builtin,
    const char *dir, struct err *reterr);
/* A few hexadecimal digits that are others when guests want other modules. 0 or -ENOMEM. */
#define MODULES_ID_LEN 8
int modules_id(char dst[MODULES_ID_LEN + 1]);
