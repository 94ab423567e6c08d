/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A directory of a test's own, removed with its contents at the end. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/fdutil.h"
#include "base/path.h"

struct tmpdir {
	char path[64];
};

static inline void tmpdir_make(struct tmpdir *t)
{
	(void)snprintf(t->path, sizeof(t->path), "/tmp/sandglass-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(t->path));
}

static inline void tmpdir_remove(struct tmpdir *t)
{
	ck_assert_int_eq(path_remove_tree(t->path), 0);
}

/* Path of a name below it, in a a buffer of the caller. */
static inline const char *tmpdir_at(const struct tmpdir *t, const char *name, char dst[128])
{
	(void)snprintf(dst, 128, "%s/%s", t->path, name);
	return dst;
}

static inline void tmpdir_write(const struct tmpdir *t, const char *name, const char *text)
{
	char path[128];
	ck_assert_int_eq(
	    fd_replace_file(AT_FDCWD, tmpdir_at(t, name, path), 0600, text, strlen(text)), 0);
}
