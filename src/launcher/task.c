/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/task.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_end(struct loop_child *c, int status, void *arg)
{
	struct task *t = arg;
	loop_child_fini(&t->child);
	t->running = false;
	t->done(t, status >= 0 && WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO, t->arg);
}

static void close_others(const int *keep, unsigned n)
{
	int next = 3;
	for (unsigned i = 0; i < n; i++) { /* the lowest of those that are left, each time */
		int low = INT_MAX;
		for (unsigned k = 0; k < n; k++)
			if (keep[k] >= next && keep[k] < low)
				low = keep[k];
		if (low == INT_MAX)
			break;
		if (next < low)
			(void)close_range((unsigned)next, (unsigned)low - 1, 0);
		next = low + 1;
	}
	(void)close_range((unsigned)next, UINT_MAX, 0);
}

int task_start(struct task *t, struct loop *l, int (*fn)(void *fn_arg), void *fn_arg,
    void (*done)(struct task *t, int r, void *arg), void *arg)
{
	return task_start_with(t, l, NULL, 0, fn, fn_arg, done, arg);
}

int task_start_with(struct task *t, struct loop *l, const int *keep, unsigned n_keep,
    int (*fn)(void *fn_arg), void *fn_arg, void (*done)(struct task *t, int r, void *arg),
    void *arg)
{
	int pidfd = -1;
	pid_t parent = getpid();
	struct clone_args args = { .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* A launcher that is killed takes it along: the next one takes over what it works
		 * on. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(ECANCELED);
		close_others(keep, n_keep);
		_exit(-fn(fn_arg) & 0xff);
	}
	t->done = done;
	t->arg = arg;
	int r = loop_child_init(&t->child, l, pidfd, on_end, t);
	t->running = r == 0;
	return r;
}

int task_signal(struct task *t, int signo)
{
	if (!t->running)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, t->child.pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

void task_kill(struct task *t)
{
	if (t->running) {
		siginfo_t si;
		(void)syscall(SYS_pidfd_send_signal, t->child.pidfd, SIGKILL, NULL, 0);
		while (waitid(P_PIDFD, (id_t)t->child.pidfd, &si, WEXITED) < 0 && errno == EINTR)
			continue;
	}
	task_fini(t);
}

void task_fini(struct task *t)
{
	if (t->running)
		loop_child_fini(&t->child);
	t->running = false;
}
