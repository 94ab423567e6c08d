/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "guest-kernel-agent/system/identity.h"

static int write_mark(int dir, const char *name, const char *text)
{
	CLEAN_FD int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

int marks_write(const char *dir, const struct identity *id, struct err *reterr)
{
	int r = path_mkdir_p(dir, 0755);
	CLEAN_FD int fd = r < 0 ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && fd < 0)
		r = -errno;
	if (r == 0)
		r = write_mark(fd, ".E2B_SANDBOX", "true");
	if (r == 0)
		r = write_mark(fd, ".E2B_SANDBOX_ID", identity_sandbox_id(id));
	if (r == 0)
		r = write_mark(fd, ".E2B_TEMPLATE_ID", identity_template_id(id));
	return r < 0 ? err_set(reterr, r, "%s: %s", dir, err_name(r)) : 0;
}

int marks_add_entropy(const void *p, size_t n, struct err *reterr)
{
	CLEAN_FD int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_all(fd, p, n);
	return r < 0 ? err_set(reterr, r, "/dev/urandom: %s", err_name(r)) : 0;
}
