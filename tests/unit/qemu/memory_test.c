/* SPDX-License-Identifier: Apache-2.0 */
/* Differences of memory, between real processes that map one sealed file. */
#include "launcher/mem_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "launcher/record.h"
#include "lib/test.h"
#include "qemu_tests.h"

#define NAME "sg-test-memory"
#define PAGE 4096u
#define PAGES 1024u
#define SIZE (PAGES * (size_t)PAGE)

/* A base whose page i holds bytes i + 1, but for the last hundred, which are zero. */
static int make_base(void)
{
	static unsigned char page[PAGE];
	int fd = memfd_create(NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	for (unsigned i = 0; i < PAGES - 100; i++) {
		memset(page, (int)(i + 1) & 0xff, PAGE);
		ck_assert_int_eq(pwrite(fd, page, PAGE, (off_t)i * PAGE), PAGE);
	}
	ck_assert_int_eq(
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	return fd;
}

/* What the first process writes; the others are left alone. */
static void scribble(unsigned char *m)
{
	memset(m + 3 * (size_t)PAGE, 0xaa, PAGE);
	memset(m + 4 * (size_t)PAGE, 0, PAGE);			  /* zeros over something */
	memset(m + 10 * (size_t)PAGE, 11, PAGE);		  /* what the base holds */
	memset(m + (PAGES - 1) * (size_t)PAGE, 0, PAGE);	  /* zeros over zeros */
	memset(m + 500 * (size_t)PAGE, 0x55, 300 * (size_t)PAGE); /* longer than a chunk */
	m[20 * (size_t)PAGE + 7] ^= 1;
}

static void become(int base, int sync, bool writes)
{
	char c;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 3; fd < 64; fd++) /* ends of others' sockets */
		if (fd != base && fd != sync)
			(void)close(fd);
	unsigned char *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, base, 0);
	if (m == MAP_FAILED)
		_exit(1);
	/* in two parts, as QEMU may have it */
	if (mprotect(m + SIZE / 2, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
		_exit(1);
	if (writes)
		scribble(m);
	(void)!write(sync, "r", 1);
	/* "c": is it as the first one's? */
	while (read(sync, &c, 1) == 1) {
		unsigned char *want =
		    mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, base, 0);
		scribble(want);
		bool same = memcmp(m, want, SIZE) == 0;
		(void)munmap(want, SIZE);
		(void)!write(sync, same ? "y" : "n", 1);
	}
	_exit(0);
}

static struct mem_target start(int base, bool writes, int *ret_sync)
{
	int sv[2];
	char c;
	struct mem_target t = { .name = NAME, .size = SIZE };
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	t.pid = fork();
	if (t.pid == 0)
		become(base, sv[1], writes);
	(void)close(sv[1]);
	ck_assert_int_eq(read(sv[0], &c, 1), 1);
	ck_assert_int_eq(record_process_start(t.pid, &t.start), 0);
	*ret_sync = sv[0];
	return t;
}

static char ask(int sync)
{
	char c = 'c';
	ck_assert_int_eq(write(sync, &c, 1), 1);
	ck_assert_int_eq(read(sync, &c, 1), 1);
	return c;
}

static void stop(const struct mem_target *t, int sync)
{
	(void)close(sync);
	ck_assert_int_eq(waitpid(t->pid, NULL, 0), t->pid);
}

static int new_file(void)
{
	int fd = memfd_create("diff", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(a_difference_is_carried_over)
{
	struct err err = ERR_INIT;
	CLEAN_FD int base = make_base();
	for (int with_base = 0; with_base < 2; with_base++) {
		CLEAN_FD int file = new_file();
		int sa, sb;
		uint64_t size = 0;
		struct stat st;
		struct mem_target a = start(base, true, &sa), b = start(base, false, &sb);
		ck_assert_int_eq(ask(sa), 'y');
		ck_assert_int_eq(ask(sb), 'n');
		ck_assert_msg(mem_diff_save(&a, with_base ? base : -1, file, &size, &err) == 0,
		    "%s", err.text);
		ck_assert_int_eq(fstat(file, &st), 0);
		ck_assert_uint_eq((uint64_t)st.st_size, size);
		/* pages with data; 10 and 596 hold what the base holds, if that is known */
		ck_assert_uint_eq(size, PAGE + (with_base ? 301u : 303u) * PAGE);
		ck_assert_msg(mem_diff_load(&b, file, &err) == 0, "%s", err.text);
		ck_assert_int_eq(ask(sb), 'y');
		stop(&a, sa);
		stop(&b, sb);
	}
}
END_TEST

START_TEST(the_wrong_process_is_refused)
{
	struct err err = ERR_INIT;
	CLEAN_FD int base = make_base();
	CLEAN_FD int file = new_file();
	int s;
	uint64_t size = 0;
	struct mem_target t = start(base, true, &s);
	struct mem_target other = t;
	other.start++;
	ck_assert_int_eq(mem_diff_save(&other, base, file, &size, &err), -ESRCH);
	err_reset(&err);
	other = t;
	other.name = "somebody-else";
	ck_assert_int_eq(mem_diff_save(&other, base, file, &size, &err), -ENOENT);
	err_reset(&err);
	other = t;
	other.size = SIZE / 2; /* it maps more than it should have */
	ck_assert_int_eq(mem_diff_save(&other, base, file, &size, &err), -EBADMSG);
	stop(&t, s);
	ck_assert_int_lt(mem_diff_save(&t, base, file, &size, NULL), 0);
}
END_TEST

/* Cut anywhere, and with each 8 bytes of its head and runs changed. */
START_TEST(damaged_files_touch_nothing)
{
	CLEAN_FD int base = make_base();
	CLEAN_FD int file = new_file();
	int sa, sb;
	uint64_t size = 0, keep, bad = ~0ull;
	struct mem_target a = start(base, true, &sa), b = start(base, false, &sb);
	ck_assert_int_eq(mem_diff_save(&a, base, file, &size, NULL), 0);
	for (off_t at = 0; at < 32 + 16 * 5; at += 8) {
		struct err err = ERR_INIT;
		ck_assert_int_eq(pread(file, &keep, 8, at), 8);
		ck_assert_int_eq(pwrite(file, &bad, 8, at), 8);
		ck_assert_int_eq(mem_diff_load(&b, file, &err), -EBADMSG);
		ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
		ck_assert_int_eq(pwrite(file, &keep, 8, at), 8);
	}
	ck_assert_int_eq(ftruncate(file, (off_t)size + 1), 0);
	ck_assert_int_eq(mem_diff_load(&b, file, NULL), -EBADMSG);
	static const off_t cuts[] = { 0, 1, 31, 32, 100, PAGE, 2 * PAGE };
	for (size_t i = sizeof(cuts) / sizeof(cuts[0]); i-- > 0;) {
		ck_assert_int_eq(ftruncate(file, cuts[i]), 0);
		ck_assert_int_eq(mem_diff_load(&b, file, NULL), -EBADMSG);
	}
	ck_assert_int_eq(ask(sb), 'n');
	stop(&a, sa);
	stop(&b, sb);
}
END_TEST

void add_memory_tests(Suite *s)
{
	TCase *tc = test_case(s, "memory", 30);
	tcase_add_test(tc, a_difference_is_carried_over);
	tcase_add_test(tc, the_wrong_process_is_refused);
	tcase_add_test(tc, damaged_files_touch_nothing);
}
