/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/filesystem.h"

#include "base/mem.h"
#include "filesystem/filesystem.pb-c.h"
#include "guest-kernel-agent/files/filesystem_private.h"

static const struct rpc_method methods[] = {
	{ .name = "Stat", .on_message = entries_rpc_on_stat, .on_done = entries_rpc_on_done },
	{ .name = "MakeDir",
	    .on_message = entries_rpc_on_make_dir,
	    .on_done = entries_rpc_on_done },
	{ .name = "Move", .on_message = entries_rpc_on_move, .on_done = entries_rpc_on_done },
	{ .name = "ListDir",
	    .on_message = entries_rpc_on_list_dir,
	    .on_done = entries_rpc_on_done },
	{ .name = "Remove", .on_message = entries_rpc_on_remove, .on_done = entries_rpc_on_done },
};

struct filesystem *filesystem_new(const struct filesystem_conf *conf)
{
	struct filesystem *fs = mem_zalloc(sizeof(*fs));
	if (!fs)
		return NULL;
	fs->conf = *conf;
	fs->service = (struct rpc_service){ .descriptor = &filesystem__filesystem__descriptor,
		.methods = methods,
		.n_methods = sizeof(methods) / sizeof(*methods),
		.arg = fs };
	return fs;
}

struct filesystem *filesystem_free(struct filesystem *fs)
{
	return mem_free(fs);
}

const struct rpc_service *filesystem_service(const struct filesystem *fs)
{
	return &fs->service;
}
