/* SPDX-License-Identifier: Apache-2.0 */
#include "service/create_body.h"

#include <errno.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "image/template.h"
#include "service/mask_host.h"
#include "service/params.h"
#include "wire/http.h"

#define TIMEOUT_V1_S 15
#define TIMEOUT_V2_S 300
#define MIB (1024 * 1024)
#define LIST_MAX 1000 /* entries of a network list: more than any rule set has */
#define EVERYTHING "0.0.0.0/0"

static int refuse(struct err *reterr, const char *field, const char *why)
{
	return err_set(reterr, -EINVAL, "%s: %s", field, why);
}

/* A switch that must be off. */
static int expect_false(const json_t *o, const char *key, const char *why, struct err *reterr)
{
	bool on = false;
	int r = json_get_bool(o, key, &on, reterr);
	return r < 0 ? r : on ? refuse(reterr, key, why) : 0;
}

/* A list that must be empty; name is the field for people. */
static int expect_no_items(const json_t *o, const char *key, const char *why, struct err *reterr)
{
	json_t *a = NULL;
	int r = json_get_array(o, key, LIST_MAX, &a, reterr);
	return r < 0 ? r : a && json_array_size(a) ? refuse(reterr, key, why) : 0;
}

static int expect_no_entries(const json_t *o, const char *key, const char *why, struct err *reterr)
{
	json_t *v = NULL;
	int r = json_get_object(o, key, &v, reterr);
	return r < 0 ? r : v && json_object_size(v) ? refuse(reterr, key, why) : 0;
}

/* ---- lifecycle, and features that this server has not ---- */
static int read_lifecycle(const json_t *body, struct params *ret, struct err *reterr)
{
	bool memory = true;
	json_t *resume = NULL;
	int r = json_get_bool(body, "autoPause", &ret->p.auto_pause, reterr);
	if (r >= 0)
		r = json_get_bool(body, "autoPauseMemory", &memory, reterr);
	if (r >= 0 && ret->p.auto_pause && !memory)
		return refuse(reterr, "autoPauseMemory",
		    "a pause of this server keeps the memory, expected true");
	if (r >= 0)
		r = json_get_object(body, "autoResume", &resume, reterr);
	if (r == 0 && resume)
		r = expect_false(resume, "enabled",
		    "this server resumes a sandbox only when it is asked to, expected false",
		    reterr);
	if (r < 0 && resume)
		err_prefix(reterr, "autoResume");
	return r < 0 ? r : 0;
}

static int read_features(const json_t *body, struct err *reterr)
{
	json_t *iam = NULL, *mcp = NULL;
	int r = expect_no_items(
	    body, "volumeMounts", "this server has no volumes, expected an empty list", reterr);
	if (r == 0)
		r = json_get_object(body, "iam", &iam, reterr);
	if (r >= 0 && iam) {
		r = expect_no_entries(
		    iam, "tokens", "this server issues no identity tokens, expected none", reterr);
		if (r < 0)
			err_prefix(reterr, "iam");
	}
	/* What is in mcp concerns the client alone: it starts the gateway in the sandbox itself. */
	if (r >= 0)
		r = json_get_object(body, "mcp", &mcp, reterr);
	return r < 0 ? r : 0;
}

/* ---- network ---- */
/* An absent or empty list is 0, one that is just "0.0.0.0/0" is 1; anything else is refused. */
static int read_rule_list(const json_t *net, const char *key, struct err *reterr)
{
	json_t *a = NULL;
	int r = json_get_array(net, key, LIST_MAX, &a, reterr);
	if (r != 0 || json_array_size(a) == 0)
		return r < 0 ? r : 0;
	const char *only = json_string_value(json_array_get(a, 0));
	if (json_array_size(a) == 1 && only && str_eq(only, EVERYTHING))
		return 1;
	return refuse(reterr, key,
	    "this server can allow or deny all traffic only, expected [] or [\"" EVERYTHING "\"]");
}

static int read_rules(const json_t *net, struct params *ret, struct err *reterr)
{
	int allow = read_rule_list(net, "allowOut", reterr);
	int deny = allow < 0 ? allow : read_rule_list(net, "denyOut", reterr);
	if (deny == 1 && allow == 0) /* allow wins over deny */
		ret->p.internet = false;
	return deny < 0 ? deny : 0;
}

static int read_mask_host(const json_t *net, struct params *ret, struct err *reterr)
{
	CLEAN_BUF struct buf example = BUF_INIT;
	const char *host = "";
	int r = json_get_str(net, "maskRequestHost", PARAMS_MAX_HOST, &host, reterr);
	if (r < 0 || !*host)
		return r;
	if (mask_host_expand(&example, host, 65535) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	const char *text = buf_cstr(&example);
	if (!text || !http_is_authority(text))
		return refuse(reterr, "maskRequestHost",
		    "expected a host name with an optional port, which may be ${PORT}");
	(void)str_copy(ret->mask_host, sizeof(ret->mask_host), host);
	ret->p.mask_host = ret->mask_host;
	return 0;
}

static int read_proxying(const json_t *net, struct params *ret, struct err *reterr)
{
	int r = read_mask_host(net, ret, reterr);
	if (r >= 0)
		r = expect_no_items(net, "httpsPorts",
		    "not supported by this server, expected an empty list", reterr);
	if (r >= 0)
		r = expect_no_entries(
		    net, "egressProxy", "not supported by this server, expected null", reterr);
	if (r >= 0)
		r = expect_no_entries(
		    net, "rules", "not supported by this server, expected {}", reterr);
	return r < 0 ? r : 0;
}

static int read_network_object(const json_t *net, struct params *ret, struct err *reterr)
{
	int r = read_rules(net, ret, reterr);
	if (r == 0)
		r = json_get_bool(net, "allowPublicTraffic", &ret->p.allow_public_traffic, reterr);
	if (r >= 0)
		r = read_proxying(net, ret, reterr);
	if (r >= 0 && !ret->p.allow_public_traffic && !ret->p.secure)
		r = refuse(reterr, "allowPublicTraffic", "false needs secure to be true");
	return r < 0 ? r : 0;
}

static int read_network(const json_t *body, struct params *ret, struct err *reterr)
{
	json_t *net = NULL;
	ret->p.internet = ret->p.allow_public_traffic = true;
	int r = json_get_bool(body, "allow_internet_access", &ret->p.internet, reterr);
	if (r >= 0)
		r = json_get_object(body, "network", &net, reterr);
	if (r < 0 || !net)
		return r < 0 ? r : 0;
	r = read_network_object(net, ret, reterr);
	if (r < 0)
		err_prefix(reterr, "network");
	return r;
}

/* ---- the rest ---- */
static int read_maps(const json_t *body, struct params *ret, struct err *reterr)
{
	json_t *map = NULL, *value;
	const char *key;
	int r =
	    json_get_str_map(body, "metadata", PARAMS_MAX_ENTRIES, PARAMS_MAX_BYTES, &map, reterr);
	json_object_foreach(map, key, value)
	{
		if (r >= 0)
			r = params_add_metadata(
			    ret, "metadata", key, json_string_value(value), reterr);
	}
	map = NULL;
	if (r >= 0)
		r = json_get_str_map(
		    body, "envVars", PARAMS_MAX_ENTRIES, PARAMS_MAX_BYTES, &map, reterr);
	json_object_foreach(map, key, value)
	{
		if (r >= 0)
			r = params_add_env(ret, "envVars", key, json_string_value(value), reterr);
	}
	return r < 0 ? r : 0;
}

/* Not of E2B's API: there the template alone decides. */
static int read_sizes(const json_t *body, struct params *ret, struct err *reterr)
{
	static const struct {
		const char *field;
		enum params_size which;
		uint64_t unit;
	} sizes[] = {
		{ "cpuCount", PARAMS_CPU, 1000 },
		{ "memoryMB", PARAMS_MEMORY, MIB },
		{ "diskSizeMB", PARAMS_DISK, MIB },
	};
	int r = 0;
	for (size_t i = 0; r >= 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int64_t number = 0;
		r = json_get_int(body, sizes[i].field, 1, INT32_MAX, &number, reterr);
		if (r == 0)
			r = params_set_size(ret, sizes[i].field, sizes[i].which, (uint64_t)number,
			    sizes[i].unit, reterr);
	}
	return r < 0 ? r : 0;
}

static int read_template(const json_t *body, const struct templates *ts, bool version2,
    struct params *ret, struct err *reterr)
{
	const char *ref = "";
	int64_t timeout = version2 ? TIMEOUT_V2_S : TIMEOUT_V1_S;
	int r = json_get_str(body, "templateID", 256, &ref, reterr);
	if (r >= 0 && !*ref)
		r = refuse(reterr, "templateID", "expected the name or id of a template");
	if (r >= 0)
		r = json_get_int(body, "timeout", 1, INT32_MAX, &timeout, reterr);
	if (r < 0)
		return r;
	bool given = r == 0;
	r = params_set_template(ret, ts, ref, reterr);
	if (r != 0)
		return r;
	if (!given && timeout > ret->tmpl->timeout_max_s)
		timeout = ret->tmpl->timeout_max_s;
	return params_set_timeout(ret, "timeout", timeout, reterr);
}

int create_body_read(const json_t *body, bool version2, const struct templates *ts,
    struct params *ret, struct err *reterr)
{
	ret->p.secure = true;
	int r = version2 ? 0 : json_get_bool(body, "secure", &ret->p.secure, reterr);
	if (r >= 0)
		r = read_lifecycle(body, ret, reterr);
	if (r == 0)
		r = read_features(body, reterr);
	if (r == 0)
		r = read_network(body, ret, reterr);
	if (r == 0)
		r = read_maps(body, ret, reterr);
	if (r == 0)
		r = read_sizes(body, ret, reterr);
	if (r == 0)
		r = read_template(body, ts, version2, ret, reterr);
	return r;
}
