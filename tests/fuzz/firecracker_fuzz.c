/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Firecracker answers on its API socket, whole and in pieces: both ways must come to the
 * same end, nothing larger than the bounds is kept, and versions as its programs print them.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "vmm/firecracker/http.h"
#include "vmm/firecracker/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct outcome {
	int r, status;
	bool complete;
	size_t taken, body;
};

static struct outcome feed(const uint8_t *p, size_t n, size_t piece)
{
	struct fc_http h = { 0 };
	struct err err = ERR_INIT;
	struct outcome o = { 0 };
	char text[64];
	while (o.taken < n && o.r == 0 && !h.complete) {
		size_t used = 0, len = n - o.taken < piece ? n - o.taken : piece;
		o.r = fc_http_feed(&h, p + o.taken, len, &used, &err);
		assert(o.r == 0 || (o.r == -EBADMSG && err.code == -EBADMSG));
		assert(used <= len && (o.r < 0 || h.complete || used == len));
		o.taken += used;
	}
	assert(buf_len(&h.head) <= FC_HTTP_HEAD_MAX && buf_len(&h.body) <= FC_HTTP_BODY_MAX);
	o.complete = o.r == 0 && h.complete;
	if (o.complete) {
		assert(h.status >= 200 && h.status <= 999);
		o.status = h.status;
		o.body = buf_len(&h.body);
		fc_http_fault(&h, text, sizeof(text));
		assert(memchr(text, '\0', sizeof(text)));
	}
	fc_http_fini(&h);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char text[65];
	struct fc_version v;
	if (n == 0)
		return 0;
	struct outcome whole = feed(p, n, n), pieces = feed(p, n, 1 + p[0] % 16);
	assert(whole.complete == pieces.complete);
	if (whole.complete) {
		assert(whole.status == pieces.status && whole.body == pieces.body);
		assert(whole.taken == pieces.taken);
	}
	size_t len = n < sizeof(text) ? n : sizeof(text) - 1;
	memcpy(text, p, len);
	text[len] = '\0';
	int r = fc_version_parse_plain(text, &v);
	assert(r == 0 || r == -EBADMSG);
	if (fc_version_parse("Firecracker", text, &v) == 0)
		(void)fc_version_check(&v, NULL);
	return 0;
}
