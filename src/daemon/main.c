/* SPDX-License-Identifier: Apache-2.0 */
/* sandglassd: reads its arguments and configuration, then becomes the supervisor of roles.h. */
#include <config.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "config.h"
#include "daemon/args.h"
#include "daemon/config.h"
#include "daemon/examine.h"
#include "daemon/keys.h"
#include "daemon/roles.h"
#include "image/template.h"
#include "vmm/vmm.h"

#define DEFAULT_CONFIG "/etc/sandglass/sandglass.yaml"

static int check_config(const struct config *c, const char *path)
{
	struct err err = ERR_INIT;
	struct templates *ts = templates_load(c->template_dir, &err);
	if (!ts) {
		(void)fprintf(stderr, "sandglassd: %s\n", err_text(&err));
		return EXIT_FAILURE;
	}
	(void)printf("%s: good, %zu templates\n", path ? path : "defaults", templates_count(ts));
	(void)templates_free(ts);
	return EXIT_SUCCESS;
}

/* One that was left out of this build is an error of the configuration; doctor tells it in its own
 * way. */
static int check_driver(const struct args *a, const struct config *c, struct err *reterr)
{
	const char *name = config_driver_name(c->driver);
	if (c->driver == CONFIG_DRIVER_AUTO || a->command == ARGS_DOCTOR)
		return 0;
	for (const struct vmm_driver *const *d = vmm_drivers; *d; d++)
		if (str_eq((*d)->name, name))
			return 0;
	return err_set(reterr, -ENOTSUP, "driver: this build has no driver %s; use auto", name);
}

static int run(const struct args *a, const struct config *c, const char *path)
{
	switch (a->command) {
	case ARGS_CHECK_CONFIG:
		return check_config(c, path);
	case ARGS_KEYS:
		return keys_command(a, c);
	case ARGS_DOCTOR:
		return examine_command(a, c);
	default:
		return roles_run(c, path, a->env_file);
	}
}

int main(int argc, char **argv)
{
	struct args a;
	struct config c = { 0 };
	struct err err = ERR_INIT;
	if (!args_parse(&a, argc, argv))
		return 2;
	if (a.command == ARGS_VERSION || a.command == ARGS_HELP) {
		if (a.command == ARGS_HELP)
			args_usage();
		else
			(void)printf("sandglassd %s\n", PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	const char *path = a.config			 ? a.config
			   : path_exists(DEFAULT_CONFIG) ? DEFAULT_CONFIG
							 : NULL;
	int r = config_load(&c, path, &err);
	if (r == 0)
		r = args_apply(&a, &c);
	if (r == 0)
		r = config_check(&c, &err);
	if (r == 0)
		r = check_driver(&a, &c, &err);
	if (r < 0) {
		(void)fprintf(stderr, "sandglassd: %s\n", err.code ? err_text(&err) : err_name(r));
		config_fini(&c);
		return 2;
	}
	log_open("sandglassd", (enum log_level)c.log_level);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	(void)sigaction(SIGPIPE, &ignore, NULL);
	int status = run(&a, &c, path);
	config_fini(&c);
	return status;
}
