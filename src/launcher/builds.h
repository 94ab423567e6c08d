/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Images of templates (image/build.h makes them): builds, one after the other in the order they
 * were asked for, each in a task that tells its log; what there is; what goes. Templates are read
 * from the server's own directory of them, never from the daemon.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "image/build.h"
#include "launcher/proto.h"
#include "launcher/task.h"
#include "loop/loop.h"

struct map;
struct server;

struct builds {
	struct link queue;  /* struct build_job; the first one runs */
	struct map *failed; /* template's name -> char *: why its last build failed */
	struct task sweep;
	bool sweeping, sweep_all; /* all: also layers that were just used */
	struct loop_timer resume; /* a log line had to wait for the daemon */
	char image_base[PROTO_BASE_MAX + 1];
};

int builds_init(struct server *s);  /* 0 or -ENOMEM */
void builds_fini(struct server *s); /* kills what runs */
/* At start: first file systems of guests, rubbish. */
void builds_recover(struct server *s);

/* Requests; 0 = answered, now or later. */
int builds_on_build(struct server *s, const struct proto_request *q, struct err *reterr);
int builds_on_cancel(struct server *s, const struct proto_request *q, struct err *reterr);
int images_on_list(struct server *s, const struct proto_request *q, struct err *reterr);
int images_on_remove(struct server *s, const struct proto_request *q, struct err *reterr);

bool builds_is_building(const struct server *s, const char *name);
/* Remove what nothing uses, in a task; then the next build starts. */
void builds_sweep(struct server *s);
bool images_in_use(const char *hash, void *server);

/* ---- images.c ---- */
/* For PREPARE: the template has an image, made of what it says now. 0, or -ENOENT and a sentence
 * that says what to do. */
int images_prepare(const struct server *s, const char *name, struct err *reterr);
/* The directory name of the image that a template has, "image-HASH": 0 or -ENOENT. */
int images_base(const char *name, char dst[PROTO_BASE_MAX + 1]);
/* "image-HASH" -> HASH, NULL for other bases. */
const char *images_hash(const char *base);
#define IMAGES_AGENT_LEN 32 /* digits of the agent's hash */
#define IMAGES_INITRD "initrd-%.*s.cpio"
/* kernels/VERSION/initrd-AGENT.cpio for each kernel; those of other agents go. 0 or -errno. */
int images_write_initrds(struct server *s);
