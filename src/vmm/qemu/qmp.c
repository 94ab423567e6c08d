/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/qemu/qmp.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"

#define READ_CHUNK 16384u
#define VERSION_PART_MAX 999

enum state { QMP_GREETING, QMP_NEGOTIATING, QMP_READY, QMP_CLOSED };

/* One command that waits for its answer. */
struct slot {
	struct link link;
	int64_t id;
	qmp_done_fn *done;
	void *arg;
};

struct qmp {
	enum state state;
	struct loop *loop;
	int fd;
	struct loop_io io;
	struct buf in, out;
	struct link slots;
	unsigned n_slots;
	int64_t next_id;
	unsigned version;
	struct loop_timer limit; /* the greeting, then the oldest command */
	struct loop_defer closing;
	struct err err;
	const struct qmp_ops *ops;
	void *arg;
	unsigned busy; /* calls of ours on the stack that call back */
	bool freed;
};

static bool leave(struct qmp *q)
{
	bool gone = q->freed;
	if (--q->busy == 0 && gone)
		(void)mem_free(q);
	return gone;
}

/* ---- the end ---- */

/* Told from a turn of its own. */
static void fail(struct qmp *q, int code, const char *what)
{
	if (q->state == QMP_CLOSED)
		return;
	q->state = QMP_CLOSED;
	(void)err_set(&q->err, code, "control socket of QEMU: %s", what);
	loop_io_fini(&q->io);
	q->fd = fd_close(q->fd);
	loop_timer_cancel(&q->limit);
	loop_defer_set(&q->closing);
}

static void slot_end(struct qmp *q, struct slot *s, const struct err *err, const json_t *ret)
{
	qmp_done_fn *done = s->done;
	void *arg = s->arg;
	link_remove(&s->link);
	q->n_slots--;
	(void)mem_free(s);
	if (done)
		done(err, ret, arg);
}

static void on_closing(struct loop_defer *d, void *arg)
{
	struct qmp *q = arg;
	q->busy++;
	for (struct link *l; !q->freed && (l = list_first(&q->slots));)
		slot_end(q, container_of(l, struct slot, link), &q->err, NULL);
	if (!q->freed)
		q->ops->on_closed(q, &q->err, q->arg);
	(void)leave(q);
}

static void on_limit(struct loop_timer *t, void *arg)
{
	struct qmp *q = arg;
	fail(q, -ETIMEDOUT, q->state == QMP_GREETING ? "it does not greet" : "it does not answer");
}

/* ---- sending ---- */

static void watch(struct qmp *q)
{
	unsigned events = LOOP_READ | (buf_len(&q->out) ? LOOP_WRITE : 0);
	int r = loop_io_want(&q->io, events);
	if (r < 0)
		fail(q, r, err_name(r));
}

static void flush(struct qmp *q)
{
	while (buf_len(&q->out) > 0) {
		ssize_t n = send(q->fd, buf_data(&q->out), buf_len(&q->out), MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			fail(q, -errno, err_name(-errno));
			return;
		}
		buf_consume(&q->out, (size_t)n);
	}
	watch(q);
}

static int write_command(struct qmp *q, const char *name, int64_t id, json_t *args_consume)
{
	CLEAN_JSON json_t *o = json_pack(
	    "{s:s, s:I, s:o*}", "execute", name, "id", (json_int_t)id, "arguments", args_consume);
	size_t before = buf_len(&q->out);
	int r = o ? json_write(&q->out, o, true) : -ENOMEM;
	if (r == 0)
		r = buf_append_byte(&q->out, '\n');
	if (r < 0) /* no half command */
		q->out.end = q->out.start + before;
	return r;
}

static int add_command(
    struct qmp *q, const char *name, json_t *args_consume, qmp_done_fn *done, void *arg)
{
	if (q->n_slots == QMP_COMMANDS_MAX) {
		json_decref(args_consume);
		return -ENOBUFS;
	}
	struct slot *s = mem_zalloc(sizeof(*s));
	if (!s) {
		json_decref(args_consume);
		return -ENOMEM;
	}
	*s = (struct slot){ .id = q->next_id++, .done = done, .arg = arg };
	int r = write_command(q, name, s->id, args_consume);
	if (r < 0) {
		(void)mem_free(s);
		return r;
	}
	link_init(&s->link);
	if (list_is_empty(&q->slots))
		loop_timer_set(&q->limit, QMP_ANSWER_LIMIT_MS);
	list_push_back(&q->slots, &s->link);
	q->n_slots++;
	watch(q);
	return 0;
}

int qmp_command(struct qmp *q, const char *name, json_t *args_consume, qmp_done_fn *done, void *arg)
{
	if (q->state != QMP_READY) {
		json_decref(args_consume);
		return -ENOTCONN;
	}
	return add_command(q, name, args_consume, done, arg);
}

/* ---- receiving ---- */

static void on_negotiated(const struct err *err, const json_t *ret, void *arg)
{
	struct qmp *q = arg;
	if (q->state != QMP_NEGOTIATING)
		return;
	if (err->code) {
		fail(q, err->code, err_text(err));
		return;
	}
	q->state = QMP_READY;
	q->ops->on_ready(q, q->arg);
}

static int read_version(struct qmp *q, const json_t *o)
{
	json_t *qmp = NULL, *version = NULL, *qemu = NULL;
	int64_t major, minor, micro;
	if (json_get_object(o, "QMP", &qmp, NULL) != 0 ||
	    json_get_object(qmp, "version", &version, NULL) != 0 ||
	    json_get_object(version, "qemu", &qemu, NULL) != 0 ||
	    json_get_int(qemu, "major", 0, VERSION_PART_MAX, &major, NULL) != 0 ||
	    json_get_int(qemu, "minor", 0, VERSION_PART_MAX, &minor, NULL) != 0 ||
	    json_get_int(qemu, "micro", 0, VERSION_PART_MAX, &micro, NULL) != 0)
		return -EPROTO;
	q->version = (unsigned)(major * 1000000 + minor * 1000 + micro);
	return 0;
}

static void on_greeting(struct qmp *q, const json_t *o)
{
	if (read_version(q, o) < 0) {
		fail(q, -EPROTO, "its first line is no greeting");
		return;
	}
	q->state = QMP_NEGOTIATING;
	int r = add_command(q, "qmp_capabilities", NULL, on_negotiated, q);
	if (r < 0)
		fail(q, r, err_name(r));
}

static void on_event(struct qmp *q, const json_t *o)
{
	const char *name = NULL;
	json_t *data = NULL;
	if (json_get_str(o, "event", 64, &name, NULL) != 0 ||
	    json_get_object(o, "data", &data, NULL) < 0)
		fail(q, -EPROTO, "an event without a name");
	else if (q->ops->on_event && q->state == QMP_READY)
		q->ops->on_event(q, name, data, q->arg);
}

static struct slot *find_slot(struct qmp *q, const json_t *o)
{
	int64_t id;
	if (json_get_int(o, "id", 0, INT64_MAX, &id, NULL) != 0)
		return NULL;
	LIST_EACH(l, &q->slots)
	{
		struct slot *s = container_of(l, struct slot, link);
		if (s->id == id)
			return s;
	}
	return NULL;
}

static int read_error(const json_t *o, struct err *ret)
{
	json_t *error = NULL;
	const char *desc = NULL;
	if (json_get_object(o, "error", &error, NULL) != 0 ||
	    json_get_str(error, "desc", QMP_LINE_MAX, &desc, NULL) != 0)
		return -EPROTO;
	(void)err_set(ret, -EIO, "QEMU: %.200s", desc);
	return 0;
}

static void on_answer(struct qmp *q, const json_t *o)
{
	struct slot *s = find_slot(q, o);
	struct err err = ERR_INIT;
	const json_t *ret = json_object_get(o, "return");
	if (!s) {
		fail(q, -EPROTO, "an answer to nothing that was asked");
		return;
	}
	if (!ret && read_error(o, &err) < 0) {
		fail(q, -EPROTO, "an answer without a result");
		return;
	}
	if (q->n_slots > 1)
		loop_timer_set(&q->limit, QMP_ANSWER_LIMIT_MS);
	else
		loop_timer_cancel(&q->limit);
	slot_end(q, s, &err, ret);
}

static void on_line(struct qmp *q, const char *p, size_t n)
{
	CLEAN_JSON json_t *o = json_parse_object(p, n, QMP_LINE_MAX, false, NULL);
	if (!o)
		fail(q, -EPROTO, "a line that is no JSON object");
	else if (q->state == QMP_GREETING)
		on_greeting(q, o);
	else if (json_object_get(o, "event"))
		on_event(q, o);
	else
		on_answer(q, o);
}

/* True when q is gone. */
static bool take_lines(struct qmp *q)
{
	size_t looked = 0;
	while (q->state != QMP_CLOSED) {
		const char *p = (const char *)buf_data(&q->in);
		size_t len = buf_len(&q->in);
		const char *end = len > looked ? memchr(p + looked, '\n', len - looked) : NULL;
		if (!end) {
			if (len > QMP_LINE_MAX)
				fail(q, -EMSGSIZE, "a line that is too long");
			break;
		}
		q->busy++;
		on_line(q, p, (size_t)(end - p));
		size_t used = (size_t)(end - p) + 1;
		if (leave(q))
			return true;
		buf_consume(&q->in, used);
		looked = 0;
	}
	return false;
}

static void on_readable(struct qmp *q)
{
	void *space;
	int r = buf_reserve(&q->in, READ_CHUNK, &space);
	if (r < 0) {
		fail(q, r, err_name(r));
		return;
	}
	ssize_t n = recv(q->fd, space, READ_CHUNK, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(q, n < 0 ? -errno : -ECONNRESET, n < 0 ? err_name(-errno) : "it has hung up");
		return;
	}
	buf_commit(&q->in, (size_t)n);
	(void)take_lines(q);
}

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct qmp *q = arg;
	q->busy++;
	if ((events & LOOP_WRITE) && q->state != QMP_CLOSED)
		flush(q);
	if ((events & LOOP_READ) && q->state != QMP_CLOSED)
		on_readable(q);
	(void)leave(q);
}

/* ---- life ---- */

struct qmp *qmp_new(
    struct loop *l, int fd_consume, const struct qmp_ops *ops, void *arg, struct err *reterr)
{
	struct qmp *q = mem_zalloc(sizeof(*q));
	if (!q) {
		(void)fd_close(fd_consume);
		(void)err_set(reterr, -ENOMEM, "out of memory");
		return NULL;
	}
	q->loop = l;
	q->fd = fd_consume;
	q->ops = ops;
	q->arg = arg;
	link_init(&q->slots);
	loop_timer_init(&q->limit, l, on_limit, q);
	loop_defer_init(&q->closing, l, on_closing, q);
	int r = fd_set_nonblock(q->fd);
	if (r == 0)
		r = loop_io_init(&q->io, l, q->fd, on_io, q);
	if (r == 0)
		r = loop_io_want(&q->io, LOOP_READ);
	if (r < 0) {
		(void)err_set(reterr, r, "control socket of QEMU: %s", err_name(r));
		return qmp_free(q);
	}
	loop_timer_set(&q->limit, QMP_GREETING_LIMIT_MS);
	return q;
}

struct qmp *qmp_connect(
    struct loop *l, const char *path, const struct qmp_ops *ops, void *arg, struct err *reterr)
{
	int fd = fd_connect_unix(path);
	if (fd < 0) {
		(void)err_set(
		    reterr, fd, "cannot connect to the control socket of QEMU: %s", err_name(fd));
		return NULL;
	}
	return qmp_new(l, fd, ops, arg, reterr);
}

struct qmp *qmp_free(struct qmp *q)
{
	if (!q)
		return NULL;
	loop_io_fini(&q->io);
	loop_timer_fini(&q->limit);
	loop_defer_fini(&q->closing);
	q->fd = fd_close(q->fd);
	for (struct link *l; (l = list_pop_front(&q->slots));)
		(void)mem_free(container_of(l, struct slot, link));
	buf_fini(&q->in);
	buf_fini(&q->out);
	q->state = QMP_CLOSED;
	q->freed = true;
	if (q->busy == 0)
		(void)mem_free(q);
	return NULL;
}

bool qmp_is_ready(const struct qmp *q)
{
	return q && q->state == QMP_READY;
}

unsigned qmp_version(const struct qmp *q)
{
	return q->version;
}
