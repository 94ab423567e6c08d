/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Cases of this program, and the end of a stream that they share. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "io/stream.h"
#include "loop/loop.h"
#include "lib/test.h"

void add_stream_tests(Suite *s);
void add_stream_end_tests(Suite *s);
void add_tls_tests(Suite *s);
void add_listener_tests(Suite *s);

/* What happened to one stream. The stream pointer is NULL once on_close came. */
struct peer {
	struct stream *s;
	struct buf got;
	size_t total;	 /* bytes read, kept in got or not */
	size_t sent;	 /* as told by on_sent */
	size_t most;	 /* most bytes in one on_read */
	size_t take_max; /* on_read takes no more than this at once; 0 = all */
	bool drop;	 /* do not keep what is read */
	unsigned opens, eofs, closes;
	int close_err;
	bool inside; /* a call into the stream is running: callbacks must not come */
	void (*then)(struct peer *p); /* at the end of every on_read */
};

extern const struct stream_ops peer_ops;
extern const struct stream_ops peer_ops_without_eof;

void peer_open(struct peer *p, struct loop *l, int fd);
void peer_fini(struct peer *p); /* also while the stream lives */
void peer_write(struct peer *p, const char *text);
/* n bytes of a pattern that depends on the position. */
void peer_write_pattern(struct peer *p, size_t n);
bool pattern_ok(const struct buf *b);

/* Two connected descriptors: nonblocking TCP over loopback, or unix sockets. */
void pair_tcp(int fds[2]);
void pair_unix(int fds[2]);
void set_blocking(int fd);

#define RUN_UNTIL(l, condition)                                    \
	do {                                                       \
		while (!(condition))                               \
			ck_assert_int_eq(loop_turn((l), true), 0); \
	} while (0)
/* Let everything happen that can happen now. */
void run_idle(struct loop *l);
