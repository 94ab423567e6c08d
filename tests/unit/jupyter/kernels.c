/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/python/install.h"

struct loop *kernels_loop;
struct contexts *kernels;
struct tmpdir kernels_dir;

struct answer {
	bool done;
	struct err err;
	struct context *context;
};

void kernels_setup(void)
{
	char run[128], python[128];
	struct err err = ERR_INIT;

	tmpdir_make(&kernels_dir);
	kernels_loop = loop_new();
	kernels = contexts_new(kernels_loop);
	ck_assert_ptr_nonnull(kernels);
	tmpdir_at(&kernels_dir, "python", python);
	ck_assert_msg(python_files_install(python, &err) == 0, "%s", err_text(&err));
	ck_assert_int_eq(
	    contexts_use_dirs(kernels, tmpdir_at(&kernels_dir, "run", run), python), 0);
	ck_assert_int_eq(contexts_configure(kernels, NULL, kernels_dir.path, NULL), 0);
}

void kernels_teardown(void)
{
	kernels = contexts_free(kernels);
	kernels_loop = loop_free(kernels_loop);
	tmpdir_remove(&kernels_dir);
}

void kernels_add_spec(const char *name, const char *spec)
{
	char path[32], dir[128], file[48];

	(void)snprintf(path, sizeof(path), "kernels/%s", name);
	(void)snprintf(file, sizeof(file), "kernels/%s/kernel.json", name);
	(void)mkdir(tmpdir_at(&kernels_dir, "kernels", dir), 0755);
	ck_assert_int_eq(mkdir(tmpdir_at(&kernels_dir, path, dir), 0755), 0);
	tmpdir_write(&kernels_dir, file, spec);
}

void kernels_use_specs(void)
{
	char python[128], run[128];

	ck_assert_int_eq(setenv("JUPYTER_PATH", kernels_dir.path, 1), 0);
	ck_assert_int_eq(contexts_use_dirs(kernels, tmpdir_at(&kernels_dir, "run", run),
			     tmpdir_at(&kernels_dir, "python", python)),
	    0);
}

void kernels_until(const bool *flag)
{
	while (!*flag)
		ck_assert_int_eq(loop_turn(kernels_loop, true), 0);
}

static void on_time(struct loop_timer *t, void *arg)
{
	*(bool *)arg = true;
}

void kernels_turns(unsigned ms)
{
	struct loop_timer t = { 0 };
	bool passed = false;

	loop_timer_init(&t, kernels_loop, on_time, &passed);
	loop_timer_set(&t, ms);
	kernels_until(&passed);
	loop_timer_fini(&t);
}

/* ---- contexts ---- */

static void on_answer(const struct err *err, struct context *c, void *arg)
{
	struct answer *a = arg;

	ck_assert(!a->done);
	a->done = true;
	a->context = c;
	if (err)
		a->err = *err;
}

struct context *kernels_create(const char *language, const char *cwd)
{
	struct answer a = { 0 };

	ck_assert_int_eq(context_create(kernels, language, cwd, on_answer, &a), 0);
	ck_assert(!a.done);
	kernels_until(&a.done);
	ck_assert_msg(a.context != NULL, "%s", err_text(&a.err));
	return a.context;
}

struct context *kernels_python(void)
{
	return kernels_create("python", NULL);
}

int kernels_create_fails(const char *language, const char *cwd, char text[320])
{
	struct answer a = { 0 };

	ck_assert_int_eq(context_create(kernels, language, cwd, on_answer, &a), 0);
	kernels_until(&a.done);
	ck_assert_ptr_null(a.context);
	(void)str_copy(text, 320, err_text(&a.err));
	return a.err.code;
}

void kernels_restart(struct context *c)
{
	struct answer a = { 0 };

	ck_assert_int_eq(context_restart(c, on_answer, &a), 0);
	kernels_until(&a.done);
	ck_assert_ptr_eq(a.context, c);
}

void kernels_delete(struct context *c)
{
	struct answer a = { 0 };

	ck_assert_int_eq(context_delete(c, on_answer, &a), 0);
	kernels_until(&a.done);
	ck_assert_ptr_null(a.context);
	ck_assert_int_eq(a.err.code, 0);
}

pid_t kernels_pid(struct context *c)
{
	struct record *r = record_run(c, "import os; print(os.getpid())");
	pid_t pid = (pid_t)atoi(record_out(r));

	ck_assert_int_gt(pid, 1);
	record_free(r);
	return pid;
}

/* ---- executions ---- */

static void note(struct record *r, char c)
{
	ck_assert(!r->ended);
	if (buf_len(&r->order) < 4096)
		ck_assert_int_eq(buf_append_byte(&r->order, (unsigned char)c), 0);
}

static void on_busy(void *arg, unsigned execution_count)
{
	struct record *r = arg;

	note(r, 'b');
	r->count = execution_count;
}

static void on_stream(void *arg, bool is_stderr, const char *text, size_t n)
{
	struct record *r = arg;

	ck_assert(str_utf8_valid(text, n));
	if (!r->stream_bytes) {
		r->first_us = clock_mono_us();
		if (r->on_first)
			r->on_first(r);
	}
	note(r, is_stderr ? 'e' : 'o');
	r->stream_bytes += n;
	if (!r->drop)
		ck_assert_int_eq(buf_append(is_stderr ? &r->err : &r->out, text, n), 0);
}

static void on_result(void *arg, bool main_result, const json_t *data, const json_t *metadata)
{
	struct record *r = arg;

	note(r, main_result ? 'R' : 'r');
	ck_assert_int_eq(json_array_append_new(r->results, json_deep_copy(data)), 0);
}

static void on_error(void *arg, const char *name, const char *value, const char *traceback)
{
	struct record *r = arg;

	note(r, 'x');
	(void)str_copy(r->error, sizeof(r->error), name);
	(void)str_copy(r->value, sizeof(r->value), value);
	ck_assert_int_eq(buf_append_str(&r->traceback, traceback), 0);
}

static void on_stall(void *arg, bool stalled)
{
	struct record *r = arg;

	r->stalled = r->stalled || stalled;
	r->goes_on = r->goes_on || !stalled;
}

static void on_end(void *arg, enum exec_end how, const char *detail, unsigned execution_count)
{
	struct record *r = arg;

	note(r, '$');
	r->ended = true;
	r->ended_us = clock_mono_us();
	r->how = how;
	r->count = execution_count;
	r->exec = NULL;
	(void)str_copy(r->detail, sizeof(r->detail), detail);
}

static bool may_take(void *arg)
{
	return !((struct record *)arg)->closed;
}

static const struct exec_sink sink = {
	.on_busy = on_busy,
	.on_stream = on_stream,
	.on_result = on_result,
	.on_error = on_error,
	.on_stall = on_stall,
	.on_end = on_end,
	.may_take = may_take,
};

struct record *record_begin_env(struct context *c, const char *code, const char *const *env)
{
	struct record *r = mem_zalloc(sizeof(*r));

	ck_assert_ptr_nonnull(r);
	r->results = json_array();
	r->began_us = clock_mono_us();
	r->exec = context_execute(c, code, strlen(code), env, &sink, r);
	ck_assert_ptr_nonnull(r->exec);
	ck_assert(!r->ended);
	return r;
}

struct record *record_begin(struct context *c, const char *code)
{
	return record_begin_env(c, code, NULL);
}

void record_wait(struct record *r)
{
	kernels_until(&r->ended);
}

struct record *record_run(struct context *c, const char *code)
{
	struct record *r = record_begin(c, code);

	record_wait(r);
	return r;
}

void record_free(struct record *r)
{
	buf_fini(&r->out);
	buf_fini(&r->err);
	buf_fini(&r->order);
	buf_fini(&r->traceback);
	json_decref(r->results);
	mem_free(r);
}

const char *record_out(struct record *r)
{
	return buf_cstr(&r->out);
}

const char *record_err(struct record *r)
{
	return buf_cstr(&r->err);
}

const char *record_order(struct record *r)
{
	return buf_cstr(&r->order);
}

const json_t *record_data(const struct record *r, size_t i, const char *mime)
{
	return json_object_get(json_array_get(r->results, i), mime);
}

void kernels_expect(struct context *c, const char *code, const char *out)
{
	struct record *r = record_run(c, code);

	ck_assert_msg(
	    r->how == EXEC_OK, "%s: %d %s %s: %s", code, r->how, r->detail, r->error, r->value);
	ck_assert_str_eq(record_out(r), out);
	record_free(r);
}
