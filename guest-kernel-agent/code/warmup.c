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
	struct context *context;  /* while warming */
	size_t cell;		  /* next one of those that it warms up with */
	bool answered, preloaded; /* was given its first one, all that are for a snapshot */
	bool again;		  /* not for the first time */
	struct err err;
};

struct warmup {
	struct contexts *contexts;
	bool preload;
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

/* Where copies of a snapshot share it, what most users wait for longest is there already, and has
 * been used once: fonts and caches that the first plot makes are then in memory that is shared. */
static const struct snippet preload_cells[] = {
	{ "python", "exec('import importlib.util\\n"
		    "if importlib.util.find_spec(\"matplotlib\"):\\n"
		    "    import matplotlib.pyplot\\n', {})" },
};

/* What users do first: an expression, output, an import, an exception, a plot. They leave nothing
 * behind, and import nothing that a user would have to pay for. */
static const struct snippet later_cells[] = {
	{ "python", "1 + 1" },
	{ "python", "print(\"a line\")" },
	{ "python", "exec('import json, math, re\\njson.loads(json.dumps([math.pi]))', {})" },
	{ "python", "1 / 0" },
	{ "python", "exec('import sys\\n"
		    "for name in (\"type\", \"value\", \"traceback\", \"exc\"):\\n"
		    "    sys.__dict__.pop(\"last_\" + name, None)\\n"
		    "if \"matplotlib.pyplot\" in sys.modules:\\n"
		    "    import matplotlib.pyplot as plt, io\\n"
		    "    f = plt.figure()\\n"
		    "    f.gca().plot([1, 2])\\n"
		    "    f.savefig(io.BytesIO(), format=\"png\")\\n"
		    "    plt.close(f)\\n', {})" },
	{ "bash", "echo a line" },
};
#define CELLS(list) (sizeof(list) / sizeof(*(list)))

/* Only generators that are there already: one that is imported later seeds itself. A kernel that is
 * not here cannot be given seeds from inside. */
static const struct snippet seeds[] = {
	{ "python", "exec('import os, sys\\n"
		    "for name in (\"random\", \"numpy.random\"):\\n"
		    "    if name in sys.modules: sys.modules[name].seed()\\n"
		    "if \"ssl\" in sys.modules: sys.modules[\"ssl\"].RAND_add(os.urandom(32), "
		    "32.0)\\n', {})" },
	{ "r", "set.seed(NULL)" },
	{ "bash", "RANDOM=$SRANDOM" },
};

static const struct err no_memory = { .code = -ENOMEM, .text = "out of memory" };

static const char *snippet_for(const struct snippet *all, size_t n, const char *language)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(all[i].language, language))
			return all[i].code;
	return NULL;
}

struct warmup *warmup_new(
    struct contexts *cs, bool preload, void (*on_change)(void *arg), void *arg)
{
	struct warmup *w = mem_zalloc(sizeof(*w));
	if (!w)
		return NULL;
	w->contexts = cs;
	w->preload = preload;
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

static void next_cell(struct warm_kernel *k);

static void on_warm(const struct err *err, struct context *c, void *arg)
{
	struct warm_kernel *k = arg;
	/* A cell that raised was answered too. */
	if (err && err->code && err->code != -EIO)
		set_state(k, KERNEL_FAILED, err);
	else
		next_cell(k);
}

/* The next one of its language in a list, or NULL. */
static const char *cell_of(struct warm_kernel *k, const struct snippet *list, size_t n)
{
	while (k->cell < n) {
		const struct snippet *s = &list[k->cell++];
		if (str_eq(s->language, k->language))
			return s->code;
	}
	return NULL;
}

static const char *choose_cell(struct warm_kernel *k)
{
	if (k->again)
		return cell_of(k, later_cells, CELLS(later_cells));
	if (!k->answered) {
		const char *code = snippet_for(first_cells, CELLS(first_cells), k->language);
		k->answered = true;
		return code ? code : "1 + 1";
	}
	if (!k->owner->preload)
		return NULL;
	const char *code = k->preloaded ? NULL : cell_of(k, preload_cells, CELLS(preload_cells));
	if (code)
		return code;
	if (!k->preloaded)
		k->cell = 0;
	k->preloaded = true;
	return cell_of(k, later_cells, CELLS(later_cells));
}

static void next_cell(struct warm_kernel *k)
{
	const char *code = choose_cell(k);
	if (!code)
		set_state(k, KERNEL_WARM, NULL);
	else if (context_run_silent(k->context, code, strlen(code), on_warm, k) < 0)
		set_state(k, KERNEL_FAILED, &no_memory);
}

static void on_context(const struct err *err, struct context *c, void *arg)
{
	struct warm_kernel *k = arg;
	if (!c || (err && err->code)) {
		set_state(k, KERNEL_FAILED, err);
		return;
	}
	k->context = c;
	k->cell = 0;
	k->state = KERNEL_WARMING;
	next_cell(k);
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

void warmup_again(struct warmup *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct warm_kernel *k = &w->kernels[i];
		if (k->state != KERNEL_WARM)
			continue;
		k->again = true;
		k->state = KERNEL_STARTING;
		if (context_default(w->contexts, k->language, on_context, k) < 0)
			set_state(k, KERNEL_FAILED, &no_memory);
	}
}

void warmup_renew(struct warmup *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct warm_kernel *k = &w->kernels[i];
		if (!k->context || snippet_for(seeds, CELLS(seeds), k->language))
			continue;
		k->answered = k->preloaded = k->again = false;
		k->state = KERNEL_STARTING;
		if (context_restart(k->context, on_context, k) < 0)
			set_state(k, KERNEL_FAILED, &no_memory);
	}
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
		const char *code = snippet_for(seeds, CELLS(seeds), context_language(c));
		if (code)
			reseed_one(c, code);
	}
}
