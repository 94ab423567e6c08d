/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass create, and the making of sandboxes for sandglass run. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "ctl/ctl.h"
#include "sandglass/v1/sandbox.pb-c.h"

bool ctl_new_option(struct ctl_new *n, int opt, char *arg, bool *ret_bad)
{
	uint64_t v;
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
	*ret = (struct ctl_made){ 0 };
	return ctl_call(c, "/sandglass.v1.SandboxService/CreateSandbox", &q.base,
		   &sandglass__v1__create_sandbox_response__descriptor, NULL, false, on_made,
		   ret) == RPC_OK;
}

int ctl_create(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = { { "template", 1, NULL, 't' },
		{ "timeout", 1, NULL, 'T' }, { "env", 1, NULL, 'e' }, { "metadata", 1, NULL, 'm' },
		{ "no-internet", 0, NULL, 'N' }, { NULL, 0, NULL, 0 } };
	struct ctl_new n = { 0 };
	struct ctl_made made;
	bool bad = false;
	for (int opt; (opt = getopt_long(argc, argv, "t:e:m:", options, NULL)) != -1;)
		if (!ctl_new_option(&n, opt, optarg, &bad))
			return 2;
	if (bad || optind != argc) {
		(void)ctl_fail(c, "wrong arguments; see sandglass --help");
		return 2;
	}
	if (!ctl_make(c, &n, &made))
		return EXIT_FAILURE;
	(void)printf("%s\n", made.id);
	return EXIT_SUCCESS;
}
