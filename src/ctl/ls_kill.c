/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass ls, kill, pause and resume. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "ctl/ctl.h"
#include "sandglass/v1/sandbox.pb-c.h"

#define SERVICE "/sandglass.v1.SandboxService/"

static void print_row(const Sandglass__V1__Sandbox *s)
{
	int64_t left = s->end_at ? s->end_at->seconds - (int64_t)time(NULL) : 0;
	char rest[32] = "paused";
	if (s->state != SANDGLASS__V1__SANDBOX_STATE__SANDBOX_STATE_PAUSED)
		(void)snprintf(rest, sizeof(rest), "%" PRId64 " s", left > 0 ? left : 0);
	(void)printf("%-22s  %-24s  %-16s  %8s  %4" PRIu64 " MiB", s->sandbox_id, s->template_name,
	    s->isolation, rest, s->memory_bytes >> 20);
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
		if (ctl_call(c, SERVICE "ListSandboxes", &q.base,
			&sandglass__v1__list_sandboxes_response__descriptor, NULL, false, on_page,
			&p) != RPC_OK)
			return EXIT_FAILURE;
	} while (p.next[0]);
	return EXIT_SUCCESS;
}

/* A call whose answer says no more than that it was done. */
static bool done(struct ctl *c, const char *path, const ProtobufCMessage *q,
    const ProtobufCMessageDescriptor *answer, bool quiet)
{
	return ctl_call(c, path, q, answer, NULL, quiet, NULL, NULL) == RPC_OK;
}

bool ctl_kill_one(struct ctl *c, const char *id, bool quiet)
{
	Sandglass__V1__KillSandboxRequest q = SANDGLASS__V1__KILL_SANDBOX_REQUEST__INIT;
	q.sandbox_id = (char *)id;
	return done(c, SERVICE "KillSandbox", &q.base,
	    &sandglass__v1__kill_sandbox_response__descriptor, quiet);
}

static bool pause_one(struct ctl *c, const char *id)
{
	Sandglass__V1__PauseSandboxRequest q = SANDGLASS__V1__PAUSE_SANDBOX_REQUEST__INIT;
	q.sandbox_id = (char *)id;
	return done(c, SERVICE "PauseSandbox", &q.base,
	    &sandglass__v1__pause_sandbox_response__descriptor, false);
}

static bool resume_one(struct ctl *c, const char *id)
{
	Sandglass__V1__ResumeSandboxRequest q = SANDGLASS__V1__RESUME_SANDBOX_REQUEST__INIT;
	q.sandbox_id = (char *)id;
	return done(c, SERVICE "ResumeSandbox", &q.base,
	    &sandglass__v1__resume_sandbox_response__descriptor, false);
}

static bool kill_one(struct ctl *c, const char *id)
{
	return ctl_kill_one(c, id, false);
}

/* Every argument; the first failure does not keep the others from being tried. */
static int with_each(
    struct ctl *c, int argc, char **argv, bool (*fn)(struct ctl *c, const char *id))
{
	int status = EXIT_SUCCESS;
	if (argc < 2) {
		(void)ctl_fail(c, "expected one sandbox id or more");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		if (!fn(c, argv[i]))
			status = EXIT_FAILURE;
	return status;
}

int ctl_kill(struct ctl *c, int argc, char **argv)
{
	return with_each(c, argc, argv, kill_one);
}

int ctl_pause(struct ctl *c, int argc, char **argv)
{
	return with_each(c, argc, argv, pause_one);
}

int ctl_resume(struct ctl *c, int argc, char **argv)
{
	return with_each(c, argc, argv, resume_one);
}
