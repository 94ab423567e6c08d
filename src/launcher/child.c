/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/str.h"
#include "jail/caps.h"
#include "jail/landlock.h"
#include "jail/seccomp.h"

#define NOFILE_MAX 65536u
#define CORE_MAX \
	1u /* see core(5): the only value that also keeps a pipe in core_pattern from starting */
#define OOM_SCORE "300\n" /* when the whole machine is out of memory: sandboxes before servers */
#define HOST_NAME "sandbox"

int child_fault(const struct child_plan *p, const char *step)
{
	return p->fault ? p->fault(step, p->fault_arg) : 0;
}

/* ---- namespaces that are entered before the root changes ---- */

int child_wait_for_record(int status_fd)
{
	char go;
	ssize_t n;
	do {
		n = read(status_fd, &go, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -ECANCELED; /* the launcher is gone: nobody knows of us */
}

int child_enter_cgroups(const struct cgroup_door *door)
{
	int r = cgroup_door_enter(door);
	if (r == 0 && unshare(CLONE_NEWCGROUP) < 0)
		r = -errno;
	if (r == 0)
		(void)fd_write_file(
		    AT_FDCWD, "/proc/self/oom_score_adj", OOM_SCORE, sizeof(OOM_SCORE) - 1);
	return r;
}

static int enter_cgroups(const struct child_plan *p)
{
	return child_enter_cgroups(&p->door);
}

static int set_sysctl(const char *path, const char *value)
{
	int r = fd_write_file(AT_FDCWD, path, value, strlen(value));
	return r == -ENOENT ? 0 : r;
}

/* Root inside has no rights over the network namespace: what it may do is allowed to everybody. */
static int set_up_loopback(void)
{
	struct ifreq req = { .ifr_flags = IFF_UP | IFF_RUNNING };
	(void)str_copy(req.ifr_name, sizeof(req.ifr_name), "lo");
	CLEAN_FD int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &req) < 0)
		return -errno;
	int r = set_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n");
	return r < 0 ? r : set_sysctl("/proc/sys/net/ipv4/ping_group_range", "0 2147483647\n");
}

static int enter_network(const struct child_plan *p)
{
	if (p->netns_fd < 0)
		return set_up_loopback();
	return setns(p->netns_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

/* ---- rights ---- */

static int enter_user(const struct child_plan *p)
{
	/* A session first: its leader's terminal can then never be one of the host. */
	if (setsid() < 0 || setns(p->userns_fd, CLONE_NEWUSER) < 0)
		return -errno;
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return -errno;
	return 0;
}

int child_set_limit(int which, uint64_t want)
{
	struct rlimit old;
	if (getrlimit((__rlimit_resource_t)which, &old) < 0)
		return -errno;
	if (want > old.rlim_max)
		want = old.rlim_max;
	const struct rlimit lim = { want, want };
	return setrlimit((__rlimit_resource_t)which, &lim) < 0 ? -errno : 0;
}

static int give_up_rights(const struct child_plan *p)
{
	int r = caps_limit(caps_sandbox);
	if (r == 0)
		r = child_set_limit(RLIMIT_CORE, CORE_MAX);
	if (r == 0)
		r = child_set_limit(RLIMIT_NOFILE, NOFILE_MAX);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && p->landlock)
		r = landlock_restrict_sandbox();
	return r;
}

/* ---- the agent ---- */

/* Descriptors 0 to 4 as the agent expects them; the two that are still needed above. */
static int arrange_fds(const struct child_plan *p, int *ret_agent, int *ret_status)
{
	enum { LOW = 16 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int from[] = { null, p->log_fd, p->log_fd, p->control_fd, p->data_fd, p->agent_fd,
		p->status_fd };
	int high[sizeof(from) / sizeof(from[0])];
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, LOW);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i <= 4; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	*ret_agent = high[5];
	*ret_status = high[6];
	/* Whatever else is open closes with the exec, even if somebody forgot to say so. */
	return close_range(5, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

static int become_agent(const struct child_plan *p, int agent)
{
	static char *const argv[] = { "sandglass-agent", NULL };
	static char *const envp[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"LANG=C.UTF-8", NULL
	};
	int r = seccomp_prog_load(p->filter);
	if (r < 0)
		return r;
	(void)syscall(SYS_execveat, agent, "", argv, envp, AT_EMPTY_PATH);
	return -errno;
}

/* ---- telling ---- */

void child_report_failure(int status, const char *step, int code)
{
	struct child_report rep = { .kind = CHILD_FAILED, .code = code };
	(void)str_copy(rep.step, sizeof(rep.step), step);
	(void)fd_send_msg(status, &rep, sizeof(rep), NULL, 0);
	_exit(125);
}

static int enter_root(const struct child_plan *p)
{
	const char *step = "root";
	int disk = -1;
	int r = sethostname(HOST_NAME, sizeof(HOST_NAME) - 1) < 0 ? -errno
								  : rootfs_enter(p, &step, &disk);
	if (r < 0)
		child_report_failure(p->status_fd, step, r);
	const struct child_report rep = { .kind = CHILD_DISK };
	ssize_t n = fd_send_msg(p->status_fd, &rep, sizeof(rep), &disk, 1);
	(void)fd_close(disk);
	return n < 0 ? (int)n : 0;
}

void child_run(const struct child_plan *p)
{
	static const struct {
		const char *name;
		int (*fn)(const struct child_plan *p);
	} steps[] = { { "enter-cgroups", enter_cgroups }, { "network", enter_network },
		{ "root", enter_root }, { "enter-user", enter_user },
		{ "rights", give_up_rights } };
	int status = p->status_fd, agent = -1;
	sigset_t none;
	(void)close(p->conn_fd);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (child_wait_for_record(p->status_fd) < 0)
		_exit(125);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int r = child_fault(p, steps[i].name);
		if (r == 0)
			r = steps[i].fn(p);
		if (r < 0)
			child_report_failure(status, steps[i].name, r);
	}
	(void)umask(022);
	int r = child_fault(p, "exec");
	if (r == 0)
		r = arrange_fds(p, &agent, &status);
	if (r == 0)
		r = become_agent(p, agent);
	child_report_failure(status, "exec", r);
}
