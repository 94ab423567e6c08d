/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Warm snapshots: VMs that have booted and run code, kept to be cloned. On disk each is a directory
 * warm/KEY/ with the guest's memory, its disk, the device state and a manifest; one that is in use
 * has its memory also in a sealed memory file, which all of its clones map.
 */
#include "base/err.h"
#include "base/list.h"
#include "launcher/vm_manifest.h"

struct box;
struct server;

#define WARM_MEMORY_NAME "sandglass-memory" /* of the memory file, from the first boot on */

/* Key and parts of the warm snapshot that fits this request. state_size and memory_size stay 0. 0
 * or -errno. */
int warm_key(struct server *s, const struct proto_create *want, const struct vm_image *image,
    struct vm_manifest *ret);
/* "warm/KEY" or "warm/KEY/FILE" */
int warm_path(const char *key, const char *file, char *dst, size_t cap);
bool warm_exists(const char *key);

/* Somebody who needs its memory; told from a later turn with the descriptor (borrowed) or -errno.
 * Zeroed before use. */
struct warm_wait {
	struct link link;
	void (*done)(struct warm_wait *w, int fd_or_code, void *arg);
	void *arg;
};
int warm_want(struct server *s, const char *key, uint64_t memory_bytes, struct warm_wait *w);
void warm_unwant(struct warm_wait *w);
/* Its memory, if that is here already; -1. */
int warm_memory(struct server *s, const char *key);
/* A file like any of clones: sealed against every change. 0, -EBUSY while somebody maps it. */
int warm_seal(int fd);
/* A new one is on disk; its memory is in fd, which is taken over. */
int warm_add(struct server *s, const char *key, int fd_consume);
/* Take away what is on disk under this key, complete or not; its memory goes, too, unless somebody
 * waits for it. 0 or -errno. */
int warm_set_aside(struct server *s, const char *key);
/* Remove those of the template that hold other content, unless a box or a snapshot needs them. */
void warm_drop_stale(struct server *s, const struct vm_manifest *current);
/* At start: what is incomplete. At the end of the server: memory. */
void warm_sweep(void);
void warm_close_all(struct server *s);
