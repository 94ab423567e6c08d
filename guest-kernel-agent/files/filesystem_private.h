/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the methods of filesystem.Filesystem share. */
#include "guest-kernel-agent/files/filesystem.h"

struct filesystem {
	struct filesystem_conf conf;
	struct rpc_service service;
};

/* files/entries_rpc.c: the methods that are one job each */
void entries_rpc_on_stat(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_make_dir(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_move(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_list_dir(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_remove(struct call *c, const ProtobufCMessage *m);
void entries_rpc_on_done(struct call *c, int err);
