/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A file that appears whole or not at all. Its bytes go to a file without a name in the target's
 * directory; committing gives that the target's name. What exists keeps its mode and owner; where
 * it cannot be replaced by another file (other owner, other names of it, a directory that the user
 * may not write, special file systems) its bytes are exchanged in place, for which space is
 * reserved first.
 *
 * Everything here blocks, and runs in a thread that has the user's rights.
 */
#include <stdbool.h>
#include <stdint.h>
#include <limits.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/path.h"

struct err;

#define STAGED_FILE_PREFIX ".sandglass-upload-"
#define STAGED_FILE_NAME_MAX 48

/* A name that exists only while a file gets its own; watchers need not hear of it. */
bool staged_file_is_hidden(const char *name);
/* How the kernel tells watchers of writes to a file without a name: "#" and digits. */
bool staged_file_is_nameless(const char *name);

struct staged_file {
	bool live;
	int fd;				 /* the new bytes */
	int target;			 /* O_PATH: what exists already, or -1 */
	int dir;			 /* O_PATH: where the target stands */
	char name[NAME_MAX + 1];	 /* its name there */
	char temp[STAGED_FILE_NAME_MAX]; /* of fd in dir, "" while it has none */
	bool elsewhere;			 /* fd is not in dir: its bytes are to be copied */
	char path[PATH_LEN_MAX];	 /* as it was asked for */
	char parents[PATH_LEN_MAX];	 /* path of the target's directory as it was asked for */
	size_t parents_kept;		 /* so much of it existed */
	off_t written, begun; /* bytes in fd; up to where writing them to disk has begun */
};

/* path is absolute. Makes the missing directories above it. 0, or -errno with reterr naming path;
 * then nothing is left. */
int staged_file_open(struct staged_file *s, const char *path, struct err *reterr);
/* -ENOSPC and reterr when n bytes more cannot fit now. */
int staged_file_expect(const struct staged_file *s, uint64_t n, struct err *reterr);
int staged_file_write(struct staged_file *s, const void *p, size_t n, struct err *reterr);
/* metadata: name to value, replaces what the file had; may be NULL (none). After it s is closed,
 * whatever came out. */
int staged_file_commit(struct staged_file *s, const json_t *metadata, struct err *reterr);
/* Nothing is left of it, nor of directories that were made for it. Zeroed memory is fine. */
void staged_file_abort(struct staged_file *s);
/* Descriptors only, for when the user's rights cannot be had any more. */
void staged_file_fini(struct staged_file *s);
