/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the daemon and its launcher say to each other: one fixed-size structure a packet on a
 * seqpacket socket, same machine and same build on both ends. Requests carry a number that their
 * answer repeats; LIST answers with any number of ITEMs before its REPLY. Events carry none.
 *
 * The launcher trusts nothing that it reads: proto_check_request() is the one place where sizes,
 * kinds and texts are checked, before anything else looks at them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

#define PROTO_VERSION 1u
#define PROTO_BASE_MAX 63
#define PROTO_SOCKET_DIR 128

enum proto_kind {
	/* daemon -> launcher */
	PROTO_PREPARE = 1, /* make the root file system of a base; idempotent */
	PROTO_CREATE,
	PROTO_DESTROY, /* idempotent; answered when nothing is left */
	PROTO_LIST,
	PROTO_ADOPT, /* -ENOENT when it does not live (any more); its rest is removed then */
	PROTO_USAGE,
	PROTO_INTERNET,
	/* launcher -> daemon */
	PROTO_REPLY = 64,
	PROTO_ITEM,
	PROTO_EVENT,
};

struct proto_header {
	uint32_t kind, version;
	uint64_t seq;
};

struct proto_create {
	char id[ID_SANDBOX_LEN + 1];
	char base[PROTO_BASE_MAX + 1];
	uint64_t memory_bytes, disk_bytes;
	uint32_t cpu_milli, max_pids;
	uint32_t internet; /* 0 or 1 */
};

struct proto_request {
	struct proto_header head;
	union {
		char base[PROTO_BASE_MAX + 1]; /* PREPARE */
		struct proto_create create;    /* CREATE */
		struct {
			char id[ID_SANDBOX_LEN + 1];
			uint32_t on; /* INTERNET: 0 or 1 */
		} box;		     /* DESTROY, ADOPT, USAGE, INTERNET */
	};
};

struct proto_usage {
	uint64_t memory_bytes, memory_limit, cpu_usec, disk_bytes, disk_limit;
	uint32_t pids;
};

struct proto_reply {
	struct proto_header head;
	int32_t code; /* 0 or -errno */
	char text[ERR_TEXT_MAX];
	union {
		struct {
			int32_t pid;
			uint32_t uid_base;
			char socket_dir[PROTO_SOCKET_DIR]; /* has control.sock and data.sock */
		} box;					   /* CREATE, ADOPT */
		struct proto_usage usage;
	};
};

struct proto_item {
	struct proto_header head;
	char id[ID_SANDBOX_LEN + 1];
};

enum proto_event_kind {
	PROTO_EXITED = 1, /* value = wait status, -1 = unknown; the rest waits for DESTROY */
	PROTO_OOM,	  /* value = kills so far */
	PROTO_PIDS,	  /* value = forks refused so far */
};

struct proto_event {
	struct proto_header head;
	char id[ID_SANDBOX_LEN + 1];
	uint32_t event;
	int64_t value;
	uint32_t oom;		 /* EXITED: some process of it was killed for memory before */
	char text[ERR_TEXT_MAX]; /* EXITED: last line that the agent wrote to its error output */
};

union proto_any {
	struct proto_header head;
	struct proto_request request;
	struct proto_reply reply;
	struct proto_item item;
	struct proto_event event;
};

/* Bounds of a create, checked on both sides. */
#define PROTO_MEMORY_MIN (16ull << 20)
#define PROTO_MEMORY_MAX (1ull << 42)
#define PROTO_DISK_MIN (16ull << 20)
#define PROTO_DISK_MAX (1ull << 42)
#define PROTO_CPU_MILLI_MIN 10u
#define PROTO_CPU_MILLI_MAX 1024000u
#define PROTO_PIDS_MIN 8u
#define PROTO_PIDS_MAX 65536u

/* Bytes of a message of this kind; 0 for an unknown one. */
size_t proto_size(uint32_t kind);
/* A packet of n bytes from the daemon: 0, or -EPROTO (not one of ours: hang up) or -EINVAL (answer
 * with the sentence in reterr). */
int proto_check_request(const union proto_any *m, size_t n, struct err *reterr);
/* A packet from the launcher: 0 or -EPROTO. */
int proto_check_answer(const union proto_any *m, size_t n);
/* ^[a-z0-9][a-z0-9._:-]*$ */
bool proto_base_valid(const char *s);
