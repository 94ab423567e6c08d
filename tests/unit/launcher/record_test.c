/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/record.h"
#include "launcher_tests.h"
#include "lib/test.h"
#include "lib/tmpdir.h"

static const struct record sample = { .id = "iabc",
	.boot = "01234567-89ab-cdef-0123-456789abcdef",
	.base = "host-00",
	.slot = 12,
	.net_slot = -1,
	.pid = 4242,
	.start = 987654321012ull,
	.disk_bytes = 1ull << 33,
	.kind = 1,
	.kvm = 1,
	.memory_bytes = 1ull << 31,
	.warm = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	.ready = true };

START_TEST(records_read_back)
{
	struct tmpdir t;
	struct record got;
	char path[128];
	tmpdir_make(&t);
	(void)tmpdir_at(&t, "record", path);
	ck_assert_int_eq(record_read(path, &got), -ENOENT);
	ck_assert_int_eq(record_write(path, &sample), 0);
	ck_assert_int_eq(record_read(path, &got), 0);
	ck_assert_str_eq(got.id, sample.id);
	ck_assert_str_eq(got.boot, sample.boot);
	ck_assert_str_eq(got.base, sample.base);
	ck_assert_uint_eq(got.slot, sample.slot);
	ck_assert_int_eq(got.net_slot, -1);
	ck_assert_int_eq(got.pid, sample.pid);
	ck_assert_uint_eq(got.start, sample.start);
	ck_assert_uint_eq(got.disk_bytes, sample.disk_bytes);
	ck_assert_uint_eq(got.kind, 1);
	ck_assert_uint_eq(got.kvm, 1);
	ck_assert_uint_eq(got.memory_bytes, sample.memory_bytes);
	ck_assert_str_eq(got.warm, sample.warm);
	ck_assert(got.ready);
	struct record shorter = sample;
	shorter.warm[0] = '\0';
	shorter.start = 1;
	ck_assert_int_eq(record_write(path, &shorter), 0); /* leaves no tail of the longer one */
	ck_assert_int_eq(record_read(path, &got), 0);
	ck_assert_uint_eq(got.start, 1);
	ck_assert_str_eq(got.warm, "");
	tmpdir_remove(&t);
}
END_TEST

#define TEXT(id, base, pid, kind, warm, rest)                                         \
	"sandglass-box 2\nid " id "\nboot b\nbase " base "\nslot 1\nnet -1\npid " pid \
	"\nstart 1\ndisk 1\nkind " kind "\nkvm 0\nmemory 1\nwarm " warm "\nready 1\n" rest

START_TEST(rubbish_is_refused)
{
	static const char good[] = TEXT("iabc", "host", "1", "0", "-", "");
	static const char *const texts[] = { "", "\n", "sandglass-box 2\n",
		"sandglass-box 3\nid iabc\n", TEXT("../x", "host", "1", "0", "-", ""),
		TEXT("iabc", "../x", "1", "0", "-", ""), TEXT("iabc", "host", "-5", "0", "-", ""),
		TEXT("iabc", "host", "1", "9", "-", ""), TEXT("iabc", "host", "1", "0", "../x", ""),
		TEXT("iabc", "host", "1", "0", "abc", ""),
		TEXT("iabc", "host", "1", "0", "-", "more\n"),
		"sandglass-box 2\nid iaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nboot b\n" };
	struct tmpdir t;
	struct record got = { 0 };
	char path[128];
	tmpdir_make(&t);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		tmpdir_write(&t, "record", texts[i]);
		ck_assert_int_eq(record_read(tmpdir_at(&t, "record", path), &got), -EBADMSG);
		ck_assert_str_eq(got.id, "");
	}
	tmpdir_write(&t, "record", good);
	ck_assert_int_eq(record_read(tmpdir_at(&t, "record", path), &got), 0);
	tmpdir_remove(&t);
}
END_TEST

START_TEST(processes_are_told_apart)
{
	struct record rec = sample;
	uint64_t start = 0;
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char c;
		(void)prctl(PR_SET_NAME, "a) R 1 ( (x"); /* names may look like fields */
		(void)close(ends[1]);
		(void)!read(ends[0], &c, 1);
		_exit(0);
	}
	rec.pid = pid;
	ck_assert_int_eq(record_process_start(pid, &start), 0);
	ck_assert(!record_process_has_execed(pid));
	rec.start = start + 1;
	ck_assert_int_eq(record_open_process(&rec), -ESRCH);
	rec.start = start;
	CLEAN_FD int fd = record_open_process(&rec);
	ck_assert_int_ge(fd, 0);
	(void)close(ends[1]);
	siginfo_t si;
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(record_process_start(pid, &start), -ESRCH); /* a zombie */
	ck_assert_int_eq(record_open_process(&rec), -ESRCH);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(record_open_process(&rec), -ESRCH);
	rec.pid = 1;
	ck_assert_int_eq(record_open_process(&rec), -ESRCH);
	(void)close(ends[0]);
}
END_TEST

void add_record_tests(Suite *s)
{
	TCase *tc = test_case(s, "record", 10);
	tcase_add_test(tc, records_read_back);
	tcase_add_test(tc, rubbish_is_refused);
	tcase_add_test(tc, processes_are_told_apart);
}
