/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is written to the input of a process: pieces one after the other, each as fast as the
 * process takes it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "loop/loop.h"

struct input_piece;

#define INPUT_QUEUE_MAX (64u * 1024 * 1024) /* bytes that wait for one process */

struct input {
	struct loop_io io;
	int fd; /* owned; -1 = closed */
	struct link pieces;
	size_t queued;
	bool closing; /* after the last piece */
};

/* Embedded in what the caller allocates. */
struct input_piece {
	struct link link;
	const unsigned char *p; /* borrowed until done or input_remove() */
	size_t n;
	/* Everything was written (0), or it cannot be (-EPIPE, ...). Comes from the loop; the piece
	 * is in no list any more. */
	void (*done)(struct input_piece *piece, int err);
};

/* fd is nonblocking. */
int input_init(struct input *in, struct loop *l, int fd_consume);
/* Pieces that wait get -EPIPE. Accepts zeroed memory with fd -1. */
void input_fini(struct input *in);
bool input_is_open(const struct input *in);
/* done() follows on 0; -EPIPE (closed), -ENOBUFS (INPUT_QUEUE_MAX), -ENOMEM. */
int input_add(struct input *in, struct input_piece *piece);
/* The rest of the piece is not wanted any more; a piece that is in no queue may be given, too. */
void input_remove(struct input *in, struct input_piece *piece);
/* Close as soon as all pieces are written. */
void input_close(struct input *in);
