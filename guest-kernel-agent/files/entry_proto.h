/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A file's description and an event as messages. They borrow the texts of the file_info and the
 * event, which must live longer. */
#include "filesystem/filesystem.pb-c.h"

struct file_info;
struct watch_event;

struct entry_proto {
	Filesystem__EntryInfo m;
	Google__Protobuf__Timestamp time;
	Filesystem__EntryInfo__MetadataEntry *metadata, **list;
};

/* 0 or -ENOMEM; entry_proto_fini() is due either way. */
int entry_proto_init(struct entry_proto *e, const struct file_info *f);
void entry_proto_fini(struct entry_proto *e); /* accepts zeroed memory */

struct event_proto {
	Filesystem__FilesystemEvent m;
	struct entry_proto entry;
	char *name; /* when the event's own is not UTF-8 */
};

/* The same. */
int event_proto_init(struct event_proto *p, const struct watch_event *e);
void event_proto_fini(struct event_proto *p);
