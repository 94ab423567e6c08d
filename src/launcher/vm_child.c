/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm_child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "jail/caps.h"
#include "jail/landlock.h"
#include "jail/mnt.h"
#include "launcher/child.h"
#include "launcher/disk.h"

#define ROOT "stage"
#define ROOT_BYTES 65536u
#define NOFILE_MAX 1024u
#define CORE_MAX 1u /* see child.c */

/* ---- its root ---- */

/* As on the host: a link into /usr, or a directory of its own. */
static int add_system_dir(const char *name)
{
	char from[32], to[64], target[64];
	struct stat st;
	(void)snprintf(from, sizeof(from), "/%s", name);
	(void)snprintf(to, sizeof(to), ROOT "/%s", name);
	if (lstat(from, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISLNK(st.st_mode))
		return mkdir(to, 0755) < 0 ? -errno : mnt_bind(from, to, MNT_RO, -1);
	ssize_t n = readlink(from, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlink(target, to) < 0 ? -errno : 0;
}

/* NULL and absent ones are fine. */
static int add_file(const char *from, const char *as, unsigned flags)
{
	char to[96];
	if (!from || !path_exists(from))
		return 0;
	(void)snprintf(to, sizeof(to), ROOT "%s", as);
	CLEAN_FD int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : mnt_bind(from, to, flags, -1);
}

/* On the host only root, or a group, may open it. */
static int add_kvm(const struct vm_child_plan *p)
{
	struct stat st;
	if (stat("/dev/kvm", &st) < 0 || mknod(ROOT "/dev/kvm", S_IFCHR | 0600, st.st_rdev) < 0 ||
	    chown(ROOT "/dev/kvm", p->uid_base, p->uid_base) < 0)
		return -errno;
	return 0;
}

static int add_devices(const struct vm_child_plan *p)
{
	static const char *const devices[] = { "/dev/null", "/dev/urandom" };
	int r = mnt_tmpfs(ROOT "/dev", ROOT_BYTES, 0755, MNT_NOEXEC | MNT_DEV);
	for (size_t i = 0; r == 0 && i < sizeof(devices) / sizeof(devices[0]); i++)
		r = add_file(devices[i], devices[i], MNT_DEV | MNT_NOEXEC);
	return r < 0 || !p->kvm ? r : add_kvm(p);
}

static int fill_root(const struct vm_child_plan *p)
{
	static const char *const dirs[] = { ROOT "/usr", ROOT "/etc", ROOT "/dev", ROOT "/proc" };
	static const char *const system[] = { "lib", "lib64", "lib32", "bin", "sbin" };
	int r = 0;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i], 0755) < 0)
			return -errno;
	r = mnt_bind("/usr", ROOT "/usr", MNT_RO, -1);
	for (size_t i = 0; r == 0 && i < sizeof(system) / sizeof(system[0]); i++)
		r = add_system_dir(system[i]);
	if (r == 0)
		r = add_file("/etc/ld.so.cache", "/etc/ld.so.cache", MNT_RO | MNT_NOEXEC);
	if (r == 0)
		r = add_file(p->kernel, VM_KERNEL, MNT_RO | MNT_NOEXEC);
	if (r == 0)
		r = add_file(p->initrd, VM_INITRD, MNT_RO | MNT_NOEXEC);
	if (r == 0)
		r = add_devices(p);
	/* Descriptors are opened again through it. Nothing but the VMM is in there. */
	if (r == 0 && mount("proc", ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "hidepid=2,subset=pid") < 0)
		r = -errno;
	return r;
}

static int enter_root(const struct vm_child_plan *p)
{
	const struct mount_attr ro = { .attr_set = MOUNT_ATTR_RDONLY };
	(void)umask(0);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	int r = mnt_tmpfs(ROOT, ROOT_BYTES, 0755, MNT_NOEXEC);
	if (r == 0)
		r = fill_root(p);
	if (r == 0 && mount_setattr(AT_FDCWD, ROOT, 0, (struct mount_attr *)&ro, sizeof(ro)) < 0)
		r = -errno;
	return r < 0 ? r : mnt_pivot(ROOT);
}

/* ---- the rest ---- */

static int enter_cgroups(const struct vm_child_plan *p)
{
	return child_enter_cgroups(&p->door);
}

static int enter_network(const struct vm_child_plan *p)
{
	return p->netns_fd >= 0 && setns(p->netns_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

static int give_up_rights(const struct vm_child_plan *p)
{
	if (setsid() < 0 || sethostname("vmm", 3) < 0 || setgroups(0, NULL) < 0)
		return -errno;
	int r = caps_limit_bounding(CAPS_NONE);
	if (r == 0 && (setresgid(p->uid_base, p->uid_base, p->uid_base) < 0 ||
			  setresuid(p->uid_base, p->uid_base, p->uid_base) < 0))
		r = -errno;
	if (r == 0)
		r = child_set_limit(RLIMIT_CORE, CORE_MAX);
	if (r == 0)
		r = child_set_limit(RLIMIT_NOFILE, NOFILE_MAX);
	if (r == 0)
		r = child_set_limit(RLIMIT_FSIZE, p->file_limit);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && p->landlock)
		r = landlock_restrict_sandbox();
	return r;
}

/* First out of the way, then each to its number. */
static int arrange_fds(const struct vm_child_plan *p, int disk, int *ret_status)
{
	enum { HIGH = 64 };
	int high[VM_FD_END];
	for (int i = 0; i < VM_FD_END; i++) {
		int from = i == 0	     ? open("/dev/null", O_RDWR | O_CLOEXEC)
			   : i < 3	     ? p->log_fd
			   : i == VM_FD_DISK ? disk
					     : p->fds[i];
		high[i] = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, HIGH);
		if (from >= 0 && high[i] < 0)
			return -errno;
	}
	*ret_status = fcntl(p->status_fd, F_DUPFD_CLOEXEC, HIGH);
	if (*ret_status < 0)
		return -errno;
	for (int i = 0; i < VM_FD_END; i++) {
		if (high[i] < 0)
			(void)close(i);
		else if (dup2(high[i], i) < 0)
			return -errno;
	}
	return close_range(VM_FD_END, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

static int become_vmm(const struct vm_child_plan *p)
{
	static char *const envp[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };
	(void)execve(p->argv[0], (char *const *)p->argv, envp);
	return -errno;
}

static int fault(const struct vm_child_plan *p, const char *step)
{
	return p->fault ? p->fault(step, p->fault_arg) : 0;
}

void vm_child_run(const void *plan)
{
	static const struct {
		const char *name;
		int (*fn)(const struct vm_child_plan *p);
	} steps[] = { { "network", enter_network }, { "root", enter_root },
		{ "rights", give_up_rights } };
	const struct vm_child_plan *p = plan;
	int status = p->status_fd;
	sigset_t none;
	(void)close(p->conn_fd);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (child_wait_for_record(status) < 0)
		_exit(125);
	int r = fault(p, "enter-cgroups");
	if (r == 0)
		r = enter_cgroups(p);
	if (r < 0)
		child_report_failure(status, "enter-cgroups", r);
	int disk = fault(p, "disk");
	if (disk == 0)
		disk = disk_copy(p->disk_from, p->disk);
	if (disk < 0)
		child_report_failure(status, "disk", disk);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		r = fault(p, steps[i].name);
		if (r == 0)
			r = steps[i].fn(p);
		if (r < 0)
			child_report_failure(status, steps[i].name, r);
	}
	r = fault(p, "exec");
	if (r == 0)
		r = arrange_fds(p, disk, &status);
	if (r == 0)
		r = become_vmm(p);
	child_report_failure(status, "exec", r);
}
