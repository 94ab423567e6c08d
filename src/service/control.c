/* SPDX-License-Identifier: Apache-2.0 */
#include "service/control.h"

#include "base/str.h"
#include "image/template.h"
#include "sandbox/sandbox.h"

bool control_needs_image(const struct control *c, const struct template *t)
{
	return !str_eq(template_base(t, c->host_base), "host");
}

struct sandbox *control_find(const struct control *c, const struct auth_team *t, const char *id)
{
	struct sandbox_view v;
	struct sandbox *sb = id_sandbox_valid(id) ? sandboxes_find(c->sandboxes, id) : NULL;
	if (!sb)
		return NULL;
	sandbox_view(sb, &v);
	return v.state != SANDBOX_STOPPING && str_eq(v.team_id, t->id) ? sb : NULL;
}
