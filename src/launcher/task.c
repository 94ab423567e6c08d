/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/task.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
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

int task_start(struct task *t, struct loop *l, int (*fn)(void *fn_arg), void *fn_arg,
    void (*done)(struct task *t, int r, void *arg), void *arg)
{
	int pidfd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)&pidfd,
		.exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)close_range(3, UINT_MAX, 0);
		_exit(-fn(fn_arg) & 0xff);
	}
	t->done = done;
	t->arg = arg;
	int r = loop_child_init(&t->child, l, pidfd, on_end, t);
	t->running = r == 0;
	return r;
}

void task_fini(struct task *t)
{
	if (t->running)
		loop_child_fini(&t->child);
	t->running = false;
}
