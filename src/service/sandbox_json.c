/* SPDX-License-Identifier: Apache-2.0 */
#include "service/sandbox_json.h"

#include <stdio.h>

#include "base/clock.h"
#include "image/template.h"
#include "sandbox/sandbox.h"
#include "service/control.h"
#include "vmm/images.h"

#define MIB (1024 * 1024)

static int cpu_count(unsigned milli)
{
	return (int)((milli + 999) / 1000);
}

/* NULL stands for JSON null. */
static json_t *text_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

/* Adds key: value when there is one; the object is gone on failure. */
static json_t *with(json_t *o_consume, const char *key, json_t *v_consume)
{
	if (o_consume && json_object_set_new(o_consume, key, v_consume) == 0)
		return o_consume;
	if (!o_consume)
		json_decref(v_consume);
	json_decref(o_consume);
	return NULL;
}

json_t *sandbox_json_created(const struct sandbox *sb)
{
	struct sandbox_view v;
	sandbox_view(sb, &v);
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:n, s:s}", "templateID", v.tmpl->id,
	    "sandboxID", v.id, "clientID", CONTROL_CLIENT_ID, "envdVersion", CONTROL_ENVD_VERSION,
	    "alias", v.tmpl->name, "trafficAccessToken", text_or_null(v.traffic_token), "domain",
	    "isolation", v.isolation);
	return o && v.access_token ? with(o, "envdAccessToken", json_string(v.access_token)) : o;
}

static json_t *metadata_json(const char *const *kv)
{
	json_t *o = json_object();
	for (; o && kv && kv[0] && kv[1]; kv += 2)
		o = with(o, kv[0], json_string(kv[1]));
	return o;
}

json_t *sandbox_json_listed(const struct sandbox *sb)
{
	struct sandbox_view v;
	char started[CLOCK_RFC3339_MAX], end[CLOCK_RFC3339_MAX];
	sandbox_view(sb, &v);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:s, s:s, s:o, s:[], s:s}",
	    "templateID", v.tmpl->id, "alias", v.tmpl->name, "sandboxID", v.id, "clientID",
	    CONTROL_CLIENT_ID, "startedAt", clock_rfc3339(v.started_ns, started), "endAt",
	    clock_rfc3339(v.end_at_ns, end), "cpuCount", cpu_count(v.cpu_milli), "memoryMB",
	    (json_int_t)(v.memory_bytes / MIB), "diskSizeMB", (json_int_t)(v.disk_bytes / MIB),
	    "state", v.state == SANDBOX_PAUSED ? "paused" : "running", "envdVersion",
	    CONTROL_ENVD_VERSION, "metadata", metadata_json(v.metadata), "volumeMounts",
	    "isolation", v.isolation);
}

json_t *sandbox_json_detail(const struct sandbox *sb)
{
	struct sandbox_view v;
	sandbox_view(sb, &v);
	json_t *o = sandbox_json_listed(sb);
	o = with(o, "allowInternetAccess", json_boolean(v.internet));
	o = with(o, "domain", json_null());
	json_t *network = json_pack("{s:b}", "allowPublicTraffic", v.traffic_token == NULL);
	if (v.mask_host)
		network = with(network, "maskRequestHost", json_string(v.mask_host));
	o = with(o, "network", network);
	o = with(o, "lifecycle",
	    json_pack("{s:b, s:s}", "autoResume", 0, "onTimeout", v.auto_pause ? "pause" : "kill"));
	if (v.access_token)
		o = with(o, "envdAccessToken", json_string(v.access_token));
	if (v.traffic_token)
		o = with(o, "trafficAccessToken", json_string(v.traffic_token));
	return o;
}

/* Builds have UUIDs; a template read from a file has the start of its hash in that form. */
static void build_id(const struct template *t, char dst[37])
{
	const char *h = t->hash;
	(void)snprintf(dst, 37, "%.8s-%.4s-4%.3s-8%.3s-%.12s", h, h + 8, h + 12, h + 15, h + 18);
}

static json_t *aliases_json(const struct template *t)
{
	json_t *a = json_pack("[s]", t->name);
	for (char **s = t->aliases; a && s && *s; s++) {
		if (json_array_append_new(a, json_string(*s)) < 0) {
			json_decref(a);
			return NULL;
		}
	}
	return a;
}

/* As E2B's clients know them. An image of what the template said before it was edited is no use. */
static const char *build_status(const struct control *ctl, const struct template *t)
{
	static const char *const texts[] = { [IMAGE_ABSENT] = "waiting",
		[IMAGE_READY] = "ready",
		[IMAGE_OUTDATED] = "waiting",
		[IMAGE_BUILDING] = "building",
		[IMAGE_FAILED] = "error" };
	if (!control_needs_image(ctl, t) || !ctl->images)
		return "ready";
	return texts[images_get(ctl->images, t->name).state];
}

/* One with builds: that there is, or that the template is waiting for. */
json_t *template_json_detail(const struct control *ctl, const struct template *t)
{
	char loaded[CLOCK_RFC3339_MAX], build[37];
	build_id(t, build);
	(void)clock_rfc3339(t->loaded_real_ns, loaded);
	const char *status = build_status(ctl, t);
	json_t *builds = json_pack("[{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:s}]", "buildID", build,
	    "status", status, "createdAt", loaded, "updatedAt", loaded, "cpuCount",
	    cpu_count(t->cpu_milli), "memoryMB", (json_int_t)(t->memory_bytes / MIB), "diskSizeMB",
	    (json_int_t)(t->disk_bytes / MIB), "envdVersion", CONTROL_ENVD_VERSION);
	return json_pack("{s:s, s:b, s:o, s:o, s:s, s:s, s:n, s:i, s:o}", "templateID", t->id,
	    "public", 1, "aliases", aliases_json(t), "names", aliases_json(t), "createdAt", loaded,
	    "updatedAt", loaded, "lastSpawnedAt", "spawnCount", 0, "builds", builds);
}

json_t *template_json(const struct control *ctl, const struct template *t)
{
	char loaded[CLOCK_RFC3339_MAX], build[37];
	build_id(t, build);
	(void)clock_rfc3339(t->loaded_real_ns, loaded);
	return json_pack("{s:s, s:s, s:i, s:I, s:I, s:b, s:o, s:o, s:s, s:s, s:n, s:n, s:i, s:i, "
			 "s:s, s:s}",
	    "templateID", t->id, "buildID", build, "cpuCount", cpu_count(t->cpu_milli), "memoryMB",
	    (json_int_t)(t->memory_bytes / MIB), "diskSizeMB", (json_int_t)(t->disk_bytes / MIB),
	    "public", 1, "aliases", aliases_json(t), "names", aliases_json(t), "createdAt", loaded,
	    "updatedAt", loaded, "createdBy", "lastSpawnedAt", "spawnCount", 0, "buildCount", 1,
	    "envdVersion", CONTROL_ENVD_VERSION, "buildStatus", build_status(ctl, t));
}
