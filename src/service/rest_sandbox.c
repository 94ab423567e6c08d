/* SPDX-License-Identifier: Apache-2.0 */
/* What REST does with one sandbox that exists. */
#include <errno.h>

#include "base/err.h"
#include "base/json.h"
#include "sandbox/sandbox.h"
#include "service/control.h"
#include "service/detail_cache.h"
#include "service/rest.h"
#include "service/sandbox_json.h"

#define TIMEOUT_MAX_S (366 * 86400) /* each template has its own, lower maximum */
#define CONNECT_V2_S 300
#define RESUME_S 15
#define REFRESH_S 15
#define REFRESH_MAX_S 3600

void rest_get(struct rest_req *r)
{
	size_t n = 0;
	const char *text = detail_cache_get(r->ctl->details, r->sb, &n);
	rest_json_text(r, 200, text, n);
}

static void on_over(const struct err *err, void *arg)
{
	struct rest_req *r = arg;
	if (err->code)
		rest_fail(r, err);
	else
		rest_empty(r);
	(void)rest_unref(r);
}

void rest_kill(struct rest_req *r)
{
	sandbox_kill(r->sb, SANDBOX_END_KILLED, on_over, rest_ref(r));
}

/* Reads the number of seconds and moves the end; false: answered. */
static bool set_timeout(struct rest_req *r, const char *field, int64_t min, int64_t max,
    int64_t fallback, bool only_extend)
{
	struct err err = ERR_INIT;
	int64_t seconds = fallback;
	int e = json_get_int(r->body, field, min, max, &seconds, &err);
	if (e == 1 && fallback < 0)
		e = err_set(&err, -EINVAL, "%s: expected a number of seconds", field);
	if (e >= 0) {
		e = sandbox_set_timeout(r->sb, (unsigned)seconds, only_extend, &err);
		err_prefix(&err, "%s", field);
	}
	if (e != 0) {
		(void)err_set(&err, e, "%s: %s", field, err_name(e));
		rest_fail(r, &err);
	}
	return e == 0;
}

void rest_timeout(struct rest_req *r)
{
	if (set_timeout(r, "timeout", 0, TIMEOUT_MAX_S, -1, false))
		rest_empty(r);
}

void rest_refresh(struct rest_req *r)
{
	if (set_timeout(r, "duration", 0, REFRESH_MAX_S, REFRESH_S, true))
		rest_empty(r);
}

/* ---- pause and resume ---- */

static void on_resumed(const struct err *err, void *arg)
{
	struct rest_req *r = arg;
	struct sandbox *sb = control_find(r->ctl, &r->team, r->sandbox_id);
	if (err->code)
		rest_fail(r, err);
	else if (sb)
		rest_json(r, 201, sandbox_json_created(sb));
	else
		rest_not_found(r);
	(void)rest_unref(r);
}

static void resume(struct rest_req *r, int64_t fallback)
{
	struct err err = ERR_INIT;
	int64_t seconds = fallback;
	int e = json_get_int(r->body, "timeout", 0, TIMEOUT_MAX_S, &seconds, &err);
	if (e == 1 && fallback < 0)
		e = err_set(&err, -EINVAL, "timeout: expected a number of seconds");
	if (e < 0)
		rest_fail(r, &err);
	else
		sandbox_resume(
		    r->sb, (unsigned)seconds, r->team.max_sandboxes, on_resumed, rest_ref(r));
}

/* Whether the memory is to be kept or used; only where it matters must it be. False: answered. */
static bool check_memory(struct rest_req *r, bool matters)
{
	struct err err = ERR_INIT;
	bool memory = true;
	int e = json_get_bool(r->body, "memory", &memory, &err);
	if (e >= 0 && !memory && matters)
		e = err_set(&err, -EINVAL,
		    "memory: a pause of this server keeps the memory, expected true");
	if (e < 0)
		rest_fail(r, &err);
	return e >= 0;
}

void rest_connect(struct rest_req *r)
{
	struct sandbox_view v;
	int64_t fallback = r->version2 ? CONNECT_V2_S : -1;
	sandbox_view(r->sb, &v);
	if (!check_memory(r, v.state != SANDBOX_RUNNING))
		return;
	if (v.state != SANDBOX_RUNNING)
		resume(r, fallback);
	else if (set_timeout(r, "timeout", 0, TIMEOUT_MAX_S, fallback, true))
		rest_json(r, 200, sandbox_json_created(r->sb));
}

void rest_resume(struct rest_req *r)
{
	if (check_memory(r, true))
		resume(r, RESUME_S);
}

void rest_pause(struct rest_req *r)
{
	if (check_memory(r, true))
		sandbox_pause(r->sb, on_over, rest_ref(r));
}

/* Nothing is logged about a sandbox that its owner has not seen on a stream. */
void rest_logs(struct rest_req *r)
{
	rest_json(r, 200, json_pack("{s:[], s:[]}", "logs", "logEntries"));
}

void rest_logs_v2(struct rest_req *r)
{
	rest_json(r, 200, json_pack("{s:[]}", "logs"));
}
