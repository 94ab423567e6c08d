/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients and the kernel tell the agent about files. First byte: 'u' a user and a path as text
 * (two lines: Authorization, path), 'w' a sequence of events to a recursive watch, four bytes each
 * (directory, kind, name, cookie), any other the JSON of a request, whose kind the byte chooses.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "filesystem/filesystem.pb-c.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/notifier.h"
#include "guest-kernel-agent/files/watch.h"
#include "guest-kernel-agent/system/user_select.h"
#include "loop/loop.h"
#include "wire/pbwire.h"
#include "wire/pjson.h"

#define TEXT_MAX 8192
#define EVENTS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* ---- users and paths ---- */

static void check_path(const char *path)
{
	struct user u = { .name = (char *)"u", .home = (char *)"/home/u" };
	struct err err = ERR_INIT;
	char dst[PATH_LEN_MAX], again[PATH_LEN_MAX];
	if (user_path(dst, &u, "work", path, &err) < 0) {
		assert(err.text[0]);
		return;
	}
	size_t n = strlen(dst);
	assert(dst[0] == '/' && (n == 1 || dst[n - 1] != '/'));
	assert(!strstr(dst, "//") && !strstr(dst, "/./"));
	assert(user_path(again, &u, "", dst, NULL) == 0 && strcmp(dst, again) == 0);
}

static void check_user(const char *header)
{
	struct err err = ERR_INIT;
	CLEAN_FREE char *name = NULL;
	int r = user_name_from_basic(header, &name, &err);
	assert(r == 0 || (!name && err.text[0]));
	assert(!name || (*name && strlen(name) < USERS_NAME_MAX));
}

static void texts(const uint8_t *p, size_t n)
{
	char text[TEXT_MAX];
	n = n < sizeof(text) ? n : sizeof(text) - 1;
	memcpy(text, p, n);
	text[n] = '\0';
	char *line = strchr(text, '\n');
	if (line)
		*line++ = '\0';
	check_user(text);
	check_path(line ? line : text);
}

/* ---- requests ---- */

static void request(uint8_t kind, const uint8_t *p, size_t n)
{
	const ProtobufCServiceDescriptor *s = &filesystem__filesystem__descriptor;
	const ProtobufCMessageDescriptor *type = s->methods[kind % s->n_methods].input;
	struct err err = ERR_INIT;
	struct buf json = BUF_INIT, once = BUF_INIT, twice = BUF_INIT;
	ProtobufCMessage *m = pjson_decode(type, p, n, &err);
	assert((m != NULL) == (err.code == 0));
	if (!m)
		return;
	assert(pb_pack(&once, m) == 0 && pjson_encode(&json, m) == 0);
	protobuf_c_message_free_unpacked(m, NULL);
	m = pjson_decode(type, buf_data(&json), buf_len(&json), &err);
	assert(m && pb_pack(&twice, m) == 0 && buf_len(&once) == buf_len(&twice));
	protobuf_c_message_free_unpacked(m, NULL);
	buf_fini(&json);
	buf_fini(&once);
	buf_fini(&twice);
}

/* ---- events ---- */

static struct {
	char dir[64];
	struct loop *loop;
	struct as_user *pool;
	struct notifier *notifier;
} world;

static void remove_world(void)
{
	(void)path_remove_tree(world.dir);
}

/* Threads and directories are made once. */
static void make_world(void)
{
	static const char *const dirs[] = { "a", "a/b", "a/b/c", "d" };
	char path[128];
	if (world.loop)
		return;
	(void)path_printf(world.dir, sizeof(world.dir), "/tmp/sandglass-fuzz-XXXXXX");
	assert(mkdtemp(world.dir));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		assert(path_join(path, sizeof(path), world.dir, dirs[i]) == 0);
		assert(mkdir(path, 0755) == 0);
	}
	(void)atexit(remove_world);
	world.loop = loop_new();
	world.pool = as_user_new(world.loop, 1);
	world.notifier = notifier_new(world.loop);
	assert(world.loop && world.pool && world.notifier);
}

static void on_started(const struct as_user_job *failed, void *arg)
{
	assert(!failed);
	*(bool *)arg = true;
}

static void on_more(void *arg)
{
}

static const struct watch_ops ops = { .on_started = on_started, .on_more = on_more };

static size_t add_event(char *dst, const uint8_t *p)
{
	static const char *const names[] = { "a", "b", "c", "d", "x", "y", "z", "a b" };
	static const uint32_t masks[] = { IN_CREATE, IN_CREATE | IN_ISDIR, IN_DELETE,
		IN_DELETE | IN_ISDIR, IN_MOVED_FROM, IN_MOVED_FROM | IN_ISDIR, IN_MOVED_TO,
		IN_MOVED_TO | IN_ISDIR, IN_MODIFY, IN_ATTRIB, IN_ATTRIB | IN_ISDIR, IN_DELETE_SELF,
		IN_MOVE_SELF, IN_IGNORED, IN_UNMOUNT, IN_Q_OVERFLOW };
	struct inotify_event e = {
		.wd = 1 + p[0] % 8, .mask = masks[p[1] % 16], .cookie = p[3] % 4, .len = 16
	};
	char name[16] = { 0 };
	if ((p[1] % 16) >= 11)
		e.len = 0;
	memcpy(name, names[p[2] % 8], strlen(names[p[2] % 8]));
	memcpy(dst, &e, sizeof(e));
	memcpy(dst + sizeof(e), name, e.len);
	return sizeof(e) + e.len;
}

/* Each event alone, so that what it begins ends before the next one. */
static void events(const uint8_t *p, size_t n)
{
	char bytes[sizeof(struct inotify_event) + 16];
	bool started = false;
	make_world();
	struct watch_conf c = { .loop = world.loop,
		.as_user = world.pool,
		.notifier = world.notifier,
		.user = geteuid() == 0 ? "root" : "nobody",
		.workdir = "",
		.path = world.dir,
		.recursive = true,
		.max_events = 8 };
	struct watch *w = watch_new(&c, &ops, &started);
	assert(w && watch_start(w, NULL) == 0);
	while (!started)
		assert(loop_turn(world.loop, true) == 0);
	for (size_t i = 0; n >= 4 && i < EVENTS_MAX; i++, p += 4, n -= 4) {
		struct link list = LINK_INIT(list);
		notifier_feed(world.notifier, bytes, add_event(bytes, p));
		for (int turns = 0; turns < 3; turns++)
			assert(loop_turn(world.loop, false) == 0);
		while (notifier_is_held(world.notifier))
			assert(loop_turn(world.loop, true) == 0);
		(void)watch_take(w, p[3] % 3, &list);
		watch_events_free(&list);
	}
	watch_close(w);
	while (notifier_is_held(world.notifier))
		assert(loop_turn(world.loop, true) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n == 0)
		return 0;
	if (p[0] == 'u')
		texts(p + 1, n - 1);
	else if (p[0] == 'w')
		events(p + 1, n - 1);
	else
		request(p[0], p + 1, n - 1);
	return 0;
}
