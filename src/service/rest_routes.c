/* SPDX-License-Identifier: Apache-2.0 */
/* The table of REST endpoints, and those whose whole answer is that there is nothing. */
#include "base/err.h"
#include "service/rest.h"

#define ON_SANDBOX REST_SANDBOX

const struct rest_route rest_routes[] = {
	{ "GET", "/health", rest_health, REST_OPEN, NULL },
	{ "GET", "/metrics", rest_server_metrics, 0, NULL },
	{ "POST", "/sandboxes", rest_create, REST_BODY, NULL },
	{ "POST", "/v2/sandboxes", rest_create, REST_BODY, NULL },
	{ "GET", "/sandboxes", rest_list_v1, 0, NULL },
	{ "GET", "/v2/sandboxes", rest_list_v2, 0, NULL },
	{ "GET", "/sandboxes/{}", rest_get, ON_SANDBOX, NULL },
	{ "DELETE", "/sandboxes/{}", rest_kill, ON_SANDBOX, NULL },
	{ "POST", "/sandboxes/{}/timeout", rest_timeout, ON_SANDBOX | REST_BODY, NULL },
	{ "POST", "/sandboxes/{}/refreshes", rest_refresh, ON_SANDBOX | REST_BODY_OPTIONAL, NULL },
	{ "POST", "/sandboxes/{}/connect", rest_connect, ON_SANDBOX | REST_BODY, NULL },
	{ "POST", "/v2/sandboxes/{}/connect", rest_connect, ON_SANDBOX | REST_BODY_OPTIONAL, NULL },
	{ "POST", "/sandboxes/{}/resume", rest_resume, ON_SANDBOX | REST_BODY_OPTIONAL, NULL },
	{ "GET", "/sandboxes/{}/metrics", rest_metrics, ON_SANDBOX, NULL },
	{ "GET", "/sandboxes/{}/logs", rest_logs, ON_SANDBOX, NULL },
	{ "GET", "/v2/sandboxes/{}/logs", rest_logs_v2, ON_SANDBOX, NULL },
	{ "POST", "/sandboxes/{}/pause", rest_pause, ON_SANDBOX | REST_BODY_OPTIONAL, NULL },
	{ "POST", "/sandboxes/{}/fork", rest_unsupported, ON_SANDBOX | REST_BODY_OPTIONAL,
	    "fork a sandbox" },
	{ "POST", "/sandboxes/{}/snapshots", rest_unsupported, ON_SANDBOX | REST_BODY_OPTIONAL,
	    "snapshot a sandbox" },
	{ "PUT", "/sandboxes/{}/network", rest_unsupported, ON_SANDBOX | REST_BODY_OPTIONAL,
	    "change the network rules of a running sandbox" },
	{ "GET", "/snapshots", rest_no_snapshots, 0, NULL },
	{ "GET", "/templates", rest_templates, 0, NULL },
	{ "GET", "/templates/aliases/{}", rest_template_alias, 0, NULL },
	{ "GET", "/templates/{}", rest_template, 0, NULL },
	{ "DELETE", "/templates/{}", rest_template_delete, 0, NULL },
	{ "POST", "/templates", rest_missing, REST_BODY_OPTIONAL, "template builds over the API" },
	{ "POST", "/v2/templates", rest_missing, REST_BODY_OPTIONAL,
	    "template builds over the API" },
	{ "POST", "/v3/templates", rest_missing, REST_BODY_OPTIONAL,
	    "template builds over the API" },
	{ "GET", "/volumes", rest_missing, 0, "volumes" },
	{ "POST", "/volumes", rest_missing, REST_BODY_OPTIONAL, "volumes" },
	{ "GET", "/secrets", rest_missing, 0, "secrets" },
	{ "POST", "/secrets", rest_missing, REST_BODY_OPTIONAL, "secrets" },
	{ "GET", "/teams", rest_teams, 0, NULL },
};
const unsigned rest_n_routes = sizeof(rest_routes) / sizeof(rest_routes[0]);

void rest_health(struct rest_req *r)
{
	rest_empty(r);
}

void rest_no_snapshots(struct rest_req *r)
{
	rest_json(r, 200, json_array());
}

void rest_unsupported(struct rest_req *r)
{
	rest_error(r, 501, "this server cannot %s: its driver '%s' does not support it",
	    r->route->what, r->ctl->driver);
}

void rest_missing(struct rest_req *r)
{
	rest_error(r, 501, "this server has no %s", r->route->what);
}
