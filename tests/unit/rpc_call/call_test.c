/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of method over every protocol that can carry it. */
#include <errno.h>
#include <string.h>

#include "rpc_call_tests.h"

START_TEST(unary_answers)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	struct answer a;
	if (sp->protocol == RPC_CONNECT_STREAM)
		return;
	world_init(&w, sp->version);
	speech_call(&w, sp, "Unary", "hello \xc3\xa9", 0, 0, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_str_eq(a.messages[0], "hello \xc3\xa9");
	ck_assert_uint_eq(w.echo.dones, 1);
	ck_assert_int_eq(w.echo.last_err, 0);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(unary_fails_with_every_code)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	if (sp->protocol == RPC_CONNECT_STREAM)
		return;
	world_init(&w, sp->version);
	for (unsigned code = RPC_CANCELED; code <= RPC_UNAUTHENTICATED; code++) {
		struct exchange x;
		struct answer a;
		char text[64];
		speech_call(&w, sp, "Unary", "x", 0, code, &x, &a);
		(void)snprintf(text, sizeof(text), "asked for %u: 100%% \xc3\xa9\n", code);
		ck_assert_int_eq(a.code, code);
		ck_assert_str_eq(a.text, text);
		ck_assert_uint_eq(a.n, 0);
		ck_assert_uint_eq(w.echo.dones, code);
		exchange_fini(&x);
	}
	world_fini(&w);
}
END_TEST

START_TEST(metadata_arrives)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	struct answer a;
	if (sp->protocol == RPC_CONNECT_STREAM)
		return;
	world_init(&w, sp->version);
	speech_call(&w, sp, "Unary", "metadata", 0, 0, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_str_eq(http_fields_get(&x.head, "x-header"), "h");
	ck_assert_str_eq(a.trailer, "t");
	exchange_fini(&x);
	/* Also when the answer is an error before anything was sent. */
	speech_call(&w, sp, "Unary", "metadata", 0, RPC_NOT_FOUND, &x, &a);
	ck_assert_int_eq(a.code, RPC_NOT_FOUND);
	ck_assert_str_eq(http_fields_get(&x.head, "x-header"), "h");
	ck_assert_str_eq(a.trailer, "t");
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(a_method_that_does_not_answer)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	struct answer a;
	if (sp->protocol == RPC_CONNECT_STREAM)
		return;
	world_init(&w, sp->version);
	speech_call(&w, sp, "Unary", "silent", 0, 0, &x, &a);
	ck_assert_int_eq(a.code, RPC_INTERNAL);
	exchange_fini(&x);
	speech_call(&w, sp, "Unary", "twice", 0, 0, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, 1);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

START_TEST(download_streams)
{
	const struct speech *sp = &speeches[_i];
	struct world w;
	struct exchange x;
	struct answer a;
	if (!sp->streams)
		return;
	world_init(&w, sp->version);
	speech_call(&w, sp, "Download", "", 5, 0, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, 5);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_eq(a.index[i], i);
	ck_assert_str_eq(a.trailer, "done");
	exchange_fini(&x);
	speech_call(&w, sp, "Download", "", 0, 0, &x, &a); /* nothing but a status */
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, 0);
	exchange_fini(&x);
	speech_call(&w, sp, "Download", "part", 3, RPC_ABORTED, &x, &a);
	ck_assert_int_eq(a.code, RPC_ABORTED);
	ck_assert_uint_eq(a.n, 3);
	exchange_fini(&x);
	speech_call(&w, sp, "Download", "none", 0, RPC_UNAVAILABLE, &x, &a);
	ck_assert_int_eq(a.code, RPC_UNAVAILABLE);
	ck_assert_uint_eq(w.echo.dones, 4);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

/* Several messages, byte by byte on the wire. */
START_TEST(upload_and_chat)
{
	const struct speech *sp = &speeches[_i];
	const char *fields[] = { "content-type", sp->content_type, NULL };
	struct world w;
	struct exchange x;
	struct answer a;
	struct buf body = BUF_INIT;
	if (!sp->streams)
		return;
	world_init(&w, sp->version);
	w.lb.piece = 1;
	for (unsigned i = 0; i < 3; i++)
		speech_add(sp, &body, i == 1 ? "" : "m", i, 0);
	exchange_send(&w.lb, &x, "POST", "/sandglass.test.Echo/Upload", fields, buf_data(&body),
	    buf_len(&body));
	world_settle(&w);
	speech_read(sp, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, 1);
	ck_assert_uint_eq(a.index[0], 3);
	exchange_fini(&x);
	exchange_send(&w.lb, &x, "POST", "/sandglass.test.Echo/Chat?query=ignored", fields,
	    buf_data(&body), buf_len(&body));
	world_settle(&w);
	speech_read(sp, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.n, 3);
	ck_assert_str_eq(a.messages[0], "m");
	ck_assert_str_eq(a.messages[1], "");
	ck_assert_uint_eq(a.index[2], 2);
	ck_assert_uint_eq(w.echo.half_closes, 2);
	ck_assert_uint_eq(w.echo.dones, 2);
	exchange_fini(&x);
	buf_fini(&body);
	world_fini(&w);
}
END_TEST

START_TEST(no_message_at_all)
{
	const struct speech *sp = &speeches[_i];
	const char *fields[] = { "content-type", sp->content_type, NULL };
	struct world w;
	struct exchange x;
	struct answer a;
	if (!sp->streams)
		return;
	world_init(&w, sp->version);
	exchange_send(&w.lb, &x, "POST", "/sandglass.test.Echo/Upload", fields, NULL, 0);
	world_settle(&w);
	speech_read(sp, &x, &a);
	ck_assert_int_eq(a.code, RPC_OK);
	ck_assert_uint_eq(a.index[0], 0);
	exchange_fini(&x);
	world_fini(&w);
}
END_TEST

/* The method ends the call while the client is still sending. */
START_TEST(early_end)
{
	const struct speech *sp = &speeches[_i];
	const char *fields[] = { "content-type", sp->content_type, NULL };
	struct world w;
	struct exchange x;
	struct answer a;
	struct buf body = BUF_INIT;
	if (!sp->streams)
		return;
	world_init(&w, sp->version);
	exchange_start(&w.lb, &x, "POST", "/sandglass.test.Echo/Chat", fields);
	speech_add(sp, &body, "one", 0, 0);
	speech_add(sp, &body, "", 0, RPC_OUT_OF_RANGE);
	speech_add(sp, &body, "late", 0, 0);
	ck_assert_int_eq(http_stream_write(x.st, buf_data(&body), buf_len(&body)), 0);
	world_settle(&w);
	ck_assert_uint_eq(w.echo.dones, 1);
	ck_assert_uint_eq(w.echo.messages, 2);
	if (x.st)
		(void)http_stream_end(x.st, NULL);
	world_settle(&w);
	speech_read(sp, &x, &a);
	ck_assert_int_eq(a.code, RPC_OUT_OF_RANGE);
	ck_assert_uint_eq(a.n, 1);
	ck_assert(x.closed);
	exchange_fini(&x);
	buf_fini(&body);
	world_fini(&w);
}
END_TEST

void call_tests(Suite *s)
{
	TCase *tc = test_case(s, "calls", 20);
	tcase_add_loop_test(tc, unary_answers, 0, (int)n_speeches);
	tcase_add_loop_test(tc, unary_fails_with_every_code, 0, (int)n_speeches);
	tcase_add_loop_test(tc, metadata_arrives, 0, (int)n_speeches);
	tcase_add_loop_test(tc, a_method_that_does_not_answer, 0, (int)n_speeches);
	tcase_add_loop_test(tc, download_streams, 0, (int)n_speeches);
	tcase_add_loop_test(tc, upload_and_chat, 0, (int)n_speeches);
	tcase_add_loop_test(tc, no_message_at_all, 0, (int)n_speeches);
	tcase_add_loop_test(tc, early_end, 0, (int)n_speeches);
}
