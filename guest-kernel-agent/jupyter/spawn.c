/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between fork and exec the child makes system calls only: the agent has threads, so memory
 * allocation and stdio could find their locks taken. Everything that the child needs is prepared
 * before.
 */
#include "guest-kernel-agent/jupyter/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/system/users.h"

#define EXIT_SPAWN_FAILED 127
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *env_value(const char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp; envp++)
		if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/* Where the program is; as execvp() would look for it. */
static int find_program(const struct spawn *s, char dst[PATH_LEN_MAX], struct err *reterr)
{
	const char *name = s->argv[0], *path = env_value(s->envp, "PATH");

	if (strchr(name, '/')) {
		if (str_copy(dst, PATH_LEN_MAX, name) < PATH_LEN_MAX)
			return 0;
		return err_set(reterr, -ENAMETOOLONG, "the program's path is too long");
	}
	for (const char *p = path ? path : PATH_DEFAULT; *p; p += *p == ':') {
		int len = (int)strcspn(p, ":");

		if (path_printf(dst, PATH_LEN_MAX, "%.*s/%s", len, p, name) == 0 &&
		    access(dst, X_OK) == 0)
			return 0;
		p += len;
	}
	return err_set(reterr, -ENOENT, "program '%s' was not found", name);
}

static void child_say(const char *what, const char *name, int error)
{
	const char *parts[] = { what, " ", name, ": ", strerrordesc_np(error), "\n" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i])
			(void)!write(STDERR_FILENO, parts[i], strlen(parts[i]));
}

static void child_reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &dfl, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool child_set_output(int output)
{
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(output, STDERR_FILENO) < 0)
		return false;
	return syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0) == 0;
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
static void child_reset_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, "0", 1);
		(void)close(fd);
	}
}

static _Noreturn void child_run(const struct spawn *s, const char *program, pid_t parent)
{
	const char *failed = "cannot run", *name = program;

	child_reset_signals();
	(void)setsid();
	child_reset_oom_score();
	if (!child_set_output(s->output))
		_exit(EXIT_SPAWN_FAILED);
	if (!child_become(s->user)) {
		failed = "cannot become user";
		name = s->user->name;
	} else if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() != parent) {
		_exit(EXIT_SPAWN_FAILED); /* the agent died meanwhile */
	} else if (chdir(s->cwd) < 0) {
		failed = "cannot enter directory";
		name = s->cwd;
	} else {
		(void)execve(program, (char *const *)s->argv, (char *const *)s->envp);
	}
	child_say(failed, name, errno);
	_exit(EXIT_SPAWN_FAILED);
}

int spawn_process(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *reterr)
{
	char program[PATH_LEN_MAX];
	pid_t parent = getpid(), pid;
	int r = find_program(s, program, reterr), pidfd;

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return err_set(reterr, -errno, "cannot start a process");
	if (pid == 0)
		child_run(s, program, parent);
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
