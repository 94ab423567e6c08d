/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * multipart/form-data (RFC 7578, RFC 2046 5.1) as it arrives, piece by piece, in constant memory. A
 * part's bytes are handed on as soon as they are known not to be a delimiter.
 *
 * File names are taken as they stand: quoted text with \" and \\ undone, raw UTF-8, or filename*
 * (RFC 5987, UTF-8), which wins. Percent signs of a plain filename mean themselves.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

struct err;

#define MULTIPART_BOUNDARY_MAX 70      /* RFC 2046 */
#define MULTIPART_HEAD_MAX (16 * 1024) /* headers of one part: header bombs */
#define MULTIPART_PARTS_MAX 4096       /* parts of one body: list flooding */

enum multipart_event {
	MULTIPART_MORE,	    /* the input is used up */
	MULTIPART_PART,	    /* a part begins: name and filename are set */
	MULTIPART_DATA,	    /* some bytes of it */
	MULTIPART_PART_END, /* it is whole */
	MULTIPART_END,	    /* the closing delimiter came; whatever follows is ignored */
};

enum multipart_state {
	MULTIPART_STATE_PREAMBLE,
	MULTIPART_STATE_TAIL, /* behind a delimiter: "--", or blanks and the end of the line */
	MULTIPART_STATE_HEAD,
	MULTIPART_STATE_BODY,
	MULTIPART_STATE_EPILOGUE,
};

struct multipart {
	enum multipart_state state;
	char delimiter[4 + MULTIPART_BOUNDARY_MAX + 1]; /* CR LF "--" boundary */
	size_t delimiter_len;
	size_t matched; /* bytes of it seen at the end of the input so far */
	bool imagined;	/* the first two of them were not in the input */
	size_t tail;	/* bytes of the line behind a delimiter */
	char tail_last; /* the last of them */
	size_t parts;
	bool in_part;
	struct buf head;
	char *name, *filename; /* of the current part; filename may be NULL */
};

/* content_type is the request's. 0, or -EINVAL and reterr when it is not multipart/form-data with a
 * usable boundary. Nothing to free on failure. */
int multipart_init(struct multipart *m, const char *content_type, struct err *reterr);
void multipart_fini(struct multipart *m); /* zeroed memory is fine */

/* Take bytes up to the next event: how many were taken, with *ret_event set; data lies in
 * *ret_data, *ret_len until the next call. -EINVAL and reterr (the body is not well-formed or over
 * a limit), -ENOMEM; then only multipart_fini() is allowed. */
ssize_t multipart_step(struct multipart *m, const void *p, size_t n,
    enum multipart_event *ret_event, const void **ret_data, size_t *ret_len, struct err *reterr);
/* The body ended: 0, or -EINVAL and reterr when the closing delimiter is missing. */
int multipart_finish(const struct multipart *m, struct err *reterr);
