/* SPDX-License-Identifier: Apache-2.0 */
/* The private server of a self-test: started, asked by a client, stopped; what is left of it then
 * is swept. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "doctor/child.h"
#include "doctor/doctor.h"
#include "doctor/probe.h"
#include "doctor/report.h"
#include "doctor/scratch.h"
#include "doctor/selftest.h"
#include "vmm/vmm.h"

#define START_LIMIT_MS 300000
#define STOP_LIMIT_MS 60000
#define CLIENT_LIMIT_MS 1800000
#define LOOK_MS 50
#define ENV_MAX 4096u

struct server {
	const struct doctor_conf *conf;
	struct doctor_server server;
	pid_t pid;
	char key[80];
	unsigned port;
};

static void run_server(void *arg)
{
	const struct server *s = arg;
	s->conf->server_main(&s->server, s->conf->arg);
}

/* "export NAME=VALUE" */
static int read_line(const char *text, const char *name, char *dst, size_t cap)
{
	const char *at = strstr(text, name);
	size_t n = at ? strcspn(at += strlen(name), "\n") : 0;
	if (n == 0 || n >= cap)
		return -EBADMSG;
	memcpy(dst, at, n);
	dst[n] = '\0';
	return 0;
}

static int read_env(struct server *s)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char url[128];
	int r = fd_read_file(AT_FDCWD, s->server.env_file, ENV_MAX, &b);
	const char *text = r < 0 ? NULL : buf_cstr(&b);
	if (!text)
		return r < 0 ? r : -ENOMEM;
	r = read_line(text, "export E2B_API_KEY=", s->key, sizeof(s->key));
	if (r == 0)
		r = read_line(text, "export SANDGLASS_URL=", url, sizeof(url));
	if (r == 0 && sscanf(url, "http://127.0.0.1:%5u", &s->port) != 1)
		r = -EBADMSG;
	return r;
}

/* Until it has told where it serves. */
static int wait_ready(
    struct children *c, struct server *s, const struct scratch *sc, long at, struct err *reterr)
{
	uint64_t end = clock_mono_ms() + START_LIMIT_MS;
	while (read_env(s) < 0) {
		char words[ERR_TEXT_MAX];
		int status;
		if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
			s->pid = 0;
			probe_last_words(sc, at, "sandglassd", words, sizeof(words));
			return err_set(reterr, -ECHILD, "the private server ended%s%s",
			    words[0] ? ": " : "", words);
		}
		if (clock_mono_ms() > end)
			return err_set(reterr, -ETIMEDOUT, "the private server does not start");
		if (children_pause(c, LOOK_MS) == -EINTR)
			return err_set(reterr, -EINTR, "interrupted");
	}
	return 0;
}

static json_t *run_client(void *arg)
{
	log_open("doctor-client", LOG_LEVEL_WARN);
	return selftest_run(arg);
}

static int ask(struct children *c, const struct server *s, const struct vmm_driver *d,
    struct report_driver *ret, struct err *reterr)
{
	struct selftest_conf conf = { .port = s->port,
		.api_key = s->key,
		.template_name = s->conf->template_name,
		.clones = d->caps & VMM_CAP_WARM };
	json_t *answer = NULL;
	int r = children_run(c, run_client, &conf, false, CLIENT_LIMIT_MS, &answer, reterr);
	if (r == 0 && report_tests_read(ret, json_object_get(answer, "tests")) < 0)
		r = err_set(reterr, -EPROTO, "the client told nothing");
	json_decref(answer);
	return r;
}

void selftest_driver(struct children *c, const struct scratch *s, const struct doctor_conf *conf,
    const struct vmm_driver *d, struct report_driver *ret)
{
	char env[PATH_LEN_MAX];
	struct err err = ERR_INIT;
	struct server srv = { .conf = conf,
		.server = { .state_dir = s->state,
		    .runtime_dir = s->run,
		    .driver = d->name,
		    .env_file = env,
		    .pool = d->caps & VMM_CAP_WARM } };
	long at = probe_log_size(s);
	int r = path_join(env, sizeof(env), s->dir, "env");
	srv.pid = r < 0 ? r : children_start(c, run_server, &srv, -1);
	if (srv.pid < 0)
		r = err_set(&err, srv.pid, "cannot start a server: %s", err_name(srv.pid));
	if (r == 0)
		r = wait_ready(c, &srv, s, at, &err);
	if (r == 0)
		r = ask(c, &srv, d, ret, &err);
	if (srv.pid > 0 && children_stop(c, srv.pid, STOP_LIMIT_MS) < 0 && r == 0)
		r = err_set(&err, -ECHILD, "the private server does not stop in order");
	if (r < 0)
		report_add_test(ret, "server", REPORT_FAIL, NULL, "%s", err_text(&err));
}
