/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sandboxes as E2B's REST shows them. Each gives a new reference, NULL on -ENOMEM. */
#include <jansson.h>

struct control;
struct sandbox;
struct template;

json_t *sandbox_json_created(const struct sandbox *sb); /* "Sandbox": create, connect */
json_t *sandbox_json_listed(const struct sandbox *sb);	/* "ListedSandbox" */
json_t *sandbox_json_detail(const struct sandbox *sb);	/* "SandboxDetail": with tokens */
json_t *template_json(const struct control *ctl, const struct template *t); /* "Template" */
/* "TemplateWithBuilds" */
json_t *template_json_detail(const struct control *ctl, const struct template *t);
