/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"

/* Newer than the headers that we build with. */
#define ACCESS_TRUNCATE (1ull << 14)	/* ABI 3 */
#define ACCESS_IOCTL_DEV (1ull << 15)	/* ABI 5 */
#define SCOPE_ABSTRACT_UNIX (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ull << 1)

struct ruleset_attr { /* as of ABI 6 */
	uint64_t handled_access_fs, handled_access_net, scoped;
};

#define MIN_ABI 2 /* the first one can rename nothing across directories */

int landlock_abi(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return r < 0 ? 0 : (int)r;
}

static int allow_beneath(int ruleset, const char *path, uint64_t access)
{
	CLEAN_FD int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = dir };
	if (dir < 0)
		return -errno;
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		   ? -errno
		   : 0;
}

int landlock_restrict_sandbox(void)
{
	int abi = landlock_abi();
	uint64_t all = (LANDLOCK_ACCESS_FS_REFER << 1) - 1;
	if (abi < MIN_ABI)
		return LANDLOCK_E_UNSUPPORTED;
	if (abi >= 3)
		all |= ACCESS_TRUNCATE;
	uint64_t device = abi >= 5 ? ACCESS_IOCTL_DEV : 0;
	uint64_t root = all & ~(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK);
	struct ruleset_attr attr = {
		.handled_access_fs = all | device,
		.scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0,
	};
	size_t size = abi >= 6 ? sizeof(attr) : sizeof(attr.handled_access_fs);
	CLEAN_FD int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return -errno;
	int r = allow_beneath(ruleset, "/", root);
	if (r == 0 && device)
		r = allow_beneath(ruleset, "/dev", device);
	if (r < 0)
		return r;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
