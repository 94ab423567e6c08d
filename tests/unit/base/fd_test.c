/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdutil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/path.h"
#include "base_tests.h"

static char dir[64];

static void make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/sandglass-base-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
	ck_assert_int_eq(path_remove_tree(dir), 0);
	ck_assert(!path_exists(dir));
}

START_TEST(files)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[PATH_LEN_MAX], linked[PATH_LEN_MAX];
	struct stat st;
	ck_assert_int_eq(path_join(path, sizeof(path), dir, "/file"), 0);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, "hello", 5), 0);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0640, "again", 5), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, path, 100, &b), 0);
	ck_assert_str_eq(buf_cstr(&b), "again");
	ck_assert_int_eq(fd_read_file(AT_FDCWD, path, 4, &b), -EFBIG);
	ck_assert_int_eq(path_join(linked, sizeof(linked), dir, "link"), 0);
	ck_assert_int_eq(symlink(path, linked), 0);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, linked, 100, &b), -ELOOP);
}
END_TEST

START_TEST(trees)
{
	char path[PATH_LEN_MAX], out[PATH_LEN_MAX];
	ck_assert_int_eq(path_printf(path, sizeof(path), "%s/a/b/c", dir), 0);
	ck_assert_int_eq(path_mkdir_p(path, 0755), 0);
	ck_assert_int_eq(path_mkdir_p(path, 0755), 0);
	ck_assert_int_eq(path_printf(out, sizeof(out), "%s-outside", dir), 0);
	ck_assert_int_eq(mkdir(out, 0755), 0);
	ck_assert_int_eq(path_join(path, sizeof(path), path, "link"), 0);
	ck_assert_int_eq(symlink(out, path), 0);
	ck_assert_int_eq(path_printf(path, sizeof(path), "%s/a", dir), 0);
	ck_assert_int_eq(path_remove_tree(path), 0);
	ck_assert(path_exists(out)); /* the link went, not what it pointed at */
	ck_assert_int_eq(path_remove_tree(out), 0);
	ck_assert_int_eq(path_remove_tree(out), 0);
}
END_TEST

START_TEST(messages_with_descriptors)
{
	int sv[2], fds[2] = { -1, -1 };
	char text[8];
	size_t n;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	int send[] = { 0, 1 };
	ck_assert_int_eq(fd_send_msg(sv[0], "hello", 5, send, 2), 5);
	ck_assert_int_eq(fd_recv_msg(sv[1], text, sizeof(text), fds, 2, &n), 5);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_ne(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, 0);
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
	int next = fcntl(0, F_DUPFD, 0);
	(void)fd_close(next);
	ck_assert_int_eq(fd_send_msg(sv[0], "hello", 5, send, 2), 5);
	ck_assert_int_eq(fd_recv_msg(sv[1], text, sizeof(text), fds, 1, &n), -EPROTO);
	ck_assert_int_eq(fcntl(0, F_DUPFD, 0), next); /* nothing leaked */
	ck_assert_int_eq(fd_send_msg(sv[0], "too long for it", 15, NULL, 0), 15);
	ck_assert_int_eq(fd_recv_msg(sv[1], text, sizeof(text), fds, 1, &n), -EPROTO);
}
END_TEST

START_TEST(unix_sockets_under_long_paths)
{
	char path[PATH_LEN_MAX];
	char name[101];
	memset(name, 'x', 100);
	name[100] = '\0';
	ck_assert_int_eq(path_printf(path, sizeof(path), "%s/%s", dir, name), 0);
	ck_assert_int_eq(path_mkdir_p(path, 0755), 0);
	ck_assert_int_eq(path_join(path, sizeof(path), path, "s.sock"), 0);
	int ls = fd_listen_unix(path, 0600, 1);
	ck_assert_int_ge(ls, 0);
	int c = fd_connect_unix(path);
	ck_assert_int_ge(c, 0);
	(void)fd_close(c);
	(void)fd_close(ls);
	ck_assert_int_eq(fd_connect_unix(path), -ECONNREFUSED);
}
END_TEST

void fd_tests(Suite *s)
{
	TCase *tc = test_case(s, "fd", 10);
	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	tcase_add_test(tc, files);
	tcase_add_test(tc, trees);
	tcase_add_test(tc, messages_with_descriptors);
	tcase_add_test(tc, unix_sockets_under_long_paths);
}
