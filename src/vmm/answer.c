/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/answer.h"

#include <errno.h>

#include "base/log.h"
#include "base/mem.h"

void vmm_tell(const struct vmm_answer *to, const struct err *err)
{
	if (to->plain)
		to->plain(err, to->arg);
	else if (to->inst)
		to->inst(err, NULL, to->arg);
	else if (to->usage)
		to->usage(err, NULL, to->arg);
	else if (to->sweep)
		to->sweep(err, 0, to->arg);
}

static void on_tell_late(struct loop_defer *d, void *arg)
{
	struct vmm_late *l = arg;
	struct vmm_answer to = l->late[0].to;
	struct err err = l->late[0].err;
	l->n--;
	for (size_t i = 0; i < l->n; i++)
		l->late[i] = l->late[i + 1];
	if (l->n > 0)
		loop_defer_set(&l->tell);
	vmm_tell(&to, &err); /* who hears of it may close the driver, and us with it */
}

void vmm_late_init(struct vmm_late *l, struct loop *loop)
{
	l->n = 0;
	loop_defer_init(&l->tell, loop, on_tell_late, l);
}

void vmm_late_fini(struct vmm_late *l)
{
	loop_defer_fini(&l->tell);
}

void vmm_fail_later(struct vmm_late *l, struct vmm_answer to, int code, const char *what)
{
	struct err err = ERR_INIT;
	(void)err_set(&err, code, "%s: %s", what, err_name(code));
	if (l->n == VMM_LATE_MAX) {
		log_error("too many failures at once: %s", err.text);
		vmm_tell(&to, &err);
		return;
	}
	l->late[l->n].to = to;
	l->late[l->n].err = err;
	l->n++;
	loop_defer_set(&l->tell);
}

/* ---- one request ---- */

static void on_plain(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct vmm_answer *p = arg;
	struct vmm_answer to = *p;
	(void)mem_free(p);
	vmm_tell(&to, err);
}

static struct vmm_answer *ask(struct vmm_late *l, struct vmm_answer to, const char *what)
{
	struct vmm_answer *p = mem_dup(&to, sizeof(to));
	if (!p)
		vmm_fail_later(l, to, -ENOMEM, what);
	return p;
}

static void asked(struct vmm_late *l, struct vmm_answer *p, int r, const char *what)
{
	if (r == 0)
		return;
	vmm_fail_later(l, *p, r, what);
	(void)mem_free(p);
}

void vmm_ask_prepare(
    struct vmm_late *l, struct launcher *la, const char *base, vmm_done_fn *done, void *arg)
{
	static const char what[] = "prepare template";
	struct vmm_answer *p = ask(l, (struct vmm_answer){ .plain = done, .arg = arg }, what);
	if (p)
		asked(l, p, launcher_prepare(la, base, on_plain, p), what);
}

void vmm_ask_internet(
    struct vmm_late *l, struct launcher *la, const char *id, bool on, vmm_done_fn *done, void *arg)
{
	static const char what[] = "change the network policy";
	struct vmm_answer *p = ask(l, (struct vmm_answer){ .plain = done, .arg = arg }, what);
	if (p)
		asked(l, p, launcher_set_internet(la, id, on, on_plain, p), what);
}

void vmm_ask_resize(struct vmm_late *l, struct launcher *la, const char *id,
    const struct proto_sizes *to, vmm_done_fn *done, void *arg)
{
	static const char what[] = "change the sizes";
	struct vmm_answer *p = ask(l, (struct vmm_answer){ .plain = done, .arg = arg }, what);
	if (p)
		asked(l, p, launcher_resize(la, id, to, on_plain, p), what);
}

void vmm_ask_forget(
    struct vmm_late *l, struct launcher *la, const char *snapshot, vmm_done_fn *done, void *arg)
{
	static const char what[] = "remove a snapshot";
	struct vmm_answer *p = ask(l, (struct vmm_answer){ .plain = done, .arg = arg }, what);
	if (p)
		asked(l, p, launcher_vm_forget(la, snapshot, on_plain, p), what);
}

static void on_usage(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct vmm_answer *p = arg;
	struct vmm_answer to = *p;
	(void)mem_free(p);
	if (err->code) {
		vmm_tell(&to, err);
		return;
	}
	const struct vmm_usage u = { .memory_bytes = reply->usage.memory_bytes,
		.memory_limit = reply->usage.memory_limit,
		.cpu_usec = reply->usage.cpu_usec,
		.disk_bytes = reply->usage.disk_bytes,
		.disk_limit = reply->usage.disk_limit,
		.pids = reply->usage.pids };
	to.usage(err, &u, to.arg);
}

void vmm_ask_usage(
    struct vmm_late *l, struct launcher *la, const char *id, vmm_usage_done_fn *done, void *arg)
{
	static const char what[] = "read usage";
	struct vmm_answer *p = ask(l, (struct vmm_answer){ .usage = done, .arg = arg }, what);
	if (p)
		asked(l, p, launcher_usage(la, id, on_usage, p), what);
}

/* ---- sweep ---- */

struct sweep {
	struct launcher *launcher;
	int (*remove)(struct launcher *la, const char *id, launcher_done_fn *done, void *arg);
	bool (*keep)(const char *id, void *arg);
	void *keep_arg;
	struct vmm_answer to;
	unsigned open, removed; /* requests that are not answered; what was removed */
	struct err err;
};

static void sweep_settle(struct sweep *s)
{
	if (--s->open > 0)
		return;
	struct sweep copy = *s;
	(void)mem_free(s);
	copy.to.sweep(&copy.err, copy.removed, copy.to.arg);
}

static void on_swept(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct sweep *s = arg;
	if (err->code)
		(void)err_set(&s->err, err->code, "%s", err_text(err));
	else
		s->removed++;
	sweep_settle(s);
}

static void on_item(const char *id, void *arg)
{
	struct sweep *s = arg;
	if (s->keep(id, s->keep_arg))
		return;
	int r = s->remove(s->launcher, id, on_swept, s);
	if (r < 0)
		(void)err_set(&s->err, r, "cannot remove %s: %s", id, err_name(r));
	else
		s->open++;
}

static void on_listed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct sweep *s = arg;
	if (err->code)
		(void)err_set(&s->err, err->code, "%s", err_text(err));
	sweep_settle(s);
}

typedef int list_fn(struct launcher *la, void (*item)(const char *id, void *arg),
    launcher_done_fn *done, void *arg);

static void sweep_start(
    struct vmm_late *l, list_fn *list, const struct sweep *what, const char *name)
{
	struct sweep *s = mem_zalloc(sizeof(*s));
	if (s) {
		*s = *what;
		s->open = 1;
		if (list(s->launcher, on_item, on_listed, s) == 0)
			return;
	}
	(void)mem_free(s);
	vmm_fail_later(l, what->to, -ENOMEM, name);
}

void vmm_ask_sweep(struct vmm_late *l, struct launcher *la, bool (*keep)(const char *id, void *arg),
    void *keep_arg, vmm_sweep_done_fn *done, void *arg)
{
	const struct sweep s = { .launcher = la,
		.remove = launcher_destroy,
		.keep = keep,
		.keep_arg = keep_arg,
		.to = { .sweep = done, .arg = arg } };
	sweep_start(l, launcher_list, &s, "sweep sandboxes");
}

void vmm_ask_sweep_snapshots(struct vmm_late *l, struct launcher *la,
    bool (*keep)(const char *id, void *arg), void *keep_arg, vmm_sweep_done_fn *done, void *arg)
{
	const struct sweep s = { .launcher = la,
		.remove = launcher_vm_forget,
		.keep = keep,
		.keep_arg = keep_arg,
		.to = { .sweep = done, .arg = arg } };
	sweep_start(l, launcher_vm_snapshots, &s, "sweep snapshots");
}
