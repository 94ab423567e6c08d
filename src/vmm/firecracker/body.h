/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bodies of requests to Firecracker. What the running version does not know is left out (caps of
 * version.h). Each appends one JSON object: 0, -ENOMEM, or -E2BIG when it would be larger than the
 * server takes.
 */
#include <stdbool.h>
#include <stdint.h>

struct buf;

#define FC_BODY_MAX 51200u
#define FC_CMDLINE_MAX 2048u

/* A rate; 0 = not limited. */
struct fc_rate {
	uint64_t bytes_per_s, ops_per_s;
};

struct fc_machine {
	unsigned vcpus;
	uint64_t memory_bytes; /* whole MiB */
};

struct fc_drive {
	const char *id, *path;
	bool read_only, sync; /* sync: a flush of the guest reaches the host's disk */
	struct fc_rate rate;
};

struct fc_net {
	const char *id, *tap, *mac;
	unsigned mtu;	     /* 0 = not told */
	struct fc_rate rate; /* each way */
};

struct fc_load {
	const char *state, *memory;
	const char *net_id, *tap; /* the interface gets this tap; NULL = as recorded */
	const char *vsock;	  /* NULL = as recorded */
	bool resume;
};

int fc_body_logger(struct buf *b, const char *path);
int fc_body_metrics(struct buf *b, const char *path, const char *id, unsigned caps);
/* limit: bytes a second of console output; what is more is dropped. */
int fc_body_serial(struct buf *b, const char *path, uint64_t limit, unsigned caps);
int fc_body_machine(struct buf *b, const struct fc_machine *m);
/* -E2BIG also for a command line that is too long. initrd may be NULL. */
int fc_body_boot(struct buf *b, const char *kernel, const char *initrd, const char *cmdline);
int fc_body_drive(struct buf *b, const struct fc_drive *d);
int fc_body_net(struct buf *b, const struct fc_net *n, unsigned caps);
int fc_body_net_rate(struct buf *b, const char *id, const struct fc_rate *r); /* PATCH */
int fc_body_drive_rate(struct buf *b, const char *id, const struct fc_rate *r);
/* Its file is opened again, and the guest told how large it is now. */
int fc_body_drive_file(struct buf *b, const char *id, const char *path);
int fc_body_vsock(struct buf *b, unsigned cid, const char *path);
int fc_body_entropy(struct buf *b, const struct fc_rate *r);
/* One that takes nothing from the guest and never will: it is there so that the guest can report
 * pages that it has freed. Firecracker gives those back to the host (1.14 or later). */
int fc_body_balloon(struct buf *b);
int fc_body_action(struct buf *b, const char *action);
int fc_body_state(struct buf *b, const char *state); /* "Paused", "Resumed" */
int fc_body_create(struct buf *b, const char *state, const char *memory);
int fc_body_load(struct buf *b, const struct fc_load *l, unsigned caps);
