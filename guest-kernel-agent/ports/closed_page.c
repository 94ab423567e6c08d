/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/ports/closed_page.h"

#include <errno.h>

#include "base/buf.h"
#include "base/json.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "rpc/problem_page.h"
#include "wire/http.h"

struct answer {
	int status;
	const char *message;
};

static struct answer answer_for(int err)
{
	switch (err) {
	case -EAGAIN:
		return (struct answer){ 429,
			"The sandbox has too many concurrent incoming connections" };
	case -ENOMEM:
		return (struct answer){ 503, "The sandbox is out of memory" };
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return (struct answer){ 502, "The sandbox is running but port is not open" };
	default:
		return (struct answer){ 502,
			"The program on this port closed the connection without an answer" };
	}
}

static void answer_page(
    struct http_stream *st, const struct identity *id, unsigned port, struct answer a)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	if (problem_page(&b, a.status, a.message, identity_sandbox_id(id), port,
		http_stream_peer_head(st)->authority) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	else
		(void)reply_bytes(st, a.status, PROBLEM_PAGE_TYPE, buf_data(&b), buf_len(&b));
}

static void answer_json(
    struct http_stream *st, const struct identity *id, unsigned port, struct answer a)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	CLEAN_JSON json_t *v = json_pack("{s:s, s:s, s:i, s:i}", "sandboxId",
	    identity_sandbox_id(id), "message", a.message, "port", (int)port, "code", a.status);
	if (!v || json_write(&b, v, false) < 0)
		http_stream_reset(st, HTTP_RESET_INTERNAL);
	else
		(void)reply_bytes(
		    st, a.status, "application/json; charset=utf-8", buf_data(&b), buf_len(&b));
}

void closed_page_answer(struct http_stream *st, const struct identity *id, unsigned port, int err)
{
	struct answer a = answer_for(err);
	if (problem_wants_page(http_stream_peer_head(st)))
		answer_page(st, id, port, a);
	else
		answer_json(st, id, port, a);
}
