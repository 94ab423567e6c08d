/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stat, MakeDir, Move, ListDir, Remove: each copies its request into one job, which outlives the
 * call when the client leaves meanwhile.
 */
#include <errno.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "filesystem/filesystem.pb-c.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/entry_proto.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/file_info.h"
#include "guest-kernel-agent/files/filesystem_private.h"
#include "guest-kernel-agent/files/tree.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/reply.h"
#include "guest-kernel-agent/system/user_select.h"

struct task {
	struct as_user_job job;
	struct call *call; /* NULL once it is done */
	char *workdir, *path, *second;
	uint32_t depth;
	/* In the thread. path and to are absolute. 0 or -errno with err set. */
	int (*run)(struct task *t, const char *path, const char *to, struct err *reterr);
	void (*answer)(struct task *t);
	struct file_list list;
};

static void task_free(struct task *t)
{
	as_user_job_fini(&t->job);
	file_list_fini(&t->list);
	mem_free(t->workdir);
	mem_free(t->path);
	mem_free(t->second);
	mem_free(t);
}

/* ---- in the thread ---- */

static void run(struct as_user_job *job)
{
	struct task *t = container_of(job, struct task, job);
	char path[PATH_LEN_MAX], second[PATH_LEN_MAX] = "";
	if (user_path(path, &job->user, t->workdir, t->path, &job->err) < 0)
		return;
	if (t->second && user_path(second, &job->user, t->workdir, t->second, &job->err) < 0)
		return;
	int r = t->run(t, path, second, &job->err);
	if (r < 0)
		(void)err_set(&job->err, r, "%s", err_name(r));
}

/* The entry as the only one of the list. */
static int describe(struct task *t, const char *path, struct err *reterr)
{
	struct file_info f;
	int r = file_info_read(path, &f, reterr);
	return r < 0 ? r : file_list_add(&t->list, &f);
}

/* Below a file there is nothing: not an argument that is wrong, but a path that is not there. */
static int run_stat(struct task *t, const char *path, const char *to, struct err *reterr)
{
	struct err why = ERR_INIT;
	int r = describe(t, path, &why);
	if (r == -ENOTDIR)
		return file_error(reterr, -ENOENT, path);
	return r < 0 ? err_set(reterr, r, "%s", err_text(&why)) : 0;
}

static int run_make_dir(struct task *t, const char *path, const char *to, struct err *reterr)
{
	int r = tree_make_dir(path, reterr);
	return r < 0 ? r : describe(t, path, reterr);
}

static int run_move(struct task *t, const char *path, const char *to, struct err *reterr)
{
	int r = tree_move(path, to, reterr);
	return r < 0 ? r : describe(t, to, reterr);
}

static int run_list(struct task *t, const char *path, const char *to, struct err *reterr)
{
	return tree_list(path, t->depth ? t->depth : 1, &t->list, reterr);
}

static int run_remove(struct task *t, const char *path, const char *to, struct err *reterr)
{
	return tree_remove(path, reterr);
}

/* ---- on the loop ---- */

static void done(struct as_user_job *job)
{
	struct task *t = container_of(job, struct task, job);
	struct call *c = t->call;
	if (!c) {
		task_free(t);
		return;
	}
	call_set_user(c, NULL);
	if (job->refused || job->err.code)
		file_error_finish(c, job);
	else
		t->answer(t);
	task_free(t);
}

void entries_rpc_on_done(struct call *c, int err)
{
	struct task *t = call_user(c);
	if (t)
		t->call = NULL; /* done() frees */
}

/* StatResponse, MakeDirResponse and MoveResponse are one and the same on the wire. */
static void answer_entry(struct task *t)
{
	struct entry_proto e;
	Filesystem__StatResponse m = FILESYSTEM__STAT_RESPONSE__INIT;
	m.entry = &e.m;
	if (entry_proto_init(&e, &t->list.items[0]) < 0)
		reply_no_memory(t->call);
	else
		reply_message(t->call, &m.base);
	entry_proto_fini(&e);
}

static void answer_list(struct task *t)
{
	Filesystem__ListDirResponse m = FILESYSTEM__LIST_DIR_RESPONSE__INIT;
	size_t n = t->list.n;
	CLEAN_FREE struct entry_proto *each = mem_calloc(n, sizeof(*each));
	CLEAN_FREE Filesystem__EntryInfo **list = mem_calloc(n, sizeof(*list));
	int r = each && list ? 0 : -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = entry_proto_init(&each[i], &t->list.items[i]);
		list[i] = &each[i].m;
	}
	m.n_entries = n;
	m.entries = list;
	if (r < 0)
		reply_no_memory(t->call);
	else
		reply_message(t->call, &m.base);
	for (size_t i = 0; each && i < n; i++)
		entry_proto_fini(&each[i]);
}

static void answer_removed(struct task *t)
{
	Filesystem__RemoveResponse m = FILESYSTEM__REMOVE_RESPONSE__INIT;
	reply_message(t->call, &m.base);
}

/* second may be NULL. */
static int fill(
    struct task *t, struct filesystem *fs, const char *path, const char *second, struct err *reterr)
{
	int r = user_name_of_call(t->call, fs->conf.identity, &t->job.name, reterr);
	if (r < 0)
		return r;
	t->workdir = mem_strdup(identity_workdir(fs->conf.identity));
	t->path = mem_strdup(path);
	t->second = mem_strdup(second);
	return t->workdir && t->path && (t->second || !second) ? 0 : -ENOMEM;
}

static struct task *task_new(struct call *c)
{
	struct task *t = mem_zalloc(sizeof(*t));
	if (t)
		t->call = c;
	else
		reply_no_memory(c);
	return t;
}

static void start(struct task *t, const char *path, const char *second)
{
	struct err why = ERR_INIT;
	struct call *c = t->call;
	struct filesystem *fs = call_service_arg(c);
	int r = fill(t, fs, path, second, &why);
	if (r < 0) {
		call_finish(c, r == -ENOMEM ? RPC_RESOURCE_EXHAUSTED : RPC_UNAUTHENTICATED, "%s",
		    r == -ENOMEM ? "out of memory" : err_text(&why));
		task_free(t);
		return;
	}
	call_set_user(c, t);
	t->job.run = run;
	t->job.done = done;
	as_user_submit(fs->conf.as_user, &t->job);
}

/* An empty path means the home: what takes it away must name it. */
static bool check_named(struct call *c, const char *field, const char *path)
{
	if (*path)
		return true;
	call_finish(c, RPC_INVALID_ARGUMENT, "%s: expected a path", field);
	return false;
}

void entries_rpc_on_stat(struct call *c, const ProtobufCMessage *m)
{
	struct task *t = task_new(c);
	if (!t)
		return;
	t->run = run_stat;
	t->answer = answer_entry;
	start(t, ((const Filesystem__StatRequest *)m)->path, NULL);
}

void entries_rpc_on_make_dir(struct call *c, const ProtobufCMessage *m)
{
	struct task *t = task_new(c);
	if (!t)
		return;
	t->run = run_make_dir;
	t->answer = answer_entry;
	start(t, ((const Filesystem__MakeDirRequest *)m)->path, NULL);
}

void entries_rpc_on_move(struct call *c, const ProtobufCMessage *m)
{
	const Filesystem__MoveRequest *q = (const Filesystem__MoveRequest *)m;
	if (!check_named(c, "source", q->source) || !check_named(c, "destination", q->destination))
		return;
	struct task *t = task_new(c);
	if (!t)
		return;
	t->run = run_move;
	t->answer = answer_entry;
	start(t, q->source, q->destination);
}

void entries_rpc_on_list_dir(struct call *c, const ProtobufCMessage *m)
{
	const Filesystem__ListDirRequest *q = (const Filesystem__ListDirRequest *)m;
	struct task *t = task_new(c);
	if (!t)
		return;
	t->run = run_list;
	t->answer = answer_list;
	t->depth = q->depth;
	start(t, q->path, NULL);
}

void entries_rpc_on_remove(struct call *c, const ProtobufCMessage *m)
{
	const Filesystem__RemoveRequest *q = (const Filesystem__RemoveRequest *)m;
	if (!check_named(c, "path", q->path))
		return;
	struct task *t = task_new(c);
	if (!t)
		return;
	t->run = run_remove;
	t->answer = answer_removed;
	start(t, q->path, NULL);
}
