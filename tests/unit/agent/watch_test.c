/* SPDX-License-Identifier: Apache-2.0 */
/* What filesystem_process_test.py cannot make happen from outside: events that are lost, and time.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/filesystem.h"
#include "guest-kernel-agent/files/notifier.h"
#include "guest-kernel-agent/files/scan.h"
#include "guest-kernel-agent/files/watch.h"
#include "guest-kernel-agent/system/identity.h"
#include "lib/loopback.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"
#include "unit/agent/agent_tests.h"

#define LIMIT_MS 8000
#define SEEN_MAX 400

struct fixture {
	struct tmpdir dir;
	struct loop *loop;
	struct as_user *pool;
	struct notifier *notifier;
	struct watch *watch;
	bool started;
	int failed;
	unsigned told;
};

static void on_started(const struct as_user_job *failed, void *arg)
{
	struct fixture *f = arg;
	f->started = true;
	f->failed = failed ? failed->err.code : 0;
}

static void on_more(void *arg)
{
	struct fixture *f = arg;
	f->told++;
}

static const struct watch_ops ops = { .on_started = on_started, .on_more = on_more };

static void turn(struct fixture *f)
{
	struct timespec t = { .tv_nsec = 200000 };
	ck_assert_int_ge(loop_turn(f->loop, false), 0);
	(void)nanosleep(&t, NULL);
}

static void setup(struct fixture *f)
{
	*f = (struct fixture){ .loop = loop_new() };
	tmpdir_make(&f->dir);
	f->pool = as_user_new(f->loop, 2);
	f->notifier = notifier_new(f->loop);
	ck_assert(f->loop && f->pool && f->notifier);
}

static void begin(struct fixture *f, bool recursive, size_t max_events)
{
	char own[USERS_NAME_MAX];
	struct err err = ERR_INIT;
	struct watch_conf c = { .loop = f->loop,
		.as_user = f->pool,
		.notifier = f->notifier,
		.user = user_name_of(geteuid(), own),
		.workdir = "",
		.path = f->dir.path,
		.recursive = recursive,
		.max_events = max_events };
	f->watch = watch_new(&c, &ops, f);
	ck_assert_ptr_nonnull(f->watch);
	ck_assert_int_eq(watch_start(f->watch, &err), 0);
	for (uint64_t end = clock_mono_ms() + LIMIT_MS; !f->started && clock_mono_ms() < end;)
		turn(f);
	ck_assert(f->started);
	ck_assert_int_eq(f->failed, 0);
}

static void teardown(struct fixture *f)
{
	watch_close(f->watch);
	as_user_free(f->pool);
	notifier_free(f->notifier);
	loop_free(f->loop);
	tmpdir_remove(&f->dir);
}

/* Events in order, one text each: "C name". */
struct seen {
	char text[SEEN_MAX][64];
	unsigned n;
};

static bool has(const struct seen *s, const char *what)
{
	for (unsigned i = 0; i < s->n; i++)
		if (str_eq(s->text[i], what))
			return true;
	return false;
}

static void take(struct fixture *f, struct seen *s, size_t max)
{
	struct link list = LINK_INIT(list);
	(void)watch_take(f->watch, max, &list);
	LIST_EACH(k, &list)
	{
		const struct watch_event *e = container_of(k, struct watch_event, link);
		ck_assert_uint_lt(s->n, SEEN_MAX);
		(void)snprintf(
		    s->text[s->n++], sizeof(s->text[0]), "%c %s", "?CWRMA"[e->change], e -> name);
	}
	watch_events_free(&list);
}

static void take_until(struct fixture *f, struct seen *s, const char *what)
{
	for (uint64_t end = clock_mono_ms() + LIMIT_MS; !has(s, what) && clock_mono_ms() < end;) {
		turn(f);
		take(f, s, 1);
	}
	if (!has(s, what))
		ck_abort_msg("no event '%s' among %u", what, s->n);
}

static void make_dir(const struct fixture *f, const char *name)
{
	char path[128];
	ck_assert_int_eq(mkdir(tmpdir_at(&f->dir, name, path), 0755), 0);
}

/* Times of files come from a clock that ticks slowly. */
static void let_time_pass(void)
{
	struct timespec t = { .tv_nsec = 150 * 1000000 };
	(void)nanosleep(&t, NULL);
}

/* Nobody takes anything while more happens than the queue holds. */
START_TEST(test_full_queue)
{
	struct fixture f;
	struct seen s = { 0 };
	char name[32];
	setup(&f);
	tmpdir_write(&f.dir, "old", "");
	let_time_pass();
	begin(&f, false, 4);
	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "f%02d", i);
		make_dir(&f, name);
		turn(&f);
	}
	for (int i = 0; i < 50; i++)
		turn(&f);
	take_until(&f, &s, "? .");
	ck_assert_uint_eq(s.n, 5); /* what the queue held, then the loss */
	take_until(&f, &s, "C f29");
	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "C f%02d", i);
		ck_assert(has(&s, name));
	}
	ck_assert(!has(&s, "C old") && !has(&s, "W old"));
	make_dir(&f, "after");
	take_until(&f, &s, "C after");
	ck_assert_str_eq(s.text[s.n - 1], "C after");
	teardown(&f);
}
END_TEST

/* What the kernel dropped: taken away from the notifier here. */
static void lose_events(struct fixture *f)
{
	char bytes[65536];
	struct inotify_event overflow = { .wd = -1, .mask = IN_Q_OVERFLOW };
	ck_assert_int_gt(read(notifier_fd(f->notifier), bytes, sizeof(bytes)), 0);
	notifier_feed(f->notifier, &overflow, sizeof(overflow));
}

START_TEST(test_kernel_overflow)
{
	struct fixture f;
	struct seen s = { 0 };
	char path[128], to[128];
	setup(&f);
	tmpdir_write(&f.dir, "quiet", "");
	tmpdir_write(&f.dir, "loud", "");
	make_dir(&f, "kept");
	make_dir(&f, "leaves");
	make_dir(&f, "leaves/sub");
	let_time_pass();
	begin(&f, true, 0);
	let_time_pass();
	turn(&f);
	CLEAN_FD int fd = open(tmpdir_at(&f.dir, "loud", path), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	make_dir(&f, "new");
	make_dir(&f, "new/deep");
	tmpdir_write(&f.dir, "new/deep/file", "");
	tmpdir_write(&f.dir, "kept/file", "");
	ck_assert_int_eq(
	    rename(tmpdir_at(&f.dir, "leaves", path), tmpdir_at(&f.dir, "kept/came", to)), 0);
	lose_events(&f);
	take_until(&f, &s, "R leaves/sub");
	ck_assert_str_eq(s.text[0], "? .");
	static const char *const wanted[] = { "W loud", "C new", "C new/deep", "C new/deep/file",
		"C kept/file", "C kept/came", "C kept/came/sub", "R leaves" };
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		take_until(&f, &s, wanted[i]);
	ck_assert(!has(&s, "C quiet") && !has(&s, "W quiet"));
	ck_assert(!has(&s, "C kept") && !has(&s, "R kept"));
	/* Directories that appeared unseen are watched now, and under their new names. */
	make_dir(&f, "new/deep/later");
	take_until(&f, &s, "C new/deep/later");
	make_dir(&f, "kept/came/sub/later");
	take_until(&f, &s, "C kept/came/sub/later");
	teardown(&f);
}
END_TEST

struct second {
	struct fixture *f;
	bool started;
};

/* The directory is watched by the second, and not yet known to the first. */
static void on_second_started(const struct as_user_job *failed, void *arg)
{
	struct second *two = arg;
	ck_assert_ptr_null(failed);
	tmpdir_write(&two->f->dir, "d/f", "");
	two->started = true;
}

static void on_second_more(void *arg)
{
}

/* The file's event is in the queue when a scan finds it. */
START_TEST(test_told_once)
{
	static const struct watch_ops second_ops = { .on_started = on_second_started,
		.on_more = on_second_more };
	struct fixture f;
	struct second two = { .f = &f };
	struct seen s = { 0 };
	char own[USERS_NAME_MAX], path[128];
	unsigned told = 0;
	setup(&f);
	begin(&f, true, 0);
	make_dir(&f, "d");
	struct watch_conf c = { .loop = f.loop,
		.as_user = f.pool,
		.notifier = f.notifier,
		.user = user_name_of(geteuid(), own),
		.workdir = "",
		.path = tmpdir_at(&f.dir, "d", path) };
	struct watch *w = watch_new(&c, &second_ops, &two);
	ck_assert_int_eq(watch_start(w, NULL), 0);
	take_until(&f, &s, "C d/f");
	ck_assert(two.started);
	make_dir(&f, "end");
	take_until(&f, &s, "C end");
	for (unsigned i = 0; i < s.n; i++)
		told += str_eq(s.text[i], "C d/f");
	ck_assert_uint_eq(told, 1);
	watch_close(w);
	teardown(&f);
}
END_TEST

/* Closed while its scan runs, and while another one goes on. */
START_TEST(test_close_early)
{
	struct fixture f;
	struct seen s = { 0 };
	setup(&f);
	make_dir(&f, "d");
	begin(&f, true, 0);
	struct watch *first = f.watch;
	f.started = false;
	begin(&f, true, 0);
	make_dir(&f, "d/e");
	watch_close(first);
	take_until(&f, &s, "C d/e");
	teardown(&f);

	setup(&f);
	char own[USERS_NAME_MAX];
	struct watch_conf c = { .loop = f.loop,
		.as_user = f.pool,
		.notifier = f.notifier,
		.user = user_name_of(geteuid(), own),
		.workdir = "",
		.path = f.dir.path };
	struct watch *w = watch_new(&c, &ops, &f);
	ck_assert_int_eq(watch_start(w, NULL), 0);
	watch_close(w);
	teardown(&f);
	ck_assert(!f.started);
}
END_TEST

/* Wherever memory runs out on the loop: a refusal, an end or a loss, never a silent watch. */
static bool watch_without_memory(long successes)
{
	struct fixture f;
	struct seen s = { 0 };
	char own[USERS_NAME_MAX];
	setup(&f);
	make_dir(&f, "d");
	struct watch_conf c = { .loop = f.loop,
		.as_user = f.pool,
		.notifier = f.notifier,
		.user = user_name_of(geteuid(), own),
		.workdir = "",
		.path = f.dir.path,
		.recursive = true };
	mem_fail_after(successes);
	f.watch = watch_new(&c, &ops, &f);
	bool told = !f.watch || watch_start(f.watch, NULL) < 0;
	for (int i = 0; !told && i < 20000 && !f.started && !watch_end(f.watch); i++)
		turn(&f);
	told = told || !f.started || f.failed;
	if (!told) {
		mem_fail_after(-1);
		make_dir(&f, "d/e");
		tmpdir_write(&f.dir, "d/e/f", "");
		make_dir(&f, "end");
		mem_fail_after(successes);
		for (int i = 0; i < 20000 && !has(&s, "C end") && !watch_end(f.watch); i++) {
			turn(&f);
			take(&f, &s, 1);
			if (has(&s, "? ."))
				mem_fail_after(-1); /* what was lost comes now */
		}
		ck_assert(watch_end(f.watch) || (has(&s, "C end") && has(&s, "C d/e")));
		told = watch_end(f.watch) || has(&s, "? .");
	}
	mem_fail_after(-1);
	teardown(&f);
	return told;
}

START_TEST(test_no_memory)
{
	long n = 0;
	while (watch_without_memory(n))
		n++;
	ck_assert_int_gt(n, 10);
}
END_TEST

/* statfs(2) types, written as its manual has them. */
START_TEST(test_network_types)
{
	static const uint32_t network[] = { 0x6969, 0xff534d42, 0xfe534d42, 0x517b, 0x65735546,
		0x01021997 };
	static const uint32_t local[] = { 0xef53, 0x01021994, 0x794c7630, 0x58465342, 0x9123683e };
	for (size_t i = 0; i < sizeof(network) / sizeof(*network); i++)
		ck_assert(scan_is_network(network[i]));
	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		ck_assert(!scan_is_network(local[i]));
}
END_TEST

/* ---- watchers that nobody asks ---- */

static void on_request(struct http_stream *st, void *arg)
{
	ck_assert(rpc_router_handle(arg, st));
}

/* The answer's body as text in dst; its HTTP status. */
static int call(
    struct fixture *f, struct loopback *lb, const char *path, const char *body, char dst[256])
{
	static const char *const fields[] = { "content-type", "application/json", NULL };
	struct exchange x;
	exchange_start(lb, &x, "POST", path, fields);
	ck_assert_int_eq(http_stream_write(x.st, body, strlen(body)), 0);
	ck_assert_int_eq(http_stream_end(x.st, NULL), 0);
	for (uint64_t end = clock_mono_ms() + LIMIT_MS; !x.closed && clock_mono_ms() < end;) {
		loopback_pump(lb);
		turn(f);
	}
	ck_assert(x.closed);
	(void)snprintf(dst, 256, "%.*s", (int)buf_len(&x.body), (char *)buf_data(&x.body));
	int status = x.status;
	exchange_fini(&x);
	return status;
}

START_TEST(test_expiry)
{
	struct fixture f;
	struct loopback lb;
	char own[USERS_NAME_MAX], body[256], text[256];
	setup(&f);
	struct identity *id = identity_new();
	CLEAN_JSON json_t *boot = json_pack("{s:s}", "user", user_name_of(geteuid(), own));
	ck_assert_int_eq(identity_boot(id, boot, NULL), 0);
	struct filesystem_conf c = {
		.loop = f.loop, .identity = id, .as_user = f.pool, .watcher_idle_ms = 1000
	};
	struct filesystem *fs = filesystem_new(&c);
	struct rpc_router *router = rpc_router_new(f.loop);
	ck_assert_int_eq(rpc_router_add(router, filesystem_service(fs)), 0);
	loopback_init(&lb, 2, on_request, router);
	(void)snprintf(body, sizeof(body), "{\"path\":\"%s\"}", f.dir.path);
	ck_assert_int_eq(call(&f, &lb, "/filesystem.Filesystem/CreateWatcher", body, text), 200);
	(void)snprintf(body, sizeof(body), "%s", text); /* {"watcherId":...} is a request, too */
	for (uint64_t end = clock_mono_ms() + 1500; clock_mono_ms() < end;)
		ck_assert_int_eq(
		    call(&f, &lb, "/filesystem.Filesystem/GetWatcherEvents", body, text), 200);
	for (uint64_t end = clock_mono_ms() + 1500; clock_mono_ms() < end;)
		turn(&f);
	ck_assert_int_eq(call(&f, &lb, "/filesystem.Filesystem/GetWatcherEvents", body, text), 404);
	/* One more is there at the end. */
	(void)snprintf(body, sizeof(body), "{\"path\":\"%s\"}", f.dir.path);
	ck_assert_int_eq(call(&f, &lb, "/filesystem.Filesystem/CreateWatcher", body, text), 200);
	loopback_fini(&lb);
	rpc_router_free(router);
	filesystem_stop(fs);
	as_user_free(f.pool);
	f.pool = NULL;
	filesystem_free(fs);
	identity_free(id);
	teardown(&f);
}
END_TEST

void add_watch_tests(Suite *s)
{
	TCase *tc = test_case(s, "watch", 30);
	tcase_add_test(tc, test_full_queue);
	tcase_add_test(tc, test_kernel_overflow);
	tcase_add_test(tc, test_told_once);
	tcase_add_test(tc, test_close_early);
	tcase_add_test(tc, test_no_memory);
	tcase_add_test(tc, test_network_types);
	tcase_add_test(tc, test_expiry);
}
