/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/builds.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/build.h"
#include "launcher/box.h"
#include "launcher/vm_save.h"
#include "launcher/outbox.h"

#define QUEUE_MAX 32
#define FAILED_MAX 256
#define LINES_A_TURN 64
#define OUTBOX_FULL 1024u /* packets: sandboxes' events need room, too */
#define RESUME_MS 50

struct build_job {
	struct link link;
	struct server *srv;
	struct build_conf conf;
	char name[PROTO_NAME_MAX + 1];
	uint64_t seq;
	unsigned slot;
	bool started, cancelled, ended, told;
	int fd; /* our end of its log, -1 */
	struct loop_io io;
	struct task task;
	struct err err;
};

/* ---- the queue ---- */

static struct build_job *first_job(const struct server *s)
{
	return list_is_empty(&s->builds.queue)
		   ? NULL
		   : container_of(list_first(&s->builds.queue), struct build_job, link);
}

static struct build_job *find_job(const struct server *s, const char *name, size_t *ret_n)
{
	size_t n = 0;
	struct build_job *found = NULL;
	LIST_EACH(l, &s->builds.queue)
	{
		struct build_job *j = container_of(l, struct build_job, link);
		n++;
		if (str_eq(j->name, name))
			found = j;
	}
	*ret_n = n;
	return found;
}

bool builds_is_building(const struct server *s, const char *name)
{
	size_t n;
	return find_job(s, name, &n) != NULL;
}

static void job_free(struct build_job *j)
{
	link_remove(&j->link);
	loop_io_fini(&j->io);
	j->fd = fd_close(j->fd);
	if (j->started)
		slots_return(&j->srv->slots, j->slot);
	(void)mem_free(j);
}

static void keep_failure(struct builds *b, const char *name, const struct err *err)
{
	(void)mem_free(map_remove(b->failed, name));
	if (err->code == 0 || err->code == -ECANCELED || map_size(b->failed) >= FAILED_MAX)
		return;
	char *text = mem_strdup(err_text(err));
	if (text && map_add(b->failed, name, text) < 0)
		(void)mem_free(text);
}

static void start_next(struct server *s);

static void job_end(struct build_job *j)
{
	struct server *s = j->srv;
	struct err err = j->err;
	if (j->cancelled) {
		err = (struct err)ERR_INIT;
		(void)err_set(&err, -ECANCELED, "the build of %s was cancelled", j->name);
	}
	keep_failure(&s->builds, j->name, &err);
	log_info("build of %s: %s", j->name, err.code ? err_text(&err) : "done");
	server_reply(s, j->seq, &err, NULL);
	bool ran = j->started;
	job_free(j);
	if (ran)
		builds_sweep(s);
}

/* ---- the log ---- */

static void forward(struct build_job *j, const struct build_event *e)
{
	struct proto_log m = { .head = { PROTO_LOG, PROTO_VERSION, j->seq },
		.level = e->level <= BUILD_ERROR ? e->level : BUILD_INFO,
		.time_real_ns = e->time_real_ns };
	(void)str_copy(m.step, sizeof(m.step), e->step);
	(void)str_copy(m.text, sizeof(m.text), e->text);
	(void)outbox_send(j->srv->outbox, &m);
}

static void take_event(struct build_job *j, struct build_event *e)
{
	e->step[sizeof(e->step) - 1] = '\0';
	e->text[sizeof(e->text) - 1] = '\0';
	if (e->kind == BUILD_LOG) {
		forward(j, e);
		return;
	}
	j->told = true;
	if (e->code < 0)
		(void)err_set(&j->err, e->code, "%s", e->text);
}

/* False when there is nothing more for now. */
static bool read_event(struct build_job *j)
{
	struct build_event e;
	ssize_t n = recv(j->fd, &e, sizeof(e), MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(e)) {
		take_event(j, &e);
		return true;
	}
	if (n == 0)
		(void)loop_io_want(&j->io, 0); /* the task's end comes, too */
	return false;
}

static void on_log(struct loop_io *io, unsigned events, void *arg)
{
	struct build_job *j = arg;
	for (int i = 0; i < LINES_A_TURN; i++) {
		if (j->srv->outbox->queued > OUTBOX_FULL) {
			(void)loop_io_want(&j->io, 0);
			loop_timer_set(&j->srv->builds.resume, RESUME_MS);
			return;
		}
		if (!read_event(j))
			return;
	}
}

/* The builder waits meanwhile: its socket is full. */
static void on_resume(struct loop_timer *t, void *arg)
{
	struct server *s = arg;
	struct build_job *j = first_job(s);
	if (j && j->started && !j->ended)
		(void)loop_io_want(&j->io, LOOP_READ);
}

static void on_ended(struct task *t, int r, void *arg)
{
	struct build_job *j = arg;
	j->ended = true;
	while (read_event(j))
		;
	if (!j->told)
		(void)err_set(&j->err, r < 0 ? r : -EIO, "the builder was killed");
	job_end(j);
}

/* ---- starting ---- */

static int run_job(void *arg)
{
	const struct build_job *j = arg;
	return build_run(&j->conf);
}

static int start_job(struct server *s, struct build_job *j)
{
	int ends[2];
	int r = slots_take(&s->slots, &j->slot);
	if (r < 0)
		return err_set(&j->err, r, "no range of user ids is left for a build");
	j->started = true;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set(&j->err, -errno, "cannot start to build: %s", err_name(-errno));
	j->fd = ends[0];
	j->conf.templates_dir = s->conf->templates_dir;
	j->conf.name = j->name;
	j->conf.uid_base = slots_base(&s->slots, j->slot);
	j->conf.event_fd = ends[1];
	r = loop_io_init(&j->io, s->loop, j->fd, on_log, j);
	if (r == 0)
		r = loop_io_want(&j->io, LOOP_READ);
	if (r == 0)
		r = task_start_with(&j->task, s->loop, &ends[1], 1, run_job, j, on_ended, j);
	(void)fd_close(ends[1]);
	return r < 0 ? err_set(&j->err, r, "cannot start to build: %s", err_name(r)) : 0;
}

static void start_next(struct server *s)
{
	struct build_job *j = first_job(s);
	if (!j || j->started || s->builds.sweeping)
		return;
	if (start_job(s, j) < 0)
		job_end(j);
}

int builds_on_build(struct server *s, const struct proto_request *q, struct err *reterr)
{
	size_t n;
	if (!s->conf->templates_dir)
		return err_set(reterr, -ENOTSUP, "this server has no directory of templates");
	if (find_job(s, q->build.name, &n))
		return err_set(
		    reterr, -EBUSY, "the image of %s is being built already", q->build.name);
	if (n >= QUEUE_MAX)
		return err_set(reterr, -EBUSY, "%zu builds are waiting already", n);
	struct build_job *j = mem_zalloc(sizeof(*j));
	if (!j)
		return err_set(reterr, -ENOMEM, "out of memory");
	j->srv = s;
	j->fd = -1;
	j->seq = q->head.seq;
	j->conf.force = q->build.force;
	(void)str_copy(j->name, sizeof(j->name), q->build.name);
	link_init(&j->link);
	list_push_back(&s->builds.queue, &j->link);
	start_next(s);
	return 0;
}

int builds_on_cancel(struct server *s, const struct proto_request *q, struct err *reterr)
{
	size_t n;
	struct build_job *j = find_job(s, q->build.name, &n);
	if (j && !j->started) {
		j->cancelled = true;
		job_end(j);
	} else if (j) {
		j->cancelled = true;
		(void)task_signal(&j->task, SIGKILL); /* its end is noticed */
	}
	server_reply(s, q->head.seq, NULL, NULL);
	return 0;
}

/* ---- sweeping ---- */

bool images_in_use(const char *hash, void *server)
{
	const struct server *s = server;
	void *it = NULL;
	for (const struct box *b; (b = map_next(s->boxes, &it, NULL));)
		if (str_eq(hash, images_hash(b->rec.base)))
			return true;
	return vm_snapshot_needs(hash) || fc_snapshot_needs(hash);
}

static int sweep(void *arg)
{
	const struct server *s = arg;
	return build_sweep(images_in_use, arg, s->builds.sweep_all ? 0 : BUILD_IDLE_S);
}

static void on_swept(struct task *t, int r, void *arg)
{
	struct server *s = arg;
	s->builds.sweeping = false;
	if (r < 0)
		log_warn("cannot remove old images: %s", err_name(r));
	r = images_write_initrds(s);
	if (r < 0)
		log_warn("cannot write the first file system of guests: %s", err_name(r));
	start_next(s);
}

void builds_sweep(struct server *s)
{
	const struct build_job *j = first_job(s);
	if (s->builds.sweeping || (j && j->started))
		return;
	s->builds.sweeping = true;
	int r = task_start(&s->builds.sweep, s->loop, sweep, s, on_swept, s);
	s->builds.sweep_all = false;
	if (r < 0)
		on_swept(&s->builds.sweep, r, s);
}

/* ---- life ---- */

int builds_init(struct server *s)
{
	link_init(&s->builds.queue);
	s->builds.failed = map_new();
	return s->builds.failed ? 0 : -ENOMEM;
}

void builds_recover(struct server *s)
{
	loop_timer_init(&s->builds.resume, s->loop, on_resume, s);
	int r = build_init_dirs();
	if (r < 0)
		log_warn("cannot make directories for images: %s", err_name(r));
	else
		builds_sweep(s);
}

void builds_fini(struct server *s)
{
	if (!s->builds.failed)
		return;
	for (struct build_job *j; (j = first_job(s));) {
		if (j->started)
			task_kill(&j->task);
		job_free(j);
	}
	task_fini(&s->builds.sweep);
	loop_timer_fini(&s->builds.resume);
	void *it = NULL;
	for (char *text; (text = map_next(s->builds.failed, &it, NULL));)
		(void)mem_free(text);
	s->builds.failed = map_free(s->builds.failed);
}
