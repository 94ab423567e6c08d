/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program of a build: in namespaces of its own, its output becomes lines of the log. The first
 * process inside is a small init that reaps; when it is killed (time limit, a full disk, the
 * builder's own end), the kernel kills all the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "image/build_private.h"

#define LINES_MAX 20000u /* of one step; more say nothing new */
#define TICK_MS 500
#define OUTPUT_MAX (4u << 20)
#define LINE_MAX 2048
#define FAILED 125 /* the jail could not be entered */

struct lines {
	char line[LINE_MAX];
	size_t n;
	char last[ERR_TEXT_MAX]; /* for the failure's sentence */
};

/* ---- the new process ---- */

static int reap_until(pid_t main_pid)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno != EINTR)
			return FAILED;
		if (pid == main_pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

static void be_init(const struct build *b, const struct jail_plan *p, int out, int err)
    __attribute__((noreturn));
static void be_init(const struct build *b, const struct jail_plan *p, int out, int err)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || null < 0 || dup2(null, 0) < 0 ||
	    dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(FAILED);
	if (build_jail_enter(b, p) < 0)
		_exit(FAILED);
	/* Becoming another user clears it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(FAILED);
	pid_t pid = fork();
	if (pid == 0) {
		if (close_range(3, ~0u, 0) < 0)
			_exit(FAILED);
		if (p->fn)
			_exit(p->fn(p->arg));
		char *env[128] = { NULL };
		size_t n = 0;
		for (const char *const *e = p->env; e && *e && n < 126; e++)
			env[n++] = (char *)*e;
		for (char **e = p->online ? b->host.env : NULL; e && *e && n < 126; e++)
			env[n++] = *e;
		(void)execvpe(p->argv[0], (char *const *)p->argv, env);
		(void)fprintf(stderr, "cannot run %s: %s\n", p->argv[0], err_name(-errno));
		(void)fflush(stderr);
		_exit(errno == ENOENT ? 127 : 126);
	}
	_exit(pid < 0 ? FAILED : reap_until(pid));
}

/* ---- its output ---- */

static void end_line(struct build *b, struct lines *l)
{
	if (l->n == 0)
		return;
	if (b->lines++ == LINES_MAX)
		build_log(b, BUILD_WARN, "more than %u lines; the rest is left out", LINES_MAX);
	else if (b->lines <= LINES_MAX)
		build_log_text(b, BUILD_INFO, l->line, l->n);
	size_t n = l->n < sizeof(l->last) - 1 ? l->n : sizeof(l->last) - 1;
	memcpy(l->last, l->line, n);
	l->last[n] = '\0';
	l->n = 0;
}

static void take(struct build *b, struct lines *l, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' || p[i] == '\r')
			end_line(b, l);
		else if (l->n < sizeof(l->line))
			l->line[l->n++] = p[i];
	}
}

/* False at the end. */
static bool read_some(struct build *b, int fd, struct lines *l, struct buf *output)
{
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n > 0 && output && buf_len(output) + (size_t)n <= OUTPUT_MAX)
		(void)buf_append(output, chunk, (size_t)n);
	else if (n > 0 && !output)
		take(b, l, chunk, (size_t)n);
	return n > 0;
}

static int check_limits(struct build *b, struct err *reterr)
{
	if (clock_mono_ms() > b->deadline_ms)
		return err_set(
		    reterr, -ETIMEDOUT, "the build took longer than %u s", b->conf->limit_s);
	return build_check_space(b, reterr);
}

static int follow(struct build *b, int out, int errfd, const struct jail_plan *p, struct lines *l,
    struct err *reterr)
{
	struct lines aside = { .n = 0 };
	struct pollfd fds[2] = { { .fd = out, .events = POLLIN },
		{ .fd = errfd, .events = POLLIN } };
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		int n = poll(fds, 2, TICK_MS);
		int r = n < 0 && errno != EINTR ? -errno : check_limits(b, reterr);
		if (r < 0)
			return r;
		if (fds[0].revents && !read_some(b, out, &aside, p->output))
			fds[0].fd = -1;
		if (fds[1].revents && !read_some(b, errfd, l, NULL))
			fds[1].fd = -1;
	}
	end_line(b, &aside);
	end_line(b, l);
	return 0;
}

static int explain(const struct build *b, const struct jail_plan *p, int status,
    const struct lines *l, struct err *reterr)
{
	const char *what = p->argv ? p->argv[0] : "a part of the builder";
	const char *colon = l->last[0] ? ": " : "";
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (code == 0)
		return 0;
	if (code > 128 || code < 0)
		return err_set(reterr, -EIO, "step %s: %s was killed by signal %d%s%.200s", b->step,
		    what, code < 0 ? WTERMSIG(status) : code - 128, colon, l->last);
	return err_set(reterr, code == 127 ? -ENOENT : -EIO,
	    "step %s: %s ended with exit status %d%s%.200s", b->step, what, code, colon, l->last);
}

int build_exec(struct build *b, const struct jail_plan *p, struct err *reterr)
{
	struct clone_args args = { .flags =
				       CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD };
	int out[2], errs[2];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set(reterr, -errno, "pipe: %s", err_name(-errno));
	if (pipe2(errs, O_CLOEXEC) < 0) {
		(void)close(out[0]);
		(void)close(out[1]);
		return err_set(reterr, -EMFILE, "pipe: %s", err_name(-EMFILE));
	}
	/* One pipe for both unless the output is wanted: lines keep their order then. */
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		be_init(b, p, p->output ? out[1] : errs[1], errs[1]);
	int r =
	    pid < 0 ? err_set(reterr, -errno, "cannot make namespaces: %s", err_name(-errno)) : 0;
	(void)close(out[1]);
	(void)close(errs[1]);
	struct lines l = { .n = 0 };
	if (r == 0)
		r = follow(b, out[0], errs[0], p, &l, reterr);
	(void)close(out[0]);
	(void)close(errs[0]);
	if (pid < 0)
		return r;
	if (r < 0)
		(void)kill((pid_t)pid, SIGKILL);
	int status = 0;
	while (waitpid((pid_t)pid, &status, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? r : explain(b, p, status, &l, reterr);
}

/* ---- questions to the host ---- */

int build_ask_host(const char *const *argv, size_t max, struct buf *dst)
{
	static char *const env[] = { (char *)BUILD_PATH_ENV, (char *)"LC_ALL=C.UTF-8", NULL };
	int ends[2], status;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (null < 0 || dup2(null, 0) < 0 || dup2(null, 2) < 0 || dup2(ends[1], 1) < 0)
			_exit(FAILED);
		(void)execvpe(argv[0], (char *const *)argv, env);
		_exit(127);
	}
	(void)close(ends[1]);
	int r = pid < 0 ? -EAGAIN : fd_read_all(ends[0], max, dst);
	(void)close(ends[0]);
	if (pid < 0)
		return r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r == 0 && status != 0)
		r = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EIO;
	return r;
}
