/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/jupyter/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/text.h"

#define DELIMITER "<IDS|MSG>"
#define PROTOCOL_VERSION "5.3"
#define KEY_BYTES 32
#define DIGEST_BYTES 32
#define SIGNATURE_LEN (2 * DIGEST_BYTES)

enum { TEXT_HEADER, TEXT_PARENT, TEXT_METADATA, TEXT_CONTENT, TEXTS };

int session_init(struct session *s)
{
	unsigned char key[KEY_BYTES];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	*s = (struct session){ 0 };
	id_random(key, sizeof(key));
	str_hex(key, sizeof(key), s->key);
	id_uuid(s->id);

	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	s->mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	if (s->mac && EVP_MAC_init(s->mac, (unsigned char *)s->key, strlen(s->key), params) == 1)
		return 0;
	session_fini(s);
	return -ENOMEM;
}

void session_fini(struct session *s)
{
	EVP_MAC_CTX_free(s->mac);
	s->mac = NULL;
}

int session_sign(struct session *s, const struct zmtp_span texts[TEXTS], char *ret)
{
	unsigned char digest[DIGEST_BYTES];
	size_t n;

	/* Without a key this starts over with the one that was set. */
	if (EVP_MAC_init(s->mac, NULL, 0, NULL) != 1)
		return -ENOMEM;
	for (size_t i = 0; i < TEXTS; i++)
		if (EVP_MAC_update(s->mac, texts[i].p, texts[i].n) != 1)
			return -ENOMEM;
	if (EVP_MAC_final(s->mac, digest, &n, sizeof(digest)) != 1 || n != sizeof(digest))
		return -ENOMEM;
	str_hex(digest, sizeof(digest), ret);
	return 0;
}

int session_send(struct session *s, struct zmtp *z, const char *type, const void *content, size_t n,
    char ret_id[MESSAGE_ID_MAX])
{
	char now[CLOCK_RFC3339_MAX], signature[SIGNATURE_LEN + 1];

	(void)snprintf(ret_id, MESSAGE_ID_MAX, "%.36s_%" PRIu64, s->id, ++s->sent);
	CLEAN_FREE char *header = mem_printf(
	    "{\"msg_id\":\"%s\",\"session\":\"%s\",\"username\":\"sandglass\",\"date\":\"%s\","
	    "\"msg_type\":\"%s\",\"version\":\"" PROTOCOL_VERSION "\"}",
	    ret_id, s->id, clock_rfc3339(clock_real_ns(), now), type);
	if (!header)
		return -ENOMEM;
	struct zmtp_span frames[] = {
		{ DELIMITER, strlen(DELIMITER) },
		{ signature, SIGNATURE_LEN },
		{ header, strlen(header) },
		{ "{}", 2 },
		{ "{}", 2 },
		{ content, n },
	};
	int r = session_sign(s, frames + 2, signature);
	return r < 0 ? r : zmtp_send(z, frames, sizeof(frames) / sizeof(frames[0]));
}

/* ---- receiving ---- */

static int bad_message(struct err *reterr, const char *what, size_t n)
{
	(void)err_set(reterr, -EBADMSG, "the kernel sent %s (%zu)", what, n);
	return MESSAGE_E_BAD;
}

/* The frames behind the delimiter, or NULL when fewer than a message needs. */
static const struct zmtp_span *find_signature(const struct zmtp_span *frames, size_t n)
{
	for (size_t i = 0; i + 1 + TEXTS < n; i++)
		if (frames[i].n == strlen(DELIMITER) &&
		    memcmp(frames[i].p, DELIMITER, frames[i].n) == 0)
			return &frames[i + 1];
	return NULL;
}

/* Copy the string under key of a header; "" when absent or too long to be known to us. */
static int header_string(
    struct zmtp_span text, const char *key, char *dst, size_t cap, struct err *reterr)
{
	const char *value;

	if (text.n > MESSAGE_HEADER_BYTES_MAX)
		return bad_message(reterr, "a header that is too long", text.n);
	CLEAN_JSON json_t *header = text_parse_object(text.p, text.n, reterr);
	if (!header)
		return MESSAGE_E_BAD;
	value = json_string_value(json_object_get(header, key));
	dst[0] = '\0';
	if (value && strlen(value) < cap)
		(void)str_copy(dst, cap, value);
	return 0;
}

int session_open_message(struct session *s, const struct zmtp_span *frames, size_t n,
    struct message *ret, struct err *reterr)
{
	const struct zmtp_span *signature = find_signature(frames, n), *texts;
	char expected[SIGNATURE_LEN + 1];
	struct message m;
	int r;

	if (!signature)
		return bad_message(reterr, "a message with frames missing", n);
	texts = signature + 1;
	r = session_sign(s, texts, expected);
	if (r < 0)
		return err_set(reterr, r, "no memory to verify a message of the kernel");
	if (!str_ct_eq(signature->p, signature->n, expected, SIGNATURE_LEN))
		return bad_message(reterr, "a message with a wrong signature", signature->n);
	r = header_string(texts[TEXT_HEADER], "msg_type", m.type, sizeof(m.type), reterr);
	if (r == 0)
		r = header_string(
		    texts[TEXT_PARENT], "msg_id", m.parent_id, sizeof(m.parent_id), reterr);
	if (r != 0)
		return r;
	m.content = texts[TEXT_CONTENT];
	*ret = m;
	return 0;
}
