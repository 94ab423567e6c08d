/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between fork and exec the child makes system calls only: the agent has threads, so memory
 * allocation and stdio could find their locks taken. Everything that the child needs is prepared
 * before.
 */
#include "guest-kernel-agent/system/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/path.h"
#include "guest-kernel-agent/system/environ.h"
#include "guest-kernel-agent/system/tree.h"
#include "guest-kernel-agent/system/users.h"

#define STATUS_FD (STDERR_FILENO + 1) /* in the child, until the program runs */

static const char *env_value(const char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/* The search path: one directory more of it in dst, with the name. False at its end. Directories
 * that make the path too long are passed over. */
static bool next_candidate(const char **path, const char *name, char dst[PATH_LEN_MAX])
{
	size_t n_name = strlen(name);

	while (*path) {
		const char *dir = *path;
		size_t n = strcspn(dir, ":");

		*path = dir[n] ? dir + n + 1 : NULL;
		if (n + n_name + 2 > PATH_LEN_MAX)
			continue;
		memcpy(dst, dir, n);
		dst[n] = '/';
		memcpy(dst + (n ? n + 1 : 0), name, n_name + 1);
		return true;
	}
	return false;
}

static const char *search_path(const struct spawn *s)
{
	const char *path = env_value(s->envp, "PATH");

	return path ? path : ENVIRON_PATH;
}

int spawn_check_program(const struct spawn *s, struct err *reterr)
{
	const char *name = s->argv[0], *path = search_path(s);
	char candidate[PATH_LEN_MAX];

	if (strchr(name, '/'))
		return 0;
	while (next_candidate(&path, name, candidate))
		if (access(candidate, X_OK) == 0)
			return 0;
	return err_set(reterr, -ENOENT, "program '%s' was not found", name);
}

/* ---- the child ---- */

static void child_say(const char *what, const char *name, int error)
{
	const char *parts[] = { what, " ", name, ": ", strerrordesc_np(error), "\n" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i])
			(void)!write(STDERR_FILENO, parts[i], strlen(parts[i]));
}

/* Before the program: to whoever reads the status, else to those who read the output. */
static _Noreturn void child_fail(
    const struct spawn *s, enum spawn_stage stage, const char *what, const char *name)
{
	struct spawn_failure f = { (int)stage, errno };

	if (s->status >= 0)
		(void)!write(STATUS_FD, &f, sizeof(f));
	else
		child_say(what, name, f.error);
	_exit(SPAWN_EXIT_NOT_FOUND);
}

/* The library's sigaction() refuses the signals that it keeps for itself, and whoever started the
 * agent may have ignored those, too. */
static void child_reset_signals(void)
{
	const unsigned long dfl[4] = { 0 }; /* the kernel's structure: SIG_DFL, nothing else */
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)syscall(SYS_rt_sigaction, i, dfl, NULL, sizeof(unsigned long));
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A copy above the first descriptors, so that none of them is overwritten before it was used. */
static int child_lift(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, STATUS_FD + 1);
}

static bool child_set_descriptors(const struct spawn *s)
{
	int status = child_lift(s->status), output = child_lift(s->output);
	int error = child_lift(s->error);
	int input = s->input < 0 ? open("/dev/null", O_RDONLY) : child_lift(s->input);

	if (s->status >= 0 && dup3(status, STATUS_FD, O_CLOEXEC) < 0)
		return false;
	if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(error, STDERR_FILENO) < 0)
		return false;
	return syscall(SYS_close_range, s->status >= 0 ? STATUS_FD + 1 : STATUS_FD, ~0U, 0) == 0;
}

/* Raw calls: the library's setuid() would signal threads that the child does not have. */
static bool child_become(const struct user *u)
{
	if (geteuid() != 0 && u->uid == geteuid())
		return true;
	return syscall(SYS_setgroups, u->n_groups, u->groups) == 0 &&
	       syscall(SYS_setresgid, u->gid, u->gid, u->gid) == 0 &&
	       syscall(SYS_setresuid, u->uid, u->uid, u->uid) == 0;
}

/* The agent may be protected from the out-of-memory killer; what runs user code is not. */
static void child_set_oom_adj(const char *value)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, value, strlen(value));
		(void)close(fd);
	}
}

/* Returns when the program could not be run, with the exit status for it. */
static int child_exec(const struct spawn *s)
{
	const char *name = s->argv[0], *path = search_path(s);
	char candidate[PATH_LEN_MAX];
	int error = ENOENT;

	if (strchr(name, '/')) {
		(void)execve(name, (char *const *)s->argv, (char *const *)s->envp);
		error = errno;
	}
	while (!strchr(name, '/') && *name && next_candidate(&path, name, candidate)) {
		(void)execve(candidate, (char *const *)s->argv, (char *const *)s->envp);
		if (errno != ENOENT && errno != ENOTDIR)
			error = errno;
	}
	child_say("cannot run", name, error);
	return error == ENOENT ? SPAWN_EXIT_NOT_FOUND : SPAWN_EXIT_NOT_EXECUTABLE;
}

static _Noreturn void child_run(const struct spawn *s, pid_t parent)
{
	child_reset_signals();
	(void)setsid();
	child_set_oom_adj(s->oom_adj);
	if (!child_set_descriptors(s))
		_exit(SPAWN_EXIT_NOT_FOUND);
	if (s->terminal && ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		child_fail(s, SPAWN_SETUP, "cannot use", "the terminal");
	if (s->mark) /* refused only to an agent that is not root and has a mark itself */
		(void)tree_mark_self(s->mark);
	if (!child_become(s->user))
		child_fail(s, SPAWN_USER, "cannot become user", s->user->name);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() != parent)
		_exit(SPAWN_EXIT_NOT_FOUND); /* the agent died meanwhile */
	if (chdir(s->cwd) < 0)
		child_fail(s, SPAWN_CWD, "cannot enter directory", s->cwd);
	_exit(child_exec(s));
}

/* ---- the parent ---- */

int spawn_process(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *reterr)
{
	pid_t parent = getpid(), pid = fork();
	int r, pidfd;

	if (pid < 0)
		return err_set(reterr, -errno, "cannot start a process");
	if (pid == 0)
		child_run(s, parent);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		r = err_set(reterr, -errno, "cannot watch a process");
		(void)kill(pid, SIGKILL);
		return r;
	}
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return 0;
}

void spawn_signal_group(pid_t pid, int pidfd, int signo)
{
	/* Before its setsid() the child leads no group yet. */
	if (kill(-pid, signo) < 0 && errno == ESRCH)
		(void)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0);
}
