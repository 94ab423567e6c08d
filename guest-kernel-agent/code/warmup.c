/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/code/warmup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/context.h"

#define KERNELS_MAX 16

enum kernel_state { KERNEL_STARTING, KERNEL_WARMING, KERNEL_WARM, KERNEL_FAILED };

struct warm_kernel {
	struct warmup *owner;
	const char *language; /* as contexts_language() gave it */
	enum kernel_state state;
	struct err err;
};

struct warmup {
	struct contexts *contexts;
	void (*on_change)(void *arg);
	void *arg;
	struct warm_kernel kernels[KERNELS_MAX];
	size_t n;
	char reason[ERR_TEXT_MAX + 64];
};

struct snippet {
	const char *language, *code;
};

/* What makes a kernel load what a cell needs; for others than these an expression does. */
static const struct snippet first_cells[] = {
	{ "python", "1 + 1" },
	{ "bash", ":" },
};

/* Only generators that are there already: one that is imported later seeds itself. */
static const struct snippet seeds[] = {
	{ "python", "exec('import sys\\n"
		    "for name in (\"random\", \"numpy.random\"):\\n"
		    "    if name in sys.modules: sys.modules[name].seed()\\n', {})" },
	{ "r", "set.seed(NULL)" },
};

static const struct err no_memory = { .code = -ENOMEM, .text = "out of memory" };

static const char *snippet_for(const struct snippet *all, size_t n, const char *language)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(all[i].language, language))
			return all[i].code;
	return NULL;
}

struct warmup *warmup_new(struct contexts *cs, void (*on_change)(void *arg), void *arg)
{
	struct warmup *w = mem_zalloc(sizeof(*w));
	if (!w)
		return NULL;
	w->contexts = cs;
	w->on_change = on_change;
	w->arg = arg;
	return w;
}

struct warmup *warmup_free(struct warmup *w)
{
	return mem_free(w);
}

static void set_state(struct warm_kernel *k, enum kernel_state state, const struct err *err)
{
	k->state = state;
	if (err)
		k->err = *err;
	if (state == KERNEL_FAILED)
		log_error("%s kernel: %s", k->language, err_text(&k->err));
	k->owner->on_change(k->owner->arg);
}

static void on_warm(const struct err *err, struct context *c, void *arg)
{
	/* A cell that raised was answered too. */
	bool answered = !err || err->code == 0 || err->code == -EIO;
	set_state(arg, answered ? KERNEL_WARM : KERNEL_FAILED, answered ? NULL : err);
}

static void on_context(const struct err *err, struct context *c, void *arg)
{
	struct warm_kernel *k = arg;
	if (!c || (err && err->code)) {
		set_state(k, KERNEL_FAILED, err);
		return;
	}
	const char *code =
	    snippet_for(first_cells, sizeof(first_cells) / sizeof(*first_cells), k->language);
	if (!code)
		code = "1 + 1";
	k->state = KERNEL_WARMING;
	if (context_run_silent(c, code, strlen(code), on_warm, k) < 0)
		set_state(k, KERNEL_FAILED, &no_memory);
}

int warmup_start(struct warmup *w, const char *language, struct err *reterr)
{
	const char *known = contexts_language(w->contexts, language, reterr);
	if (!known)
		return -EINVAL;
	for (size_t i = 0; i < w->n; i++)
		if (str_eq(w->kernels[i].language, known))
			return 0;
	if (w->n == KERNELS_MAX)
		return err_set(reterr, -EINVAL, "kernels: at most %d", KERNELS_MAX);
	struct warm_kernel *k = &w->kernels[w->n++];
	k->owner = w;
	k->language = known;
	k->state = KERNEL_STARTING;
	if (context_default(w->contexts, known, on_context, k) == 0)
		return 0;
	w->n--;
	return err_set(reterr, -ENOMEM, "out of memory");
}

bool warmup_is_ready(const struct warmup *w)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->kernels[i].state != KERNEL_WARM)
			return false;
	return true;
}

const char *warmup_reason(struct warmup *w, bool *ret_failed)
{
	const struct warm_kernel *waiting = NULL;
	*ret_failed = false;
	w->reason[0] = 0;
	for (size_t i = 0; i < w->n && !*ret_failed; i++) {
		const struct warm_kernel *k = &w->kernels[i];
		*ret_failed = k->state == KERNEL_FAILED;
		if (*ret_failed || (k->state != KERNEL_WARM && !waiting))
			waiting = k;
	}
	if (*ret_failed)
		(void)snprintf(w->reason, sizeof(w->reason), "the %s kernel did not start: %s",
		    waiting->language, err_text(&waiting->err));
	else if (waiting)
		(void)snprintf(
		    w->reason, sizeof(w->reason), "the %s kernel is starting", waiting->language);
	return w->reason;
}

static void on_reseeded(const struct err *err, struct context *c, void *arg)
{
	if (err && err->code)
		log_warn("no new seed for a kernel: %s", err_text(err));
}

static void reseed_one(struct context *c, const char *code)
{
	if (context_reseed(c))
		return;
	if (context_run_silent(c, code, strlen(code), on_reseeded, NULL) < 0)
		on_reseeded(&no_memory, c, NULL);
}

void warmup_reseed(struct contexts *cs)
{
	struct context *c;
	for (size_t i = 0; (c = contexts_at(cs, i)); i++) {
		const char *code =
		    snippet_for(seeds, sizeof(seeds) / sizeof(*seeds), context_language(c));
		if (code)
			reseed_one(c, code);
	}
}
