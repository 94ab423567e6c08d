/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandglass run: code from a file or standard input, output as it comes. Without --sandbox a
 * sandbox is made for the run and removed afterwards. The exit status is 0 when the code ran to its
 * end, 1 when it raised or could not run, 130 when it was interrupted.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "ctl/ctl.h"
#include "sandglass/v1/code_interpreter.pb-c.h"
#include "sandglass/v1/sandbox.pb-c.h"

#define CODE_MAX (16u * 1024 * 1024)

struct run {
	struct ctl *ctl;
	struct ctl_new new_sandbox;
	struct ctl_made sandbox;
	char *sandbox_id; /* --sandbox */
	char *language, *context;
	bool keep;
	bool ended, ok;
};

/* ---- output ---- */

static void print_result(const Sandglass__V1__Result *r)
{
	const char *text = NULL;
	for (size_t i = 0; i < r->n_data; i++)
		if (str_eq(r->data[i]->key, "text/plain"))
			text = r->data[i]->value;
	if (text)
		(void)printf("%s\n", text);
	for (size_t i = 0; i < r->n_data; i++)
		if (str_after(r->data[i]->key, "image/"))
			(void)printf("[%s, %zu bytes]\n", r->data[i]->key,
			    strlen(r->data[i]->value) / 4 * 3);
}

static void print_end(struct run *run, const Sandglass__V1__End *e)
{
	run->ended = true;
	run->ok = e->status == SANDGLASS__V1__END_STATUS__END_STATUS_OK;
	if (!run->ok && e->status != SANDGLASS__V1__END_STATUS__END_STATUS_ERROR) {
		const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
		    &sandglass__v1__end_status__descriptor, e->status);
		(void)fprintf(stderr, "sandglass: run: %s%s%s\n", v ? v->name : "ended",
		    e->detail[0] ? ": " : "", e->detail);
	}
}

static void on_event(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__ExecuteResponse *r = (const void *)m;
	switch (r->event_case) {
	case SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_STDOUT:
		(void)fputs(r->stdout->text, stdout);
		break;
	case SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_STDERR:
		(void)fputs(r->stderr->text, stderr);
		break;
	case SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_RESULT:
		print_result(r->result);
		break;
	case SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_ERROR:
		(void)fprintf(
		    stderr, "%s\n", r->error->traceback[0] ? r->error->traceback : r->error->value);
		break;
	case SANDGLASS__V1__EXECUTE_RESPONSE__EVENT_END:
		print_end(arg, r->end);
		break;
	default:
		break;
	}
	(void)fflush(stdout);
}

/* ---- the run ---- */

static void on_token(const ProtobufCMessage *m, void *arg)
{
	const Sandglass__V1__GetSandboxResponse *r = (const void *)m;
	struct ctl_made *made = arg;
	(void)str_copy(made->token, sizeof(made->token), r->access_token);
}

static bool get_sandbox(struct run *r)
{
	Sandglass__V1__GetSandboxRequest q = SANDGLASS__V1__GET_SANDBOX_REQUEST__INIT;
	if (!r->sandbox_id)
		return ctl_make(r->ctl, &r->new_sandbox, &r->sandbox);
	q.sandbox_id = r->sandbox_id;
	(void)str_copy(r->sandbox.id, sizeof(r->sandbox.id), r->sandbox_id);
	return ctl_call(r->ctl, "/sandglass.v1.SandboxService/GetSandbox", &q.base,
		   &sandglass__v1__get_sandbox_response__descriptor, NULL, false, on_token,
		   &r->sandbox) == RPC_OK;
}

static enum rpc_code execute(struct run *r, char *code)
{
	Sandglass__V1__ExecuteRequest q = SANDGLASS__V1__EXECUTE_REQUEST__INIT;
	struct http_fields metadata = { 0 };
	enum rpc_code status = RPC_INTERNAL;
	q.code = code;
	q.interrupt_on_disconnect = true;
	if (r->language)
		q.language = r->language;
	if (r->context)
		q.context_id = r->context;
	if (http_fields_add(&metadata, "sandglass-sandbox-id", r->sandbox.id) == 0 &&
	    http_fields_add(&metadata, "x-access-token", r->sandbox.token) == 0)
		status = ctl_call(r->ctl, "/sandglass.v1.CodeInterpreter/Execute", &q.base,
		    &sandglass__v1__execute_response__descriptor, &metadata, false, on_event, r);
	http_fields_fini(&metadata);
	return status;
}

static bool read_code(struct run *r, const char *path, struct buf *dst)
{
	bool from_stdin = !path || str_eq(path, "-");
	CLEAN_FD int fd = from_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (!from_stdin && fd < 0) {
		(void)ctl_fail(r->ctl, "%s: %s", path, err_name(-errno));
		return false;
	}
	int e = fd_read_all(from_stdin ? STDIN_FILENO : fd, CODE_MAX, dst);
	if (e == 0 && !str_utf8_valid(buf_data(dst), buf_len(dst)))
		e = -EILSEQ;
	if (e == 0 && buf_len(dst) > 0 && memchr(buf_data(dst), 0, buf_len(dst)))
		e = -EILSEQ;
	if (e < 0)
		(void)ctl_fail(r->ctl, "%s: %s", from_stdin ? "standard input" : path, err_name(e));
	return e == 0;
}

static bool parse(struct run *r, int argc, char **argv, const char **ret_path)
{
	static const struct option options[] = { { "sandbox", 1, NULL, 's' },
		{ "language", 1, NULL, 'l' }, { "context", 1, NULL, 'c' }, { "keep", 0, NULL, 'k' },
		CTL_NEW_OPTIONS, { NULL, 0, NULL, 0 } };
	bool bad = false;
	for (int opt; (opt = getopt_long(argc, argv, "s:l:c:kt:e:m:", options, NULL)) != -1;) {
		if (opt == 's')
			r->sandbox_id = optarg;
		else if (opt == 'l')
			r->language = optarg;
		else if (opt == 'c')
			r->context = optarg;
		else if (opt == 'k')
			r->keep = true;
		else if (!ctl_new_option(&r->new_sandbox, opt, optarg, &bad))
			return false;
	}
	if (bad || argc - optind > 1) {
		const char *wrong = r->new_sandbox.wrong;
		(void)ctl_fail(r->ctl, "%s", wrong ? wrong : CTL_WRONG);
		return false;
	}
	*ret_path = optind < argc ? argv[optind] : NULL;
	return true;
}

int ctl_run(struct ctl *c, int argc, char **argv)
{
	struct run r = { .ctl = c };
	CLEAN_BUF struct buf code = BUF_INIT;
	const char *path;
	if (!parse(&r, argc, argv, &path))
		return 2;
	if (!read_code(&r, path, &code) || !buf_cstr(&code) || !get_sandbox(&r))
		return EXIT_FAILURE;
	enum rpc_code status = execute(&r, buf_cstr(&code));
	bool interrupted = c->interrupted;
	if (!r.sandbox_id && r.keep) {
		(void)fprintf(stderr, "sandbox %s\n", r.sandbox.id);
	} else if (!r.sandbox_id) {
		c->interrupted = false;
		(void)ctl_kill_one(c, r.sandbox.id, true);
	}
	if (interrupted)
		return 130;
	if (status == RPC_OK && !r.ended)
		(void)ctl_fail(c, "the stream ended without a result");
	return status == RPC_OK && r.ended && r.ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
