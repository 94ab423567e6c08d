/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Command line of sandglassd. */
#include <stdbool.h>

struct config;

enum args_command {
	ARGS_SERVE,
	ARGS_CHECK_CONFIG,
	ARGS_VERSION,
	ARGS_HELP,
	ARGS_KEYS,
	ARGS_DOCTOR
};

struct args {
	enum args_command command;
	const char *config;   /* NULL = the default file if it exists */
	const char *env_file; /* NULL = none */
	/* overrides of single keys, NULL = as configured */
	const char *listen, *state_dir, *template_dir, *web_dir, *agent, *launcher;
	/* keys */
	const char *keys_action; /* "add", "list", "revoke" */
	const char *keys_id;	 /* revoke */
	const char *name, *team;
	/* doctor */
	bool json, quick, verdict;
	const char *template_name; /* NULL = the usual one */
};

/* False after a message on standard error. */
bool args_parse(struct args *a, int argc, char **argv);
void args_usage(void);
/* Put the overrides into a loaded configuration: 0 or -ENOMEM. */
int args_apply(const struct args *a, struct config *c);
