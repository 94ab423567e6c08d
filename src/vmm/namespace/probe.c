/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the driver work on this machine? One small sandbox is made; its agent must answer the
 * opening of an HTTP/2 connection with anything at all; then it is taken away again. The sandbox is
 * the proof, what the agent says is not looked at.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/template.h"
#include "loop/op.h"
#include "vmm/namespace/namespace.h"

#define PROBE_MEMORY (256ull << 20)
#define PROBE_DISK (64ull << 20)
#define PROBE_PIDS 64
#define PREPARE_LIMIT_MS 120000
#define CREATE_LIMIT_MS 30000
#define ANSWER_LIMIT_MS 10000

/* Client connection preface and an empty SETTINGS frame */
static const char opening[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

struct probe {
	struct vmm *vmm;
	struct op op;
	uint32_t slot;
	struct template tmpl; /* base only */
	struct vmm_inst *inst;
	int fd;
	struct loop_io io;
	bool asked; /* a driver call is open: we live on until its answer has come */
	bool over;  /* the outcome was told meanwhile */
	struct vmm_answer to;
};

static void on_destroyed(const struct err *err, void *arg);

/* What came too late is taken away still. */
static void probe_end(struct probe *p)
{
	p->over = true;
	if (p->asked)
		return;
	if (p->inst) {
		p->asked = true;
		vmm_namespace_driver.destroy(p->inst, on_destroyed, p);
		return;
	}
	namespace_unref(p->vmm);
	(void)mem_free(p);
}

static void wake(struct probe *p, const struct err *err)
{
	p->asked = false;
	if (p->over) {
		probe_end(p);
		return;
	}
	if (err->code)
		(void)op_fail(&p->op, err->code, "%s", err_text(err));
	op_wake(&p->op, p->slot, err->code);
}

static void on_plain(const struct err *err, void *arg)
{
	wake(arg, err);
}

static int begin_prepare(struct op *op)
{
	struct probe *p = op->owner;
	p->slot = op_slot(op);
	p->asked = true;
	vmm_namespace_driver.prepare(p->vmm, &p->tmpl, on_plain, p);
	return OP_WAIT;
}

static void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
	struct probe *p = arg;
	if (kind == VMM_END_EXITED && p->fd >= 0) {
		int r = op_fail(
		    &p->op, -ECHILD, "the agent ended (wait status %lld)", (long long)value);
		op_wake(&p->op, p->slot, r);
	}
}

static void on_created(const struct err *err, struct vmm_inst *inst, void *arg)
{
	struct probe *p = arg;
	p->inst = inst;
	wake(p, err);
}

static int begin_create(struct op *op)
{
	struct probe *p = op->owner;
	struct vmm_spec spec = { .tmpl = &p->tmpl,
		.memory_bytes = PROBE_MEMORY,
		.disk_bytes = PROBE_DISK,
		.cpu_milli = 1000,
		.max_pids = PROBE_PIDS };
	id_sandbox(spec.id);
	p->slot = op_slot(op);
	p->asked = true;
	vmm_namespace_driver.create(p->vmm, &spec, on_event, p, on_created, p);
	return OP_WAIT;
}

static void on_destroyed(const struct err *err, void *arg)
{
	struct probe *p = arg;
	const struct err none = ERR_INIT;
	p->inst = NULL;
	wake(p, &none);
}

static int destroy(struct op *op)
{
	struct probe *p = op->owner;
	if (!p->inst)
		return OP_NEXT;
	p->slot = op_slot(op);
	p->asked = true;
	vmm_namespace_driver.destroy(p->inst, on_destroyed, p);
	return OP_WAIT;
}

static void on_io(struct loop_io *io, unsigned events, void *arg)
{
	struct probe *p = arg;
	char byte;
	int r = 0;
	if (events & LOOP_WRITE) {
		if (send(p->fd, opening, sizeof(opening) - 1, MSG_NOSIGNAL) < 0)
			r = -errno;
		else
			r = loop_io_want(io, LOOP_READ);
	} else {
		ssize_t n = read(p->fd, &byte, 1);
		if (n > 0)
			op_wake(&p->op, p->slot, 0);
		else
			r = n < 0 ? -errno : -ECONNRESET;
	}
	if (r < 0 && r != -EAGAIN)
		op_wake(&p->op, p->slot,
		    op_fail(&p->op, r, "the agent does not answer: %s", err_name(r)));
}

static void drop_connection(struct op *op)
{
	struct probe *p = op->owner;
	loop_io_fini(&p->io);
	p->fd = fd_close(p->fd);
}

static int begin_ask(struct op *op)
{
	struct probe *p = op->owner;
	p->slot = op_slot(op);
	p->fd = fd_connect_unix(vmm_namespace_driver.control(p->inst).path);
	if (p->fd < 0)
		return op_fail(op, p->fd, "cannot connect to the agent: %s", err_name(p->fd));
	int r = loop_io_init(&p->io, p->vmm->loop, p->fd, on_io, p);
	if (r == 0)
		r = loop_io_want(&p->io, LOOP_WRITE);
	return r < 0 ? r : OP_WAIT;
}

static int undo_ask(struct op *op)
{
	drop_connection(op);
	return OP_NEXT;
}

static int begin_destroy(struct op *op)
{
	drop_connection(op);
	return destroy(op);
}

static const struct op_step steps[] = {
	{ "prepare", begin_prepare, NULL, NULL, PREPARE_LIMIT_MS },
	{ "create", begin_create, destroy, NULL, CREATE_LIMIT_MS },
	{ "ask", begin_ask, undo_ask, drop_connection, ANSWER_LIMIT_MS },
	{ "destroy", begin_destroy, NULL, NULL, CREATE_LIMIT_MS },
};

static const struct op_table table = { "probe", steps, sizeof(steps) / sizeof(steps[0]) };

static void on_done(struct op *op)
{
	struct probe *p = op->owner;
	struct vmm_answer to = p->to;
	struct err err = p->op.err;
	op_fini(&p->op);
	probe_end(p);
	to.plain(&err, to.arg);
}

void namespace_probe(struct vmm *v, vmm_done_fn *done, void *arg)
{
	static char *host[] = { (char *)"host", NULL };
	const struct vmm_answer to = { .plain = done, .arg = arg };
	struct probe *p = mem_zalloc(sizeof(*p));
	if (!p) {
		namespace_fail_later(v, to, -ENOMEM, "test the driver");
		return;
	}
	p->tmpl.build.bases = host;
	p->vmm = namespace_ref(v);
	p->to = to;
	p->fd = -1;
	op_init(&p->op, v->loop, &table, p, on_done);
	op_start(&p->op);
}
