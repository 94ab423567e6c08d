/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/python/install.h"

#include <fcntl.h>
#include <stddef.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"

struct python_file {
	const char *name;
	const unsigned char *bytes;
	size_t n;
};

#include "guest-kernel-agent/python/files.h"

int python_files_install(const char *dir, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	int r = path_mkdir_p(dir, 0755);

	for (size_t i = 0; r == 0 && i < sizeof(python_files) / sizeof(python_files[0]); i++) {
		const struct python_file *f = &python_files[i];

		r = path_join(path, sizeof(path), dir, f->name);
		if (r == 0)
			r = fd_replace_file(AT_FDCWD, path, 0644, f->bytes, f->n);
	}
	return r < 0 ? err_set(reterr, r, "cannot write Python files to %s: %s", dir, err_name(r))
		     : 0;
}
