/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers as clients of each protocol write and read them. */
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "proto/types.pb-c.h"
#include "rpc_call_tests.h"
#include "wire/pbwire.h"
#include "wire/pjson.h"

#define RESPONSE &sandglass__test__echo_response__descriptor

void speech_add(
    const struct speech *sp, struct buf *dst, const char *text, unsigned repeat, unsigned code)
{
	Sandglass__Test__EchoRequest m = SANDGLASS__TEST__ECHO_REQUEST__INIT;
	struct buf b = BUF_INIT;
	m.text = (char *)text;
	m.repeat = repeat;
	m.code = code;
	ck_assert_int_eq(
	    sp->codec == RPC_JSON ? pjson_encode(&b, &m.base) : pb_pack(&b, &m.base), 0);
	if (sp->protocol == RPC_CONNECT_UNARY)
		ck_assert_int_eq(buf_append(dst, buf_data(&b), buf_len(&b)), 0);
	else
		ck_assert_int_eq(
		    rpc_frame(dst, 0, buf_data(&b), buf_len(&b), sp->protocol == RPC_GRPC_WEB_TEXT),
		    0);
	buf_fini(&b);
}

static void add_message(const struct speech *sp, struct answer *a, const void *p, size_t n)
{
	struct err err = ERR_INIT;
	Sandglass__Test__EchoResponse *m =
	    (void *)(sp->codec == RPC_JSON ? pjson_decode(RESPONSE, p, n, &err)
					   : pb_unpack(RESPONSE, p, n, &err));
	ck_assert_msg(m != NULL, "%s: %s", sp->name, err.text);
	if (a->n < ANSWERS_MAX) {
		(void)str_copy(a->messages[a->n], sizeof(a->messages[0]), m->text);
		a->index[a->n] = m->index;
	}
	a->n++;
	protobuf_c_message_free_unpacked(&m->base, NULL);
}

static void set_status(struct answer *a, enum rpc_code code, const char *text)
{
	ck_assert(!a->has_status);
	a->has_status = true;
	a->code = code;
	(void)str_copy(a->text, sizeof(a->text), text ? text : "");
}

static void read_grpc_status(struct answer *a, const struct http_fields *f)
{
	struct buf b = BUF_INIT;
	uint64_t code;
	const char *text = http_fields_get(f, "grpc-message"), *t = http_fields_get(f, "x-trailer");
	ck_assert_int_eq(str_u64(http_fields_get(f, "grpc-status"), 16, &code), 0);
	if (text)
		ck_assert_int_eq(str_unpercent(&b, text, strlen(text), false), 0);
	set_status(a, (enum rpc_code)code, buf_cstr(&b));
	(void)str_copy(a->trailer, sizeof(a->trailer), t ? t : "");
	buf_fini(&b);
}

static void read_web_status(struct answer *a, const char *p, size_t n)
{
	struct http_fields f = { 0 };
	char line[512];
	while (n > 0) {
		const char *end = memmem(p, n, "\r\n", 2);
		ck_assert_ptr_nonnull(end);
		size_t len = (size_t)(end - p);
		ck_assert_uint_lt(len, sizeof(line));
		memcpy(line, p, len);
		line[len] = '\0';
		char *value = strstr(line, ": ");
		ck_assert_ptr_nonnull(value);
		*value = '\0';
		ck_assert_int_eq(http_fields_add(&f, line, value + 2), 0);
		p += len + 2;
		n -= len + 2;
	}
	read_grpc_status(a, &f);
	http_fields_fini(&f);
}

static void read_error(struct answer *a, const json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "code"));
	enum rpc_code code = rpc_code_from_name(name);
	ck_assert_str_eq(name, rpc_code_name(code));
	set_status(a, code, json_string_value(json_object_get(o, "message")));
}

static void read_connect_end(struct answer *a, const void *p, size_t n)
{
	struct err err = ERR_INIT;
	json_t *o = json_parse_object(p, n, n, false, &err);
	ck_assert_msg(o != NULL, "%s", err.text);
	const json_t *e = json_object_get(o, "error");
	const json_t *t = json_object_get(json_object_get(o, "metadata"), "x-trailer");
	if (e)
		read_error(a, e);
	else
		set_status(a, RPC_OK, NULL);
	if (t)
		(void)str_copy(
		    a->trailer, sizeof(a->trailer), json_string_value(json_array_get(t, 0)));
	json_decref(o);
}

static void read_unary(const struct speech *sp, const struct exchange *x, struct answer *a)
{
	struct err err = ERR_INIT;
	const char *t = http_fields_get(&x->head, "trailer-x-trailer");
	(void)str_copy(a->trailer, sizeof(a->trailer), t ? t : "");
	if (x->status == 200) {
		ck_assert_str_eq(http_fields_get(&x->head, "content-type"), sp->content_type);
		add_message(sp, a, buf_data(&x->body), buf_len(&x->body));
		set_status(a, RPC_OK, NULL);
		return;
	}
	ck_assert_str_eq(http_fields_get(&x->head, "content-type"), "application/json");
	json_t *o = json_parse_object(buf_data(&x->body), buf_len(&x->body), 65536, false, &err);
	ck_assert_msg(o != NULL, "%s", err.text);
	read_error(a, o);
	ck_assert_int_eq(x->status, rpc_code_http(a->code));
	json_decref(o);
}

static void read_envelope(
    const struct speech *sp, struct answer *a, uint8_t flags, const void *p, size_t n)
{
	bool web = sp->protocol == RPC_GRPC_WEB || sp->protocol == RPC_GRPC_WEB_TEXT;
	ck_assert_msg(!a->has_status, "%s: something follows the status", sp->name);
	if (flags == 0)
		add_message(sp, a, p, n);
	else if (flags == RPC_FLAG_TRAILERS && web)
		read_web_status(a, p, n);
	else if (flags == RPC_FLAG_END_STREAM && sp->protocol == RPC_CONNECT_STREAM)
		read_connect_end(a, p, n);
	else
		ck_abort_msg("%s: flags 0x%02x", sp->name, flags);
}

static void read_envelopes(const struct speech *sp, const struct exchange *x, struct answer *a)
{
	struct rpc_deframer d;
	uint8_t flags;
	const void *p;
	size_t n;
	int r;
	rpc_deframer_init(&d, 1 << 20, sp->protocol == RPC_GRPC_WEB_TEXT);
	ck_assert_int_eq(rpc_deframer_feed(&d, buf_data(&x->body), buf_len(&x->body)), 0);
	while ((r = rpc_deframer_next(&d, &flags, &p, &n)) > 0)
		read_envelope(sp, a, flags, p, n);
	ck_assert_int_eq(r, 0);
	ck_assert(!rpc_deframer_partial(&d));
	rpc_deframer_fini(&d);
}

void speech_read(const struct speech *sp, const struct exchange *x, struct answer *ret)
{
	*ret = (struct answer){ 0 };
	ck_assert_msg(x->ended, "%s: the answer has no end", sp->name);
	if (sp->protocol == RPC_CONNECT_UNARY) {
		read_unary(sp, x, ret);
		return;
	}
	ck_assert_int_eq(x->status, 200);
	ck_assert_str_eq(
	    http_fields_get(&x->head, "content-type"), rpc_content_type(sp->protocol, sp->codec));
	read_envelopes(sp, x, ret);
	if (sp->protocol == RPC_GRPC)
		read_grpc_status(
		    ret, http_fields_get(&x->head, "grpc-status") ? &x->head : &x->trailers);
	ck_assert_msg(ret->has_status, "%s: no status", sp->name);
}
