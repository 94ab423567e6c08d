/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass create, and the making of sandboxes for sandglass run. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/unit.h"
#include "ctl/ctl.h"
#include "sandglass/v1/sandbox.pb-c.h"

static void refuse(struct ctl_new *n, bool *ret_bad, const char *why)
{
	*ret_bad = true;
	n->wrong = why;
}

bool ctl_new_option(struct ctl_new *n, int opt, char *arg, bool *ret_bad)
{
	uint64_t v = 0;
	switch (opt) {
	case 't':
		n->template_name = arg;
		return true;
	case 'T':
		*ret_bad |= str_u64(arg, 86400 * 365u, &v) < 0;
		n->timeout_s = *ret_bad ? 0 : (uint32_t)v;
		return true;
	case 'e':
		*ret_bad |= n->n_env == sizeof(n->env) / sizeof(n->env[0]);
		if (!*ret_bad)
			n->env[n->n_env++] = arg;
		return true;
	case 'm':
		*ret_bad |= n->n_metadata == sizeof(n->metadata) / sizeof(n->metadata[0]);
		if (!*ret_bad)
			n->metadata[n->n_metadata++] = arg;
		return true;
	case 'N':
		n->no_internet = true;
		return true;
	case 'C':
		if (unit_parse_milli(arg, &v) < 0 || v == 0 || v > UINT32_MAX)
			refuse(n, ret_bad, "--cpus: expected a number such as 2 or 0.5");
		n->cpu_milli = (uint32_t)v;
		return true;
	case 'M':
		if (unit_parse(arg, unit_sizes, &n->memory_bytes) < 0)
			refuse(n, ret_bad, "--memory: expected a " UNIT_SIZE_EXPECTED);
		return true;
	case 'D':
		if (unit_parse(arg, unit_sizes, &n->disk_bytes) < 0)
			refuse(n, ret_bad, "--disk: expected a " UNIT_SIZE_EXPECTED);
		return true;
	default:
		return false;
	}
}

static void on_made(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__CreateSandboxResponse *r = (const void *)m;
	struct ctl_made *made = arg;
	if (!r->sandbox)
		return;
	(void)str_copy(made->id, sizeof(made->id), r->sandbox->sandbox_id);
	(void)str_copy(made->isolation, sizeof(made->isolation), r->sandbox->isolation);
	(void)str_copy(made->token, sizeof(made->token), r->access_token);
}

bool ctl_make(struct ctl *c, struct ctl_new *n, struct ctl_made *ret)
{
	Sandglass__V1__CreateSandboxRequest q = SANDGLASS__V1__CREATE_SANDBOX_REQUEST__INIT;
	Sandglass__V1__CreateSandboxRequest__EnvEntry env[64], *envp[64];
	Sandglass__V1__CreateSandboxRequest__MetadataEntry meta[64], *metap[64];
	for (unsigned i = 0; i < n->n_env; i++) {
		sandglass__v1__create_sandbox_request__env_entry__init(envp[i] = &env[i]);
		if (!ctl_split_pair(c, "--env", n->env[i], &env[i].key, &env[i].value))
			return false;
	}
	for (unsigned i = 0; i < n->n_metadata; i++) {
		sandglass__v1__create_sandbox_request__metadata_entry__init(metap[i] = &meta[i]);
		if (!ctl_split_pair(c, "--metadata", n->metadata[i], &meta[i].key, &meta[i].value))
			return false;
	}
	q.env = envp;
	q.n_env = n->n_env;
	q.metadata = metap;
	q.n_metadata = n->n_metadata;
	if (n->template_name)
		q.template_ = n->template_name;
	q.timeout_seconds = n->timeout_s;
	q.deny_internet = n->no_internet;
	q.cpu_milli = n->cpu_milli;
	q.memory_bytes = n->memory_bytes;
	q.disk_bytes = n->disk_bytes;
	*ret = (struct ctl_made){ 0 };
	return ctl_call(c, "/sandglass.v1.SandboxService/CreateSandbox", &q.base,
		   &sandglass__v1__create_sandbox_response__descriptor, NULL, false, on_made,
		   ret) == RPC_OK;
}

int ctl_create(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = { CTL_NEW_OPTIONS, { NULL, 0, NULL, 0 } };
	struct ctl_new n = { 0 };
	struct ctl_made made;
	bool bad = false;
	for (int opt; (opt = getopt_long(argc, argv, "t:e:m:", options, NULL)) != -1;)
		if (!ctl_new_option(&n, opt, optarg, &bad))
			return 2;
	if (bad || optind != argc) {
		(void)ctl_fail(c, "%s", n.wrong ? n.wrong : CTL_WRONG);
		return 2;
	}
	if (!ctl_make(c, &n, &made))
		return EXIT_FAILURE;
	(void)printf("%s\n", made.id);
	return EXIT_SUCCESS;
}
