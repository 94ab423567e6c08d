/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/args.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "daemon/config.h"

enum {
	OPT_CHECK = 256,
	OPT_ENV,
	OPT_LISTEN,
	OPT_STATE,
	OPT_TEMPLATES,
	OPT_WEB,
	OPT_AGENT,
	OPT_LAUNCHER,
	OPT_NAME,
	OPT_TEAM,
	OPT_JSON,
	OPT_QUICK,
	OPT_VERDICT,
	OPT_TEMPLATE
};

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check-config", no_argument, NULL, OPT_CHECK },
	{ "env-file", required_argument, NULL, OPT_ENV },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "templates", required_argument, NULL, OPT_TEMPLATES },
	{ "web", required_argument, NULL, OPT_WEB },
	{ "agent", required_argument, NULL, OPT_AGENT },
	{ "launcher", required_argument, NULL, OPT_LAUNCHER },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "team", required_argument, NULL, OPT_TEAM },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quick", no_argument, NULL, OPT_QUICK },
	{ "verdict", no_argument, NULL, OPT_VERDICT },
	{ "template", required_argument, NULL, OPT_TEMPLATE },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

void args_usage(void)
{
	(void)fputs(
	    "Usage: sandglassd [OPTION]...\n"
	    "       sandglassd keys add [--name TEXT] [--team NAME] [--config FILE]\n"
	    "       sandglassd keys list [--config FILE]\n"
	    "       sandglassd keys revoke ID [--config FILE]\n"
	    "       sandglassd doctor [--json] [--quick] [--verdict] [--template NAME] "
	    "[OPTION]...\n"
	    "\n"
	    "Serve sandboxes, in the foreground. Started as root; what talks to the network runs "
	    "as\n"
	    "the user named in the configuration.\n"
	    "\n"
	    "  -c, --config FILE      configuration (default /etc/sandglass/sandglass.yaml if "
	    "there)\n"
	    "      --check-config     read the configuration and the templates, report, and exit\n"
	    "      --listen ADDR:PORT serve HTTP here, whatever the configuration says\n"
	    "      --state DIR        keep state here (and what only lives while running, in "
	    "DIR/run)\n"
	    "      --templates DIR    templates\n"
	    "      --web DIR          files of the web page\n"
	    "      --agent FILE       program that runs inside each sandbox\n"
	    "      --launcher FILE    privileged helper\n"
	    "      --env-file FILE    when serving, write lines for a shell here: E2B_API_KEY and "
	    "so on\n"
	    "  -V, --version          print the version and exit\n"
	    "  -h, --help             print this and exit\n"
	    "\n"
	    "Keys are stored hashed: \"keys add\" prints a key once. A running server learns of "
	    "changes\n"
	    "at once.\n"
	    "\n"
	    "doctor tells what this machine can do: what is there and what is missing, which "
	    "drivers work\n"
	    "by a test boot of each, and a self-test with two sandboxes of a template. --quick "
	    "leaves the\n"
	    "self-test out, --verdict tells one line alone, --json one object. Nothing of a "
	    "running server\n"
	    "is touched.\n",
	    stdout);
}

/* Where an option's argument goes, NULL for those without one. */
static const char **target_of(struct args *a, int opt)
{
	switch (opt) {
	case 'c':
		return &a->config;
	case OPT_ENV:
		return &a->env_file;
	case OPT_LISTEN:
		return &a->listen;
	case OPT_STATE:
		return &a->state_dir;
	case OPT_TEMPLATES:
		return &a->template_dir;
	case OPT_WEB:
		return &a->web_dir;
	case OPT_AGENT:
		return &a->agent;
	case OPT_LAUNCHER:
		return &a->launcher;
	case OPT_NAME:
		return &a->name;
	case OPT_TEAM:
		return &a->team;
	case OPT_TEMPLATE:
		return &a->template_name;
	default:
		return NULL;
	}
}

/* Where an option without one is noted, NULL for the others. */
static bool *flag_of(struct args *a, int opt)
{
	switch (opt) {
	case OPT_JSON:
		return &a->json;
	case OPT_QUICK:
		return &a->quick;
	case OPT_VERDICT:
		return &a->verdict;
	default:
		return NULL;
	}
}

static bool parse_doctor(struct args *a, int n, char **words)
{
	a->command = ARGS_DOCTOR;
	if (n > 0)
		(void)fprintf(stderr, "sandglassd: doctor: unexpected argument '%s'\n", words[0]);
	return n == 0;
}

static bool parse_keys(struct args *a, int n, char **words)
{
	a->command = ARGS_KEYS;
	a->keys_action = n > 0 ? words[0] : "";
	bool revoke = str_eq(a->keys_action, "revoke");
	if (!revoke && !str_eq(a->keys_action, "add") && !str_eq(a->keys_action, "list")) {
		(void)fputs("sandglassd: keys: expected add, list or revoke\n", stderr);
		return false;
	}
	if (n != (revoke ? 2 : 1)) {
		(void)fprintf(stderr, "sandglassd: keys %s: expected %s\n", a->keys_action,
		    revoke ? "one key id" : "no further argument");
		return false;
	}
	a->keys_id = revoke ? words[1] : NULL;
	return true;
}

bool args_parse(struct args *a, int argc, char **argv)
{
	*a = (struct args){ .command = ARGS_SERVE };
	for (int opt; (opt = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1;) {
		const char **target = target_of(a, opt);
		bool *flag = flag_of(a, opt);
		if (target)
			*target = optarg;
		else if (flag)
			*flag = true;
		else if (opt == OPT_CHECK)
			a->command = ARGS_CHECK_CONFIG;
		else if (opt == 'V')
			a->command = ARGS_VERSION;
		else if (opt == 'h')
			a->command = ARGS_HELP;
		else
			return false; /* getopt_long() said what is wrong */
	}
	if (optind == argc)
		return true;
	if (str_eq(argv[optind], "keys"))
		return parse_keys(a, argc - optind - 1, argv + optind + 1);
	if (str_eq(argv[optind], "doctor"))
		return parse_doctor(a, argc - optind - 1, argv + optind + 1);
	(void)fprintf(
	    stderr, "sandglassd: unexpected argument '%s'; see sandglassd --help\n", argv[optind]);
	return false;
}

/* As typed in the directory where the command was: the launcher is at home somewhere else. */
static int set_path(char **dst, const char *path)
{
	char cwd[PATH_LEN_MAX];
	if (path[0] == '/' || path[0] == '\0')
		return mem_set_str(dst, path);
	if (!getcwd(cwd, sizeof(cwd)))
		return -errno;
	char *whole = mem_printf("%s/%s", cwd, path);
	int r = whole ? mem_set_str(dst, whole) : -ENOMEM;
	(void)mem_free(whole);
	return r;
}

int args_apply(const struct args *a, struct config *c)
{
	const struct {
		const char *from;
		char **to;
	} paths[] = {
		{ a->state_dir, &c->state_dir },
		{ a->template_dir, &c->template_dir },
		{ a->web_dir, &c->web_dir },
		{ a->agent, &c->agent },
		{ a->launcher, &c->launcher },
	};
	int r = a->listen ? mem_set_str(&c->listen, a->listen) : 0;
	for (size_t i = 0; r == 0 && i < sizeof(paths) / sizeof(paths[0]); i++)
		r = paths[i].from ? set_path(paths[i].to, paths[i].from) : 0;
	if (r < 0 || !a->state_dir)
		return r;
	char *run = mem_printf("%s/run", c->state_dir);
	r = run ? mem_set_str(&c->runtime_dir, run) : -ENOMEM;
	(void)mem_free(run);
	return r;
}
