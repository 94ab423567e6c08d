/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc.reflection.v1 (grpc/grpc doc/server-reflection.md), also under the name v1alpha, whose
 * messages are the same on the wire.
 *
 * A file is answered with everything that it imports, directly or not; what a stream was given
 * before is not sent to it again, except the file that was asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "rpc/descriptors.h"
#include "rpc/router.h"

#define ALPHA_NAME "grpc.reflection.v1alpha.ServerReflection"
#define ASKED(x) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##x
#define ANSWER(x) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##x

typedef Grpc__Reflection__V1__ServerReflectionRequest request_t;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_t;

struct rpc_reflection {
	struct rpc_router *router;
	struct descriptors *descriptors;
	struct rpc_service service;
};

/* ---- answers: all 0 or -errno from call_send() or allocation ---- */

static int answer_not_found(struct call *c, response_t *a, const char *what)
{
	Grpc__Reflection__V1__ErrorResponse e = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
	CLEAN_FREE char *text = mem_printf("not found: %.200s", what);
	if (!text)
		return -ENOMEM;
	e.error_code = RPC_NOT_FOUND;
	e.error_message = text;
	a->message_response_case = ANSWER(ERROR_RESPONSE);
	a->error_response = &e;
	return call_send(c, &a->base);
}

/* What one stream has been given: a byte per file. */
static unsigned char *given_of(struct call *c, const struct rpc_reflection *r)
{
	if (!call_user(c)) {
		size_t n = descriptors_count(r->descriptors);
		call_set_user(c, mem_zalloc(n ? n : 1));
	}
	return call_user(c);
}

/* The indexes of a file and of its imports that were not given yet, breadth first; returns how
 * many. */
static size_t collect_files(const struct descriptors *d, size_t root, unsigned char *given,
    unsigned char *seen, size_t *ret_order)
{
	size_t n = 0, queued = 0;
	size_t *queue = ret_order + descriptors_count(d);
	queue[queued++] = root;
	seen[root] = 1;
	for (size_t i = 0; i < queued; i++) {
		const struct descriptor_file *f = descriptors_at(d, queue[i]);
		if (i == 0 || !given[queue[i]])
			ret_order[n++] = queue[i];
		given[queue[i]] = 1;
		for (size_t k = 0; k < f->n_imports; k++) {
			if (!seen[f->imports[k]])
				queue[queued++] = f->imports[k];
			seen[f->imports[k]] = 1;
		}
	}
	return n;
}

static int answer_file(
    struct call *c, response_t *a, const struct descriptor_file *file, const char *what)
{
	const struct rpc_reflection *r = call_service_arg(c);
	const struct descriptors *d = r->descriptors;
	if (!file)
		return answer_not_found(c, a, what);
	Grpc__Reflection__V1__FileDescriptorResponse files =
	    GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
	size_t count = descriptors_count(d);
	unsigned char *given = given_of(c, r);
	CLEAN_FREE unsigned char *seen = mem_zalloc(count);
	CLEAN_FREE size_t *order = mem_calloc(2 * count, sizeof(*order));
	CLEAN_FREE ProtobufCBinaryData *bytes = mem_calloc(count, sizeof(*bytes));
	if (!given || !seen || !order || !bytes)
		return -ENOMEM;
	files.n_file_descriptor_proto =
	    collect_files(d, descriptors_index(d, file), given, seen, order);
	files.file_descriptor_proto = bytes;
	for (size_t i = 0; i < files.n_file_descriptor_proto; i++) {
		const struct descriptor_file *f = descriptors_at(d, order[i]);
		bytes[i] = (ProtobufCBinaryData){ .len = f->n, .data = (uint8_t *)f->p };
	}
	a->message_response_case = ANSWER(FILE_DESCRIPTOR_RESPONSE);
	a->file_descriptor_response = &files;
	return call_send(c, &a->base);
}

/* A name without descriptors is left out: tools could not describe it. */
static int answer_services(struct call *c, response_t *a)
{
	const struct rpc_reflection *r = call_service_arg(c);
	Grpc__Reflection__V1__ListServiceResponse list =
	    GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
	size_t count = 0;
	LIST_EACH(it, &r->router->entries)
	count++;
	CLEAN_FREE Grpc__Reflection__V1__ServiceResponse *items = mem_calloc(count, sizeof(*items));
	CLEAN_FREE Grpc__Reflection__V1__ServiceResponse **pointers =
	    mem_calloc(count, sizeof(*pointers));
	if (!items || !pointers)
		return -ENOMEM;
	LIST_EACH(it, &r->router->entries)
	{
		struct rpc_entry *e = container_of(it, struct rpc_entry, link);
		Grpc__Reflection__V1__ServiceResponse *item = &items[list.n_service];
		if (!descriptors_by_symbol(r->descriptors, e->name))
			continue;
		grpc__reflection__v1__service_response__init(item);
		item->name = e->name;
		pointers[list.n_service++] = item;
	}
	list.service = pointers;
	a->message_response_case = ANSWER(LIST_SERVICES_RESPONSE);
	a->list_services_response = &list;
	return call_send(c, &a->base);
}

static int answer_extension_numbers(struct call *c, response_t *a, const char *type)
{
	const struct rpc_reflection *r = call_service_arg(c);
	Grpc__Reflection__V1__ExtensionNumberResponse numbers =
	    GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
	size_t n = 0;
	if (!descriptors_by_symbol(r->descriptors, type))
		return answer_not_found(c, a, type);
	while (descriptors_extension_of(r->descriptors, type, n))
		n++;
	CLEAN_FREE int32_t *list = mem_calloc(n ? n : 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i] = descriptors_extension_of(r->descriptors, type, i);
	numbers.base_type_name = (char *)type;
	numbers.n_extension_number = n;
	numbers.extension_number = list;
	a->message_response_case = ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE);
	a->all_extension_numbers_response = &numbers;
	return call_send(c, &a->base);
}

static int answer_extension(
    struct call *c, response_t *a, const Grpc__Reflection__V1__ExtensionRequest *asked)
{
	const struct rpc_reflection *r = call_service_arg(c);
	return answer_file(c, a,
	    descriptors_by_extension(
		r->descriptors, asked->containing_type, asked->extension_number),
	    asked->containing_type);
}

static int answer(struct call *c, const request_t *q)
{
	const struct rpc_reflection *r = call_service_arg(c);
	response_t a = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
	a.valid_host = q->host;
	a.original_request = (request_t *)q;
	switch (q->message_request_case) {
	case ASKED(FILE_BY_FILENAME):
		return answer_file(c, &a, descriptors_by_name(r->descriptors, q->file_by_filename),
		    q->file_by_filename);
	case ASKED(FILE_CONTAINING_SYMBOL):
		return answer_file(c, &a,
		    descriptors_by_symbol(r->descriptors, q->file_containing_symbol),
		    q->file_containing_symbol);
	case ASKED(FILE_CONTAINING_EXTENSION):
		return answer_extension(c, &a, q->file_containing_extension);
	case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
		return answer_extension_numbers(c, &a, q->all_extension_numbers_of_type);
	case ASKED(LIST_SERVICES):
		return answer_services(c, &a);
	default:
		return -EINVAL;
	}
}

/* ---- the service ---- */

static void on_message(struct call *c, const ProtobufCMessage *m)
{
	int r = answer(c, (const request_t *)m);
	if (r == -EINVAL)
		call_finish(c, RPC_INVALID_ARGUMENT, "message_request: no known kind is set");
	else if (r < 0)
		call_finish(c, RPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void on_half_close(struct call *c)
{
	call_finish(c, RPC_OK, NULL);
}

static void on_done(struct call *c, int err)
{
	(void)err;
	free(call_user(c));
}

static const struct rpc_method reflection_methods[] = {
	{ .name = "ServerReflectionInfo",
	    .client_stream = true,
	    .server_stream = true,
	    .on_message = on_message,
	    .on_half_close = on_half_close,
	    .on_done = on_done },
};

int rpc_reflection_add(struct rpc_router *r, const void *fds, size_t n)
{
	int err = -ENOMEM;
	struct rpc_reflection *x = mem_zalloc(sizeof(*x));
	if (x)
		x->descriptors = descriptors_new(fds, n, &err);
	if (!x || !x->descriptors) {
		free(x);
		return err;
	}
	x->router = r;
	x->service = (struct rpc_service){
		.descriptor = &grpc__reflection__v1__server_reflection__descriptor,
		.methods = reflection_methods,
		.n_methods = 1,
		.arg = x,
	};
	err = rpc_router_add(r, &x->service);
	if (err < 0) {
		rpc_reflection_free(x);
		return err;
	}
	r->reflection = x; /* from here on the router frees it */
	return rpc_router_add_as(r, ALPHA_NAME, &x->service);
}

struct rpc_reflection *rpc_reflection_free(struct rpc_reflection *r)
{
	if (r)
		descriptors_free(r->descriptors);
	return mem_free(r);
}
