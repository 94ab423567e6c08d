/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "proto/descriptors.h"
#include "rpc/descriptors.h"
#include "rpc_call_tests.h"
#include "wire/pbwire.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;
#define ASKED(x) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##x
#define ANSWER(x) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##x

static const char *const fields[] = { "content-type", "application/grpc", NULL };

struct talk {
	struct world w;
	struct exchange x;
	struct rpc_deframer d;
	size_t fed;
};

static void talk_init(struct talk *t, const char *service)
{
	char path[128];
	world_init(&t->w, 2);
	ck_assert_int_eq(
	    rpc_reflection_add(t->w.router, proto_descriptors, sizeof(proto_descriptors)), 0);
	ck_assert_int_eq(rpc_health_add(t->w.router), 0);
	(void)snprintf(path, sizeof(path), "/%s/ServerReflectionInfo", service);
	exchange_start(&t->w.lb, &t->x, "POST", path, fields);
	rpc_deframer_init(&t->d, 1 << 20, false);
	t->fed = 0;
}

static void talk_fini(struct talk *t, const char *status)
{
	if (t->x.st)
		ck_assert_int_eq(http_stream_end(t->x.st, NULL), 0);
	world_settle(&t->w);
	const char *got = http_fields_get(&t->x.trailers, "grpc-status");
	ck_assert_str_eq(got ? got : http_fields_get(&t->x.head, "grpc-status"), status);
	rpc_deframer_fini(&t->d);
	exchange_fini(&t->x);
	world_fini(&t->w);
}

/* Ask, and take the one answer; NULL when the server gives none. */
static response_t *ask(struct talk *t, int kind, const char *text)
{
	request_t q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	struct buf b = BUF_INIT, framed = BUF_INIT;
	struct err err = ERR_INIT;
	uint8_t flags;
	const void *p;
	size_t n;
	q.host = (char *)"here";
	q.message_request_case = kind;
	if (kind)
		q.list_services = (char *)text; /* every text kind has the same place */
	ck_assert_int_eq(pb_pack(&b, &q.base), 0);
	ck_assert_int_eq(rpc_frame(&framed, 0, buf_data(&b), buf_len(&b), false), 0);
	ck_assert_int_eq(http_stream_write(t->x.st, buf_data(&framed), buf_len(&framed)), 0);
	buf_fini(&b);
	buf_fini(&framed);
	world_settle(&t->w);
	ck_assert_int_eq(
	    rpc_deframer_feed(&t->d, buf_data(&t->x.body) + t->fed, buf_len(&t->x.body) - t->fed),
	    0);
	t->fed = buf_len(&t->x.body);
	if (rpc_deframer_next(&t->d, &flags, &p, &n) <= 0)
		return NULL;
	response_t *a = (void *)pb_unpack(
	    &grpc__reflection__v1__server_reflection_response__descriptor, p, n, &err);
	ck_assert_msg(a != NULL, "%s", err.text);
	ck_assert_str_eq(a->valid_host, "here");
	ck_assert_int_eq(a->original_request->message_request_case, kind);
	ck_assert_int_eq(rpc_deframer_next(&t->d, &flags, &p, &n), 0);
	return a;
}

static void done(response_t *a)
{
	protobuf_c_message_free_unpacked(&a->base, NULL);
}

START_TEST(services_are_listed)
{
	struct talk t;
	talk_init(&t, _i ? "grpc.reflection.v1alpha.ServerReflection"
			 : "grpc.reflection.v1.ServerReflection");
	response_t *a = ask(&t, ASKED(LIST_SERVICES), "");
	ck_assert_int_eq(a->message_response_case, ANSWER(LIST_SERVICES_RESPONSE));
	/* The test's own service has no descriptors in this set. */
	static const char *const names[] = { "grpc.reflection.v1.ServerReflection",
		"grpc.reflection.v1alpha.ServerReflection", "grpc.health.v1.Health" };
	ck_assert_uint_eq(a->list_services_response->n_service, 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_str_eq(a->list_services_response->service[i]->name, names[i]);
	done(a);
	talk_fini(&t, "0");
}
END_TEST

/* The name inside a serialised FileDescriptorProto. */
static bool has_name(const ProtobufCBinaryData *file, const char *name)
{
	struct pb_cursor c = { file->data, file->data + file->len };
	struct pb_field f;
	ck_assert_int_eq(pb_next(&c, &f), 1);
	ck_assert_uint_eq(f.number, 1);
	size_t n = (size_t)(f.bytes.end - f.bytes.p);
	return n == strlen(name) && memcmp(f.bytes.p, name, n) == 0;
}

START_TEST(files_come_with_their_imports_once)
{
	struct talk t;
	talk_init(&t, "grpc.reflection.v1.ServerReflection");
	response_t *a =
	    ask(&t, ASKED(FILE_CONTAINING_SYMBOL), "sandglass.v1.CodeInterpreter.Execute");
	ck_assert_int_eq(a->message_response_case, ANSWER(FILE_DESCRIPTOR_RESPONSE));
	const Grpc__Reflection__V1__FileDescriptorResponse *f = a->file_descriptor_response;
	ck_assert_uint_eq(f->n_file_descriptor_proto, 3);
	ck_assert(has_name(&f->file_descriptor_proto[0], "sandglass/v1/code_interpreter.proto"));
	ck_assert(has_name(&f->file_descriptor_proto[1], "google/protobuf/struct.proto"));
	ck_assert(has_name(&f->file_descriptor_proto[2], "google/protobuf/timestamp.proto"));
	done(a);
	/* Its import is known by now; the file itself is not. */
	a = ask(&t, ASKED(FILE_BY_FILENAME), "sandglass/v1/sandbox.proto");
	f = a->file_descriptor_response;
	ck_assert_uint_eq(f->n_file_descriptor_proto, 1);
	ck_assert(has_name(&f->file_descriptor_proto[0], "sandglass/v1/sandbox.proto"));
	done(a);
	/* What is asked for comes again. */
	a = ask(&t, ASKED(FILE_BY_FILENAME), "google/protobuf/timestamp.proto");
	ck_assert_uint_eq(a->file_descriptor_response->n_file_descriptor_proto, 1);
	done(a);
	talk_fini(&t, "0");
}
END_TEST

static const struct {
	const char *symbol, *file;
} symbols[] = {
	{ "sandglass.v1.SandboxService", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.SandboxService.KillSandbox", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.Sandbox", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.Sandbox.sandbox_id", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.Sandbox.MetadataEntry", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.Sandbox.MetadataEntry.key", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.WatchEventsResponse.Ended", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.WatchEventsResponse.event", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.EndReason", "sandglass/v1/sandbox.proto" },
	{ "sandglass.v1.END_REASON_CRASHED", "sandglass/v1/sandbox.proto" },
	{ "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto" },
	{ "grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto" },
	{ "google.protobuf.Value", "google/protobuf/struct.proto" },
	{ "google.protobuf.NULL_VALUE", "google/protobuf/struct.proto" },
};

START_TEST(every_kind_of_symbol)
{
	struct talk t;
	talk_init(&t, "grpc.reflection.v1.ServerReflection");
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		response_t *a = ask(&t, ASKED(FILE_CONTAINING_SYMBOL), symbols[i].symbol);
		ck_assert_msg(a->message_response_case == ANSWER(FILE_DESCRIPTOR_RESPONSE), "%s",
		    symbols[i].symbol);
		ck_assert(has_name(
		    &a->file_descriptor_response->file_descriptor_proto[0], symbols[i].file));
		done(a);
	}
	talk_fini(&t, "0");
}
END_TEST

START_TEST(what_is_not_there)
{
	static const int kinds[] = { ASKED(FILE_BY_FILENAME), ASKED(FILE_CONTAINING_SYMBOL),
		ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE) };
	struct talk t;
	talk_init(&t, "grpc.reflection.v1.ServerReflection");
	for (size_t i = 0; i < 3; i++) {
		response_t *a = ask(&t, kinds[i], "no.Such");
		ck_assert_int_eq(a->message_response_case, ANSWER(ERROR_RESPONSE));
		ck_assert_int_eq(a->error_response->error_code, RPC_NOT_FOUND);
		ck_assert_ptr_nonnull(strstr(a->error_response->error_message, "no.Such"));
		done(a);
	}
	response_t *a = ask(&t, ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE), "sandglass.v1.Sandbox");
	ck_assert_int_eq(a->message_response_case, ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE));
	ck_assert_uint_eq(a->all_extension_numbers_response->n_extension_number, 0);
	done(a);
	talk_fini(&t, "0");
}
END_TEST

START_TEST(empty_question)
{
	struct talk t;
	talk_init(&t, "grpc.reflection.v1.ServerReflection");
	ck_assert_ptr_null(ask(&t, 0, NULL));
	talk_fini(&t, "3");
}
END_TEST

/* ---- the index ---- */

/* file "e.proto", package "p": message M, extension p.ext = 7 of p.M, extension p.N.in = 9 of p.M
 * in N */
static const unsigned char with_extensions[] = "\x0a\x3b\x0a\x07"
					       "e.proto"
					       "\x12\x01p"
					       "\x22\x03\x0a\x01M"
					       "\x22\x15\x0a\x01N"
					       "\x32\x10\x0a\x02in"
					       "\x12\x04.p.M\x18\x09"
					       "\x20\x01\x28\x05"
					       "\x3a\x11\x0a\x03"
					       "ext"
					       "\x12\x04.p.M\x18\x07"
					       "\x20\x01\x28\x05";

START_TEST(extensions_are_found)
{
	int err = 0;
	struct descriptors *d = descriptors_new(with_extensions, sizeof(with_extensions) - 1, &err);
	ck_assert_msg(d != NULL, "%d", err);
	ck_assert_uint_eq(descriptors_count(d), 1);
	ck_assert_ptr_nonnull(descriptors_by_symbol(d, "p.ext"));
	ck_assert_ptr_nonnull(descriptors_by_symbol(d, "p.N.in"));
	ck_assert_ptr_nonnull(descriptors_by_extension(d, "p.M", 7));
	ck_assert_ptr_nonnull(descriptors_by_extension(d, "p.M", 9));
	ck_assert_ptr_null(descriptors_by_extension(d, "p.M", 8));
	ck_assert_ptr_null(descriptors_by_extension(d, "p.N", 7));
	ck_assert_int_eq(descriptors_extension_of(d, "p.M", 0), 9);
	ck_assert_int_eq(descriptors_extension_of(d, "p.M", 1), 7);
	ck_assert_int_eq(descriptors_extension_of(d, "p.M", 2), 0);
	descriptors_free(d);
}
END_TEST

START_TEST(broken_sets_are_refused)
{
	/* Any cut and any flipped byte of a real set: refused or accepted, never worse. */
	unsigned char *copy = malloc(sizeof(proto_descriptors));
	ck_assert_ptr_nonnull(copy);
	for (size_t n = 0; n < sizeof(proto_descriptors); n += 97) {
		int err = 0;
		memcpy(copy, proto_descriptors, sizeof(proto_descriptors));
		struct descriptors *d = descriptors_new(copy, n, &err);
		ck_assert(d || err == -EINVAL);
		descriptors_free(d);
		copy[n] ^= 0x55;
		d = descriptors_new(copy, sizeof(proto_descriptors), &err);
		ck_assert(d || err == -EINVAL);
		descriptors_free(d);
	}
	free(copy);
}
END_TEST

START_TEST(index_without_memory)
{
	for (long n = 0;; n += n < 50 ? 1 : 37) {
		int err = 0;
		mem_fail_after(n);
		struct descriptors *d =
		    descriptors_new(proto_descriptors, sizeof(proto_descriptors), &err);
		mem_fail_after(-1);
		descriptors_free(d);
		if (d)
			return;
		ck_assert_int_eq(err, -ENOMEM);
	}
}
END_TEST

void reflection_tests(Suite *s)
{
	TCase *tc = test_case(s, "reflection", 30);
	tcase_add_loop_test(tc, services_are_listed, 0, 2);
	tcase_add_test(tc, files_come_with_their_imports_once);
	tcase_add_test(tc, every_kind_of_symbol);
	tcase_add_test(tc, what_is_not_there);
	tcase_add_test(tc, empty_question);
	tcase_add_test(tc, extensions_are_found);
	tcase_add_test(tc, broken_sets_are_refused);
	tcase_add_test(tc, index_without_memory);
}
