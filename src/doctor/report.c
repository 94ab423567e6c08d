/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

static const char *const status_names[] = { "ok", "warn", "fail" };

const char *report_status_name(enum report_status s)
{
	return status_names[s];
}

/* ---- filling ---- */

static void fill(struct report_check *c, const char *name, enum report_status status,
    const char *fix, const char *fmt, va_list ap)
{
	*c = (struct report_check){ .status = status };
	(void)str_copy(c->name, sizeof(c->name), name);
	(void)str_copy(c->fix, sizeof(c->fix), fix ? fix : "");
	(void)vsnprintf(c->detail, sizeof(c->detail), fmt, ap);
}

void report_add(struct report *r, const char *name, enum report_status status, const char *fix,
    const char *fmt, ...)
{
	va_list ap;
	if (r->n_checks == REPORT_CHECKS_MAX)
		return;
	va_start(ap, fmt);
	fill(&r->checks[r->n_checks++], name, status, fix, fmt, ap);
	va_end(ap);
}

void report_add_test(struct report_driver *d, const char *name, enum report_status status,
    const char *fix, const char *fmt, ...)
{
	va_list ap;
	if (d->n_tests == REPORT_TESTS_MAX)
		return;
	va_start(ap, fmt);
	fill(&d->tests[d->n_tests++], name, status, fix, fmt, ap);
	va_end(ap);
}

struct report_check *report_find(struct report *r, const char *name)
{
	for (unsigned i = 0; i < r->n_checks; i++)
		if (str_eq(r->checks[i].name, name))
			return &r->checks[i];
	return NULL;
}

void report_fix_driver(struct report *r, struct report_driver *d)
{
	static const char *const programs[][2] = { { "qemu", "qemu-system-x86_64" },
		{ "firecracker", "firecracker" }, { "firecracker", "jailer" } };
	const struct report_check *bad = NULL;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]) && !bad; i++) {
		const struct report_check *c = report_find(r, programs[i][1]);
		if (str_eq(programs[i][0], d->name) && c && c->status != REPORT_OK)
			bad = c;
	}
	for (unsigned i = 0; i < r->n_checks && !bad; i++)
		if (r->checks[i].status == REPORT_FAIL)
			bad = &r->checks[i];
	(void)str_copy(d->fix, sizeof(d->fix), bad ? bad->fix : "");
}

enum report_status report_tested(const struct report_driver *d)
{
	enum report_status worst = REPORT_OK;
	for (unsigned i = 0; i < d->n_tests; i++)
		if (d->tests[i].status > worst)
			worst = d->tests[i].status;
	return worst;
}

/* ---- verdict ---- */

int report_isolation_rank(const char *isolation)
{
	if (str_eq(isolation, "microvm"))
		return 2;
	return str_eq(isolation, "microvm-emulated") ? 1 : 0;
}

static bool is_good(const struct report_driver *d)
{
	return d->works && d->allowed && report_tested(d) != REPORT_FAIL;
}

static void judge_driver(struct report_driver *d, const struct report_verdict *v)
{
	bool named = str_eq(v->wanted_driver, "auto") || str_eq(v->wanted_driver, d->name);
	bool strong =
	    report_isolation_rank(d->isolation) >= report_isolation_rank(v->min_isolation);
	d->allowed = d->works && named && strong;
	if (!d->works || d->allowed)
		return;
	if (!named)
		(void)snprintf(
		    d->why, sizeof(d->why), "the configuration names driver %s", v->wanted_driver);
	else
		(void)snprintf(d->why, sizeof(d->why),
		    "its isolation %s is less than min_isolation %s", d->isolation,
		    v->min_isolation);
}

/* What there is to say about a driver, in brackets behind its name. */
static void add_words(struct buf *b, const struct report_driver *d, bool taken)
{
	const char *why = d->why[0] ? d->why : d->note;
	if (d->works && report_tested(d) == REPORT_FAIL)
		why = "its self-test failed";
	if (taken)
		(void)buf_printf(b, " (driver %s%s%s)", d->name, why[0] ? ": " : "", why);
	else if (is_good(d))
		(void)buf_printf(b, "; driver %s would give %s", d->name, d->isolation);
	else
		(void)buf_printf(b, "; driver %s %s: %s", d->name,
		    d->works ? "is not taken" : "does not work", why[0] ? why : "no reason told");
}

/* "auto" takes the first that works; a self-test that failed is told, but no server would know. */
static const struct report_driver *find_taken(const struct report *r)
{
	for (unsigned i = 0; i < r->n_drivers; i++)
		if (r->drivers[i].works && r->drivers[i].allowed)
			return &r->drivers[i];
	return NULL;
}

static bool has_driver(const struct report *r, const char *name)
{
	for (unsigned i = 0; i < r->n_drivers; i++)
		if (str_eq(r->drivers[i].name, name))
			return true;
	return str_eq(name, "auto");
}

static void say_kvm(struct report_check *kvm, enum report_status status, const char *fix,
    const struct report_driver *d, const char *words)
{
	kvm->status = status;
	(void)str_copy(kvm->fix, sizeof(kvm->fix), fix);
	(void)snprintf(kvm->detail, sizeof(kvm->detail), "/dev/kvm opens, %s%s%s%.200s", words,
	    d ? d->name : "", d && d->note[0] ? ": " : "", d ? d->note : "");
}

/* /dev/kvm that opens is no proof: a guest that runs on it is, and a driver that wanted it and
 * emulates instead has tried. */
static void judge_kvm(struct report *r)
{
	struct report_check *kvm = report_find(r, "kvm");
	const struct report_driver *emulated = NULL;
	if (!kvm || kvm->status != REPORT_OK)
		return;
	for (unsigned i = 0; i < r->n_drivers; i++) {
		if (str_eq(r->drivers[i].isolation, "microvm")) {
			say_kvm(kvm, REPORT_OK, "", &r->drivers[i], "and runs a guest of driver ");
			return;
		}
		if (str_eq(r->drivers[i].isolation, "microvm-emulated"))
			emulated = &r->drivers[i];
	}
	if (emulated)
		say_kvm(kvm, REPORT_WARN,
		    "a machine whose KVM runs guests: bare metal, or nested virtualisation",
		    emulated, "but runs no guest of driver ");
	else
		say_kvm(kvm, REPORT_WARN, "", NULL,
		    "but no driver's test boot has shown whether guests run on it");
}

void report_judge(struct report *r)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct report_verdict *v = &r->verdict;
	for (unsigned i = 0; i < r->n_drivers; i++)
		judge_driver(&r->drivers[i], v);
	judge_kvm(r);
	const struct report_driver *taken = find_taken(r);
	v->ok = false;
	for (unsigned i = 0; i < r->n_drivers; i++)
		v->ok |= is_good(&r->drivers[i]);
	(void)str_copy(v->driver, sizeof(v->driver), taken ? taken->name : "");
	(void)str_copy(v->isolation, sizeof(v->isolation), taken ? taken->isolation : "");
	if (taken) {
		(void)buf_printf(&b, "This machine runs sandboxes as %s", taken->isolation);
		add_words(&b, taken, true);
	} else {
		(void)buf_printf(&b,
		    "This machine runs no sandboxes with driver: %s and min_isolation: %s",
		    v->wanted_driver, v->min_isolation);
	}
	for (unsigned i = 0; i < r->n_drivers; i++)
		if (&r->drivers[i] != taken)
			add_words(&b, &r->drivers[i], false);
	if (!has_driver(r, v->wanted_driver))
		(void)buf_printf(&b, "; this build has no driver %s", v->wanted_driver);
	const char *text = buf_cstr(&b);
	(void)str_copy(v->text, sizeof(v->text), text ? text : "");
}

/* ---- JSON ---- */

static json_t *check_json(const struct report_check *c)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "name", c->name, "status", status_names[c->status],
	    "detail", c->detail, "fix", c->fix);
}

static json_t *checks_json(const struct report_check *v, unsigned n)
{
	json_t *list = json_array();
	for (unsigned i = 0; list && i < n; i++) {
		if (json_array_append_new(list, check_json(&v[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *report_tests_json(const struct report_driver *d)
{
	return checks_json(d->tests, d->n_tests);
}

static json_t *driver_json(const struct report_driver *d)
{
	const char *tested = d->n_tests ? status_names[report_tested(d)] : "skipped";
	return json_pack("{s:s, s:b, s:s, s:b, s:s, s:s, s:s, s:s, s:o}", "name", d->name, "works",
	    d->works, "isolation", d->isolation, "allowed", d->allowed, "why", d->why, "note",
	    d->note, "fix", d->fix, "self_test", tested, "tests", report_tests_json(d));
}

static json_t *drivers_json(const struct report *r)
{
	json_t *list = json_array();
	for (unsigned i = 0; list && i < r->n_drivers; i++) {
		if (json_array_append_new(list, driver_json(&r->drivers[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *report_json(const struct report *r)
{
	const struct report_verdict *v = &r->verdict;
	json_t *verdict =
	    json_pack("{s:b, s:s, s:s, s:s, s:s, s:b, s:s}", "ok", v->ok, "driver", v->driver,
		"isolation", v->isolation, "wanted_driver", v->wanted_driver, "min_isolation",
		v->min_isolation, "min_isolation_met", v->driver[0] != '\0', "text", v->text);
	return json_pack("{s:o, s:o, s:o}", "checks", checks_json(r->checks, r->n_checks),
	    "drivers", drivers_json(r), "verdict", verdict);
}

static int read_test(struct report_driver *d, const json_t *test)
{
	const char *text[4] = { NULL };
	static const char *const keys[] = { "name", "status", "detail", "fix" };
	int status = -1;
	for (int i = 0; i < 4; i++) {
		text[i] = json_string_value(json_object_get(test, keys[i]));
		if (!text[i])
			return -EPROTO;
	}
	for (int i = 0; i < 3; i++)
		if (str_eq(text[1], status_names[i]))
			status = i;
	if (status < 0)
		return -EPROTO;
	report_add_test(d, text[0], (enum report_status)status, text[3], "%s", text[2]);
	return 0;
}

int report_tests_read(struct report_driver *d, const json_t *tests)
{
	size_t i;
	json_t *test;
	int r = json_is_array(tests) ? 0 : -EPROTO;
	json_array_foreach(tests, i, test)
	{
		if (r == 0)
			r = read_test(d, test);
	}
	return r;
}

/* ---- text ---- */

static int check_text(struct buf *b, const char *indent, const struct report_check *c)
{
	int r = buf_printf(
	    b, "%s%-4s  %-18s  %s\n", indent, status_names[c->status], c->name, c->detail);
	if (r == 0 && c->fix[0])
		r = buf_printf(b, "%s%-4s  %-18s    > %s\n", indent, "", "", c->fix);
	return r;
}

static int driver_text(struct buf *b, const struct report_driver *d)
{
	int r = buf_printf(b, "  %-4s  %-18s  %s%s%s\n", d->works ? "ok" : "no", d->name,
	    d->works ? "works, isolation " : "", d->works ? d->isolation : d->why,
	    d->works && !d->allowed ? ", not allowed" : "");
	if (r == 0 && d->works && d->why[0])
		r = buf_printf(b, "  %-4s  %-18s  %s\n", "", "", d->why);
	if (r == 0 && d->note[0])
		r = buf_printf(b, "  %-4s  %-18s  %s\n", "", "", d->note);
	if (r == 0 && d->fix[0])
		r = buf_printf(b, "  %-4s  %-18s    > %s\n", "", "", d->fix);
	return r;
}

int report_text(const struct report *r, struct buf *b)
{
	int e = buf_append_str(b, "Machine\n");
	for (unsigned i = 0; e == 0 && i < r->n_checks; i++)
		e = check_text(b, "  ", &r->checks[i]);
	if (e == 0)
		e = buf_append_str(b, "\nDrivers, by a test boot of each\n");
	for (unsigned i = 0; e == 0 && i < r->n_drivers; i++)
		e = driver_text(b, &r->drivers[i]);
	for (unsigned i = 0; e == 0 && i < r->n_drivers; i++) {
		const struct report_driver *d = &r->drivers[i];
		if (d->n_tests > 0)
			e = buf_printf(b, "\nSelf-test of driver %s, two sandboxes\n", d->name);
		for (unsigned k = 0; e == 0 && k < d->n_tests; k++)
			e = check_text(b, "  ", &d->tests[k]);
	}
	return e == 0 ? buf_printf(b, "\n%s.\n", r->verdict.text) : e;
}
