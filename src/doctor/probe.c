/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/str.h"
#include "doctor/child.h"
#include "doctor/doctor.h"
#include "doctor/report.h"
#include "doctor/scratch.h"
#include "launcher/launcher.h"
#include "loop/loop.h"
#include "vmm/vmm.h"

#define PROBE_LIMIT_MS \
	300000 /* an emulated guest on a busy machine; drivers have limits of their own */
#define LAUNCHER_LIMIT_MS 60000
#define LOG_MAX (1u << 20)
#define PROCESS "doctor-probe"

/* ---- in the child ---- */

struct job {
	const struct vmm_driver *driver;
	int socket;
	struct loop *loop;
	struct launcher *launcher;
	struct vmm *vmm;
	char isolation[24];
	struct err err;
};

static void finish(struct job *j, const struct err *err)
{
	if (err->code)
		(void)err_set(&j->err, err->code, "%s", err_text(err));
	loop_stop(j->loop);
}

static void on_lost(void *arg)
{
	struct err err = ERR_INIT;
	(void)err_set(&err, -ECONNRESET, "the launcher ended");
	finish(arg, &err);
}

static void on_probed(const struct err *err, void *arg)
{
	struct job *j = arg;
	if (err->code == 0)
		(void)str_copy(j->isolation, sizeof(j->isolation), j->driver->isolation(j->vmm));
	finish(j, err);
}

static int begin(struct job *j)
{
	int r = j->driver->open(j->loop, j->launcher, &j->vmm, &j->err);
	if (r == 0)
		j->driver->probe(j->vmm, on_probed, j);
	return r;
}

static json_t *work(void *arg)
{
	struct job *j = arg;
	log_open(PROCESS, LOG_LEVEL_INFO);
	j->loop = loop_new();
	if (!j->loop)
		return NULL;
	j->launcher = launcher_new(j->loop, j->socket, on_lost, j);
	int r = j->launcher ? begin(j) : -ENOMEM;
	if (r == 0)
		r = loop_run(j->loop);
	if (r < 0)
		(void)err_set(&j->err, r, "%s", err_name(r));
	return json_pack("{s:i, s:s, s:s}", "code", j->err.code, "why",
	    j->err.code ? err_text(&j->err) : "", "isolation", j->isolation);
}

/* ---- in doctor ---- */

struct launcher_arg {
	const struct doctor_conf *conf;
	struct doctor_server server;
};

static void run_launcher(void *arg)
{
	const struct launcher_arg *a = arg;
	a->conf->launcher_main(&a->server, a->conf->arg);
}

/* A launcher, and one child at the other end of its socket. */
static int run_job(struct children *c, const struct scratch *s, const struct doctor_conf *conf,
    struct job *j, json_t **ret, struct err *reterr)
{
	struct launcher_arg a = { conf,
		{ .state_dir = s->state, .runtime_dir = s->run, .instance = s->instance } };
	int ends[2], status = 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return err_set(reterr, -errno, "sockets: %s", err_name(-errno));
	/* The child that talks holds one end, and nobody else may: its end tells the launcher. */
	pid_t pid = children_start(c, run_launcher, &a, ends[1]);
	(void)fd_close(ends[1]);
	j->socket = ends[0];
	int r = pid < 0 ? err_set(reterr, pid, "cannot start a launcher: %s", err_name(pid))
			: children_run(c, work, j, true, PROBE_LIMIT_MS, ret, reterr);
	(void)fd_close(ends[0]);
	if (pid > 0 && children_wait(c, pid, LAUNCHER_LIMIT_MS, &status) < 0)
		(void)children_stop(c, pid, 0);
	return r;
}

static void tell(struct report_driver *ret, json_t *answer, const struct scratch *s, long at)
{
	const char *why = json_string_value(json_object_get(answer, "why"));
	const char *isolation = json_string_value(json_object_get(answer, "isolation"));
	ret->works = json_integer_value(json_object_get(answer, "code")) == 0;
	(void)str_copy(
	    ret->isolation, sizeof(ret->isolation), ret->works && isolation ? isolation : "");
	(void)str_copy(ret->why, sizeof(ret->why), ret->works || !why ? "" : why);
	if (ret->works)
		probe_last_words(s, at, PROCESS, ret->note, sizeof(ret->note));
	else
		probe_last_words(s, at, "sandglass-launcher", ret->note, sizeof(ret->note));
	if (!ret->works && !ret->note[0]) /* it did not come to be one */
		probe_last_words(s, at, "sandglassd", ret->note, sizeof(ret->note));
	/* It knows better why it ended than who talked to it. */
	if (!ret->works && json_integer_value(json_object_get(answer, "code")) == -ECONNRESET &&
	    ret->note[0]) {
		(void)str_copy(ret->why, sizeof(ret->why), ret->note);
		ret->note[0] = '\0';
	}
}

void probe_driver(struct children *c, const struct scratch *s, const struct doctor_conf *conf,
    const struct vmm_driver *d, struct report_driver *ret)
{
	struct job j = { .driver = d, .socket = -1 };
	struct err err = ERR_INIT;
	json_t *answer = NULL;
	long at = probe_log_size(s);
	(void)str_copy(ret->name, sizeof(ret->name), d->name);
	int r = run_job(c, s, conf, &j, &answer, &err);
	if (r == 0)
		tell(ret, answer, s, at);
	else
		(void)str_copy(ret->why, sizeof(ret->why), err_text(&err));
	json_decref(answer);
}

/* ---- the log ---- */

long probe_log_size(const struct scratch *s)
{
	struct stat st;
	return stat(s->log, &st) == 0 ? (long)st.st_size : 0;
}

static int weight_of(const char *level)
{
	return str_eq(level, "error") ? 2 : str_eq(level, "warn") ? 1 : 0;
}

/* Lines are "TIME PROCESS LEVEL: TEXT". Of the worst ones the last: what a failure brings down says
 * so after it, more quietly. */
void probe_last_words(const struct scratch *s, long at, const char *process, char *dst, int cap)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char word[64], level[16], *save = NULL;
	int worst = 0;
	CLEAN_FD int fd = open(s->log, O_RDONLY | O_CLOEXEC);
	dst[0] = '\0';
	if (fd < 0 || lseek(fd, at, SEEK_SET) < 0 || fd_read_all(fd, LOG_MAX, &b) < 0)
		return;
	char *text = buf_cstr(&b);
	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
	     l = strtok_r(NULL, "\n", &save)) {
		const char *colon = strstr(l, ": ");
		if (!colon || sscanf(l, "%*s %63s %15[a-z]:", word, level) != 2 ||
		    !str_eq(word, process) || weight_of(level) < worst)
			continue;
		worst = weight_of(level);
		(void)str_copy(dst, (size_t)cap, colon + 2);
	}
}
