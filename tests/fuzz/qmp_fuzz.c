/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything that QEMU's control socket may say, whole and in pieces, while commands are open: every
 * accepted command is answered exactly once, and the end is told exactly once.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "loop/loop.h"
#include "vmm/qemu/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define INPUT_MAX 65536u

struct world {
	struct qmp *q;
	unsigned accepted, answered, ready, closed;
};

static void on_done(const struct err *err, const json_t *ret, void *arg)
{
	struct world *w = arg;
	assert((err->code == 0) == (ret != NULL));
	w->answered++;
}

static void ask(struct world *w)
{
	if (w->accepted < 64 && qmp_command(w->q, "query-status", NULL, on_done, w) == 0)
		w->accepted++;
}

static void on_ready(struct qmp *q, void *arg)
{
	struct world *w = arg;
	w->ready++;
	for (int i = 0; i < 3; i++)
		ask(w);
}

static void on_event(struct qmp *q, const char *name, const json_t *data, void *arg)
{
	assert(name);
	ask(arg);
}

static void on_closed(struct qmp *q, const struct err *err, void *arg)
{
	struct world *w = arg;
	assert(err->code < 0 && err->text[0]);
	w->closed++;
}

static const struct qmp_ops ops = {
	.on_ready = on_ready, .on_event = on_event, .on_closed = on_closed
};

static void turns(struct loop *l)
{
	for (int i = 0; i < 8; i++)
		(void)loop_turn(l, false);
}

static void run(const uint8_t *p, size_t n, size_t piece)
{
	int sv[2];
	struct world w = { NULL };
	struct loop *l = loop_new();
	if (!l || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) < 0)
		return;
	w.q = qmp_new(l, sv[1], &ops, &w, NULL);
	for (size_t done = 0; w.q && done < n && !w.closed;) {
		size_t want = n - done < piece ? n - done : piece;
		ssize_t k = send(sv[0], p + done, want, MSG_NOSIGNAL);
		if (k > 0)
			done += (size_t)k;
		turns(l);
	}
	(void)fd_close(sv[0]);
	turns(l);
	turns(l);
	assert(!w.q || w.closed == 1);
	assert(w.ready <= 1 && w.accepted == w.answered);
	w.q = qmp_free(w.q);
	assert(w.closed <= 1);
	(void)loop_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n > INPUT_MAX)
		return 0;
	run(p, n, INPUT_MAX);
	run(p, n, n / 7 + 1);
	return 0;
}
