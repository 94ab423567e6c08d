/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/self.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "jail/caps.h"
#include "jail/seccomp.h"

static int drop_ids(uid_t uid, gid_t gid, struct err *reterr)
{
	if (setgroups(0, NULL) < 0)
		return err_set(reterr, -errno, "cannot drop groups: %s", err_name(-errno));
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_set(reterr, -errno, "cannot become %u:%u: %s", (unsigned)uid,
		    (unsigned)gid, err_name(-errno));
	return 0;
}

int self_drop(uid_t uid, gid_t gid, struct err *reterr)
{
	const struct rlimit none = { 0, 0 };
	if (uid == 0 || gid == 0)
		return err_set(reterr, -EINVAL, "cannot drop rights to root");
	/* Only while still privileged can the bounding set be emptied. Leaving uid 0 clears the
	 * rest. */
	int r = caps_limit_bounding(CAPS_NONE);
	if (r < 0)
		return err_set(reterr, r, "cannot drop capabilities: %s", err_name(r));
	r = drop_ids(uid, gid, reterr);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(reterr, -errno, "cannot give up rights: %s", err_name(-errno));
	if (setuid(0) == 0 || setgid(0) == 0)
		return err_set(reterr, -EPERM, "rights could be regained");
	return 0;
}

int self_confine_daemon(struct err *reterr)
{
	struct seccomp_prog prog = { 0 };
	int r = seccomp_prog_build(SECCOMP_DAEMON, &prog, reterr);
	if (r < 0)
		return r;
	r = seccomp_prog_load(&prog);
	seccomp_prog_fini(&prog);
	return r < 0 ? err_set(reterr, r, "cannot load the system call filter: %s", err_name(r))
		     : 0;
}
