/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A file's description as a message. It borrows the texts of the file_info, which must live longer.
 */
#include "filesystem/filesystem.pb-c.h"

struct file_info;

struct entry_proto {
	Filesystem__EntryInfo m;
	Google__Protobuf__Timestamp time;
	Filesystem__EntryInfo__MetadataEntry *metadata, **list;
};

/* 0 or -ENOMEM; entry_proto_fini() is due either way. */
int entry_proto_init(struct entry_proto *e, const struct file_info *f);
void entry_proto_fini(struct entry_proto *e); /* accepts zeroed memory */
