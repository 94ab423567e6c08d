/* SPDX-License-Identifier: Apache-2.0 */
/* Finding Firecracker and its jailer, and asking them what they are. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/box.h"
#include "launcher/fc.h"

#define ANSWER_LIMIT_MS 5000
#define INFO_FILE "fc/info"

struct fc_waiter {
	struct link link;
	uint64_t seq;
};

static const char *find(const char *configured, const char *const *places)
{
	if (configured)
		return access(configured, X_OK) == 0 ? configured : NULL;
	for (; *places; places++)
		if (access(*places, X_OK) == 0)
			return *places;
	return NULL;
}

const char *fc_program(const struct server *s)
{
	static const char *const places[] = { "/usr/local/bin/firecracker", "/usr/bin/firecracker",
		NULL };
	return find(s->conf->firecracker, places);
}

const char *fc_jailer(const struct server *s)
{
	static const char *const places[] = { "/usr/local/bin/jailer", "/usr/bin/jailer", NULL };
	return find(s->conf->jailer, places);
}

void fc_host_init(struct fc_host *h)
{
	link_init(&h->waiters);
}

void fc_host_fini(struct fc_host *h)
{
	task_fini(&h->task);
	for (struct link *l; (l = list_pop_front(&h->waiters));)
		(void)mem_free(container_of(l, struct fc_waiter, link));
}

/* ---- in a task ---- */

static void become(const char *program, const char *flag, int out)
{
	static char *const envp[] = { NULL };
	char *const argv[] = { (char *)program, (char *)flag, NULL };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(null, 2) >= 0)
		(void)execve(program, argv, envp);
	_exit(127);
}

/* The first bytes that it prints, within the limit. */
static size_t listen_to(int fd, char *dst, size_t cap)
{
	uint64_t end = clock_mono_ms() + ANSWER_LIMIT_MS;
	size_t n = 0;
	while (n < cap) {
		uint64_t now = clock_mono_ms();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
			break;
		ssize_t k = read(fd, dst + n, cap - n);
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	return n;
}

static int first_line(const char *program, const char *flag, char dst[PROTO_INFO_MAX + 1])
{
	int out[2], status;
	dst[0] = '\0';
	if (!program)
		return 0;
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		become(program, flag, out[1]);
	(void)close(out[1]);
	size_t n = pid > 0 ? listen_to(out[0], dst, PROTO_INFO_MAX) : 0;
	(void)close(out[0]);
	dst[n] = '\0';
	dst[strcspn(dst, "\n")] = '\0';
	for (char *c = dst; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (pid < 0)
		return -errno;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	if (!dst[0])
		(void)str_copy(dst, PROTO_INFO_MAX + 1, "(nothing)");
	return 0;
}

static int ask(void *arg)
{
	const struct server *s = arg;
	char vmm[PROTO_INFO_MAX + 1], jailer[PROTO_INFO_MAX + 1], format[PROTO_INFO_MAX + 1];
	char text[4 * PROTO_INFO_MAX];
	int r = first_line(fc_program(s), "--version", vmm);
	if (r == 0)
		r = first_line(fc_program(s), "--snapshot-version", format);
	if (r == 0)
		r = first_line(fc_jailer(s), "--version", jailer);
	if (r < 0)
		return r;
	int n = snprintf(text, sizeof(text), "%s\n%s\n%s\n", vmm, jailer, format);
	return fd_replace_file(AT_FDCWD, INFO_FILE, 0600, text, (size_t)n);
}

/* ---- its answer ---- */

static void take_line(char **text, char dst[PROTO_INFO_MAX + 1])
{
	char *line = strsep(text, "\n");
	(void)str_copy(dst, PROTO_INFO_MAX + 1, line ? line : "");
}

static int read_info(struct fc_host *h)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = fd_read_file(AT_FDCWD, INFO_FILE, 4 * PROTO_INFO_MAX, &b);
	char *text = r == 0 ? buf_cstr(&b) : NULL;
	if (!text)
		return r < 0 ? r : -ENOMEM;
	take_line(&text, h->vmm);
	take_line(&text, h->jailer);
	take_line(&text, h->format);
	h->known = true;
	return 0;
}

void fc_host_load(struct fc_host *h)
{
	if (!h->known)
		(void)read_info(h);
}

static void on_asked(struct task *t, int r, void *arg)
{
	struct server *s = arg;
	struct fc_host *h = &s->fc;
	struct err err = ERR_INIT;
	if (r == 0)
		r = read_info(h);
	if (r < 0)
		(void)err_set(&err, r, "cannot run firecracker and jailer: %s", err_name(r));
	for (struct link *l; (l = list_pop_front(&h->waiters));) {
		struct fc_waiter *w = container_of(l, struct fc_waiter, link);
		server_reply_info(s, w->seq, &err, h);
		(void)mem_free(w);
	}
}

int fc_info(struct server *s, uint64_t seq, struct err *reterr)
{
	struct fc_host *h = &s->fc;
	bool first = list_is_empty(&h->waiters);
	struct fc_waiter *w = mem_zalloc(sizeof(*w));
	if (!w)
		return err_set(reterr, -ENOMEM, "out of memory");
	w->seq = seq;
	int r = first ? path_mkdir_p("fc", 0700) : 0;
	if (r == 0 && first)
		r = task_start(&h->task, s->loop, ask, s, on_asked, s);
	if (r < 0) {
		(void)mem_free(w);
		return err_set(
		    reterr, r, "cannot ask firecracker for its version: %s", err_name(r));
	}
	link_init(&w->link);
	list_push_back(&h->waiters, &w->link);
	return 0;
}
