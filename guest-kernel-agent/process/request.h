/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the requests of the process services have in common. Whatever cannot be done finishes the
 * call. */
#include <stdbool.h>
#include <stdint.h>

#include "process/process.pb-c.h"
#include "sandglass/v1/process.pb-c.h"

struct call;
struct process;
struct process_terminal;

struct process_wish {
	const Process__ProcessConfig *config; /* may be NULL */
	const Process__PTY *pty;	      /* may be NULL */
	const char *tag;
	bool stdin_open;
	uint64_t output_max;
	uint64_t limit_ms; /* 0 = the call's deadline */
	void (*on_started)(struct process *p, int stage, int error, void *arg);
	void *arg;
};
/* A reference, or NULL: the call is finished. The user is the one that the call names. */
struct process *process_request_start(struct call *c, const struct process_wish *w);
/* The program does not run, see process_start.on_started. */
void process_request_refuse(struct call *c, const struct process *p, int stage, int error);

/* Borrowed, or NULL: the call is finished. live: one that has ended is not found. */
struct process *process_request_find(
    struct call *c, const Process__ProcessSelector *selector, bool live);
/* The same for the native service, among all. */
struct process *process_request_find_ref(struct call *c, const Sandglass__V1__ProcessRef *ref);
/* False: the call is finished. */
bool process_request_terminal(
    struct call *c, const Process__PTY *pty, struct process_terminal *ret);
