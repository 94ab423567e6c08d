/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What doctor found, and the two forms in which it is told: text in columns for people, one JSON
 * object for programs. Its keys are stable and stand in sandglassd(8). Texts that do not fit are
 * cut.
 */
#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "base/err.h"

struct buf;

enum report_status {
	REPORT_OK,
	REPORT_WARN, /* works with less than it could, or is of no use to the drivers that work */
	REPORT_FAIL
};
const char *report_status_name(enum report_status s); /* "ok", "warn", "fail" */

#define REPORT_CHECKS_MAX 48
#define REPORT_DRIVERS_MAX 8
#define REPORT_TESTS_MAX 8

struct report_check {
	char name[24];
	enum report_status status;
	char detail[ERR_TEXT_MAX];
	char fix[256]; /* what to install or change, "" = nothing */
};

struct report_driver {
	char name[24];
	bool works;
	bool allowed;		 /* by driver and min_isolation of the configuration */
	char isolation[24];	 /* what it gives here, "" while it does not work */
	char why[ERR_TEXT_MAX];	 /* it does not work, or is not allowed */
	char note[ERR_TEXT_MAX]; /* what its test boot had to say although it works */
	char fix[256];
	struct report_check tests[REPORT_TESTS_MAX]; /* the self-test; none when it was left out */
	unsigned n_tests;
};

struct report_verdict {
	bool ok;		/* some allowed driver works and its self-test found no fault */
	char driver[24];	/* which one the configuration takes, "" = none */
	char isolation[24];	/* that it gives */
	char wanted_driver[24]; /* of the configuration: "auto" or a name */
	char min_isolation[24];
	char text[1024]; /* one line */
};

struct report {
	struct report_check checks[REPORT_CHECKS_MAX];
	unsigned n_checks;
	struct report_driver drivers[REPORT_DRIVERS_MAX];
	unsigned n_drivers;
	struct report_verdict verdict;
};

/* fix may be NULL. What is beyond the table is dropped. */
void report_add(struct report *r, const char *name, enum report_status status, const char *fix,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void report_add_test(struct report_driver *d, const char *name, enum report_status status,
    const char *fix, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* NULL when there is none of that name. */
struct report_check *report_find(struct report *r, const char *name);
/* What to do about a driver that does not work: install its program, or else mend the first check
 * that failed; nothing when no check found anything. */
void report_fix_driver(struct report *r, struct report_driver *d);
/* The worst of its tests. */
enum report_status report_tested(const struct report_driver *d);

/* "namespace" < "microvm-emulated" < "microvm"; what is no isolation counts as the least. */
int report_isolation_rank(const char *isolation);
/* Which driver the configuration takes, and what is to be said about it and about the check "kvm".
 * verdict.wanted_driver and min_isolation are set; the drivers stand in the order in which "auto"
 * tries them. */
void report_judge(struct report *r);

/* A new object, NULL on -ENOMEM. */
json_t *report_json(const struct report *r);
/* The self-test's answers, as a process of its own tells them: 0, or -EPROTO. */
json_t *report_tests_json(const struct report_driver *d);
int report_tests_read(struct report_driver *d, const json_t *tests);
/* 0 or -ENOMEM. */
int report_text(const struct report *r, struct buf *dst);
