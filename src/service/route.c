/* SPDX-License-Identifier: Apache-2.0 */
#include "service/route.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "wire/http.h"

/* Services that name their sandbox in metadata, and the port that has them. */
static const struct native {
	const char *prefix, *port;
} natives[] = {
	{ "/sandglass.v1.CodeInterpreter/", "49999" },
	{ "/sandglass.v1.ProcessService/", "49983" },
	{ "/process.Process/", "49983" },
	{ "/filesystem.Filesystem/", "49983" },
};

struct span {
	const char *s;
	size_t n;
};

/* Host without a port; the brackets of an IPv6 address stay. */
static struct span host_of(const char *authority)
{
	const char *end = authority[0] == '[' ? strchr(authority, ']') : NULL;
	size_t n = end ? (size_t)(end + 1 - authority) : strcspn(authority, ":");
	if (n > 0 && !end && authority[n - 1] == '.') /* fully qualified */
		n--;
	return (struct span){ authority, n };
}

static bool is_own_name(const struct route_names *names, struct span host)
{
	for (const char *const *p = names->api_hosts; p && *p; p++) {
		struct span own = host_of(*p);
		if (own.n == host.n && strncasecmp(own.s, host.s, own.n) == 0)
			return true;
	}
	return false;
}

/* The label in front of ".<domain>"; empty when the host is not directly there. */
static struct span label_of(const struct route_names *names, struct span host)
{
	struct span domain = host_of(names->domain ? names->domain : "");
	struct span none = { "", 0 };
	if (domain.n == 0 || host.n <= domain.n + 1)
		return none;
	size_t n = host.n - domain.n - 1;
	if (host.s[n] != '.' || strncasecmp(host.s + n + 1, domain.s, domain.n) != 0 ||
	    memchr(host.s, '.', n))
		return none;
	return (struct span){ host.s, n };
}

static struct route malformed(const char *error)
{
	return (struct route){ .kind = ROUTE_MALFORMED, .error = error };
}

/* Decimal of at most 5 digits, 1 to 65535; 0 when it is not. */
static unsigned parse_port(struct span s)
{
	unsigned port = 0;
	if (s.n == 0 || s.n > 5)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.s[i] < '0' || s.s[i] > '9')
			return 0;
		port = 10 * port + (unsigned)(s.s[i] - '0');
	}
	return port <= 65535 ? port : 0;
}

/* "<id>" or "<id>-<anything>". */
static struct route make_route(struct span id, struct span port)
{
	struct route r = { .kind = ROUTE_SANDBOX };
	const char *dash = memchr(id.s, '-', id.n);
	size_t n = dash ? (size_t)(dash - id.s) : id.n;
	if (n == 0 || n > ID_SANDBOX_LEN)
		return malformed("Invalid sandbox ID");
	memcpy(r.sandbox_id, id.s, n);
	r.sandbox_id[n] = 0;
	if (!id_sandbox_valid(r.sandbox_id))
		return malformed("Invalid sandbox ID");
	r.port = parse_port(port);
	return r.port ? r : malformed("Invalid sandbox port");
}

static struct route from_label(struct span label)
{
	char lower[64];
	const char *dash = memchr(label.s, '-', label.n);
	if (!dash || label.n >= sizeof(lower))
		return malformed("Invalid host");
	memcpy(lower, label.s, label.n);
	lower[label.n] = 0;
	(void)str_lower(lower);
	size_t n = (size_t)(dash - label.s);
	return make_route(
	    (struct span){ lower + n + 1, label.n - n - 1 }, (struct span){ lower, n });
}

static bool names_sandbox(struct span label)
{
	return label.n > 0 &&
	       (memchr(label.s, '-', label.n) || (label.s[0] >= '0' && label.s[0] <= '9'));
}

static const struct native *find_native(const char *path)
{
	for (size_t i = 0; i < sizeof(natives) / sizeof(natives[0]); i++)
		if (str_after(path, natives[i].prefix))
			return &natives[i];
	return NULL;
}

static struct route from_fields(const struct http_head *head)
{
	const struct http_fields *f = &head->fields;
	const char *id = http_fields_get(f, "e2b-sandbox-id");
	const char *port = http_fields_get(f, "e2b-sandbox-port");
	const char *native = http_fields_get(f, "sandglass-sandbox-id");
	if (http_fields_count(f, "e2b-sandbox-id") > 1 ||
	    http_fields_count(f, "e2b-sandbox-port") > 1 ||
	    http_fields_count(f, "sandglass-sandbox-id") > 1)
		return malformed("duplicate header");
	if (id && port)
		return make_route(
		    (struct span){ id, strlen(id) }, (struct span){ port, strlen(port) });
	const struct native *service = find_native(head->path);
	if (!service)
		return id || port ? malformed("missing header")
				  : (struct route){ .kind = ROUTE_CONTROL };
	id = native ? native : id;
	if (!id)
		return malformed("missing header sandglass-sandbox-id");
	return make_route(
	    (struct span){ id, strlen(id) }, (struct span){ service->port, strlen(service->port) });
}

struct route route_find(const struct route_names *names, const struct http_head *head)
{
	struct span host = host_of(head->authority ? head->authority : "");
	if (!is_own_name(names, host)) {
		struct span label = label_of(names, host);
		if (names_sandbox(label))
			return from_label(label);
	}
	return from_fields(head);
}

bool route_is_agent_port(unsigned port)
{
	return port == ROUTE_PORT_ENVD || port == ROUTE_PORT_CODE;
}
