/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass-launcher: started by sandglassd with its socket as descriptor 3; see server.h. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "launcher/server.h"

#define SOCKET_FD 3
#define LIST_MAX 16
#define INSTANCE_MAX 8
#define NET_READY 4

struct args {
	struct server_conf conf;
	const char *masks[LIST_MAX + 1], *dns[LIST_MAX + 1];
	bool debug;
};

enum {
	OPT_STATE = 256,
	OPT_RUNTIME,
	OPT_INSTANCE,
	OPT_UID,
	OPT_GID,
	OPT_AGENT,
	OPT_TEMPLATES,
	OPT_FIRECRACKER,
	OPT_JAILER,
	OPT_MASK,
	OPT_CIDR,
	OPT_DNS,
	OPT_NO_NETWORK,
	OPT_DEBUG
};

static const struct option options[] = {
	{ "state", required_argument, NULL, OPT_STATE },
	{ "runtime", required_argument, NULL, OPT_RUNTIME },
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	{ "owner-uid", required_argument, NULL, OPT_UID },
	{ "owner-gid", required_argument, NULL, OPT_GID },
	{ "agent", required_argument, NULL, OPT_AGENT },
	{ "templates", required_argument, NULL, OPT_TEMPLATES },
	{ "firecracker", required_argument, NULL, OPT_FIRECRACKER },
	{ "jailer", required_argument, NULL, OPT_JAILER },
	{ "mask", required_argument, NULL, OPT_MASK },
	{ "cidr", required_argument, NULL, OPT_CIDR },
	{ "dns", required_argument, NULL, OPT_DNS },
	{ "no-network", no_argument, NULL, OPT_NO_NETWORK },
	{ "debug", no_argument, NULL, OPT_DEBUG },
	{ NULL, 0, NULL, 0 },
};

static int add_to(const char **list, const char *value)
{
	for (int i = 0; i < LIST_MAX; i++)
		if (!list[i]) {
			list[i] = value;
			return 0;
		}
	return -E2BIG;
}

static int parse_id(const char *s, unsigned *ret)
{
	uint64_t v;
	int r = str_u64(s, UINT32_MAX - 1, &v);
	if (r == 0)
		*ret = (unsigned)v;
	return r;
}

static int take_option(struct args *a, int opt, const char *value)
{
	struct server_conf *c = &a->conf;
	switch (opt) {
	case OPT_STATE:
		c->state_dir = value;
		return 0;
	case OPT_RUNTIME:
		c->runtime_dir = value;
		return 0;
	case OPT_INSTANCE:
		c->instance = value;
		return 0;
	case OPT_UID:
		return parse_id(value, &c->owner_uid);
	case OPT_GID:
		return parse_id(value, &c->owner_gid);
	case OPT_AGENT:
		c->agent = value;
		return 0;
	case OPT_TEMPLATES:
		c->templates_dir = value;
		return 0;
	case OPT_FIRECRACKER:
		c->firecracker = value;
		return 0;
	case OPT_JAILER:
		c->jailer = value;
		return 0;
	case OPT_MASK:
		return add_to(a->masks, value);
	case OPT_CIDR:
		c->cidr = value;
		return 0;
	case OPT_DNS:
		return add_to(a->dns, value);
	case OPT_NO_NETWORK:
		c->net_ready = 0;
		return 0;
	case OPT_DEBUG:
		a->debug = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int check_args(const struct server_conf *c)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	if (!c->state_dir || !c->runtime_dir || !c->agent || c->state_dir[0] != '/' ||
	    c->runtime_dir[0] != '/')
		return -EINVAL;
	if (str_empty(c->instance) || strlen(c->instance) > INSTANCE_MAX)
		return -EINVAL;
	return str_only(c->instance, allowed) ? 0 : -EINVAL;
}

static int parse_args(struct args *a, int argc, char **argv)
{
	int r = 0, opt;
	while (r == 0 && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		r = take_option(a, opt, optarg);
	if (r == 0 && optind != argc)
		r = -EINVAL;
	a->conf.masks = a->masks;
	a->conf.dns = a->dns[0] ? a->dns : NULL;
	return r < 0 ? r : check_args(&a->conf);
}

int main(int argc, char **argv)
{
	struct args a = { .conf = { .net_ready = NET_READY } };
	struct err err = ERR_INIT;
	if (parse_args(&a, argc, argv) < 0) {
		(void)fprintf(stderr,
		    "usage: sandglass-launcher --state DIR --runtime DIR --instance TAG "
		    "--owner-uid N "
		    "--owner-gid N --agent FILE [--templates DIR] [--mask DIR]... [--cidr NET] "
		    "[--dns ADDR]... "
		    "[--no-network] [--debug]\nIt is started by sandglassd, not by hand.\n");
		return EXIT_FAILURE;
	}
	log_open("sandglass-launcher", a.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	(void)sigaction(SIGPIPE, &ignore, NULL);
	if (geteuid() != 0) {
		log_error("must run as root");
		return EXIT_FAILURE;
	}
	if (server_run(&a.conf, SOCKET_FD, &err) < 0) {
		log_error("%s", err_text(&err));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
