/* SPDX-License-Identifier: Apache-2.0 */
/* What all file calls share: whom they act as, what a path means, what is told about a file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/file_error.h"
#include "guest-kernel-agent/files/file_info.h"
#include "guest-kernel-agent/files/tree.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/user_select.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "loop/loop.h"
#include "unit/agent/agent_tests.h"

/* ---- which user ---- */

static int basic(const char *header, char **ret)
{
	struct err err = ERR_INIT;
	int r = user_name_from_basic(header, ret, &err);
	ck_assert(r == 0 || err.text[0]);
	return r;
}

START_TEST(test_basic)
{
	static const char *const nobody[] = { NULL, "", "Bearer abc", "Basicx", "Basic Og==" };
	static const char *const wrong[] = { "Basic ", "Basic !!",
		"Basic dXNlcg==", "Basic dQBzOg==" /* u\0s: */, "Basic /zo=" /* \xff: */ };
	char *name;
	ck_assert_int_eq(basic("Basic dXNlcjo=", &name), 0);
	ck_assert_str_eq(name, "user");
	mem_free(name);
	ck_assert_int_eq(basic("basic cm9vdDpwYXNz", &name), 0);
	ck_assert_str_eq(name, "root");
	mem_free(name);
	for (size_t i = 0; i < sizeof(nobody) / sizeof(*nobody); i++) {
		ck_assert_int_eq(basic(nobody[i], &name), 0);
		ck_assert_ptr_null(name);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ck_assert_int_eq(basic(wrong[i], &name), -EINVAL);
}
END_TEST

START_TEST(test_default_user)
{
	struct identity *id = identity_new();
	struct err err = ERR_INIT;
	char *name, long_name[USERS_NAME_MAX + 1] = { 0 };
	memset(long_name, 'a', USERS_NAME_MAX);
	ck_assert_int_eq(user_name_or_default("", id, &name, &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "no user given"));
	CLEAN_JSON json_t *boot = json_pack("{s:s}", "user", "deb");
	ck_assert_int_eq(identity_boot(id, boot, NULL), 0);
	ck_assert_int_eq(user_name_or_default(NULL, id, &name, NULL), 0);
	ck_assert_str_eq(name, "deb");
	mem_free(name);
	ck_assert_int_eq(user_name_or_default("root", id, &name, NULL), 0);
	ck_assert_str_eq(name, "root");
	mem_free(name);
	ck_assert_int_eq(user_name_or_default(long_name, id, &name, NULL), -EINVAL);
	identity_free(id);
}
END_TEST

/* ---- which path ---- */

START_TEST(test_path)
{
	static const struct {
		const char *workdir, *path, *expect;
	} cases[] = {
		{ "", "", "/home/u" },
		{ "", "a", "/home/u/a" },
		{ "", "~", "/home/u" },
		{ "", "~/a/", "/home/u/a" },
		{ "", "./a/./b//c", "/home/u/a/b/c" },
		{ "", "a/../b", "/home/u/a/../b" },
		{ "", "//etc///x/.", "/etc/x" },
		{ "", "/", "/" },
		{ "", "/.", "/" },
		{ "", "./~x", "/home/u/~x" },
		{ "", "a/~/.b", "/home/u/a/~/.b" },
		{ "/work", "", "/work" },
		{ "/work", "a", "/work/a" },
		{ "/work", "~/a", "/home/u/a" },
		{ "src", "a", "/home/u/src/a" },
		{ "~/src", "a", "/home/u/src/a" },
		{ NULL, "/a", "/a" },
	};
	struct user u = { .name = (char *)"u", .home = (char *)"/home/u" };
	struct err err = ERR_INIT;
	char dst[PATH_LEN_MAX], big[PATH_LEN_MAX + 10];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_int_eq(user_path(dst, &u, cases[i].workdir, cases[i].path, &err), 0);
		ck_assert_str_eq(dst, cases[i].expect);
	}
	ck_assert_int_eq(user_path(dst, &u, "", "~other/a", &err), -EINVAL);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	err_reset(&err);
	ck_assert_int_eq(user_path(dst, &u, "", big, &err), -ENAMETOOLONG);
	ck_assert(err.text[0]);
	u.home = (char *)"relative";
	ck_assert_int_eq(user_path(dst, &u, "", "a", NULL), 0);
	ck_assert_str_eq(dst, "/a");
}
END_TEST

/* ---- what is told ---- */

START_TEST(test_permissions)
{
	static const struct {
		mode_t mode;
		const char *expect;
	} cases[] = {
		{ S_IFREG | 0644, "-rw-r--r--" },
		{ S_IFDIR | 0755, "drwxr-xr-x" },
		{ S_IFLNK | 0777, "Lrwxrwxrwx" },
		{ S_IFDIR | S_ISVTX | 0777, "dtrwxrwxrwx" },
		{ S_IFREG | S_ISUID | 0755, "urwxr-xr-x" },
		{ S_IFREG | S_ISUID | S_ISGID | S_ISVTX, "ugt---------" },
		{ S_IFCHR | 0666, "Dcrw-rw-rw-" },
		{ S_IFBLK | 0660, "Drw-rw----" },
		{ S_IFIFO | 0600, "prw-------" },
		{ S_IFSOCK | 0600, "Srw-------" },
	};
	char text[FILE_PERMISSIONS_MAX];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		file_permissions(cases[i].mode, text);
		ck_assert_str_eq(text, cases[i].expect);
	}
}
END_TEST

START_TEST(test_info)
{
	struct tmpdir t;
	struct file_info f;
	struct err err = ERR_INIT;
	char path[128], link_path[128], own[USERS_NAME_MAX];
	tmpdir_make(&t);
	tmpdir_write(&t, "a.txt", "hello");
	(void)tmpdir_at(&t, "a.txt", path);
	(void)tmpdir_at(&t, "link", link_path);
	ck_assert_int_eq(chmod(path, 0640), 0);
	bool has_xattr = setxattr(path, "user.e2b.tag", "v1", 2, 0) == 0;
	ck_assert(has_xattr || errno == ENOTSUP);
	if (has_xattr)
		ck_assert_int_eq(setxattr(path, "user.other", "x", 1, 0), 0);
	ck_assert_int_eq(file_info_read(path, &f, &err), 0);
	ck_assert_str_eq(f.name, "a.txt");
	ck_assert_str_eq(f.path, path);
	ck_assert_int_eq(f.type, FILE_REGULAR);
	ck_assert_uint_eq(f.size, 5);
	ck_assert_uint_eq(f.mode, 0640);
	ck_assert_str_eq(f.permissions, "-rw-r-----");
	ck_assert_str_eq(f.owner, user_name_of(geteuid(), own));
	ck_assert_str_eq(f.group, group_name_of(getegid(), own));
	ck_assert_int_gt(f.modified_ns, 1500000000LL * 1000000000);
	ck_assert_ptr_null(f.symlink_target);
	ck_assert_uint_eq(f.n_metadata, has_xattr ? 1 : 0);
	if (has_xattr) {
		ck_assert_str_eq(f.metadata[0].key, "tag");
		ck_assert_str_eq(f.metadata[0].value, "v1");
	}
	file_info_fini(&f);

	ck_assert_int_eq(symlink("a.txt", link_path), 0);
	ck_assert_int_eq(file_info_read(link_path, &f, &err), 0);
	ck_assert_int_eq(f.type, FILE_REGULAR);
	ck_assert_uint_eq(f.mode, 0640);
	ck_assert_str_eq(f.permissions, "Lrwxrwxrwx");
	ck_assert_str_eq(f.symlink_target, path);
	file_info_fini(&f);

	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(file_info_read(link_path, &f, &err), 0);
	ck_assert_int_eq(f.type, FILE_SYMLINK);
	ck_assert_str_eq(f.symlink_target, "a.txt");
	file_info_fini(&f);

	ck_assert_int_eq(file_info_read(path, &f, &err), -ENOENT);
	ck_assert_ptr_nonnull(strstr(err.text, "does not exist"));
	tmpdir_remove(&t);
}
END_TEST

/* Names need not be UTF-8, and errors are bounded: what clients get is always text. */
START_TEST(test_foreign_names)
{
	struct tmpdir t;
	struct file_info f;
	struct err err = ERR_INIT;
	char path[128], far_path[PATH_LEN_MAX];
	tmpdir_make(&t);
	tmpdir_write(&t, "bad\xff", "");
	ck_assert_int_eq(file_info_read(tmpdir_at(&t, "bad\xff", path), &f, NULL), 0);
	ck_assert_str_eq(f.name, "bad\xef\xbf\xbd");
	file_info_fini(&f);
	ck_assert_int_eq(file_error(&err, -EACCES, "/bad\xff"), -EACCES);
	ck_assert_str_eq(err.text, "path '/bad\xef\xbf\xbd' permission denied");
	for (size_t i = 0; i + 2 < sizeof(far_path); i += 2)
		memcpy(far_path + i, "\xc3\xa4", 3); /* a two-byte letter */
	err_reset(&err);
	(void)file_error(&err, -EACCES, far_path + 1);
	ck_assert(str_utf8_valid(err.text, strlen(err.text)));
	ck_assert(str_ends(err.text, "' permission denied"));
	tmpdir_remove(&t);
}
END_TEST

START_TEST(test_error_map)
{
	ck_assert_int_eq(file_error_http(-ENOENT), 404);
	ck_assert_int_eq(file_error_http(-ENOSPC), 507);
	ck_assert_int_eq(file_error_http(-EIO), 500);
	ck_assert_int_eq(file_error_rpc(-ENOENT), RPC_NOT_FOUND);
	ck_assert_int_eq(file_error_rpc(-EACCES), RPC_PERMISSION_DENIED);
	ck_assert_int_eq(file_error_rpc(-ENOSPC), RPC_RESOURCE_EXHAUSTED);
	ck_assert_int_eq(file_error_rpc(-EIO), RPC_INTERNAL);
}
END_TEST

/* One answer has a bound, and says so: entries with long paths reach it soonest. */
START_TEST(test_list_bound)
{
	enum { LEVELS = 14, FILES = 8500 };
	struct tmpdir t;
	struct file_list list = { 0 };
	struct err err = ERR_INIT;
	char name[256];
	tmpdir_make(&t);
	int dir = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(name, 'x', 250);
	name[250] = '\0';
	for (int i = 0; i < LEVELS; i++) {
		ck_assert_int_eq(mkdirat(dir, name, 0755), 0);
		int below = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir = fd_close(dir);
		ck_assert_int_ge(below, 0);
		dir = below;
	}
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "%0250d", i);
		ck_assert_int_eq(mknodat(dir, name, S_IFIFO | 0600, 0), 0);
	}
	(void)fd_close(dir);
	ck_assert_int_lt(tree_list(t.path, LEVELS + 1, &list, &err), 0);
	ck_assert_int_eq(file_error_rpc(err.code), RPC_RESOURCE_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(err.text, "list fewer levels"));
	ck_assert_int_eq(tree_list(t.path, LEVELS, &list, NULL), 0);
	ck_assert_uint_eq(list.n, LEVELS);
	file_list_fini(&list);
	tmpdir_remove(&t);
}
END_TEST

/* ---- with whose rights ---- */

struct probe {
	struct as_user_job job;
	struct loop *loop;
	const char *read, *make; /* paths */
	int read_result, make_result;
	bool ran;
};

static void probe_run(struct as_user_job *job)
{
	struct probe *p = container_of(job, struct probe, job);
	CLEAN_FD int fd = open(p->read, O_RDONLY | O_CLOEXEC);
	p->read_result = fd < 0 ? -errno : 0;
	CLEAN_FD int made = open(p->make, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	p->make_result = made < 0 ? -errno : 0;
	p->ran = true;
}

static void probe_done(struct as_user_job *job)
{
	loop_stop(container_of(job, struct probe, job)->loop);
}

static void probe_as(struct as_user *pool, struct loop *l, struct probe *p, const char *name)
{
	p->loop = l;
	p->ran = false;
	p->job =
	    (struct as_user_job){ .name = mem_strdup(name), .run = probe_run, .done = probe_done };
	as_user_submit(pool, &p->job);
	ck_assert_int_eq(loop_run(l), 0);
}

START_TEST(test_own_user)
{
	struct tmpdir t;
	char a[128], b[128], own[USERS_NAME_MAX];
	struct loop *l = loop_new();
	struct as_user *pool = as_user_new(l, 2);
	tmpdir_make(&t);
	tmpdir_write(&t, "a", "x");
	struct probe p = { .read = tmpdir_at(&t, "a", a), .make = tmpdir_at(&t, "b", b) };
	probe_as(pool, l, &p, user_name_of(geteuid(), own));
	ck_assert(p.ran && !p.job.refused);
	ck_assert_int_eq(p.read_result, 0);
	ck_assert_int_eq(p.make_result, 0);
	as_user_job_fini(&p.job);
	probe_as(pool, l, &p, "no-such-user");
	ck_assert(!p.ran && p.job.refused);
	ck_assert_str_eq(p.job.name, "no-such-user");
	ck_assert_str_eq(p.job.err.text, "user 'no-such-user' does not exist");
	as_user_job_fini(&p.job);
	if (geteuid() != 0) {
		probe_as(pool, l, &p, "root");
		ck_assert(!p.ran && p.job.refused);
		as_user_job_fini(&p.job);
	}
	as_user_free(pool);
	loop_free(l);
	tmpdir_remove(&t);
}
END_TEST

/* One lane, so that the thread that was somebody else is the one that is root again. */
START_TEST(test_other_user)
{
	struct tmpdir t;
	char secret[128], trap[128], made[128], denied[128];
	struct stat st;
	struct user u;
	tmpdir_make(&t);
	if (geteuid() != 0 || user_lookup("nobody", &u, NULL) < 0) {
		(void)printf("SKIP test_other_user: needs root and a user 'nobody'\n");
		tmpdir_remove(&t);
		return;
	}
	struct loop *l = loop_new();
	struct as_user *pool = as_user_new(l, 1);
	tmpdir_write(&t, "secret", "x"); /* mode 0600, owned by root */
	ck_assert_int_eq(chmod(t.path, 0777), 0);
	ck_assert_int_eq(symlink(tmpdir_at(&t, "secret", secret), tmpdir_at(&t, "trap", trap)), 0);
	struct probe p = { .read = trap, .make = tmpdir_at(&t, "made", made) };
	probe_as(pool, l, &p, "nobody");
	ck_assert(p.ran);
	ck_assert_int_eq(p.read_result, -EACCES);
	ck_assert_int_eq(p.make_result, 0);
	ck_assert_int_eq(stat(made, &st), 0);
	ck_assert_uint_eq(st.st_uid, u.uid);
	ck_assert_uint_eq(st.st_gid, u.gid);
	as_user_job_fini(&p.job);
	p.read = "/proc/1/root/etc/passwd"; /* for who may look into process 1 */
	p.make = "/sandglass-must-not-exist";
	probe_as(pool, l, &p, "nobody");
	ck_assert_int_eq(p.read_result, -EACCES);
	ck_assert_int_eq(p.make_result, -EACCES);
	as_user_job_fini(&p.job);
	p.read = secret;
	p.make = tmpdir_at(&t, "again", denied);
	probe_as(pool, l, &p, "root");
	ck_assert_int_eq(p.read_result, 0);
	ck_assert_int_eq(stat(denied, &st), 0);
	ck_assert_uint_eq(st.st_uid, 0);
	as_user_job_fini(&p.job);
	user_fini(&u);
	as_user_free(pool);
	loop_free(l);
	tmpdir_remove(&t);
}
END_TEST

/* As u with these two groups, or as the agent itself. */
static void probe_with(
    struct as_user *pool, struct loop *l, struct probe *p, const struct user *u, gid_t *groups)
{
	p->loop = l;
	p->ran = false;
	p->job = (struct as_user_job){ .run = probe_run, .done = probe_done };
	if (u) {
		p->job.user = *u;
		p->job.user.groups = groups;
		p->job.user.n_groups = 2;
	}
	as_user_submit(pool, &p->job);
	ck_assert_int_eq(loop_run(l), 0);
	ck_assert(p->ran);
}

/* The thread keeps rights from one job to the next, but only for the very same user. */
START_TEST(test_kept_rights)
{
	struct tmpdir t;
	char shared[128], made[128];
	struct user u = { .name = (char *)"somebody", .uid = 65534, .gid = 65534 };
	gid_t in[] = { 65534, 4242 }, out[] = { 65534, 4243 };
	tmpdir_make(&t);
	if (geteuid() != 0) {
		(void)printf("SKIP test_kept_rights: needs root\n");
		tmpdir_remove(&t);
		return;
	}
	struct loop *l = loop_new();
	struct as_user *pool = as_user_new(l, 1);
	tmpdir_write(&t, "shared", "x");
	struct probe p = { .read = tmpdir_at(&t, "shared", shared),
		.make = tmpdir_at(&t, "made", made) };
	ck_assert_int_eq(chmod(t.path, 0711), 0);
	ck_assert_int_eq(chown(shared, 0, 4242), 0);
	ck_assert_int_eq(chmod(shared, 0640), 0);
	for (int i = 0; i < 3; i++) {
		probe_with(pool, l, &p, &u, in);
		ck_assert_int_eq(p.read_result, 0);
		ck_assert_int_eq(p.make_result, -EACCES);
		probe_with(pool, l, &p, &u, in);
		ck_assert_int_eq(p.read_result, 0);
		ck_assert_int_eq(p.make_result, -EACCES);
		probe_with(pool, l, &p, &u, out);
		ck_assert_int_eq(p.read_result, -EACCES);
		probe_with(pool, l, &p, NULL, NULL);
		ck_assert_int_eq(p.read_result, 0);
		ck_assert_int_eq(p.make_result, 0);
		ck_assert_int_eq(unlink(made), 0);
	}
	as_user_free(pool);
	loop_free(l);
	tmpdir_remove(&t);
}
END_TEST

void add_files_tests(Suite *s)
{
	TCase *tc = test_case(s, "files", 30);
	tcase_add_test(tc, test_basic);
	tcase_add_test(tc, test_default_user);
	tcase_add_test(tc, test_path);
	tcase_add_test(tc, test_permissions);
	tcase_add_test(tc, test_info);
	tcase_add_test(tc, test_foreign_names);
	tcase_add_test(tc, test_list_bound);
	tcase_add_test(tc, test_error_map);
	tcase_add_test(tc, test_own_user);
	tcase_add_test(tc, test_other_user);
	tcase_add_test(tc, test_kept_rights);
}
