/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/control.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/warmup.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/python/install.h"
#include "guest-kernel-agent/system/disk.h"
#include "guest-kernel-agent/system/held.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/limits.h"
#include "guest-kernel-agent/system/machine.h"
#include "guest-kernel-agent/system/marks.h"
#include "guest-kernel-agent/system/metrics.h"
#include "guest-kernel-agent/system/ready.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/request.h"
#include "guest-kernel-agent/system/users.h"
#include "rpc/http_server.h"
#include "wire/http.h"

#define KERNELS_MAX 16
#define ENTROPY_MAX 4096
#define HISTORY_SECONDS_MAX 31536000
#define PIDS_MAX 4194304
#define HOST_NAME_BYTES_MAX 256

struct control {
	struct control_conf conf;
	struct warmup *warmup;
	struct ready *ready;
};

struct control *control_new(const struct control_conf *conf)
{
	struct control *c = mem_zalloc(sizeof(*c));
	if (!c)
		return NULL;
	c->conf = *conf;
	c->ready = ready_new(conf->loop, conf->identity);
	c->warmup =
	    c->ready ? warmup_new(conf->contexts, conf->machine != NULL, ready_on_change, c->ready)
		     : NULL;
	if (!c->warmup)
		return control_free(c);
	ready_set_warmup(c->ready, c->warmup);
	return c;
}

struct control *control_free(struct control *c)
{
	if (!c)
		return NULL;
	warmup_free(c->warmup);
	ready_free(c->ready);
	return mem_free(c);
}

static void answer_err(struct http_stream *st, const struct err *err)
{
	int status = err->code == -EINVAL || err->code == -EFBIG ? 400
		     : err->code == -EBUSY			 ? 409
								 : 500;
	(void)reply_error(st, status, "%s", err_text(err));
}

/* ---- POST /boot ---- */

/* Kernels run as the sandbox's root, as E2B's do: cells install packages and enter any directory.
 */
#define KERNEL_USER "root"

/* The default user of processes and files must exist, though kernels do not run as it. */
static int check_user(const struct identity *id, struct err *reterr)
{
	const char *name = identity_user(id);
	struct user user = { 0 };
	int r = *name ? user_lookup(name, &user, reterr) : 0;
	user_fini(&user);
	return r;
}

static int configure_contexts(struct control *c, struct err *reterr)
{
	const struct identity *id = c->conf.identity;
	int r = check_user(id, reterr);
	if (r < 0)
		return r;
	r = contexts_configure(
	    c->conf.contexts, KERNEL_USER, identity_workdir(id), identity_env(id));
	return r < 0 ? err_set(reterr, r, "user '" KERNEL_USER "': %s", err_name(r)) : 0;
}

static int start_kernels(struct control *c, const json_t *kernels, struct err *reterr)
{
	size_t i;
	json_t *v;
	json_array_foreach((json_t *)kernels, i, v)
	{
		if (!json_is_string(v))
			return err_set(reterr, -EINVAL, "kernels[%zu]: expected a string", i);
		int r = warmup_start(c->warmup, json_string_value(v), reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

/* {"seconds", "count", "bytes"}: what is missing stays as it is by default. */
static int set_history(struct control *c, const json_t *o, struct err *reterr)
{
	struct retention keep = RETENTION_DEFAULT;
	int64_t s = (int64_t)(keep.ms / 1000), n = (int64_t)keep.count, b = (int64_t)keep.bytes;
	if (json_get_int(o, "seconds", 0, HISTORY_SECONDS_MAX, &s, reterr) < 0 ||
	    json_get_int(o, "count", 0, INT32_MAX, &n, reterr) < 0 ||
	    json_get_int(o, "bytes", 0, INT64_MAX, &b, reterr) < 0)
		return -EINVAL;
	keep.ms = (uint64_t)s * 1000;
	keep.count = (uint64_t)n;
	keep.bytes = (uint64_t)b;
	executions_set_retention(c->conf.executions, &keep);
	processes_set_retention(c->conf.processes, keep.ms, keep.bytes);
	return 0;
}

static int limit_processes(struct control *c, const json_t *o, struct err *reterr)
{
	int64_t pids = 0;
	if (json_get_int(o, "pids", 0, PIDS_MAX, &pids, reterr) < 0)
		return -EINVAL;
	return c->conf.machine && pids
		   ? machine_limit_processes(c->conf.machine, (uint64_t)pids, reterr)
		   : 0;
}

static int boot(struct control *c, const json_t *o, struct err *reterr)
{
	json_t *kernels = NULL, *history = NULL;
	if (json_get_object(o, "history", &history, reterr) < 0 ||
	    (history && set_history(c, history, reterr) < 0))
		return -EINVAL;
	int r = limit_processes(c, o, reterr);
	if (r < 0)
		return r;
	r = json_get_array(o, "kernels", KERNELS_MAX, &kernels, reterr);
	if (r >= 0)
		r = identity_boot(c->conf.identity, o, reterr);
	if (r == 0)
		r = configure_contexts(c, reterr);
	if (r == 0)
		r = python_files_install(c->conf.python_dir, reterr);
	if (r == 0 && kernels)
		r = start_kernels(c, kernels, reterr);
	ready_on_change(c->ready);
	return r;
}

/* ---- time and chance: /wake, /init ---- */

static int parse_entropy(const json_t *o, struct buf *dst, struct err *reterr)
{
	const char *text = "";
	if (json_get_str(o, "entropy", ENTROPY_MAX, &text, reterr) < 0)
		return -EINVAL;
	if (str_unbase64(dst, text, strlen(text)) < 0)
		return err_set(reterr, -EINVAL, "entropy: expected base64");
	return 0;
}

static int mix_entropy(struct control *c, const struct buf *entropy, struct err *reterr)
{
	if (buf_len(entropy) == 0)
		return 0;
	return c->conf.machine ? machine_add_entropy(
				     c->conf.machine, buf_data(entropy), buf_len(entropy), reterr)
			       : marks_add_entropy(buf_data(entropy), buf_len(entropy), reterr);
}

struct chance {
	int64_t now_ns; /* 0 = not told */
	struct buf entropy;
};

static int parse_chance(const json_t *o, struct chance *ret, struct err *reterr)
{
	return json_get_int(o, "timestamp", 0, INT64_MAX, &ret->now_ns, reterr) < 0
		   ? -EINVAL
		   : parse_entropy(o, &ret->entropy, reterr);
}

static int apply_chance(struct control *c, const struct chance *ch, struct err *reterr)
{
	int r = c->conf.machine && ch->now_ns
		    ? machine_set_clock(c->conf.machine, ch->now_ns, reterr)
		    : 0;
	return r < 0 ? r : mix_entropy(c, &ch->entropy, reterr);
}

/* ---- POST /quiesce ---- */

static int check_rest(struct control *c, struct err *reterr)
{
	struct context *k;
	bool failed;
	if (!warmup_is_ready(c->warmup))
		return err_set(reterr, -EBUSY, "%s", warmup_reason(c->warmup, &failed));
	if (processes_next(c->conf.processes, NULL))
		return err_set(reterr, -EBUSY, "a process runs");
	for (size_t i = 0; (k = contexts_at(c->conf.contexts, i)); i++)
		if (context_is_busy(k))
			return err_set(
			    reterr, -EBUSY, "a %s kernel runs a cell", context_language(k));
	return 0;
}

static void drop_data_connections(struct control *c)
{
	if (c->conf.drop_data)
		c->conf.drop_data(c->conf.arg);
}

/* What the kernel has cached stays: every copy of the snapshot shares it. */
static int quiesce(struct control *c, const json_t *o, struct err *reterr)
{
	int r = check_rest(c, reterr);
	if (r < 0)
		return r;
	drop_data_connections(c);
	if (c->conf.machine)
		machine_sync(c->conf.machine);
	return 0;
}

/* ---- POST /wake ---- */

static int become_another_machine(struct control *c, const char *name, struct err *reterr)
{
	const struct machine *m = c->conf.machine;
	int r = m ? machine_renew_ids(m, reterr) : 0;
	return r == 0 && m && name ? machine_set_name(m, name, reterr) : r;
}

static int wake(struct control *c, const json_t *o, struct err *reterr)
{
	struct chance ch = { 0 };
	const char *name = NULL;
	bool warm_up = true;
	int r = parse_chance(o, &ch, reterr);
	if (r == 0)
		r = json_get_str(o, "hostname", HOST_NAME_BYTES_MAX, &name, reterr);
	if (r >= 0)
		r = json_get_bool(o, "warmUp", &warm_up, reterr);
	if (r >= 0)
		r = apply_chance(c, &ch, reterr);
	buf_fini(&ch.entropy);
	if (r == 0)
		r = become_another_machine(c, name, reterr);
	if (r < 0)
		return r;
	drop_data_connections(c);
	warmup_reseed(c->conf.contexts);
	/* A sandbox in use is not to be played with: its kernels are as its user left them. */
	if (identity_is_initialised(c->conf.identity))
		return 0;
	warmup_renew(c->warmup);
	if (warm_up)
		warmup_again(c->warmup);
	return 0;
}

/* ---- POST /clock ---- */

/* As soon as the way here is known to be short: what /wake was told may have waited on it. */
static int set_clock(struct control *c, const json_t *o, struct err *reterr)
{
	int64_t now_ns = 0;
	int r = json_get_int(o, "timestamp", 1, INT64_MAX, &now_ns, reterr);
	if (r == 1)
		return err_set(reterr, -EINVAL, "timestamp: expected nanoseconds");
	return r < 0 || !c->conf.machine ? r : machine_set_clock(c->conf.machine, now_ns, reterr);
}

/* ---- POST /init ---- */

/* Before it is anybody's: a sandbox with less than it was promised is none. */
static int grow_disk(struct control *c, const json_t *o, struct err *reterr)
{
	int64_t bytes = 0;
	if (json_get_int(o, "diskBytes", 0, INT64_MAX, &bytes, reterr) < 0)
		return -EINVAL;
	return c->conf.disk && bytes ? disk_grow(c->conf.disk, (uint64_t)bytes, reterr) : 0;
}

static int init(struct control *c, const json_t *o, struct err *reterr)
{
	struct chance ch = { 0 };
	struct err why = ERR_INIT;
	int r = parse_chance(o, &ch, reterr);
	if (r == 0)
		r = grow_disk(c, o, reterr);
	if (r == 0)
		r = identity_init(c->conf.identity, o, reterr);
	if (r == 0) {
		/* From here on it is this sandbox: what fails is told, but does not undo that. */
		(void)apply_chance(c, &ch, &why);
		(void)marks_write(c->conf.mark_dir, c->conf.identity, &why);
		if (why.code)
			log_warn("%s", err_text(&why));
	}
	buf_fini(&ch.entropy);
	if (r < 0)
		return r;
	bool first = r == 0;
	r = configure_contexts(c, reterr); /* again: what failed at the first one may work now */
	if (first && c->conf.limits)
		limits_begin(c->conf.limits);
	if (first)
		warmup_reseed(c->conf.contexts);
	return r;
}

/* ---- POST /notice ---- */

static int notice(struct control *c, const json_t *o, struct err *reterr)
{
	const char *kind = "";
	int64_t count = 1;
	if (json_get_str(o, "kind", 64, &kind, reterr) < 0 ||
	    json_get_int(o, "count", 0, INT64_MAX, &count, reterr) < 0)
		return -EINVAL;
	int r = notices_add(c->conf.notices, kind, count);
	return r < 0 ? err_set(reterr, r, "kind: expected oom or pids") : 0;
}

/* ---- requests ---- */

typedef int post_fn(struct control *c, const json_t *o, struct err *reterr);

static const struct {
	const char *path;
	post_fn *fn;
} posts[] = {
	{ "/boot", boot },
	{ "/clock", set_clock },
	{ "/init", init },
	{ "/notice", notice },
	{ "/quiesce", quiesce },
	{ "/wake", wake },
};

static post_fn *find_post(const struct http_stream *st)
{
	char path[REQUEST_PATH_MAX];
	request_path(st, path);
	for (size_t i = 0; i < sizeof(posts) / sizeof(*posts); i++)
		if (request_is(st, "POST", path, posts[i].path))
			return posts[i].fn;
	return NULL;
}

static void on_body(struct http_stream *st, int err, const void *p, size_t n, void *arg)
{
	struct err why = ERR_INIT;
	if (err < 0 && err != -EFBIG)
		return;
	if (err < 0)
		(void)err_set(&why, err, "the body is larger than %d bytes", LIMIT_JSON_BODY);
	CLEAN_JSON json_t *o =
	    err < 0 ? NULL : json_parse_object(p, n, LIMIT_JSON_BODY, false, &why);
	if (o && find_post(st)(arg, o, &why) == 0)
		(void)reply_empty(st, 204);
	else
		answer_err(st, &why);
}

static void answer_state(struct control *c, struct http_stream *st)
{
	const struct identity *id = c->conf.identity;
	(void)reply_json(st, 200,
	    json_pack("{s:b, s:s}", "initialised", identity_is_initialised(id), "sandboxId",
		identity_sandbox_id(id)));
}

/* wait=MS of the query; 0 when there is none. */
static uint64_t query_wait(const struct http_stream *st)
{
	const char *query = strchr(http_stream_peer_head(st)->path, '?');
	const char *text = query ? str_after(query + 1, "wait=") : NULL;
	uint64_t ms;
	return text && str_u64(text, HELD_MAX_MS, &ms) == 0 ? ms : 0;
}

void control_on_request(struct http_stream *st, void *arg)
{
	struct control *c = arg;
	char path[REQUEST_PATH_MAX];
	request_path(st, path);
	if (find_post(st)) {
		if (http_collect(st, LIMIT_JSON_BODY, on_body, c) < 0)
			http_stream_reset(st, HTTP_RESET_INTERNAL);
	} else if (request_is(st, "GET", path, "/ready")) {
		ready_handle(c->ready, st, query_wait(st));
	} else if (c->conf.limits && request_is(st, "GET", path, "/limits")) {
		limits_handle(c->conf.limits, st, http_stream_peer_head(st)->path);
	} else if (request_is(st, "GET", path, "/state")) {
		answer_state(c, st);
	} else if (request_is(st, "GET", path, "/metrics")) {
		(void)reply_json(st, 200, metrics_read(c->conf.metrics));
	} else {
		request_not_found(st, false);
	}
}
