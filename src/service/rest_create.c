/* SPDX-License-Identifier: Apache-2.0 */
/* POST /sandboxes and /v2/sandboxes. A client that leaves while it waits gets no sandbox. */
#include <errno.h>

#include "base/err.h"
#include "base/mem.h"
#include "service/create_body.h"
#include "service/params.h"
#include "service/rest.h"
#include "service/sandbox_json.h"

struct creation {
	struct rest_req *req;
	struct params params;
	struct sandbox_create *create;
};

static void creation_free(struct creation *c)
{
	params_fini(&c->params);
	(void)rest_unref(c->req);
	(void)mem_free(c);
}

static void on_gone(struct rest_req *r)
{
	struct creation *c = r->op;
	sandbox_create_cancel(c->create);
	creation_free(c);
}

static void on_created(const struct err *err, struct sandbox *sb, void *arg)
{
	struct creation *c = arg;
	if (err->code)
		rest_fail(c->req, err);
	else
		rest_json(c->req, 201, sandbox_json_created(sb));
	creation_free(c);
}

void rest_create(struct rest_req *r)
{
	struct err err = ERR_INIT;
	struct creation *c = mem_zalloc(sizeof(*c));
	if (!c) {
		(void)err_set(&err, -ENOMEM, "out of memory");
		rest_fail(r, &err);
		return;
	}
	c->req = rest_ref(r);
	int e = create_body_read(r->body, r->version2, r->ctl->templates, &c->params, &err);
	if (e == 0) {
		c->create = sandbox_create(
		    r->ctl->sandboxes, params_finish(&c->params, &r->team), on_created, c);
		e = c->create ? 0 : -ENOMEM;
	}
	if (e != 0) {
		(void)err_set(&err, e, "out of memory");
		rest_fail(r, &err);
		creation_free(c);
		return;
	}
	r->op = c;
	r->on_gone = on_gone;
}
