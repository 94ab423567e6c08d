/* SPDX-License-Identifier: Apache-2.0 */
/* Requests by method and path: in which state each is allowed, which body it takes, what it does.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake.h"

#define AFTER_START "The requested operation is not supported after starting the microVM."
#define BEFORE_START "The requested operation is not supported before starting the microVM."

struct fake_answer fake_refuse(const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return (
	    struct fake_answer){ .status = 400, .body = json_pack("{s:s}", "fault_message", text) };
}

struct fake_answer fake_done(void)
{
	return (struct fake_answer){ .status = 204 };
}

static struct fake_answer with_body(json_t *body)
{
	return (struct fake_answer){ .status = 200, .body = body };
}

static void remember(struct fake *f, const char *what, json_t *o)
{
	(void)json_object_set(f->config, what, o);
}

/* ---- reading ---- */

static struct fake_answer get(struct fake *f, const char *path)
{
	static const char *const states[] = { "Not started", "Running", "Paused" };
	if (strcmp(path, "/") == 0)
		return with_body(json_pack("{s:s,s:s,s:s,s:s}", "id", f->args.id, "state",
		    states[f->state], "vmm_version", f->script.version, "app_name", "Firecracker"));
	if (strcmp(path, "/version") == 0)
		return with_body(json_pack("{s:s}", "firecracker_version", f->script.version));
	if (strcmp(path, "/vm/config") == 0)
		return with_body(json_deep_copy(f->config));
	if (strcmp(path, "/machine-config") == 0 || strcmp(path, "/balloon") == 0) {
		json_t *o = json_object_get(f->config, path + 1);
		return o ? with_body(json_incref(o))
			 : fake_refuse("Unable to get %s: not configured.", path + 1);
	}
	return fake_refuse("Invalid request method and/or path: GET %s.", path + 1);
}

/* ---- running ---- */

static struct fake_answer start(struct fake *f)
{
	if (!json_object_get(f->config, "boot-source"))
		return fake_refuse("Cannot start microvm without kernel configuration.");
	if (f->state != FAKE_NOT_STARTED)
		return fake_refuse(AFTER_START);
	int r = fake_guest_start(f);
	if (r < 0)
		return fake_refuse("Start microvm error: Cannot load the guest: %s", strerror(-r));
	f->state = FAKE_RUNNING;
	return fake_done();
}

static struct fake_answer act(struct fake *f, json_t *o)
{
	const char *what = json_string_value(json_object_get(o, "action_type"));
	if (strcmp(what, "InstanceStart") == 0)
		return start(f);
	if (f->state == FAKE_NOT_STARTED)
		return fake_refuse(BEFORE_START);
	if (strcmp(what, "FlushMetrics") == 0) {
		if (f->metrics_fd < 0)
			return fake_refuse("Internal metrics error: not configured");
		(void)dprintf(f->metrics_fd, "{\"utc_timestamp_ms\":%llu,\"vmm\":{\"panics\":0}}\n",
		    (unsigned long long)fake_now_ms());
	} else {
		fake_guest_kill(f); /* a guest that obeys: it reboots */
	}
	return fake_done();
}

static bool has_pause_bug(const struct fake *f)
{
	return (f->script.v == 11600 || f->script.v == 11601) &&
	       json_object_get(f->config, "vsock");
}

static struct fake_answer patch_vm(struct fake *f, json_t *o)
{
	bool pause = strcmp(json_string_value(json_object_get(o, "state")), "Paused") == 0;
	if (f->state == FAKE_NOT_STARTED)
		return fake_refuse(BEFORE_START);
	f->frozen = pause;
	if (pause) {
		f->snapped = false;
		f->by_load = false;
		f->state = FAKE_PAUSED;
		fake_guest_freeze(f, true);
		return fake_done();
	}
	if (f->state == FAKE_PAUSED) {
		if (!f->snapped && !f->by_load && has_pause_bug(f))
			f->vsock_dead = true;
		if (f->snapped)
			fake_vsock_reset(f);
		f->guest_since = fake_now_ms();
	}
	f->state = FAKE_RUNNING;
	fake_guest_freeze(f, false);
	return fake_done();
}

/* ---- the table ---- */

enum when { PRE, POST, ANY };
struct route {
	const char *method, *path; /* a path that ends in / has an id behind it */
	const char *schema;
	enum when when;
	bool boot; /* no snapshot can be loaded after it */
	unsigned since;
};

static const struct route routes[] = {
	{ "PUT", "/logger", "logger", PRE, false, 0 },
	{ "PUT", "/metrics", "metrics", PRE, false, 0 },
	{ "PUT", "/serial", "serial", PRE, false, 11400 },
	{ "PUT", "/machine-config", "machine-config", PRE, true, 0 },
	{ "PUT", "/boot-source", "boot-source", PRE, true, 0 },
	{ "PUT", "/drives/", "drive", PRE, true, 0 },
	{ "PATCH", "/drives/", "drive-patch", POST, false, 0 },
	{ "PUT", "/network-interfaces/", "net", PRE, true, 0 },
	{ "PATCH", "/network-interfaces/", "net-patch", POST, false, 0 },
	{ "PUT", "/vsock", "vsock", PRE, true, 0 },
	{ "PUT", "/entropy", "entropy", PRE, true, 0 },
	{ "PUT", "/balloon", "balloon", PRE, true, 0 },
	{ "PATCH", "/balloon", "balloon-patch", POST, false, 0 },
	{ "PUT", "/mmds/config", "mmds-config", PRE, true, 0 },
	{ "PUT", "/mmds", NULL, ANY, false, 0 },
	{ "PATCH", "/mmds", NULL, ANY, false, 0 },
	{ "PUT", "/actions", "action", ANY, false, 0 },
	{ "PATCH", "/vm", "vm", POST, false, 0 },
	{ "PUT", "/snapshot/create", "snapshot-create", POST, false, 0 },
	{ "PUT", "/snapshot/load", "snapshot-load", ANY, false, 0 },
};

static const struct route *find_route(
    const struct fake *f, const char *method, const char *path, const char **ret_id)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *r = &routes[i];
		size_t n = strlen(r->path);
		bool has_id = r->path[n - 1] == '/';
		if (strcmp(r->method, method) != 0 || f->script.v < r->since ||
		    strncmp(r->path, path, n) != 0 || (!has_id && path[n]))
			continue;
		*ret_id = has_id ? path + n : NULL;
		return r;
	}
	return NULL;
}

static const char *check_id(const char *id)
{
	if (!id[0])
		return "The ID cannot be empty.";
	for (const char *p = id; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_')
			return "API Resource IDs can only contain alphanumeric characters and "
			       "underscores.";
	return NULL;
}

static struct fake_answer bad_id(const struct route *r, const char *id, json_t *o)
{
	bool net = strstr(r->path, "network") != NULL;
	const char *in = json_string_value(json_object_get(o, net ? "iface_id" : "drive_id"));
	const char *bad = check_id(id);
	if (bad)
		return fake_refuse("%s", bad);
	if (strcmp(in, id) == 0)
		return fake_done();
	if (net)
		return fake_refuse(
		    "The id from the path [%s] does not match the id from the body [%s]!", id, in);
	return fake_refuse("The id from the path does not match the id from the body!");
}

static struct fake_answer put(struct fake *f, const struct route *r, const char *id, json_t *o)
{
	if (id && strncmp(r->path, "/drives", 7) == 0)
		return fake_put_drive(f, id, o);
	if (id)
		return fake_put_net(f, id, o);
	if (strcmp(r->path, "/boot-source") == 0)
		return fake_put_boot_source(f, o);
	if (strcmp(r->path, "/machine-config") == 0)
		return fake_put_machine(f, o);
	if (strcmp(r->path, "/logger") == 0 || strcmp(r->path, "/metrics") == 0 ||
	    strcmp(r->path, "/serial") == 0)
		return fake_put_output(f, r->path + 1, o);
	if (strcmp(r->path, "/vsock") == 0) {
		int e = fake_vsock_bind(f, json_string_value(json_object_get(o, "uds_path")));
		if (e < 0)
			return fake_refuse("Cannot create backend for vsock device: Error binding "
					   "to the host-side Unix socket: %s (os error %d)",
			    strerror(-e), -e);
	}
	return fake_done();
}

static struct fake_answer patch(struct fake *f, const struct route *r, const char *id, json_t *o)
{
	char key[96];
	if (!id)
		return fake_done();
	(void)snprintf(key, sizeof(key), "%s%s", r->path + 1, id);
	json_t *device = json_object_get(f->config, key);
	if (!device)
		return fake_refuse("Unable to patch %s: unknown device %s", r->path + 1, id);
	return strncmp(r->path, "/drives", 7) == 0 ? fake_patch_drive(device, o) : fake_done();
}

static struct fake_answer load(struct fake *f, json_t *o)
{
	bool fatal = false;
	struct fake_answer a = fake_snapshot_load(f, o, &fatal);
	if (fatal)
		f->exit_after = 1;
	return a;
}

static struct fake_answer dispatch(struct fake *f, const struct route *r, const char *id, json_t *o)
{
	if (strcmp(r->path, "/actions") == 0)
		return act(f, o);
	if (strcmp(r->path, "/vm") == 0)
		return patch_vm(f, o);
	if (strcmp(r->path, "/snapshot/load") == 0)
		return load(f, o);
	if (r->when == PRE && f->state != FAKE_NOT_STARTED)
		return fake_refuse(AFTER_START);
	if (r->when == POST && f->state == FAKE_NOT_STARTED)
		return fake_refuse(BEFORE_START);
	if (strcmp(r->path, "/snapshot/create") == 0)
		return fake_snapshot_create(f, o);
	if (id) {
		struct fake_answer a = bad_id(r, id, o);
		if (a.status != 204)
			return a;
	}
	if (strcmp(r->method, "PATCH") == 0)
		return patch(f, r, id, o);
	f->boot_path |= r->boot;
	struct fake_answer a = put(f, r, id, o);
	char key[96];
	(void)snprintf(key, sizeof(key), "%s%s", r->path + 1, id ? id : "");
	if (a.status == 204)
		remember(f, key, o);
	return a;
}

static bool is_deprecated(json_t *o)
{
	static const char *const old[] = { "mem_file_path", "enable_diff_snapshots", "vsock_id",
		"cpu_template" };
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (json_object_get(o, old[i]) && !json_object_get(o, "snapshot_type"))
			return true;
	return false;
}

struct fake_answer fake_api_handle(
    struct fake *f, const char *method, const char *path, const char *body, size_t n)
{
	const char *id = NULL;
	if (strcmp(method, "GET") == 0)
		return n ? fake_refuse("GET request cannot have a body.") : get(f, path);
	const struct route *r = find_route(f, method, path, &id);
	if (!r)
		return fake_refuse(
		    "Invalid request method and/or path: %s %s.", method, path + (path[0] == '/'));
	if (n == 0)
		return fake_refuse("Empty %s request.", method);
	json_error_t err;
	json_t *o = json_loadb(body, n, JSON_REJECT_DUPLICATES, &err);
	char *bad = o && r->schema ? fake_check_body(f, r->schema, o) : NULL;
	struct fake_answer a;
	if (!o || bad)
		a = fake_refuse("An error occurred when deserializing the json body of a request: "
				"%s at line 1 column %d.",
		    bad ? bad : err.text, o ? 1 : err.column);
	else
		a = dispatch(f, r, id, o);
	if (o && a.status == 204)
		a.deprecated = is_deprecated(o);
	free(bad);
	json_decref(o);
	return a;
}
