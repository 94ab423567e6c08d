/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/fc_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "hostnet/tap.h"
#include "launcher/child.h"
#include "launcher/disk.h"

#define CORE_MAX 1u /* see child.c */

static int enter_cgroups(const struct fc_child_plan *p)
{
	return child_enter_cgroups(&p->door);
}

/* Its own, and the only file in the jail that it may write. */
static int copy_disk(const struct fc_child_plan *p)
{
	CLEAN_FD int fd = disk_copy(p->disk_from, p->disk);
	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0 || fchown(fd, p->uid, p->uid) < 0 ||
	    link(p->disk, p->disk_in_jail) < 0)
		return -errno;
	return 0;
}

/* Without a network there is a tap still: the machine must have the devices of its snapshots. */
static int enter_network(const struct fc_child_plan *p)
{
	struct err err = ERR_INIT;
	if (p->netns_fd >= 0)
		return setns(p->netns_fd, CLONE_NEWNET) < 0 ? -errno : 0;
	CLEAN_FD int self = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return self < 0 ? -errno : tap_add(self, p->uid, NULL, &err);
}

/* The jailer resolves and uses whole paths. Ours begins with one that nobody but root can rename.
 */
static int mount_jail(const struct fc_child_plan *p)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(p->jail, p->base, NULL, MS_BIND, NULL) < 0 ||
	    mount(p->vm_dir, p->vm_in_base, NULL, MS_BIND, NULL) < 0)
		return -errno;
	/* Nothing in there is a program but the copy that the jailer makes; devices it makes, too.
	 */
	return mount(NULL, p->base, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL) < 0 ? -errno : 0;
}

static int set_limits(const struct fc_child_plan *p)
{
	(void)umask(022);
	if (setsid() < 0 || sethostname("vmm", 3) < 0)
		return -errno;
	return child_set_limit(RLIMIT_CORE, CORE_MAX);
}

static int arrange_fds(const struct fc_child_plan *p, int *ret_status)
{
	enum { HIGH = 16 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log = fcntl(p->log_fd, F_DUPFD_CLOEXEC, HIGH);
	*ret_status = fcntl(p->status_fd, F_DUPFD_CLOEXEC, HIGH);
	if (null < 0 || log < 0 || *ret_status < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 ||
	    dup2(log, 2) < 0)
		return -errno;
	return close_range(3, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

static int become_jailer(const struct fc_child_plan *p)
{
	static char *const envp[] = { NULL };
	(void)execve(p->argv[0], (char *const *)p->argv, envp);
	return -errno;
}

void fc_child_run(const void *plan)
{
	static const struct {
		const char *name;
		int (*fn)(const struct fc_child_plan *p);
	} steps[] = { { "enter-cgroups", enter_cgroups }, { "disk", copy_disk },
		{ "network", enter_network }, { "root", mount_jail }, { "rights", set_limits } };
	const struct fc_child_plan *p = plan;
	int status = p->status_fd;
	sigset_t none;
	(void)close(p->conn_fd);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (child_wait_for_record(status) < 0)
		_exit(125);
	int r = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		r = p->fault ? p->fault(steps[i].name, p->fault_arg) : 0;
		if (r == 0)
			r = steps[i].fn(p);
		if (r < 0)
			child_report_failure(status, steps[i].name, r);
	}
	r = p->fault ? p->fault("exec", p->fault_arg) : 0;
	if (r == 0)
		r = arrange_fds(p, &status);
	if (r == 0)
		r = become_jailer(p);
	child_report_failure(status, "exec", r);
}
