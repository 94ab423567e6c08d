/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/examine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/str.h"
#include "daemon/args.h"
#include "daemon/config.h"
#include "daemon/layout.h"
#include "daemon/roles.h"
#include "doctor/doctor.h"

#define DEFAULT_TEMPLATE "code-interpreter-v1"

/* The server's own configuration, with places of its own. Texts are borrowed: the process that uses
 * the copy ends with it. */
static struct config alter(const struct config *c, const struct doctor_server *s)
{
	struct config copy = *c;
	copy.state_dir = (char *)s->state_dir;
	copy.runtime_dir = (char *)s->runtime_dir;
	copy.listen = (char *)"127.0.0.1:0";
	copy.tls_listen = (char *)"";
	copy.min_isolation = CONFIG_ISOLATION_NAMESPACE;
	copy.kill_on_stop = true;
	copy.pool = s->pool;
	return copy;
}

static void launcher_main(const struct doctor_server *s, const void *arg)
{
	const struct config copy = alter(arg, s);
	struct layout l = { .lock_fd = -1 };
	if (layout_identify(&l, &copy, NULL) == 0)
		layout_exec_launcher(&l, &copy);
	_exit(EXIT_FAILURE);
}

static void server_main(const struct doctor_server *s, const void *arg)
{
	struct config copy = alter(arg, s);
	if (config_driver_parse(s->driver, &copy.driver))
		_exit(roles_run(&copy, "of doctor", s->env_file));
	_exit(EXIT_FAILURE);
}

int examine_command(const struct args *a, const struct config *c)
{
	char state[PATH_LEN_MAX];
	const struct doctor_conf conf = {
		.state_dir = realpath(c->state_dir, state) ? state : c->state_dir,
		.user = c->user,
		.driver = config_driver_name(c->driver),
		.min_isolation = config_isolation_name(c->min_isolation),
		.firecracker = c->firecracker_binary,
		.jailer = c->firecracker_jailer,
		.template_name = a->template_name ? a->template_name : DEFAULT_TEMPLATE,
		.json = a->json,
		.quick = a->quick,
		.verdict = a->verdict,
		.launcher_main = launcher_main,
		.server_main = server_main,
		.arg = c,
	};
	return doctor_run(&conf);
}
