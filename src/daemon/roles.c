/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor. It waits with poll() for signals and for its worker's one message; everything it
 * does is driven by the end of a child, a signal to pass on, READY, or the time to start children
 * again. It never gives up on children that served once: as long as it lives, somebody will end the
 * sandboxes that are due.
 *
 * Order at start: directories, listening sockets, launcher, worker. At the end: the worker first
 * (it ends its sandboxes if it shall), then the launcher by closing its socket.
 */
#include "daemon/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "daemon/backoff.h"
#include "daemon/config.h"
#include "daemon/layout.h"
#include "io/listener.h"

#define STOP_LIMIT_MS 30000 /* for the worker to end in order */

struct supervisor {
	const struct config *conf;
	const char *env_file;
	struct layout layout;
	struct role_inherit in; /* what the next worker gets */
	int signal_fd;
	int worker_fd; /* our end */
	pid_t worker, launcher;
	struct backoff backoff;
	bool ready;	   /* some worker was */
	bool worker_ready; /* the one that runs */
	bool stopping;
	uint64_t stop_by_ms;
	int status;
};

static int open_listener(const char *addr, int *ret_fd, struct err *reterr)
{
	*ret_fd = -1;
	if (str_empty(addr))
		return 0;
	int fd = listener_open_tcp(addr, reterr);
	if (fd < 0)
		return reterr->code ? reterr->code : -EINVAL;
	*ret_fd = fd;
	return 0;
}

/* What both children do first: default signals, and no life after the supervisor. */
static void become_child(pid_t parent)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
}

static int start_launcher(struct supervisor *s, int *ret_worker_end)
{
	int sv[2];
	pid_t parent = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		become_child(parent);
		if (dup3(sv[1], 3, 0) < 0)
			_exit(EXIT_FAILURE);
		layout_exec_launcher(&s->layout, s->conf);
	}
	int r = pid < 0 ? -errno : 0;
	(void)fd_close(sv[1]);
	if (r < 0) {
		(void)fd_close(sv[0]);
		return r;
	}
	s->launcher = pid;
	*ret_worker_end = sv[0];
	return 0;
}

static int start_worker(struct supervisor *s)
{
	int sv[2];
	pid_t parent = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		become_child(parent);
		(void)fd_close(sv[0]);
		(void)fd_close(s->signal_fd);
		s->in.supervisor_fd = sv[1];
		_exit(worker_run(s->conf, &s->in));
	}
	int r = pid < 0 ? -errno : 0;
	(void)fd_close(sv[1]);
	if (r < 0) {
		(void)fd_close(sv[0]);
		return r;
	}
	s->in.launcher_fd = fd_close(s->in.launcher_fd); /* the worker has it now */
	s->worker_fd = sv[0];
	s->worker = pid;
	s->worker_ready = false;
	return 0;
}

static int start_both(struct supervisor *s)
{
	int r = start_launcher(s, &s->in.launcher_fd);
	if (r == 0)
		r = start_worker(s);
	if (r < 0)
		log_error("cannot start processes: %s", err_name(r));
	backoff_started(&s->backoff, clock_mono_ms());
	return r;
}

/* ---- readiness ---- */

static void on_ready(struct supervisor *s, const struct role_message *m)
{
	s->ready = s->worker_ready = true;
	if (s->stopping)
		(void)kill(s->worker, SIGTERM); /* stop() left it to us */
	if (m->api_key[0])
		(void)str_copy(s->in.known_key, sizeof(s->in.known_key), m->api_key);
	if (m->api_key[0] && !s->env_file)
		(void)printf("API key (shown once, stored hashed): %s\n", m->api_key);
	if (s->env_file && layout_write_env(s->conf, s->env_file, s->in.known_key, &s->in) < 0)
		log_error("cannot write %s", s->env_file);
	(void)fflush(stdout);
	layout_notify_service_manager();
}

static void read_worker(struct supervisor *s)
{
	struct role_message m;
	size_t nfds = 0;
	ssize_t n = fd_recv_msg(s->worker_fd, &m, sizeof(m), NULL, 0, &nfds);
	if (n == -EAGAIN)
		return;
	if (n != sizeof(m)) {
		s->worker_fd = fd_close(s->worker_fd); /* it is ending; SIGCHLD follows */
		return;
	}
	m.api_key[sizeof(m.api_key) - 1] = '\0';
	if (m.kind == ROLE_READY)
		on_ready(s, &m);
}

/* ---- ends of children ---- */

static void describe(const char *what, int status)
{
	if (WIFSIGNALED(status))
		log_error("%s was killed by signal %d", what, WTERMSIG(status));
	else
		log_error("%s ended with status %d", what, WEXITSTATUS(status));
}

static void launcher_ended(struct supervisor *s, int status)
{
	s->launcher = 0;
	if (s->worker == 0)
		return; /* it followed its worker */
	describe("launcher", status);
	if (s->stopping && !s->ready)
		return;
	backoff_ended(&s->backoff, clock_mono_ms());
}

static void worker_ended(struct supervisor *s, int status)
{
	bool in_order = WIFEXITED(status) && (s->stopping || !s->ready || WEXITSTATUS(status) == 0);
	s->worker = 0;
	s->worker_fd = fd_close(s->worker_fd);
	if (!in_order)
		describe("worker", status);
	if (in_order || s->stopping || !s->ready) {
		if (s->status == EXIT_SUCCESS)
			s->status = in_order ? WEXITSTATUS(status) : EXIT_FAILURE;
		s->stopping = true;
		s->backoff.due_ms = 0;
		return;
	}
	backoff_ended(&s->backoff, clock_mono_ms());
}

/* ---- starting children again ---- */

/* A launcher whose worker died ends by itself and may be seen first: then nobody is there to take
 * the new one, it ends as well, and both are started when the worker's end is seen. */
static int replace_launcher(struct supervisor *s)
{
	struct role_message m = { .kind = ROLE_LAUNCHER };
	int fd = -1;
	int r = start_launcher(s, &fd);
	if (r < 0)
		return r;
	backoff_started(&s->backoff, clock_mono_ms());
	ssize_t n = s->worker_fd < 0 ? -EPIPE : fd_send_msg(s->worker_fd, &m, sizeof(m), &fd, 1);
	(void)fd_close(fd);
	/* One that is not handed over ends at once, and its end brings us here again. */
	return n < 0 && n != -EPIPE && n != -ECONNRESET ? (int)n : 0;
}

/* The launcher notices the lost socket and ends; both start afresh and find the sandboxes again. */
static int replace_both(struct supervisor *s)
{
	if (s->launcher > 0) {
		(void)kill(s->launcher, SIGTERM);
		(void)waitpid(s->launcher, NULL, 0);
		s->launcher = 0;
	}
	s->in.launcher_fd = fd_close(s->in.launcher_fd);
	s->in.want_key = s->env_file != NULL;
	return start_both(s);
}

static void restart(struct supervisor *s)
{
	int r = 0;
	s->backoff.due_ms = 0;
	if (s->worker == 0)
		r = replace_both(s);
	else if (s->launcher == 0)
		r = replace_launcher(s);
	if (r == 0)
		return;
	log_error("cannot start processes again: %s; trying again", err_name(r));
	backoff_ended(&s->backoff, clock_mono_ms());
}

static void reap(struct supervisor *s)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
		if (pid == s->worker)
			worker_ended(s, status);
		else if (pid == s->launcher)
			launcher_ended(s, status);
	}
}

/* Children that are due are started first, and a worker that was started again finds its sandboxes
 * before it is told to stop, so that they end as they shall. */
static void stop(struct supervisor *s)
{
	if (s->stopping)
		return;
	if (s->backoff.due_ms)
		restart(s);
	s->stopping = true;
	s->stop_by_ms = clock_mono_ms() + STOP_LIMIT_MS;
	if (s->worker > 0 && (s->worker_ready || !s->ready))
		(void)kill(s->worker, SIGTERM);
}

static void on_signal(struct supervisor *s)
{
	struct signalfd_siginfo si;
	while (read(s->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(s);
		else if (si.ssi_signo != SIGHUP)
			stop(s);
		else if (s->worker > 0)
			(void)kill(s->worker, SIGHUP);
	}
}

/* ---- the whole run ---- */

static void supervise(struct supervisor *s)
{
	while (s->worker > 0 || (s->backoff.due_ms && !s->stopping)) {
		struct pollfd p[] = { { s->signal_fd, POLLIN, 0 }, { s->worker_fd, POLLIN, 0 } };
		int wait_ms = backoff_wait_ms(&s->backoff, clock_mono_ms());
		if (s->stopping && (wait_ms < 0 || wait_ms > 1000))
			wait_ms = 1000;
		(void)poll(p, s->worker_fd >= 0 ? 2 : 1, wait_ms);
		if (p[1].fd >= 0 && (p[1].revents & (POLLIN | POLLHUP)))
			read_worker(s);
		on_signal(s);
		if (backoff_is_due(&s->backoff, clock_mono_ms()))
			restart(s);
		if (s->stopping && s->worker > 0 && clock_mono_ms() > s->stop_by_ms) {
			log_error("the worker does not stop; killing it");
			s->status = EXIT_FAILURE;
			(void)kill(s->worker, SIGKILL);
			s->stop_by_ms = UINT64_MAX;
		}
	}
	if (s->launcher > 0)
		(void)waitpid(s->launcher, NULL, 0); /* ends when its socket's other end is gone */
}

static int watch_signals(struct supervisor *s)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	s->signal_fd = fd_open_signals(signals, sizeof(signals) / sizeof(signals[0]));
	return s->signal_fd < 0 ? s->signal_fd : 0;
}

static int set_up(struct supervisor *s, struct err *reterr)
{
	const struct config *c = s->conf;
	if (geteuid() != 0)
		return err_set(reterr, -EPERM,
		    "must be started as root: it makes namespaces and mounts, and gives up its "
		    "rights before it serves");
	int r = layout_prepare(&s->layout, c, reterr);
	if (r == 0)
		r = open_listener(c->listen, &s->in.listen_fd, reterr);
	if (r == 0)
		r = open_listener(c->tls_listen, &s->in.tls_listen_fd, reterr);
	if (r < 0)
		return r;
	if (s->env_file) {
		layout_read_env_key(s->env_file, s->in.known_key, sizeof(s->in.known_key));
		(void)unlink(s->env_file);
		s->in.want_key = true;
	}
	r = watch_signals(s);
	return r < 0 ? err_set(reterr, r, "signals: %s", err_name(r)) : 0;
}

int roles_run(const struct config *c, const char *config_path, const char *env_file)
{
	struct err err = ERR_INIT;
	struct supervisor s = { .conf = c,
		.env_file = env_file,
		.signal_fd = -1,
		.worker_fd = -1,
		.in = { .supervisor_fd = -1,
		    .launcher_fd = -1,
		    .listen_fd = -1,
		    .tls_listen_fd = -1 } };
	int r = set_up(&s, &err);
	if (r < 0) {
		(void)fprintf(stderr, "sandglassd: %s\n", err_text(&err));
		s.status = EXIT_FAILURE;
	} else if (start_both(&s) < 0) {
		s.status = EXIT_FAILURE;
	} else {
		log_info("starting, configuration %s", config_path ? config_path : "built in");
		supervise(&s);
	}
	if (env_file)
		(void)unlink(env_file);
	layout_release(&s.layout);
	(void)fd_close(s.in.listen_fd);
	(void)fd_close(s.in.tls_listen_fd);
	(void)fd_close(s.signal_fd);
	return s.status;
}
