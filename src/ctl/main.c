/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass: the command-line client. */
#include <config.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "ctl/ctl.h"

#define DEFAULT_URL "http://127.0.0.1:3000"

static void usage(void)
{
	(void)fputs(
	    "Usage: sandglass [--url URL] [--key KEY] COMMAND\n"
	    "\n"
	    "  create [-t TEMPLATE] [--timeout SECONDS] [-e KEY=VALUE]... [-m KEY=VALUE]...\n"
	    "         [--cpus N] [--memory SIZE] [--disk SIZE] [--no-internet]\n"
	    "      make a sandbox and print its id. A SIZE is like 512MiB or 4GiB; what is not\n"
	    "      given is the template's\n"
	    "  run [-s SANDBOX] [-l LANGUAGE] [-c CONTEXT] [FILE]\n"
	    "      run code from a file or standard input and show its output as it comes. Without "
	    "-s a\n"
	    "      sandbox is made (options as for create) and removed afterwards (kept with "
	    "--keep)\n"
	    "  ls\n"
	    "      list sandboxes: id, template, isolation, time left or \"paused\", memory, "
	    "metadata\n"
	    "  pause SANDBOX...\n"
	    "      put sandboxes on the disk, memory and all; microVMs only\n"
	    "  resume SANDBOX...\n"
	    "      let them go on where they were\n"
	    "  kill SANDBOX...\n"
	    "      end sandboxes and remove everything of them\n"
	    "  template build TEMPLATE [--force] [--quiet]\n"
	    "      build the image that microVMs of a template start from; the log is shown as it "
	    "comes\n"
	    "  template {list | show TEMPLATE | rm TEMPLATE...}\n"
	    "      images of templates: all, one, remove (the template stays)\n"
	    "  keys {add|list|revoke ID}\n"
	    "      manage API keys; on the server's machine, see sandglassd --help\n"
	    "  doctor [--json] [--quick] [--verdict] [--template NAME]\n"
	    "      tell what this machine can do: checks, a test boot of each driver, a self-test; "
	    "as root\n"
	    "\n"
	    "The server is URL, or SANDGLASS_URL, or E2B_API_URL, or http://127.0.0.1:3000; the "
	    "key is KEY\n"
	    "or E2B_API_KEY.\n",
	    stdout);
}

static const struct {
	const char *name;
	int (*run)(struct ctl *c, int argc, char **argv);
} commands[] = {
	{ "create", ctl_create },
	{ "run", ctl_run },
	{ "ls", ctl_ls },
	{ "kill", ctl_kill },
	{ "template", ctl_template },
	{ "pause", ctl_pause },
	{ "resume", ctl_resume },
};

/* Also behind the command, where people look for it. */
static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && !str_eq(argv[i], "--"); i++)
		if (str_eq(argv[i], "--help") || (i == 1 && str_eq(argv[i], "-h")))
			return true;
	return false;
}

static int dispatch(const char *url, const char *key, int argc, char **argv)
{
	if (asks_for_help(argc, argv)) {
		usage();
		return EXIT_SUCCESS;
	}
	if (str_eq(argv[0], "keys") || str_eq(argv[0], "doctor"))
		return ctl_server_machine(argc, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!str_eq(argv[0], commands[i].name))
			continue;
		struct ctl c = { .command = argv[0] };
		optind = 1;
		int status = EXIT_FAILURE;
		if (str_empty(key))
			(void)ctl_fail(&c, "no API key: set E2B_API_KEY or give --key");
		else if (ctl_open(&c, url, key))
			status = commands[i].run(&c, argc, argv);
		ctl_close(&c);
		return status;
	}
	(void)fprintf(
	    stderr, "sandglass: there is no command '%s'; see sandglass --help\n", argv[0]);
	return 2;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
	return !str_empty(a) ? a : !str_empty(b) ? b : c;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "url", 1, NULL, 'u' }, { "key", 1, NULL, 'k' },
		{ "help", 0, NULL, 'h' }, { "version", 0, NULL, 'V' }, { NULL, 0, NULL, 0 } };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	const char *url = first_of(getenv("SANDGLASS_URL"), getenv("E2B_API_URL"), DEFAULT_URL);
	const char *key = getenv("E2B_API_KEY");
	(void)sigaction(SIGPIPE, &ignore, NULL);
	log_open("sandglass", LOG_LEVEL_WARN);
	/* '+': options behind the command are the command's own */
	for (int opt; (opt = getopt_long(argc, argv, "+u:k:hV", options, NULL)) != -1;) {
		if (opt == 'u') {
			url = optarg;
		} else if (opt == 'k') {
			key = optarg;
		} else if (opt == 'h') {
			usage();
			return EXIT_SUCCESS;
		} else if (opt == 'V') {
			(void)printf("sandglass %s\n", PACKAGE_VERSION);
			return EXIT_SUCCESS;
		} else {
			return 2;
		}
	}
	if (optind == argc) {
		usage();
		return 2;
	}
	return dispatch(url, key, argc - optind, argv + optind);
}
