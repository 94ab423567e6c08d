/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdutil.h"
#include "base/json.h"
#include "base/log.h"
#include "jail/self.h"

#define ANSWER_MAX (1u << 20)

int children_open(struct children *c)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	c->signal_fd = fd_open_signals(signals, sizeof(signals) / sizeof(signals[0]));
	return c->signal_fd < 0 ? c->signal_fd : 0;
}

void children_close(struct children *c)
{
	c->signal_fd = fd_close(c->signal_fd);
}

static void note_signal(struct children *c)
{
	struct signalfd_siginfo si;
	while (read(c->signal_fd, &si, sizeof(si)) == sizeof(si))
		if (c->signo == 0)
			c->signo = (int)si.ssi_signo;
}

/* Until fd (-1 = none) is readable. */
static int wait_for(struct children *c, int fd, uint64_t ms)
{
	uint64_t end = clock_mono_ms() + ms;
	for (;;) {
		struct pollfd p[] = { { c->signal_fd, POLLIN, 0 }, { fd, POLLIN, 0 } };
		uint64_t now = clock_mono_ms();
		note_signal(c);
		if (c->signo)
			return -EINTR;
		if (poll(p, 2, now < end ? (int)(end - now) : 0) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents)
			return 0;
		if (clock_mono_ms() >= end)
			return -ETIMEDOUT;
	}
}

int children_pause(struct children *c, uint64_t ms)
{
	return wait_for(c, -1, ms);
}

/* ---- starting ---- */

/* In the child: a group of its own, so that a terminal's signals reach doctor alone, which ends its
 * children; the end of doctor is theirs. */
static int become_child(struct children *c, pid_t parent)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	c->signal_fd = fd_close(c->signal_fd);
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log = open(c->log_path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log, 2) < 0)
		return -errno;
	/* The first of a process id namespace sees none. */
	return getppid() == parent || getpid() == 1 ? 0 : -ESRCH;
}

pid_t children_start(struct children *c, children_main *main, void *arg, int fd)
{
	pid_t parent = getpid(), pid = fork();
	if (pid != 0)
		return pid < 0 ? -errno : pid;
	if (become_child(c, parent) < 0)
		_exit(EXIT_FAILURE);
	if (fd == 3 ? fcntl(3, F_SETFD, 0) < 0 : fd >= 0 && dup3(fd, 3, 0) < 0)
		_exit(EXIT_FAILURE);
	main(arg);
	_exit(EXIT_FAILURE);
}

/* ---- ending ---- */

int children_wait(struct children *c, pid_t pid, uint64_t ms, int *ret_status)
{
	CLEAN_FD int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int r = fd < 0 ? -errno : wait_for(c, fd, ms);
	if (r == 0 && waitpid(pid, ret_status, 0) < 0)
		r = -errno;
	return r;
}

int children_stop(struct children *c, pid_t pid, uint64_t ms)
{
	int status = 0;
	(void)kill(pid, SIGTERM);
	int r = children_wait(c, pid, ms, &status);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return -ECHILD;
	}
	return status == 0 ? 0 : -ECHILD;
}

/* ---- answers ---- */

static void answer(struct children *c, children_fn *fn, void *arg, bool confine, int out)
    __attribute__((noreturn));
static void answer(struct children *c, children_fn *fn, void *arg, bool confine, int out)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	int r = self_drop(c->uid, c->gid, &err);
	if (r == 0 && confine)
		r = self_confine_daemon(&err);
	json_t *v = r < 0 ? json_pack("{s:s}", "error", err_text(&err)) : fn(arg);
	if (v && json_write(&b, v, false) == 0)
		(void)fd_write_all(out, buf_data(&b), buf_len(&b));
	_exit(EXIT_SUCCESS);
}

static int read_answer(int fd, json_t **ret, struct err *reterr)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : fd_read_all(fd, ANSWER_MAX, &b);
	json_t *v =
	    r < 0 ? NULL : json_parse_object(buf_data(&b), buf_len(&b), ANSWER_MAX, false, NULL);
	const char *error = json_string_value(json_object_get(v, "error"));
	if (v && !error) {
		*ret = v;
		return 0;
	}
	r = err_set(
	    reterr, r < 0 ? r : -EPROTO, "%s", error ? error : "the test process told nothing");
	json_decref(v);
	return r;
}

int children_run(struct children *c, children_fn *fn, void *arg, bool confine, uint64_t ms,
    json_t **ret, struct err *reterr)
{
	int status = 0;
	pid_t parent = getpid();
	CLEAN_FD int out = memfd_create("answer", MFD_CLOEXEC);
	pid_t pid = out < 0 ? -1 : fork();
	if (pid < 0)
		return err_set(reterr, -errno, "cannot start a process: %s", err_name(-errno));
	if (pid == 0) {
		if (become_child(c, parent) < 0)
			_exit(EXIT_FAILURE);
		answer(c, fn, arg, confine, out);
	}
	int r = children_wait(c, pid, ms, &status);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
		return err_set(
		    reterr, r, "%s", r == -EINTR ? "interrupted" : "it took longer than it may");
	}
	return read_answer(out, ret, reterr);
}
