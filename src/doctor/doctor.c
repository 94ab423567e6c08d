/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/doctor.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "doctor/child.h"
#include "doctor/host.h"
#include "doctor/probe.h"
#include "doctor/report.h"
#include "doctor/scratch.h"
#include "doctor/selftest.h"
#include "vmm/vmm.h"

#define SIGNAL_STATUS 128
#define TRIAL_LIMIT_MS (2u * 3600 * 1000) /* its parts have limits of their own */

/* ---- drivers ---- */

/* Every driver is told of, whether or not the test could begin. */
static void tell_none(struct report *r, const char *why)
{
	for (const struct vmm_driver *const *d = vmm_drivers; *d; d++) {
		if (r->n_drivers == REPORT_DRIVERS_MAX)
			return;
		struct report_driver *to = &r->drivers[r->n_drivers++];
		(void)str_copy(to->name, sizeof(to->name), (*d)->name);
		(void)str_copy(to->why, sizeof(to->why), why);
	}
}

struct trial {
	struct children *children;
	const struct doctor_conf *conf;
	const struct scratch *scratch;
	struct report *report; /* shared with doctor itself */
};

/* Second process of the namespace. */
static void try_drivers(const struct trial *t)
{
	struct report *r = t->report;
	struct err err = ERR_INIT;
	if (scratch_enter(t->scratch, t->conf->state_dir, &err) < 0) {
		tell_none(r, err_text(&err));
		return;
	}
	for (const struct vmm_driver *const *d = vmm_drivers; *d; d++) {
		if (r->n_drivers == REPORT_DRIVERS_MAX)
			break;
		struct report_driver *to = &r->drivers[r->n_drivers++];
		probe_driver(t->children, t->scratch, t->conf, *d, to);
		if (!to->works)
			report_fix_driver(r, to);
	}
	for (unsigned i = 0; i < r->n_drivers && !t->conf->quick && !t->conf->verdict; i++)
		if (r->drivers[i].works)
			selftest_driver(
			    t->children, t->scratch, t->conf, vmm_drivers[i], &r->drivers[i]);
}

/* First process of the namespace: buries those whose parents are gone, as sandboxes' are, until the
 * second has ended; then the kernel ends all others. */
static void run_trial(void *arg)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		try_drivers(arg);
		_exit(EXIT_SUCCESS);
	}
	for (pid_t ended = 0; ended != pid && pid > 0;) {
		ended = waitpid(-1, &status, 0);
		if (ended < 0 && errno != EINTR)
			break;
	}
	_exit(pid > 0 && status == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* False when something of it could not be removed. */
static bool examine_drivers(struct children *c, const struct doctor_conf *conf, struct report *r)
{
	struct scratch s;
	struct err err = ERR_INIT;
	struct trial t = { c, conf, &s, r };
	int status = 0;
	const struct passwd *pw = getpwnam(conf->user);
	if (!pw || pw->pw_uid == 0) {
		tell_none(r, "there is no user for the server to run as");
		return true;
	}
	c->uid = pw->pw_uid;
	c->gid = pw->pw_gid;
	if (scratch_make(&s, conf->state_dir, &err) < 0) {
		tell_none(r, err_text(&err));
		return true;
	}
	c->log_path = s.log;
	pid_t pid = children_start(c, run_trial, &t, -1);
	if (pid > 0 && children_wait(c, pid, TRIAL_LIMIT_MS, &status) < 0)
		(void)children_stop(c, pid, 0);
	if (r->n_drivers == 0)
		tell_none(r, "the test could not be started");
	return scratch_remove(&s) == 0;
}

/* ---- telling ---- */

static int print(const struct doctor_conf *conf, const struct report *r)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int e;
	if (conf->json) {
		CLEAN_JSON json_t *v = report_json(r);
		e = v ? json_write(&b, v, false) : -ENOMEM;
		if (e == 0)
			e = buf_append_str(&b, "\n");
	} else if (conf->verdict) {
		e = buf_printf(&b, "%s.\n", r->verdict.text);
	} else {
		e = report_text(r, &b);
	}
	if (e == 0 &&
	    (fwrite(buf_data(&b), 1, buf_len(&b), stdout) != buf_len(&b) || fflush(stdout) != 0))
		e = -EIO;
	return e;
}

static int fail(const char *what)
{
	(void)fprintf(stderr, "sandglassd: doctor: %s\n", what);
	return EXIT_FAILURE;
}

int doctor_run(const struct doctor_conf *conf)
{
	struct children c = { .signal_fd = -1 };
	const struct host h = { "", conf->state_dir, conf->user, &host_ops_real, conf->firecracker,
		conf->jailer };
	if (geteuid() != 0)
		return fail(
		    "must run as root: it makes sandboxes to see whether that works; try sudo");
	int e = children_open(&c);
	if (e < 0)
		return fail(err_name(e));
	struct report *r =
	    mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r == MAP_FAILED)
		return fail(err_name(-errno));
	(void)str_copy(r->verdict.wanted_driver, sizeof(r->verdict.wanted_driver), conf->driver);
	(void)str_copy(
	    r->verdict.min_isolation, sizeof(r->verdict.min_isolation), conf->min_isolation);
	if (!conf->verdict)
		check_all(r, &h);
	bool clean = examine_drivers(&c, conf, r);
	report_judge(r);
	int status = r->verdict.ok ? EXIT_SUCCESS : EXIT_FAILURE;
	if (c.signo)
		status = SIGNAL_STATUS + c.signo;
	else if (print(conf, r) < 0)
		status = fail("cannot write the report");
	if (!clean)
		(void)fail("not everything that it made could be removed");
	children_close(&c);
	(void)munmap(r, sizeof(*r));
	return status;
}
