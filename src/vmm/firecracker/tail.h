/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The last bytes that came out of a named pipe: a guest's console, a VMM's log. Its writers never
 * wait for us and can make us hold no more than TAIL_BYTES; they are read at a pace.
 */
#include <stdbool.h>
#include <stddef.h>

#include "loop/loop.h"

#define TAIL_BYTES (64u * 1024u)

struct tail {
	struct loop *loop;
	int fd;
	struct loop_io io;
	struct loop_timer pause;
	unsigned char *ring; /* TAIL_BYTES, made when the first byte comes */
	size_t at, filled;
};

/* 0 or -errno. */
int tail_open(struct tail *t, struct loop *l, const char *path);
void tail_close(struct tail *t); /* accepts zeroed memory */
/* What is in the pipe right now joins the ring. */
void tail_drain(struct tail *t);
/* The last lines as text of one line: control characters become blanks, at most cap - 1 bytes. */
void tail_last(const struct tail *t, char *dst, size_t cap);
/* Where text (not empty) was said first: from there to the end of its line, as above. dst is empty
 * when it was not. */
bool tail_find(const struct tail *t, const char *text, char *dst, size_t cap);
