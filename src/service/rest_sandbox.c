/* SPDX-License-Identifier: Apache-2.0 */
/* What REST does with one sandbox that exists. */
#include <errno.h>

#include "base/err.h"
#include "base/json.h"
#include "sandbox/sandbox.h"
#include "service/detail_cache.h"
#include "service/rest.h"
#include "service/sandbox_json.h"

#define TIMEOUT_MAX_S (366 * 86400) /* each template has its own, lower maximum */
#define CONNECT_V2_S 300
#define REFRESH_S 15
#define REFRESH_MAX_S 3600

void rest_get(struct rest_req *r)
{
	size_t n = 0;
	const char *text = detail_cache_get(r->ctl->details, r->sb, &n);
	rest_json_text(r, 200, text, n);
}

static void on_killed(const struct err *err, void *arg)
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
	sandbox_kill(r->sb, SANDBOX_END_KILLED, on_killed, rest_ref(r));
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

void rest_connect(struct rest_req *r)
{
	struct err err = ERR_INIT;
	bool memory = true;
	if (json_get_bool(r->body, "memory", &memory, &err) < 0)
		rest_fail(r, &err);
	else if (set_timeout(r, "timeout", 0, TIMEOUT_MAX_S, r->version2 ? CONNECT_V2_S : -1, true))
		rest_json(r, 200, sandbox_json_created(r->sb));
}

void rest_resume(struct rest_req *r)
{
	rest_error(r, 409, "Sandbox %.64s is already running", r->arg);
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
