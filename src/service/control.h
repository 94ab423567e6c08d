/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What REST and RPC handlers of the control plane share. */
#include <stdbool.h>
#include <stddef.h>

#include "service/auth.h"

struct detail_cache;
struct images;
struct loop;
struct sandbox;
struct sandboxes;
struct template;
struct templates;

struct control {
	struct loop *loop;
	struct sandboxes *sandboxes;
	const struct templates *templates;
	struct auth *auth;
	struct detail_cache *details;
	struct images *images; /* of templates; NULL = this server builds none */
	bool host_base;	       /* the driver can show the host's own file system */
	const char *driver;    /* name for people, in refusals */
};

/* What stock clients expect to read about every sandbox. */
#define CONTROL_ENVD_VERSION "0.6.13"
#define CONTROL_CLIENT_ID "6532622b"
#define CONTROL_DEFAULT_TEMPLATE "code-interpreter-v1"

#define CONTROL_PAGE_MAX 100

/* The running or paused sandbox of the team, or NULL: unknown, foreign and ending ones are the
 * same. */
struct sandbox *control_find(const struct control *c, const struct auth_team *t, const char *id);
/* Does the driver start sandboxes of the template from its image? */
bool control_needs_image(const struct control *c, const struct template *t);
