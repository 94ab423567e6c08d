/* SPDX-License-Identifier: Apache-2.0 */
/* Templates and teams. */
#include "base/str.h"
#include "image/template.h"
#include "service/rest.h"
#include "service/sandbox_json.h"
#include "wire/http.h"

void rest_templates(struct rest_req *r)
{
	const struct templates *ts = r->ctl->templates;
	json_t *a = json_array();
	for (size_t i = 0; a && i < templates_count(ts); i++) {
		if (json_array_append_new(a, template_json(r->ctl, templates_at(ts, i))) < 0) {
			json_decref(a);
			a = NULL;
		}
	}
	rest_json(r, 200, a);
}

void rest_template(struct rest_req *r)
{
	const struct template *t = templates_find(r->ctl->templates, r->arg);
	if (t)
		rest_json(r, 200, template_json_detail(r->ctl, t));
	else
		rest_error(r, 404, "template '%.128s' not found", r->arg);
}

void rest_template_alias(struct rest_req *r)
{
	const struct template *t = templates_find(r->ctl->templates, r->arg);
	if (t)
		rest_json(r, 200, json_pack("{s:s, s:b}", "templateID", t->id, "public", 1));
	else
		rest_error(r, 404, "template '%.128s' not found", r->arg);
}

void rest_template_delete(struct rest_req *r)
{
	const struct template *t = templates_find(r->ctl->templates, r->arg);
	if (t)
		rest_error(r, 403,
		    "template '%s' is a file of this server and cannot be deleted over the API",
		    t->name);
	else
		rest_error(r, 404, "template '%.128s' not found", r->arg);
}

/* The one team of the key, as the command line of E2B asks for it. */
void rest_teams(struct rest_req *r)
{
	const char *key = r->st ? auth_request_key(http_stream_peer_head(r->st)) : NULL;
	rest_json(r, 200,
	    json_pack("[{s:s, s:s, s:s, s:b}]", "teamID", r->team.id, "name", r->team.name,
		"apiKey", key ? key : "", "isDefault", 1));
}
