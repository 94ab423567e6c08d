/* SPDX-License-Identifier: Apache-2.0 */
#include "jupyter_tests.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/message.h"

#define FRAME(text)                    \
	{                              \
		text, sizeof(text) - 1 \
	}

enum { ID, DELIMITER, SIGNATURE, HEADER, PARENT, METADATA, CONTENT, BUFFER, FRAMES };

static struct session session;
static char signature[80];
static struct zmtp_span frames[FRAMES];
static struct message message;
static struct err err;

static void setup(void)
{
	static const struct zmtp_span good[FRAMES] = { FRAME("identity"), FRAME("<IDS|MSG>"),
		{ signature, 64 }, FRAME("{\"msg_type\": \"stream\", \"msg_id\": \"k1\"}"),
		FRAME("{\"msg_id\": \"ours\"}"), FRAME("{}"), FRAME("{\"a\": 1}"),
		FRAME("buffer") };

	memcpy(frames, good, sizeof(good));
	err_reset(&err);
	ck_assert_int_eq(session_init(&session), 0);
}

static void teardown(void)
{
	session_fini(&session);
}

static int open_signed(size_t n)
{
	ck_assert_int_eq(session_sign(&session, frames + HEADER, signature), 0);
	return session_open_message(&session, frames, n, &message, &err);
}

START_TEST(test_good)
{
	ck_assert_int_eq(open_signed(FRAMES), 0);
	ck_assert_str_eq(message.type, "stream");
	ck_assert_str_eq(message.parent_id, "ours");
	ck_assert_mem_eq(message.content.p, "{\"a\": 1}", message.content.n);
	/* Without buffers, and without identities. */
	ck_assert_int_eq(open_signed(FRAMES - 1), 0);
	ck_assert_int_eq(session_open_message(&session, frames + 1, FRAMES - 1, &message, &err), 0);
}
END_TEST

/* The same texts give the same signature, each time from the key again. */
START_TEST(test_signing)
{
	struct zmtp_span texts[4] = { FRAME("what do ya "), FRAME("want "), FRAME("for "),
		FRAME("nothing?") };
	char again[65];

	ck_assert_int_eq(session_sign(&session, texts, signature), 0);
	ck_assert_int_eq(session_sign(&session, texts, again), 0);
	ck_assert_str_eq(signature, again);
	ck_assert_uint_eq(strlen(signature), 64);
	texts[3].n--;
	ck_assert_int_eq(session_sign(&session, texts, again), 0);
	ck_assert_str_ne(signature, again);
}
END_TEST

START_TEST(test_wrong_signatures)
{
	ck_assert_int_eq(open_signed(FRAMES), 0);
	for (size_t i = 0; i < 64; i++) {
		signature[i] ^= 1;
		ck_assert_int_eq(
		    session_open_message(&session, frames, FRAMES, &message, &err), MESSAGE_E_BAD);
		signature[i] ^= 1;
	}
	frames[SIGNATURE].n = 63;
	ck_assert_int_eq(
	    session_open_message(&session, frames, FRAMES, &message, &err), MESSAGE_E_BAD);
	frames[SIGNATURE].n = 0;
	ck_assert_int_eq(
	    session_open_message(&session, frames, FRAMES, &message, &err), MESSAGE_E_BAD);
	frames[SIGNATURE].n = 64;
	frames[CONTENT] = (struct zmtp_span)FRAME("{\"a\": 2}");
	ck_assert_int_eq(
	    session_open_message(&session, frames, FRAMES, &message, &err), MESSAGE_E_BAD);
}
END_TEST

START_TEST(test_missing_frames)
{
	for (size_t n = 0; n < BUFFER; n++)
		ck_assert_int_eq(open_signed(n), MESSAGE_E_BAD);
	frames[DELIMITER] = (struct zmtp_span)FRAME("<IDS|MSg>");
	ck_assert_int_eq(open_signed(FRAMES), MESSAGE_E_BAD);
}
END_TEST

START_TEST(test_hostile_headers)
{
	char *large = mem_zalloc(MESSAGE_HEADER_BYTES_MAX + 100);

	frames[HEADER] = (struct zmtp_span)FRAME("not json");
	ck_assert_int_eq(open_signed(FRAMES), MESSAGE_E_BAD);
	frames[HEADER] = (struct zmtp_span)FRAME("[]");
	ck_assert_int_eq(open_signed(FRAMES), MESSAGE_E_BAD);
	frames[HEADER] = (struct zmtp_span)FRAME("{\"msg_type\": 5}");
	ck_assert_int_eq(open_signed(FRAMES), 0);
	ck_assert_str_eq(message.type, "");
	frames[HEADER] = (struct zmtp_span){ large, MESSAGE_HEADER_BYTES_MAX + 1 };
	ck_assert_int_eq(open_signed(FRAMES), MESSAGE_E_BAD);
	frames[HEADER] = (struct zmtp_span)FRAME("{\"msg_type\": \"stream\"}");
	/* An id that is too long cannot be one of ours. */
	(void)snprintf(large, 400, "{\"msg_id\": \"%0300d\"}", 1);
	frames[PARENT] = (struct zmtp_span){ large, strlen(large) };
	ck_assert_int_eq(open_signed(FRAMES), 0);
	ck_assert_str_eq(message.parent_id, "");
	mem_free(large);
}
END_TEST

START_TEST(test_sending)
{
	struct zmtp z;
	char id[MESSAGE_ID_MAX], again[MESSAGE_ID_MAX];
	CLEAN_BUF struct buf text = BUF_INIT;

	ck_assert_int_eq(zmtp_init(&z, ZMTP_DEALER), 0);
	ck_assert_int_eq(session_send(&session, &z, "execute_request", "{}", 2, id), 0);
	ck_assert_int_eq(session_send(&session, &z, "execute_request", "{}", 2, again), 0);
	ck_assert_str_ne(id, again);
	ck_assert_int_eq(strncmp(id, session.id, 36), 0);
	ck_assert_int_eq(buf_append(&text, buf_data(&z.held), buf_len(&z.held)), 0);
	for (size_t i = 0; i < buf_len(&text); i++)
		if (!buf_data(&text)[i])
			buf_data(&text)[i] = ' ';
	ck_assert_ptr_nonnull(strstr(buf_cstr(&text), "<IDS|MSG>"));
	ck_assert_ptr_nonnull(strstr(buf_cstr(&text), "\"msg_type\":\"execute_request\""));
	zmtp_fini(&z);
}
END_TEST

void add_message_tests(Suite *s)
{
	TCase *tc = test_case(s, "message", 10);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_good);
	tcase_add_test(tc, test_signing);
	tcase_add_test(tc, test_wrong_signatures);
	tcase_add_test(tc, test_missing_frames);
	tcase_add_test(tc, test_hostile_headers);
	tcase_add_test(tc, test_sending);
}
