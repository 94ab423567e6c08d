/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "image/yaml.h"

static bool is_absolute(const char *s)
{
	return s[0] == '/';
}

static bool is_empty_or_absolute(const char *s)
{
	return str_empty(s) || is_absolute(s);
}

static bool is_empty_or_listen(const char *s)
{
	const char *colon = strrchr(s, ':');
	uint64_t port;
	return str_empty(s) || (colon && str_u64(colon + 1, 65535, &port) == 0);
}

static bool is_domain(const char *s)
{
	return str_only(s, "abcdefghijklmnopqrstuvwxyz0123456789.-:");
}

static bool is_address(const char *s)
{
	return !str_empty(s) && str_only(s, "0123456789abcdefABCDEF.:");
}

static bool is_empty_or_cidr(const char *s)
{
	return str_empty(s) || (strchr(s, '/') && str_only(s, "0123456789./"));
}

static const struct yaml_choice drivers[] = {
	{ "auto", CONFIG_DRIVER_AUTO },
	{ "firecracker", CONFIG_DRIVER_FIRECRACKER },
	{ "qemu", CONFIG_DRIVER_QEMU },
	{ "namespace", CONFIG_DRIVER_NAMESPACE },
	{ NULL, 0 },
};

static const struct yaml_choice isolations[] = {
	{ "namespace", CONFIG_ISOLATION_NAMESPACE },
	{ "microvm-emulated", CONFIG_ISOLATION_EMULATED },
	{ "microvm", CONFIG_ISOLATION_MICROVM },
	{ NULL, 0 },
};

static const struct yaml_choice log_levels[] = {
	{ "error", LOG_LEVEL_ERROR },
	{ "warn", LOG_LEVEL_WARN },
	{ "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG },
	{ NULL, 0 },
};

#define AT(field) .offset = offsetof(struct config, field)
#define PATH_KEY(name, field)                                             \
	{                                                                 \
		name, YAML_STR, AT(field), .min = 1, .ok = is_absolute,   \
					   .expected = "an absolute path" \
	}
#define OPTIONAL_PATH_KEY(name, field)                                                \
	{                                                                             \
		name, YAML_STR, AT(field), .ok = is_empty_or_absolute,                \
					   .expected = "an absolute path, or nothing" \
	}
#define LISTEN_KEY(name, field)                                                   \
	{                                                                         \
		name, YAML_STR, AT(field), .ok = is_empty_or_listen,              \
					   .expected = "ADDRESS:PORT, or nothing" \
	}

static const struct yaml_key tls_keys[] = {
	LISTEN_KEY("listen", tls_listen),
	OPTIONAL_PATH_KEY("certificate", tls_certificate),
	OPTIONAL_PATH_KEY("key", tls_key),
	{ .key = NULL },
};

static const struct yaml_key limit_keys[] = {
	{ "sandboxes", YAML_UINT, AT(max_sandboxes), .min = 1, .max = 10000 },
	{ "per_team", YAML_UINT, AT(max_per_team), .min = 1, .max = 10000 },
	{ "memory", YAML_SIZE, AT(memory_budget), .max = 1ull << 50 },
	{ "memory_reserve", YAML_SIZE, AT(memory_reserve), .max = 1ull << 50 },
	{ "connections", YAML_UINT, AT(max_connections), .min = 16, .max = 1000000 },
	{ "sandbox_connections", YAML_UINT, AT(max_sandbox_connections), .min = 1, .max = 2000 },
	{ .key = NULL },
};

static const struct yaml_key network_keys[] = {
	{ "cidr", YAML_STR, AT(network_cidr), .ok = is_empty_or_cidr,
	    .expected = "an IPv4 network such as 10.201.0.0/16" },
	{ "dns", YAML_STR_LIST, AT(network_dns), .max = 3, .ok = is_address,
	    .expected = "a numeric address" },
	{ .key = NULL },
};

static const struct yaml_key firecracker_keys[] = {
	OPTIONAL_PATH_KEY("binary", firecracker_binary),
	OPTIONAL_PATH_KEY("jailer", firecracker_jailer),
	{ .key = NULL },
};

static const struct yaml_key keys[] = {
	LISTEN_KEY("listen", listen),
	{ "tls", YAML_MAP, .keys = tls_keys },
	PATH_KEY("state_dir", state_dir),
	PATH_KEY("runtime_dir", runtime_dir),
	PATH_KEY("template_dir", template_dir),
	PATH_KEY("web_dir", web_dir),
	OPTIONAL_PATH_KEY("agent", agent),
	OPTIONAL_PATH_KEY("launcher", launcher),
	{ "user", YAML_STR, AT(user), .min = 1, .max = 32 },
	{ "domain", YAML_STR, AT(domain), .max = 253, .ok = is_domain,
	    .expected = "a lower-case domain name, with :port if it is not 443" },
	{ "driver", YAML_ENUM, AT(driver), .choices = drivers },
	{ "min_isolation", YAML_ENUM, AT(min_isolation), .choices = isolations },
	{ "firecracker", YAML_MAP, .keys = firecracker_keys },
	{ "limits", YAML_MAP, .keys = limit_keys },
	{ "pool", YAML_BOOL, AT(pool) },
	{ "kill_on_stop", YAML_BOOL, AT(kill_on_stop) },
	{ "network", YAML_MAP, .keys = network_keys },
	{ "log_level", YAML_ENUM, AT(log_level), .choices = log_levels },
	{ .key = NULL },
};

static int set_defaults(struct config *c)
{
	*c = (struct config){
		.max_sandboxes = 200,
		.max_per_team = 100,
		.max_connections = 4096,
		.max_sandbox_connections = 1000,
		.pool = true,
		.log_level = LOG_LEVEL_INFO,
	};
	const struct {
		char **at;
		const char *value;
	} texts[] = {
		{ &c->listen, "127.0.0.1:3000" },
		{ &c->tls_listen, "" },
		{ &c->tls_certificate, "" },
		{ &c->tls_key, "" },
		{ &c->state_dir, "/var/lib/sandglass" },
		{ &c->runtime_dir, "/run/sandglass" },
		{ &c->template_dir, SANDGLASS_DATADIR "/templates" },
		{ &c->web_dir, SANDGLASS_DATADIR "/web" },
		{ &c->agent, "" },
		{ &c->launcher, "" },
		{ &c->user, "sandglass" },
		{ &c->domain, "sandglass.localhost" },
		{ &c->network_cidr, "" },
		{ &c->firecracker_binary, "" },
		{ &c->firecracker_jailer, "" },
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int r = mem_set_str(texts[i].at, texts[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* doc NULL: it could not be read, as reterr says. */
static int read_doc(struct config *c, struct yaml_doc *doc, struct err *reterr)
{
	int r = doc ? set_defaults(c) : reterr->code;
	if (doc && r < 0)
		(void)err_set(reterr, r, "out of memory");
	if (r == 0)
		r = yaml_read(yaml_doc_root(doc), keys, c, reterr);
	(void)yaml_doc_free(doc);
	return r;
}

int config_parse(struct config *c, const char *name, const void *p, size_t n, struct err *reterr)
{
	return read_doc(c, yaml_doc_parse(name, p, n, reterr), reterr);
}

int config_load(struct config *c, const char *path, struct err *reterr)
{
	if (path)
		return read_doc(c, yaml_doc_load(path, reterr), reterr);
	int r = set_defaults(c);
	return r < 0 ? err_set(reterr, r, "out of memory") : 0;
}

int config_check(const struct config *c, struct err *reterr)
{
	if (str_empty(c->listen) && str_empty(c->tls_listen))
		return err_set(
		    reterr, -EINVAL, "listen: nothing to listen on; set listen or tls.listen");
	if (!str_empty(c->tls_listen) && (str_empty(c->tls_certificate) || str_empty(c->tls_key)))
		return err_set(reterr, -EINVAL, "tls.listen: needs tls.certificate and tls.key");
	if (str_empty(c->firecracker_binary) != str_empty(c->firecracker_jailer))
		return err_set(reterr, -EINVAL,
		    "firecracker: binary and jailer are of one release: set both, or none");
	return 0;
}

static const char *choice_name(const struct yaml_choice *choices, int value)
{
	while (choices->name && choices->value != value)
		choices++;
	return choices->name ? choices->name : "";
}

const char *config_driver_name(int driver)
{
	return choice_name(drivers, driver);
}

bool config_driver_parse(const char *name, int *ret)
{
	for (const struct yaml_choice *c = drivers; c->name; c++) {
		if (str_eq(c->name, name)) {
			*ret = c->value;
			return true;
		}
	}
	return false;
}

const char *config_isolation_name(int isolation)
{
	return choice_name(isolations, isolation);
}

void config_fini(struct config *c)
{
	yaml_read_fini(keys, c);
}
