/* SPDX-License-Identifier: Apache-2.0 */
/* Processes with real children, and nothing of them left. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/journal/follower.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/system/notices.h"
#include "guest-kernel-agent/system/tree.h"
#include "guest-kernel-agent/system/users.h"
#include "lib/test.h"
#include "loop/loop.h"
#include "unit/agent/agent_tests.h"

#ifdef __SANITIZE_ADDRESS__
#define IN_A_ROW 2000	/* what the sanitizer maps makes each fork slow */
#define GROWTH_KB 65536 /* it keeps what was freed */
#else
#define IN_A_ROW 10000
#define GROWTH_KB 1024
#endif
#define HOUR_MS (3600 * 1000ull)

struct fixture {
	struct loop *loop;
	struct processes *processes;
	struct notices notices;
	struct user user;
};

static void setup(struct fixture *f, const struct processes_conf *conf)
{
	struct processes_conf c = *conf;
	*f = (struct fixture){ .loop = loop_new() };
	c.loop = f->loop;
	c.notices = &f->notices;
	f->processes = processes_new(&c);
	ck_assert_ptr_nonnull(f->processes);
	ck_assert_int_eq(user_lookup_uid(geteuid(), &f->user, NULL), 0);
}

static void teardown(struct fixture *f)
{
	processes_free(f->processes);
	loop_free(f->loop);
	user_fini(&f->user);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child at all */
	ck_assert_int_eq(errno, ECHILD);
}

static char **list_of(const char *a, const char *b)
{
	char **list = mem_calloc(3, sizeof(*list));
	list[0] = mem_strdup(a);
	list[1] = mem_strdup(b);
	return list;
}

static void on_started(struct process *p, int stage, int error, void *arg)
{
	*(int *)arg = stage ? -1 : 1;
}

/* A reference. With a script, a shell runs it. */
static struct process *start(struct fixture *f, const char *script, uint64_t output_max)
{
	static const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
	struct process_command command = { .cmd = mem_strdup(script ? "/bin/sh" : "/bin/true"),
		.cwd = mem_strdup(""),
		.tag = mem_strdup(""),
		.dir = mem_strdup("/"),
		.args = list_of(script ? "-c" : NULL, script),
		.envs = list_of(NULL, NULL) };
	int started = 0;
	struct process_start s = { .command = &command,
		.user = &f->user,
		.envp = envp,
		.output_max = output_max,
		.limit_ms = UINT64_MAX,
		.on_started = on_started,
		.arg = &started };
	struct process *p = NULL;
	ck_assert_int_eq(process_start(f->processes, &s, &p, NULL), 0);
	while (started == 0)
		ck_assert_int_ge(loop_turn(f->loop, true), 0);
	ck_assert_int_eq(started, 1);
	return p;
}

static void turn_to_end(struct fixture *f, const struct process *p)
{
	while (!process_is_ended(p))
		ck_assert_int_ge(loop_turn(f->loop, true), 0);
}

static void check_end(const struct process *p, enum process_end how, const char *text)
{
	char status[PROCESS_STATUS_TEXT_MAX];
	struct process_outcome o;
	process_outcome(p, &o);
	ck_assert_int_eq(o.how, how);
	ck_assert_str_eq(process_status_text(o.wait_status, status), text);
}

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *dir = opendir("/proc/self/fd");
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

/* Kilobytes. */
static unsigned long resident(void)
{
	unsigned long pages = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%lu %lu", &pages, &rss), 2);
	(void)fclose(f);
	return rss * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

START_TEST(test_in_a_row)
{
	struct fixture f;
	setup(&f, &(struct processes_conf){ .kept = 100 });
	char first[37] = "";
	unsigned before = 0;
	unsigned long rss = 0;
	for (int i = 0; i < IN_A_ROW; i++) {
		struct process *p = start(&f, NULL, 0);
		turn_to_end(&f, p);
		check_end(p, PROCESS_END_EXITED, "exit status 0");
		if (i == 0)
			(void)snprintf(first, sizeof(first), "%s", process_id(p));
		process_unref(p);
		if (i == 1000) {
			before = descriptors();
			rss = resident();
			ck_assert_ptr_null(processes_find_id(f.processes, first));
		}
	}
	ck_assert_uint_le(descriptors(), before);
	ck_assert_uint_le(resident(), rss + GROWTH_KB);
	teardown(&f);
}
END_TEST

START_TEST(test_at_once)
{
	struct fixture f;
	setup(&f, &(struct processes_conf){ 0 });
	struct process *p[200];
	unsigned before = descriptors();
	for (int i = 0; i < 200; i++)
		p[i] = start(&f, "sleep 60 & sleep 60", 0);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(process_kill(p[i], PROCESS_END_KILLED), 0);
	for (int i = 0; i < 200; i++) {
		turn_to_end(&f, p[i]);
		check_end(p[i], PROCESS_END_KILLED, "signal: killed");
		ck_assert_int_eq(process_kill(p[i], PROCESS_END_KILLED), -ESRCH);
		process_unref(p[i]);
	}
	while (waitpid(-1, NULL, 0) > 0)
		; /* those that were left to us, if we are process 1 */
	ck_assert_uint_le(descriptors(), before);
	teardown(&f);
}
END_TEST

/* The table goes while they run. */
/* The counter of kills for memory grows before its victim ends, and only its victims are told so.
 */
START_TEST(test_killed_for_memory)
{
	struct fixture f;
	char file[] = "/tmp/sandglass-oom-XXXXXX", command[128];
	int fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "oom_kill 3\n", 11), 11);
	(void)close(fd);
	setup(&f, &(struct processes_conf){ .oom_file = file });
	struct process *before = start(&f, "exec sleep 60", 0);
	struct process *p = start(&f, "kill -9 $$", 0);
	turn_to_end(&f, p);
	check_end(p, PROCESS_END_SIGNALED, "signal: killed");
	process_unref(p);
	(void)snprintf(command, sizeof(command), "echo oom_kill 4 > %s; kill -9 $$", file);
	p = start(&f, command, 0);
	turn_to_end(&f, p);
	check_end(p, PROCESS_END_OUT_OF_MEMORY, "signal: killed");
	process_unref(p);
	p = start(&f, "kill -9 $$", 0);
	turn_to_end(&f, p);
	check_end(p, PROCESS_END_SIGNALED, "signal: killed");
	process_unref(p);
	/* The host told long ago of one that was no child of ours. */
	(void)snprintf(command, sizeof(command), "echo oom_kill 5 > %s", file);
	p = start(&f, command, 0);
	turn_to_end(&f, p);
	process_unref(p);
	ck_assert_int_eq(notices_add(&f.notices, "oom", 5), 0);
	f.notices.oom_ms -= 60000;
	ck_assert_int_eq(kill(process_pid(before), SIGKILL), 0);
	turn_to_end(&f, before);
	check_end(before, PROCESS_END_SIGNALED, "signal: killed");
	process_unref(before);
	(void)unlink(file);
	teardown(&f);
}
END_TEST

/* What a process wrote before somebody killed it is in its pipes, and nothing of it is lost. */
#define WRITTEN 60000
START_TEST(test_output_before_a_kill)
{
	static const char *const more[] = { "", "sleep 0.05 & " };
	struct fixture f;
	char file[] = "/tmp/sandglass-kill-XXXXXX", command[256];
	setup(&f, &(struct processes_conf){ 0 });
	int fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	for (int i = 0; i < 80; i++) {
		(void)snprintf(command, sizeof(command),
		    "%shead -c %d /dev/zero; echo err >&2; rm %s; %s", more[i % 2], WRITTEN, file,
		    i % 4 < 2 ? "kill -9 $$" : "exec sleep 60");
		fd = open(file, O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		(void)close(fd);
		struct process *p = start(&f, command, 0);
		while (access(file, F_OK) == 0) /* nobody reads meanwhile */
			(void)poll(NULL, 0, 1);
		if (i % 4 >= 2)
			ck_assert_int_eq(kill(process_pid(p), SIGKILL), 0);
		turn_to_end(&f, p);
		check_end(p, PROCESS_END_SIGNALED, "signal: killed");
		ck_assert_uint_eq(process_bytes(p, PROCESS_EVENT_STDOUT), WRITTEN);
		ck_assert_uint_eq(process_bytes(p, PROCESS_EVENT_STDERR), 4);
		process_unref(p);
	}
	teardown(&f);
}
END_TEST

START_TEST(test_free_kills)
{
	struct fixture f;
	setup(&f, &(struct processes_conf){ 0 });
	struct process *p = start(&f, "sleep 60 & exec sleep 60", 0);
	pid_t pid = process_pid(p);
	process_unref(p);
	teardown(&f);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}
END_TEST

START_TEST(test_retention)
{
	struct fixture f;
	setup(&f, &(struct processes_conf){ .kept_ms = HOUR_MS, .kept = 3 });
	char ids[5][37];
	clock_fake_start(clock_real_ns());
	for (int i = 0; i < 4; i++) {
		struct process *p = start(&f, NULL, 0);
		turn_to_end(&f, p);
		(void)snprintf(ids[i], sizeof(ids[i]), "%s", process_id(p));
		process_unref(p);
	}
	ck_assert_ptr_null(processes_find_id(f.processes, ids[0]));
	for (int i = 1; i < 4; i++)
		ck_assert_ptr_nonnull(processes_find_id(f.processes, ids[i]));
	clock_fake_advance(HOUR_MS);
	struct process *p = start(&f, NULL, 0);
	turn_to_end(&f, p);
	clock_fake_stop();
	for (int i = 1; i < 4; i++)
		ck_assert_ptr_null(processes_find_id(f.processes, ids[i]));
	ck_assert_ptr_eq(processes_find_pid(f.processes, (uint32_t)process_pid(p)), p);
	processes_set_retention(f.processes, HOUR_MS, 1);
	ck_assert_ptr_null(processes_find_pid(f.processes, (uint32_t)process_pid(p)));
	process_unref(p);
	teardown(&f);
}
END_TEST

/* ---- readers ---- */

struct reader {
	struct follower follower;
	uint64_t bytes, next;
	size_t appetite; /* records that it still takes */
	bool ended;
};

static bool is_ready(void *arg)
{
	return ((struct reader *)arg)->appetite > 0;
}

static int on_record(const struct journal_record *rec, void *arg)
{
	struct reader *r = arg;
	struct process_event ev;
	ck_assert_int_eq(process_event_decode(rec, &ev), 0);
	ck_assert_uint_eq(ev.seq, r->next++);
	if (ev.type == PROCESS_EVENT_STDOUT) {
		ck_assert_uint_eq(ev.output.offset, r->bytes);
		r->bytes += ev.output.n;
	}
	r->appetite--;
	return FOLLOWER_SENT;
}

static int on_silence(void *arg)
{
	return 0;
}

static void on_end(int err, void *arg)
{
	ck_assert_int_eq(err, 0);
	((struct reader *)arg)->ended = true;
}

static const struct follower_ops ops = {
	.is_ready = is_ready, .on_record = on_record, .on_silence = on_silence, .on_end = on_end
};

/* A reader that does not read: its process waits, and memory stays where it is. Then all arrives.
 */
START_TEST(test_slow_reader)
{
	struct fixture f;
	setup(&f, &(struct processes_conf){ .journal_cap = 4 * 1024 * 1024 });
	struct reader r = { .next = 1, .appetite = 1 };
	struct process *p = start(&f, "head -c 100000000 /dev/zero", 0);
	ck_assert_int_eq(follower_init(&r.follower, f.loop, process_journal(p), 1,
			     FOLLOWER_SILENCE_MS, &ops, &r),
	    0);
	for (int i = 0; i < 2000; i++)
		ck_assert_int_ge(loop_turn(f.loop, false), 0);
	while (journal_bytes(process_journal(p)) < 4 * 1024 * 1024)
		ck_assert_int_ge(loop_turn(f.loop, true), 0);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_ge(loop_turn(f.loop, false), 0);
		ck_assert_uint_le(journal_bytes(process_journal(p)), 5 * 1024 * 1024);
		ck_assert_uint_le(journal_memory(process_journal(p)), 512 * 1024);
	}
	ck_assert(!process_is_ended(p));
	r.appetite = SIZE_MAX;
	follower_resume(&r.follower);
	while (!r.ended)
		ck_assert_int_ge(loop_turn(f.loop, true), 0);
	ck_assert_uint_eq(r.bytes, 100000000);
	check_end(p, PROCESS_END_EXITED, "exit status 0");
	process_unref(p);
	teardown(&f);
}
END_TEST

/* Nobody reads: the process is not held up, and the newest output is kept. */
START_TEST(test_no_reader)
{
	struct fixture f;
	setup(&f, &(struct processes_conf){ .journal_cap = 4 * 1024 * 1024 });
	struct process *p = start(&f, "head -c 50000000 /dev/zero", 0);
	turn_to_end(&f, p);
	check_end(p, PROCESS_END_EXITED, "exit status 0");
	ck_assert_uint_eq(process_bytes(p, PROCESS_EVENT_STDOUT), 50000000);
	ck_assert_uint_le(journal_bytes(process_journal(p)), 5 * 1024 * 1024);
	ck_assert_uint_gt(journal_first(process_journal(p)), 1);
	process_unref(p);
	teardown(&f);
}
END_TEST

START_TEST(test_output_limit)
{
	struct fixture f;
	setup(&f, &(struct processes_conf){ 0 });
	struct process *p = start(&f, "yes & yes", 300000);
	turn_to_end(&f, p);
	check_end(p, PROCESS_END_OUTPUT_LIMIT, "signal: killed");
	ck_assert_uint_eq(process_bytes(p, PROCESS_EVENT_STDOUT), 300000);
	process_unref(p);
	while (waitpid(-1, NULL, 0) > 0)
		;
	teardown(&f);
}
END_TEST

/* ---- words and marks ---- */

START_TEST(test_status_text)
{
	static const struct {
		int status, code;
		const char *text;
	} cases[] = {
		{ W_EXITCODE(0, 0), 0, "exit status 0" },
		{ W_EXITCODE(255, 0), 255, "exit status 255" },
		{ W_EXITCODE(0, SIGKILL), -1, "signal: killed" },
		{ W_EXITCODE(0, SIGTERM), -1, "signal: terminated" },
		{ W_EXITCODE(0, SIGTRAP), -1, "signal: trace/breakpoint trap" },
		{ W_EXITCODE(0, SIGSEGV) | WCOREFLAG, -1,
		    "signal: segmentation fault (core dumped)" },
		{ W_EXITCODE(0, 16), -1, "signal: signal 16" },
		{ W_EXITCODE(0, 64), -1, "signal: signal 64" },
	};
	char text[PROCESS_STATUS_TEXT_MAX];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_str_eq(process_status_text(cases[i].status, text), cases[i].text);
		ck_assert_int_eq(process_exit_code(cases[i].status), cases[i].code);
	}
}
END_TEST

START_TEST(test_parse_mark)
{
#define LINE "\nMax file locks            "
	ck_assert_uint_eq(tree_parse_mark(LINE "1099511627779        1099511627779        locks\n"),
	    TREE_MARK_MIN + 3);
	/* Lowered by the process: the hard limit counts. */
	ck_assert_uint_eq(
	    tree_parse_mark(LINE "5        1099511627779        locks\n"), TREE_MARK_MIN + 3);
	ck_assert_uint_eq(tree_parse_mark(LINE "unlimited        unlimited        locks\n"), 0);
	ck_assert_uint_eq(tree_parse_mark(LINE "5        5        locks\n"), 0);
	ck_assert_uint_eq(tree_parse_mark("Max cpu time              unlimited"), 0);
	ck_assert_uint_eq(tree_parse_mark(""), 0);
}
END_TEST

void add_process_tests(Suite *s)
{
	TCase *tc = test_case(s, "process", 120);
	tcase_add_test(tc, test_in_a_row);
	tcase_add_test(tc, test_at_once);
	tcase_add_test(tc, test_killed_for_memory);
	tcase_add_test(tc, test_output_before_a_kill);
	tcase_add_test(tc, test_free_kills);
	tcase_add_test(tc, test_retention);
	tcase_add_test(tc, test_slow_reader);
	tcase_add_test(tc, test_no_reader);
	tcase_add_test(tc, test_output_limit);
	tcase_add_test(tc, test_status_text);
	tcase_add_test(tc, test_parse_mark);
}
