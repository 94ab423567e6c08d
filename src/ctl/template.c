/* SPDX-License-Identifier: Apache-2.0 */
/* sandglass template: images of templates. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "ctl/ctl.h"
#include "sandglass/v1/template.pb-c.h"

#define SERVICE "/sandglass.v1.TemplateService/"

static const char *state_text(const Sandglass__V1__TemplateImage *t)
{
	switch (t->image ? t->image->state : 0) {
	case SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_READY:
		return "ready";
	case SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_OUTDATED:
		return "outdated";
	case SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_BUILDING:
		return "building";
	case SANDGLASS__V1__IMAGE_STATE__IMAGE_STATE_FAILED:
		return "failed";
	default:
		return t->needs_image ? "not built" : "not needed";
	}
}

static const char *time_text(const Google__Protobuf__Timestamp *at, char *dst, size_t cap)
{
	struct tm tm;
	time_t t = at ? (time_t)at->seconds : 0;
	dst[0] = '\0';
	if (at && localtime_r(&t, &tm))
		(void)strftime(dst, cap, "%Y-%m-%d %H:%M", &tm);
	return dst;
}

/* ---- build ---- */

struct build {
	bool quiet, done;
	char step[32];
};

static void on_build(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__BuildTemplateResponse *r = (const void *)m;
	struct build *b = arg;
	if (r->event_case == SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__EVENT_LINE && !b->quiet) {
		if (!str_eq(b->step, r->line->step))
			(void)printf("==> %s\n", r->line->step);
		(void)str_copy(b->step, sizeof(b->step), r->line->step);
		(void)printf("%s\n", r->line->text);
	} else if (r->event_case == SANDGLASS__V1__BUILD_TEMPLATE_RESPONSE__EVENT_RESULT &&
		   r->result->template_ && r->result->template_->image) {
		const Sandglass__V1__Image *i = r->result->template_->image;
		b->done = true;
		(void)printf(
		    "image %s, %" PRIu64 " MiB, kernel %s\n", i->hash, i->bytes >> 20, i->kernel);
	}
	(void)fflush(stdout);
}

static int build(struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = { { "force", 0, NULL, 'f' },
		{ "quiet", 0, NULL, 'q' }, { NULL, 0, NULL, 0 } };
	Sandglass__V1__BuildTemplateRequest q = SANDGLASS__V1__BUILD_TEMPLATE_REQUEST__INIT;
	struct build b = { .quiet = false };
	for (int opt; (opt = getopt_long(argc, argv, "fq", options, NULL)) != -1;) {
		if (opt == 'f')
			q.force = true;
		else if (opt == 'q')
			b.quiet = true;
		else
			return 2;
	}
	if (argc - optind != 1) {
		(void)ctl_fail(c, "build: expected the name of a template");
		return 2;
	}
	q.template_ = argv[optind];
	enum rpc_code code = ctl_call(c, SERVICE "BuildTemplate", &q.base,
	    &sandglass__v1__build_template_response__descriptor, NULL, false, on_build, &b);
	if (c->interrupted)
		return 130;
	if (code == RPC_OK && !b.done)
		(void)ctl_fail(c, "the stream ended without a result");
	return code == RPC_OK && b.done ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- list, show, rm ---- */

static void on_list(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__ListTemplateImagesResponse *r = (const void *)m;
	(void)arg;
	for (size_t i = 0; i < r->n_templates; i++) {
		const Sandglass__V1__TemplateImage *t = r->templates[i];
		char when[32];
		if (!t->template_ || !t->image)
			continue;
		(void)printf("%-28s  %-10s", t->template_->name, state_text(t));
		if (t->image->hash[0])
			(void)printf("  %5" PRIu64 " MiB  %s", t->image->bytes >> 20,
			    time_text(t->image->created_at, when, sizeof(when)));
		(void)putchar('\n');
	}
}

static int list(struct ctl *c, int argc, char **argv)
{
	Sandglass__V1__ListTemplateImagesRequest q =
	    SANDGLASS__V1__LIST_TEMPLATE_IMAGES_REQUEST__INIT;
	(void)argv;
	if (argc != 1) {
		(void)ctl_fail(c, "list: takes no arguments");
		return 2;
	}
	return ctl_call(c, SERVICE "ListTemplates", &q.base,
		   &sandglass__v1__list_template_images_response__descriptor, NULL, false, on_list,
		   NULL) == RPC_OK
		   ? EXIT_SUCCESS
		   : EXIT_FAILURE;
}

static void print_image(const Sandglass__V1__TemplateImage *t)
{
	const Sandglass__V1__Image *i = t->image;
	char when[32];
	(void)printf("image        %s\n", state_text(t));
	if (i->hash[0])
		(void)printf("  hash       %s\n  size       %" PRIu64
			     " MiB (%s)\n  kernel     %s\n  built      %s\n",
		    i->hash, i->bytes >> 20, i->format, i->kernel,
		    time_text(i->created_at, when, sizeof(when)));
	if (i->error[0])
		(void)printf("  error      %s\n", i->error);
}

static void on_show(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__GetTemplateResponse *r = (const void *)m;
	const Sandglass__V1__TemplateImage *t = r->template_;
	(void)arg;
	if (!t || !t->template_ || !t->image)
		return;
	(void)printf(
	    "name         %s\nid           %s\n", t->template_->name, t->template_->template_id);
	for (size_t i = 0; i < t->template_->n_aliases; i++)
		(void)printf("%s%s", i ? " " : "aliases      ", t->template_->aliases[i]);
	if (t->template_->n_aliases)
		(void)putchar('\n');
	(void)printf("description  %s\nbase         ", t->template_->description);
	for (size_t i = 0; i < t->n_bases; i++)
		(void)printf("%s%s", i ? ", " : "", t->bases[i]);
	(void)printf("\nresources    %.1f cpus, %" PRIu64 " MiB memory, %" PRIu64 " MiB disk\n",
	    t->template_->cpu_milli / 1000.0, t->template_->memory_bytes >> 20,
	    t->template_->disk_bytes >> 20);
	print_image(t);
}

static int show(struct ctl *c, int argc, char **argv)
{
	Sandglass__V1__GetTemplateRequest q = SANDGLASS__V1__GET_TEMPLATE_REQUEST__INIT;
	if (argc != 2) {
		(void)ctl_fail(c, "show: expected the name of a template");
		return 2;
	}
	q.template_ = argv[1];
	return ctl_call(c, SERVICE "GetTemplate", &q.base,
		   &sandglass__v1__get_template_response__descriptor, NULL, false, on_show,
		   NULL) == RPC_OK
		   ? EXIT_SUCCESS
		   : EXIT_FAILURE;
}

static int rm(struct ctl *c, int argc, char **argv)
{
	Sandglass__V1__RemoveTemplateRequest q = SANDGLASS__V1__REMOVE_TEMPLATE_REQUEST__INIT;
	int status = EXIT_SUCCESS;
	if (argc < 2) {
		(void)ctl_fail(c, "rm: expected one template or more");
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		q.template_ = argv[i];
		if (ctl_call(c, SERVICE "RemoveTemplate", &q.base,
			&sandglass__v1__remove_template_response__descriptor, NULL, false, NULL,
			NULL) != RPC_OK)
			status = EXIT_FAILURE;
	}
	return status;
}

int ctl_template(struct ctl *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct ctl *c, int argc, char **argv);
	} commands[] = { { "build", build }, { "list", list }, { "show", show }, { "rm", rm } };
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (str_eq(argv[1], commands[i].name))
			return commands[i].run(c, argc - 1, argv + 1);
	(void)ctl_fail(c, "expected build, list, show or rm");
	return 2;
}
