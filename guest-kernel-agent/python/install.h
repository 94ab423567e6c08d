/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The Python files that the agent carries: our kernel launcher and its modules. */

struct err;

/* Write them into dir, which is made, readable by everybody. 0, or -errno with reterr set. */
int python_files_install(const char *dir, struct err *reterr);
