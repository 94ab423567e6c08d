/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control plane reads from clients before it knows them: the first byte chooses between a
 * request target with its query, the head that routes a request (one value a line), and the body of
 * a create. Each is refused with a text or gives values within their bounds.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "image/template.h"
#include "sandbox/sandbox.h"
#include "service/create_body.h"
#include "service/list_query.h"
#include "service/params.h"
#include "service/route.h"
#include "wire/url.h"
#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Stands in for the templates of a directory: "code" is one, all else is unknown. */
const struct template *templates_find(const struct templates *ts, const char *ref)
{
	static const struct template code = { .name = "code", .timeout_max_s = 3600 };
	(void)ts;
	return strcmp(ref, "code") == 0 ? &code : NULL;
}

static void read_target(char *text)
{
	struct url u;
	struct list_query q;
	struct err err = ERR_INIT;
	if (url_parse(&u, text) < 0)
		return;
	assert(u.n_segments <= URL_MAX_SEGMENTS && u.n_params <= URL_MAX_PARAMS);
	int r = list_query_read(&u, true, NULL, &q, &err);
	assert((r == 0) == (err.code == 0));
	assert(r < 0 || (q.limit >= 1 && q.limit <= 100));
	list_query_fini(&q);
	url_fini(&u);
}

static void read_route(char *text)
{
	static const char *const names[] = { "e2b-sandbox-id", "e2b-sandbox-port",
		"sandglass-sandbox-id" };
	static const struct route_names own = { .domain = "box.test:1" };
	struct http_head h = HTTP_HEAD_INIT;
	char *save = NULL, *part = strtok_r(text, "\n", &save);
	h.authority = part ? part : (char *)"";
	part = part ? strtok_r(NULL, "\n", &save) : NULL;
	h.path = part ? part : (char *)"/";
	for (unsigned i = 0; i < 3 && (part = strtok_r(NULL, "\n", &save)); i++)
		if (http_fields_add(&h.fields, names[i], part) < 0)
			break;
	struct route r = route_find(&own, &h);
	assert((r.kind == ROUTE_MALFORMED) == (r.error != NULL));
	assert(r.kind != ROUTE_SANDBOX ||
	       (id_sandbox_valid(r.sandbox_id) && r.port >= 1 && r.port <= 65535));
	http_fields_fini(&h.fields);
}

static void read_body(const char *text, size_t n)
{
	struct params params = { 0 };
	struct err err = ERR_INIT;
	json_t *body = json_parse_object(text, n, LIMIT_JSON_BODY, false, NULL);
	if (!body)
		return;
	int r = create_body_read(body, n % 2, NULL, &params, &err);
	assert((r == 0) == (err.code == 0));
	assert(r != 0 || (params.tmpl && params.p.timeout_s <= 3600));
	assert(params.env.n <= PARAMS_MAX_ENTRIES && params.metadata.n <= 2 * PARAMS_MAX_ENTRIES);
	params_fini(&params);
	json_decref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = n > 0 ? malloc(n) : NULL;
	if (!text)
		return 0;
	memcpy(text, p + 1, n - 1);
	text[n - 1] = 0;
	if (p[0] == 'u')
		read_target(text);
	else if (p[0] == 'r')
		read_route(text);
	else
		read_body(text, n - 1);
	free(text);
	return 0;
}
