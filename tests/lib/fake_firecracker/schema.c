/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies as Firecracker's deserializer takes them: no unknown field, no wrong type, nothing
 * missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

struct field {
	const char *name;
	char type; /* s text, i unsigned, b bool, o object, l array of objects, m any object, t
		      array of texts */
	bool required;
	unsigned since;
	const char *sub; /* schema of an object, or of an array's members; allowed texts "a|b" */
};

struct fake_schema {
	const char *name;
	struct field fields[14];
};

static const struct fake_schema schemas[] = {
	{ "logger",
	    { { "log_path", 's', false, 0, NULL },
		{ "level", 's', false, 0, "Error|Warning|Info|Debug|Trace|Off" },
		{ "show_level", 'b', false, 0, NULL }, { "show_log_origin", 'b', false, 0, NULL },
		{ "module", 's', false, 0, NULL } } },
	{ "metrics",
	    { { "metrics_path", 's', true, 0, NULL }, { "emit_id", 'b', false, 11700, NULL },
		{ "properties", 'm', false, 11700, NULL } } },
	{ "bucket", { { "size", 'i', true, 0, NULL }, { "one_time_burst", 'i', false, 0, NULL },
			{ "refill_time", 'i', true, 0, NULL } } },
	{ "limiter",
	    { { "bandwidth", 'o', false, 0, "bucket" }, { "ops", 'o', false, 0, "bucket" } } },
	{ "serial", { { "serial_out_path", 's', false, 0, NULL },
			{ "rate_limiter", 'o', false, 11600, "bucket" } } },
	{ "machine-config",
	    { { "vcpu_count", 'i', true, 0, NULL }, { "mem_size_mib", 'i', true, 0, NULL },
		{ "smt", 'b', false, 0, NULL },
		{ "cpu_template", 's', false, 0, "C3|T2|T2S|T2CL|T2A|V1N1|None" },
		{ "track_dirty_pages", 'b', false, 0, NULL },
		{ "huge_pages", 's', false, 0, "None|2M|Transparent" } } },
	{ "boot-source",
	    { { "kernel_image_path", 's', true, 0, NULL }, { "initrd_path", 's', false, 0, NULL },
		{ "boot_args", 's', false, 0, NULL } } },
	{ "drive", { { "drive_id", 's', true, 0, NULL }, { "is_root_device", 'b', true, 0, NULL },
		       { "path_on_host", 's', false, 0, NULL }, { "socket", 's', false, 0, NULL },
		       { "is_read_only", 'b', false, 0, NULL }, { "partuuid", 's', false, 0, NULL },
		       { "cache_type", 's', false, 0, "Unsafe|Writeback" },
		       { "io_engine", 's', false, 0, "Sync|Async" },
		       { "rate_limiter", 'o', false, 0, "limiter" } } },
	{ "drive-patch",
	    { { "drive_id", 's', true, 0, NULL }, { "path_on_host", 's', false, 0, NULL },
		{ "rate_limiter", 'o', false, 0, "limiter" } } },
	{ "net", { { "iface_id", 's', true, 0, NULL }, { "host_dev_name", 's', true, 0, NULL },
		     { "guest_mac", 's', false, 0, NULL }, { "mtu", 'i', false, 11600, NULL },
		     { "rx_rate_limiter", 'o', false, 0, "limiter" },
		     { "tx_rate_limiter", 'o', false, 0, "limiter" } } },
	{ "net-patch",
	    { { "iface_id", 's', true, 0, NULL }, { "rx_rate_limiter", 'o', false, 0, "limiter" },
		{ "tx_rate_limiter", 'o', false, 0, "limiter" } } },
	{ "vsock", { { "guest_cid", 'i', true, 0, NULL }, { "uds_path", 's', true, 0, NULL },
		       { "vsock_id", 's', false, 0, NULL } } },
	{ "entropy", { { "rate_limiter", 'o', false, 0, "limiter" } } },
	{ "balloon",
	    { { "amount_mib", 'i', true, 0, NULL }, { "deflate_on_oom", 'b', true, 0, NULL },
		{ "stats_polling_interval_s", 'i', false, 0, NULL },
		{ "free_page_hinting", 'b', false, 11400, NULL },
		{ "free_page_reporting", 'b', false, 11400, NULL } } },
	{ "balloon-patch", { { "amount_mib", 'i', true, 0, NULL } } },
	{ "mmds-config",
	    { { "network_interfaces", 't', true, 0, NULL }, { "version", 's', false, 0, "V1|V2" },
		{ "ipv4_address", 's', false, 0, NULL },
		{ "imds_compat", 'b', false, 11300, NULL } } },
	{ "action",
	    { { "action_type", 's', true, 0, "InstanceStart|FlushMetrics|SendCtrlAltDel" } } },
	{ "vm", { { "state", 's', true, 0, "Paused|Resumed" } } },
	{ "snapshot-create", { { "snapshot_type", 's', false, 0, "Full|Diff" },
				 { "snapshot_path", 's', true, 0, NULL },
				 { "mem_file_path", 's', true, 0, NULL } } },
	{ "mem-backend", { { "backend_type", 's', true, 0, "File|Uffd" },
			     { "backend_path", 's', true, 0, NULL } } },
	{ "network-override",
	    { { "iface_id", 's', true, 0, NULL }, { "host_dev_name", 's', true, 0, NULL } } },
	{ "vsock-override", { { "uds_path", 's', true, 0, NULL } } },
	{ "snapshot-load",
	    { { "snapshot_path", 's', true, 0, NULL },
		{ "mem_backend", 'o', false, 0, "mem-backend" },
		{ "mem_file_path", 's', false, 0, NULL },
		{ "track_dirty_pages", 'b', false, 11300, NULL },
		{ "enable_diff_snapshots", 'b', false, 0, NULL },
		{ "resume_vm", 'b', false, 0, NULL },
		{ "network_overrides", 'l', false, 11200, "network-override" },
		{ "vsock_override", 'o', false, 11600, "vsock-override" },
		{ "clock_realtime", 'b', false, 11404, NULL },
		{ "huge_pages", 's', false, 11700, "Snapshot|None|Transparent|2M" } } },
};

static const struct fake_schema *find(const char *name)
{
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
		if (strcmp(schemas[i].name, name) == 0)
			return &schemas[i];
	abort();
}

static char *say(const char *fmt, const char *a, const char *b)
{
	char *s = NULL;
	return asprintf(&s, fmt, a, b) < 0 ? abort(), NULL : s;
}

static bool known(const struct fake *f, const struct field *x)
{
	if (f->script.v == 11500 && strcmp(x->name, "clock_realtime") == 0)
		return false;
	return f->script.v >= x->since;
}

static char *check_text(const struct field *x, const char *v)
{
	size_t n = strlen(v);
	if (!x->sub)
		return NULL;
	for (const char *p = x->sub; p; p = strchr(p, '|')) {
		p += *p == '|';
		if (strncmp(p, v, n) == 0 && (p[n] == '|' || p[n] == '\0'))
			return NULL;
	}
	return say("unknown variant `%s`, expected one of `%s`", v, x->sub);
}

static char *check_list(const struct fake *f, const struct field *x, json_t *v)
{
	size_t i;
	json_t *m;
	char *r = NULL;
	json_array_foreach(v, i, m)
	{
		if (!r && x->type == 't' && !json_is_string(m))
			r = say("invalid type: expected a %s%s", "string", "");
		if (!r && x->type == 'l')
			r = fake_check_body(f, x->sub, m);
	}
	return r;
}

static char *check_value(const struct fake *f, const struct field *x, json_t *v)
{
	bool ok = true;
	switch (x->type) {
	case 's':
		if (json_is_string(v))
			return check_text(x, json_string_value(v));
		ok = false;
		break;
	case 'i':
		ok = json_is_integer(v) && json_integer_value(v) >= 0;
		break;
	case 'b':
		ok = json_is_boolean(v);
		break;
	case 'o':
		return fake_check_body(f, x->sub, v);
	case 'm':
		ok = json_is_object(v);
		break;
	default:
		if (json_is_array(v))
			return check_list(f, x, v);
		ok = false;
	}
	return ok ? NULL : say("invalid type for `%s`%s", x->name, "");
}

char *fake_check_body(const struct fake *f, const char *schema, json_t *o)
{
	const struct fake_schema *s = find(schema);
	const char *key;
	json_t *v;
	if (!json_is_object(o))
		return say("invalid type: expected struct %s%s", schema, "");
	json_object_foreach(o, key, v)
	{
		const struct field *x = s->fields;
		while (x->name && strcmp(x->name, key) != 0)
			x++;
		if (!x->name || !known(f, x))
			return say(
			    "unknown field `%s`, expected one of `%s`...", key, s->fields[0].name);
		if (json_is_null(v) && !x->required)
			continue;
		char *bad = check_value(f, x, v);
		if (bad)
			return bad;
	}
	for (const struct field *x = s->fields; x->name; x++)
		if (x->required && !json_object_get(o, x->name))
			return say("missing field `%s`%s", x->name, "");
	return NULL;
}
