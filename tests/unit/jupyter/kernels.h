/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Contexts with real kernels in a directory of the test's own, and a recorder of what executions
 * emit. */
#include <stdbool.h>
#include <stdint.h>

#include <check.h>
#include <jansson.h>

#include "base/buf.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"

struct record {
	struct buf out, err; /* what went to stdout and stderr */
	struct buf order;    /* a letter an event: b o e r R(main) x $ */
	json_t *results;     /* data of each result */
	char error[64], value[256];
	struct buf traceback;
	bool closed; /* may_take says no */
	bool ended;
	enum exec_end how;
	char detail[320];
	unsigned count;
	size_t stream_bytes;
	bool drop;	       /* count the text only */
	bool stalled, goes_on; /* was told so */
	uint64_t began_us, first_us, ended_us;
	void (*on_first)(struct record *r);
	struct exec *exec;
};

extern struct loop *kernels_loop;
extern struct contexts *kernels;
extern struct tmpdir kernels_dir;

/* Fixture of a case. */
void kernels_setup(void);
void kernels_teardown(void);
/* Write "kernels/NAME/kernel.json" below the directory. */
void kernels_add_spec(const char *name, const char *spec);
/* Have those found before any other. */
void kernels_use_specs(void);

/* A new python context, which answers. */
struct context *kernels_python(void);
struct context *kernels_create(const char *language, const char *cwd);
/* The error that creation ends with. */
int kernels_create_fails(const char *language, const char *cwd, char text[320]);

struct record *record_begin(struct context *c, const char *code);
struct record *record_begin_env(struct context *c, const char *code, const char *const *env);
void record_wait(struct record *r);
void record_free(struct record *r);
/* Run to the end. */
struct record *record_run(struct context *c, const char *code);
const char *record_out(struct record *r);
const char *record_err(struct record *r);
const char *record_order(struct record *r);
/* Run code that must succeed, and compare what it printed. */
void kernels_expect(struct context *c, const char *code, const char *out);
/* Value under mime of the i-th result. */
const json_t *record_data(const struct record *r, size_t i, const char *mime);

/* Turn the loop until *flag. */
void kernels_until(const bool *flag);
void kernels_turns(unsigned ms);
void kernels_restart(struct context *c);
void kernels_delete(struct context *c);
pid_t kernels_pid(struct context *c);

void add_basic_tests(Suite *s);
void add_end_tests(Suite *s);
void add_display_tests(Suite *s);
void add_language_tests(Suite *s);
void add_volume_tests(Suite *s);
