/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two sandboxes of one template, clones where the driver clones, made by a private server and used
 * as any client uses them: code runs, random bytes differ, clocks are right, files travel both
 * ways. Its client is a child without rights; what sandboxes say is read nowhere else.
 */
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#define SELFTEST_CLOCK_MS 50 /* how far off a sandbox's clock may be */

struct children;
struct doctor_conf;
struct report_driver;
struct scratch;
struct vmm_driver;

/* Adds tests to ret. */
void selftest_driver(struct children *c, const struct scratch *s, const struct doctor_conf *conf,
    const struct vmm_driver *d, struct report_driver *ret);

/* The client alone, against any server: {"tests": [...]}; NULL on -ENOMEM. */
struct selftest_conf {
	unsigned port; /* on 127.0.0.1 */
	const char *api_key, *template_name;
	bool clones; /* for words */
};
json_t *selftest_run(const struct selftest_conf *conf);

/* ---- what is right ---- */
struct selftest_bytes {
	char os[65], python[65]; /* hexadecimal */
	char token[128];
};
/* What two sandboxes have in common and must not, or NULL. */
const char *selftest_same(const struct selftest_bytes *a, const struct selftest_bytes *b);
/* How far off a clock is that was asked between two looks at ours; 0 when it lies between them. */
int64_t selftest_clock_off_ms(int64_t before_ns, int64_t said_ns, int64_t after_ns);
bool selftest_clock_ok(int64_t off_ms);
