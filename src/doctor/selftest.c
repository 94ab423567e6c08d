/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/selftest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/str.h"
#include "doctor/report.h"
#include "loop/loop.h"
#include "rpc/client_call.h"
#include "rpc/http_client.h"
#include "sandglass/v1/code_interpreter.pb-c.h"
#include "sandglass/v1/sandbox.pb-c.h"
#include "wire/http.h"

#define CREATE_LIMIT_MS 600000 /* an emulated guest boots, and becomes a snapshot first */
#define CALL_LIMIT_MS 120000
#define OUTPUT_MAX 4096u
#define FILE_BYTES (256u * 1024)
#define FILE_PATH "/tmp/sandglass-doctor.bin"
#define DATA_PORT "49983"
#define CLOCK_TRIES 3

struct sandbox {
	char id[32], isolation[32];
	struct selftest_bytes bytes;
};

struct test {
	const struct selftest_conf *conf;
	struct loop *loop;
	struct http_client *http;
	char authority[32];
	struct report_driver report; /* tests only */
	struct sandbox made[2];
	unsigned n_made;
};

/* ---- calls, one after the other ---- */

struct call {
	struct test *test;
	void (*on_message)(const ProtobufCMessage *m, void *arg);
	void *arg;
	enum rpc_code code;
	char text[256];
	bool done;
};

static void on_message(struct client_call *cc, const ProtobufCMessage *m, void *arg)
{
	struct call *c = arg;
	if (c->on_message)
		c->on_message(m, c->arg);
}

static void on_done(struct client_call *cc, enum rpc_code code, const char *text, void *arg)
{
	struct call *c = arg;
	c->code = code;
	c->done = true;
	(void)str_copy(c->text, sizeof(c->text), text[0] ? text : rpc_code_name(code));
	loop_stop(c->test->loop);
}

/* 0, or -EIO and the text in c. */
static int call(struct call *c, const char *path, const ProtobufCMessage *request,
    const ProtobufCMessageDescriptor *response, struct http_fields *metadata, uint64_t limit_ms)
{
	static const struct client_call_ops ops = { on_message, on_done };
	struct test *t = c->test;
	(void)str_copy(c->text, sizeof(c->text), "out of memory");
	struct client_call *cc = NULL;
	if (http_fields_add(metadata, "x-api-key", t->conf->api_key) == 0)
		cc = client_call_start(
		    t->http, t->authority, path, response, metadata, limit_ms, &ops, c);
	if (!cc)
		return -EIO;
	if (client_call_send(cc, request) < 0)
		client_call_cancel(cc);
	else
		client_call_half_close(cc);
	while (!c->done && loop_run(t->loop) == 0)
		continue;
	return c->done && c->code == RPC_OK ? 0 : -EIO;
}

/* ---- create, kill ---- */

static void on_made(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__CreateSandboxResponse *r = (const void *)m;
	struct sandbox *s = arg;
	if (!r->sandbox)
		return;
	(void)str_copy(s->id, sizeof(s->id), r->sandbox->sandbox_id);
	(void)str_copy(s->isolation, sizeof(s->isolation), r->sandbox->isolation);
	(void)str_copy(s->bytes.token, sizeof(s->bytes.token), r->access_token);
}

/* An image that was never built, or a machine that is busy, is no fault. */
static void tell_not_made(struct test *t, const struct call *c)
{
	char fix[128] = "";
	bool unbuilt = strstr(c->text, "sandglass template build") != NULL;
	bool full = c->code == RPC_RESOURCE_EXHAUSTED;
	if (unbuilt)
		(void)snprintf(
		    fix, sizeof(fix), "sandglass template build %s", t->conf->template_name);
	else if (full)
		(void)snprintf(fix, sizeof(fix), "try again when less runs on this machine");
	report_add_test(&t->report, "sandboxes", unbuilt || full ? REPORT_WARN : REPORT_FAIL, fix,
	    "%s of template %s: %s", unbuilt ? "none" : "cannot be made", t->conf->template_name,
	    c->text);
}

static int make_sandboxes(struct test *t)
{
	uint64_t took[2];
	for (int i = 0; i < 2; i++) {
		Sandglass__V1__CreateSandboxRequest q = SANDGLASS__V1__CREATE_SANDBOX_REQUEST__INIT;
		struct call c = { .test = t, .on_message = on_made, .arg = &t->made[i] };
		struct http_fields metadata = { 0 };
		uint64_t start = clock_mono_ms();
		q.template_ = (char *)t->conf->template_name;
		q.timeout_seconds = 900;
		int r = call(&c, "/sandglass.v1.SandboxService/CreateSandbox", &q.base,
		    &sandglass__v1__create_sandbox_response__descriptor, &metadata,
		    CREATE_LIMIT_MS);
		http_fields_fini(&metadata);
		took[i] = clock_mono_ms() - start;
		t->n_made += r == 0;
		if (r < 0) {
			tell_not_made(t, &c);
			return r;
		}
	}
	report_add_test(&t->report, "sandboxes", REPORT_OK, NULL,
	    "two %s of template %s, made in %" PRIu64 " and %" PRIu64 " ms, isolation %s",
	    t->conf->clones ? "clones" : "sandboxes", t->conf->template_name, took[0], took[1],
	    t->made[0].isolation);
	return 0;
}

static void kill_sandboxes(struct test *t)
{
	for (unsigned i = 0; i < t->n_made; i++) {
		Sandglass__V1__KillSandboxRequest q = SANDGLASS__V1__KILL_SANDBOX_REQUEST__INIT;
		struct call c = { .test = t };
		struct http_fields metadata = { 0 };
		q.sandbox_id = t->made[i].id;
		(void)call(&c, "/sandglass.v1.SandboxService/KillSandbox", &q.base,
		    &sandglass__v1__kill_sandbox_response__descriptor, &metadata, CALL_LIMIT_MS);
		http_fields_fini(&metadata);
	}
}

/* ---- code ---- */

struct output {
	struct buf text;
	char error[160];
	bool ok;
};

static void on_event(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__ExecuteResponse *r = (const void *)m;
	struct output *o = arg;
	if (r->event_case == SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_STDOUT &&
	    buf_len(&o->text) + strlen(r->stdout->text) <= OUTPUT_MAX)
		(void)buf_append_str(&o->text, r->stdout->text);
	else if (r->event_case == SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_ERROR)
		(void)snprintf(
		    o->error, sizeof(o->error), "%.40s: %.100s", r->error->name, r->error->value);
	else if (r->event_case == SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_END)
		o->ok = r->end->status == SANDGLASS__V1__END_STATUS__END_STATUS_OK;
}

/* The object that Python code prints, NULL with the reason in why. */
static json_t *run_code(
    struct test *t, const struct sandbox *s, const char *code, char *why, size_t cap)
{
	Sandglass__V1__ExecuteRequest q = SANDGLASS__V1__EXECUTE_REQUEST__INIT;
	struct output o = { .text = BUF_INIT };
	struct call c = { .test = t, .on_message = on_event, .arg = &o };
	struct http_fields metadata = { 0 };
	struct err err = ERR_INIT;
	json_t *v = NULL;
	q.code = (char *)code;
	q.language = (char *)"python";
	int r = http_fields_add(&metadata, "sandglass-sandbox-id", s->id);
	if (r == 0)
		r = http_fields_add(&metadata, "x-access-token", s->bytes.token);
	if (r == 0)
		r = call(&c, "/sandglass.v1.CodeInterpreter/Execute", &q.base,
		    &sandglass__v1__execute_response__descriptor, &metadata, CALL_LIMIT_MS);
	http_fields_fini(&metadata);
	if (r == 0 && o.ok)
		v = json_parse_object(buf_data(&o.text), buf_len(&o.text), OUTPUT_MAX, false, &err);
	if (!v)
		(void)str_copy(why, cap,
		    r < 0	 ? c.text
		    : o.error[0] ? o.error
		    : err.code	 ? err_text(&err)
				 : "the code did not run to its end");
	buf_fini(&o.text);
	return v;
}

static const char look[] =
    "import json, os, random, time\n"
    "print(json.dumps({'os': os.getrandom(32).hex(), 'random': '%064x' % random.getrandbits(256),"
    " 'time': time.time_ns()}))\n";

/* How far off a clock is that said so between two looks at ours, and how far apart these were. */
struct clock_look {
	int64_t off_ms, took_ns;
};

static int look_once(
    struct test *t, struct sandbox *s, struct clock_look *ret, char *why, size_t cap)
{
	int64_t before = clock_real_ns();
	CLEAN_JSON json_t *v = run_code(t, s, look, why, cap);
	int64_t after = clock_real_ns();
	const char *os = json_string_value(json_object_get(v, "os"));
	const char *random = json_string_value(json_object_get(v, "random"));
	int64_t now = json_integer_value(json_object_get(v, "time"));
	if (!v)
		return -EIO;
	if (!os || !random || strlen(os) != 64 || strlen(random) != 64) {
		(void)str_copy(why, cap, "the code printed something else");
		return -EIO;
	}
	(void)str_copy(s->bytes.os, sizeof(s->bytes.os), os);
	(void)str_copy(s->bytes.python, sizeof(s->bytes.python), random);
	ret->off_ms = selftest_clock_off_ms(before, now, after);
	ret->took_ns = after - before;
	return 0;
}

static void tell_clock(struct test *t, int i, const struct clock_look *best)
{
	report_add_test(&t->report, i ? "clock of 2nd" : "clock of 1st",
	    selftest_clock_ok(best->off_ms) ? REPORT_OK : REPORT_FAIL, NULL,
	    "%" PRId64 " ms off; asked in %" PRId64 " ms, %d may be", best->off_ms,
	    best->took_ns / 1000000, SELFTEST_CLOCK_MS);
}

static int test_code(struct test *t)
{
	char why[256] = "";
	struct clock_look best[2];
	for (int i = 0; i < 2; i++) {
		best[i].took_ns = INT64_MAX;
		for (int k = 0; k < CLOCK_TRIES; k++) {
			struct clock_look one;
			/* The first answer's bytes are those that a clone could repeat. */
			struct sandbox first = t->made[i];
			if (look_once(t, &t->made[i], &one, why, sizeof(why)) < 0) {
				report_add_test(&t->report, "code", REPORT_FAIL, NULL,
				    "Python in the %s sandbox: %s", i ? "second" : "first", why);
				return -EIO;
			}
			if (k > 0)
				t->made[i] = first;
			if (one.took_ns < best[i].took_ns)
				best[i] = one;
		}
	}
	report_add_test(&t->report, "code", REPORT_OK, NULL, "Python ran in both");
	for (int i = 0; i < 2; i++)
		tell_clock(t, i, &best[i]);
	return 0;
}

static void test_random(struct test *t)
{
	const char *same = selftest_same(&t->made[0].bytes, &t->made[1].bytes);
	report_add_test(&t->report, "random", same ? REPORT_FAIL : REPORT_OK, NULL, "%s%s",
	    same ? same : "getrandom(), Python's random and access tokens differ",
	    same ? ": the same in both" : "");
}

/* ---- files ---- */

struct fetch {
	struct test *test;
	int err, status;
	bool done, same;
	const unsigned char *want; /* FILE_BYTES */
};

static void on_fetched(int err, int status, const void *body, size_t n, void *arg)
{
	struct fetch *f = arg;
	f->err = err;
	f->status = status;
	f->same = err == 0 && n == FILE_BYTES && memcmp(body, f->want, n) == 0;
	f->done = true;
	loop_stop(f->test->loop);
}

static int make_head(
    struct test *t, const struct sandbox *s, const char *method, struct http_head *h)
{
	int r = http_head_set_request(h, method, "http", t->authority, "/files?path=" FILE_PATH);
	if (r == 0)
		r = http_fields_add(&h->fields, "e2b-sandbox-id", s->id);
	if (r == 0)
		r = http_fields_add(&h->fields, "e2b-sandbox-port", DATA_PORT);
	if (r == 0)
		r = http_fields_add(&h->fields, "x-access-token", s->bytes.token);
	if (r == 0 && str_eq(method, "POST"))
		r = http_fields_add(&h->fields, "content-type", "application/octet-stream");
	if (r == 0 && str_eq(method, "POST"))
		r = http_fields_addf(&h->fields, "content-length", "%u", FILE_BYTES);
	return r;
}

static void fetch(struct fetch *f, const struct sandbox *s, const char *method)
{
	struct http_head head = HTTP_HEAD_INIT;
	struct test *t = f->test;
	bool post = str_eq(method, "POST");
	f->done = false;
	f->err = make_head(t, s, method, &head);
	if (f->err == 0 && !http_fetch_start(t->http, &head, post ? f->want : NULL,
			       post ? FILE_BYTES : 0, FILE_BYTES, CALL_LIMIT_MS, on_fetched, f))
		f->err = -ENOMEM;
	http_head_fini(&head);
	while (f->err == 0 && !f->done && loop_run(t->loop) == 0)
		continue;
}

static const char sum[] = "import hashlib, json\n"
			  "print(json.dumps({'sha256': hashlib.sha256(open('" FILE_PATH
			  "', 'rb').read()).hexdigest()}))\n";

/* NULL, or what went wrong. */
static const char *move_file(struct test *t, const struct sandbox *s, char *why, size_t cap)
{
	static unsigned char bytes[FILE_BYTES];
	struct fetch f = { .test = t, .want = bytes };
	char hex[2 * HASH_SHA256_LEN + 1];
	for (size_t i = 0; i < sizeof(bytes); i += 256)
		if (getrandom(bytes + i, 256, 0) != 256)
			return "no random bytes for it";
	if (hash_sha256_hex(bytes, sizeof(bytes), hex) < 0)
		return "out of memory";
	fetch(&f, s, "POST");
	if (f.err < 0 || f.status != 200) {
		(void)snprintf(
		    why, cap, "upload: %s %d", f.err < 0 ? err_name(f.err) : "status", f.status);
		return why;
	}
	CLEAN_JSON json_t *v = run_code(t, s, sum, why, cap);
	if (!v)
		return why;
	if (!str_eq(json_string_value(json_object_get(v, "sha256")), hex))
		return "the file inside is not what was sent";
	fetch(&f, s, "GET");
	if (f.err < 0 || f.status != 200) {
		(void)snprintf(
		    why, cap, "download: %s %d", f.err < 0 ? err_name(f.err) : "status", f.status);
		return why;
	}
	return f.same ? NULL : "what came back is not what was sent";
}

static void test_files(struct test *t)
{
	char text[256] = "";
	const char *why = NULL;
	for (int i = 0; i < 2 && !why; i++)
		why = move_file(t, &t->made[i], text, sizeof(text));
	report_add_test(&t->report, "files", why ? REPORT_FAIL : REPORT_OK, NULL, "%s",
	    why ? why : "256 KiB up, read inside, and down again; both sandboxes");
}

/* ---- all of it ---- */

json_t *selftest_run(const struct selftest_conf *conf)
{
	struct test t = { .conf = conf, .loop = loop_new() };
	const struct http_client_conf hc = {
		.host = "127.0.0.1", .port = conf->port, .version = 2
	};
	t.http = t.loop ? http_client_new(t.loop, &hc) : NULL;
	(void)snprintf(t.authority, sizeof(t.authority), "127.0.0.1:%u", conf->port);
	if (t.http && make_sandboxes(&t) == 0 && test_code(&t) == 0) {
		test_random(&t);
		test_files(&t);
	}
	if (t.http)
		kill_sandboxes(&t);
	json_t *tests = t.http ? report_tests_json(&t.report) : NULL;
	(void)http_client_free(t.http);
	(void)loop_free(t.loop);
	return tests ? json_pack("{s:o}", "tests", tests) : NULL;
}
