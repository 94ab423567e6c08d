/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeping VMs: as warm snapshots (warm.h), as snapshots of sandboxes (snapshots/ID/), and filling
 * the memory of one that was started from the latter. The VMM has stopped the guest and saved its
 * device state; here is the rest, done in tasks. All or nothing: directories get their name when
 * everything in them is synced.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "launcher/proto.h"
#include "launcher/vm_manifest.h"

struct box;
struct server;

#define VM_UNFINISHED ".new" /* being written */
#define VM_OLD ".old"	     /* about to be removed */
#define VM_REPORT_MAX 1024

/* Each is answered with seq, unless it fails at once. The box must be live. */
int vm_save_warm(struct box *b, uint64_t seq, struct err *reterr);
int vm_save_snapshot(struct box *b, const char *snapshot, uint64_t seq, struct err *reterr);
int vm_load_memory(struct box *b, uint64_t seq, struct err *reterr);

/* The VMM writes where its last save has ended: the next one begins at the start again. Also after
 * a save that nobody has asked for the rest of, because the daemon died. */
void vm_rewind_state(struct box *b);

/* "snapshots/ID" or "snapshots/ID/FILE" */
int vm_snapshot_path(const char *snapshot, const char *file, char *dst, size_t cap);
/* Does some snapshot lie on this warm snapshot, or on this image? */
bool vm_snapshot_needs(const char *key);
/* Remove it. 0 also when there is none, or -errno. */
int vm_snapshot_remove(struct server *s, const char *snapshot);
/* Those that dir has; none when there is no dir. 0 or -errno. */
int vm_each_snapshot_in(const char *dir, void (*fn)(const char *id, void *arg), void *arg);
/* Every complete one. 0 or -errno. */
int vm_snapshots_each(void (*fn)(const char *id, void *arg), void *arg);

/* Directories of dir that end in VM_OLD, and with all those in VM_UNFINISHED, too; may block. */
void vm_remove_leftovers(const char *dir, bool all);
/* The former, in a task. */
void vm_sweep_soon(struct server *s);
