/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass ls and sandglass kill. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "ctl/ctl.h"
#include "sandglass/v1/sandbox.pb-c.h"

static void print_row(const Sandglass__V1__Sandbox *s)
{
	int64_t left = s->end_at ? s->end_at->seconds - (int64_t)time(NULL) : 0;
	(void)printf("%-22s  %-24s  %-16s  %6" PRId64 " s  %4" PRIu64 " MiB", s->sandbox_id,
	    s->template_name, s->isolation, left > 0 ? left : 0, s->memory_bytes >> 20);
	for (size_t i = 0; i < s->n_metadata; i++)
		(void)printf("  %s=%s", s->metadata[i]->key, s->metadata[i]->value);
	(void)putchar('\n');
}

struct page {
	char next[512];
	size_t n;
};

static void on_page(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__ListSandboxesResponse *r = (const void *)m;
	struct page *p = arg;
	for (size_t i = 0; i < r->n_sandboxes; i++)
		print_row(r->sandboxes[i]);
	p->n += r->n_sandboxes;
	(void)str_copy(p->next, sizeof(p->next), r->next_page_token);
}

int ctl_ls(struct ctl *c, int argc, char **argv)
{
	struct page p = { 0 };
	if (argc != 1) {
		(void)ctl_fail(c, "takes no arguments");
		return 2;
	}
	do {
		char token[sizeof(p.next)];
		Sandglass__V1__ListSandboxesRequest q = SANDGLASS__V1__LIST_SANDBOXES_REQUEST__INIT;
		(void)str_copy(token, sizeof(token), p.next);
		p.next[0] = '\0';
		q.page_token = token;
		if (ctl_call(c, "/sandglass.v1.SandboxService/ListSandboxes", &q.base,
			&sandglass__v1__list_sandboxes_response__descriptor, NULL, false, on_page,
			&p) != RPC_OK)
			return EXIT_FAILURE;
	} while (p.next[0]);
	return EXIT_SUCCESS;
}

bool ctl_kill_one(struct ctl *c, const char *id, bool quiet)
{
	Sandglass__V1__KillSandboxRequest q = SANDGLASS__V1__KILL_SANDBOX_REQUEST__INIT;
	q.sandbox_id = (char *)id;
	return ctl_call(c, "/sandglass.v1.SandboxService/KillSandbox", &q.base,
		   &sandglass__v1__kill_sandbox_response__descriptor, NULL, quiet, NULL,
		   NULL) == RPC_OK;
}

int ctl_kill(struct ctl *c, int argc, char **argv)
{
	int status = EXIT_SUCCESS;
	if (argc < 2) {
		(void)ctl_fail(c, "expected one sandbox id or more");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		if (!ctl_kill_one(c, argv[i], false))
			status = EXIT_FAILURE;
	return status;
}
