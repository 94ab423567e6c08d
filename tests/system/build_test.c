/* SPDX-License-Identifier: Apache-2.0 */
/* Images built for real, of a base that is a shell and a few programs of this machine. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "image/build.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "shell_base.h"

#define UID_BASE 0x70000000u
#define STATE "state" /* beneath the test's directory, the working directory */

static struct tmpdir dir;
static char said[1 << 20]; /* "step: text\n" of the last build */
static struct build_event end;

static void shell(const char *fmt, const char *arg)
{
	char command[4096];
	(void)snprintf(command, sizeof(command), fmt, arg);
	ck_assert_msg(system(command) == 0, "failed: %s", command);
}

static void set_up(void)
{
	tmpdir_make(&dir);
	shell(shell_base_script, dir.path);
	shell("cd %s && mkdir -p templates/more " STATE "/kernels && chmod 700 " STATE, dir.path);
	char path[128];
	ck_assert_int_eq(chdir(tmpdir_at(&dir, STATE, path)), 0);
	shell("cd kernels && k=%s && mkdir $k && touch $k/vmlinux && ln -s $k current",
	    shell_base_kernel());
	ck_assert_int_eq(build_init_dirs(), 0);
}

static void tear_down(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	tmpdir_remove(&dir);
}

/* rest: what follows name and base. */
static void write_template(const char *rest)
{
	char text[8192];
	(void)snprintf(text, sizeof(text), "name: t\nbase: 'dir:%s/base'\n%s", dir.path, rest);
	tmpdir_write(&dir, "templates/t.yaml", text);
}

static pid_t start(const struct build_conf *extra, int *ret_fd)
{
	char path[128];
	int ends[2];
	struct build_conf c = *extra;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	c.templates_dir = tmpdir_at(&dir, "templates", path);
	c.name = c.name ? c.name : "t";
	c.uid_base = UID_BASE;
	c.event_fd = ends[1];
	pid_t pid = fork();
	if (pid == 0)
		_exit(build_run(&c) < 0);
	(void)close(ends[1]);
	*ret_fd = ends[0];
	return pid;
}

/* Until text is said (NULL = to the end). */
static void follow(int fd, const char *text)
{
	struct build_event e;
	size_t n = strlen(said);
	while (recv(fd, &e, sizeof(e), 0) == (ssize_t)sizeof(e)) {
		if (e.kind == BUILD_DONE)
			end = e;
		else if (n + sizeof(e.text) + 64 < sizeof(said))
			n += (size_t)snprintf(
			    said + n, sizeof(said) - n, "%s: %s\n", e.step, e.text);
		if (text && strstr(said, text))
			return;
	}
	ck_assert_msg(!text, "never said: %s", text);
}

static int build_with(const struct build_conf *extra)
{
	int fd, status;
	said[0] = '\0';
	memset(&end, 0, sizeof(end));
	pid_t pid = start(extra, &fd);
	follow(fd, NULL);
	(void)close(fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(end.kind, BUILD_DONE);
	ck_assert_int_eq(WEXITSTATUS(status), end.code < 0);
	return end.code;
}

static void build_good(void)
{
	ck_assert_msg(
	    build_with(&(struct build_conf){ .force = false }) == 0, "%s\n%s", end.text, said);
}

static int count(const char *where, const char *pattern)
{
	char command[256], line[64];
	(void)snprintf(command, sizeof(command), "find %s -name '%s' | wc -l", where, pattern);
	FILE *f = popen(command, "r");
	ck_assert(f && fgets(line, sizeof(line), f));
	(void)pclose(f);
	return atoi(line);
}

static void mount_image(const char *hash)
{
	char command[256];
	(void)snprintf(command, sizeof(command),
	    "mkdir -p ../mnt && mount -o loop,ro images/%s/root.img ../mnt", hash);
	ck_assert_int_eq(system(command), 0);
}

static void check_file(
    const char *path, const char *content, unsigned mode, unsigned uid, unsigned gid)
{
	char full[256];
	struct stat st;
	CLEAN_BUF struct buf b = BUF_INIT;
	(void)snprintf(full, sizeof(full), "../mnt%s", path);
	ck_assert_msg(lstat(full, &st) == 0, "%s: %s", path, strerror(errno));
	ck_assert_msg((st.st_mode & 07777) == mode && st.st_uid == uid && st.st_gid == gid,
	    "%s: mode %o, owner %u:%u", path, st.st_mode & 07777, st.st_uid, st.st_gid);
	if (content) {
		ck_assert_int_eq(fd_read_file(AT_FDCWD, full, 4096, &b), 0);
		ck_assert_str_eq(buf_cstr(&b), content);
	}
}

static const char rich[] =
    "files:\n"
    "- {path: /opt/deep/er/a, content: hello, mode: 0640, owner: 'user:some'}\n"
    "- {path: /etc/b, source: more/b.bin, mode: 4755, owner: '12:34'}\n"
    "run:\n"
    "- 'echo one >/root/one; id -u; echo $GREETING; ls /'\n"
    "- 'rm /etc/b2; mkdir /srv/x; mv /srv/x /srv/y; echo two >/srv/y/two'\n"
    "env: {GREETING: good day}\n";

START_TEST(an_image_has_what_the_template_says)
{
	tmpdir_write(&dir, "templates/more/b.bin", "binary");
	tmpdir_write(&dir, "base/etc/b2", "goes");
	write_template(rich);
	build_good();
	ck_assert_ptr_nonnull(strstr(said, "run 1: good day\n"));
	ck_assert_ptr_nonnull(strstr(said, "run 1: 0\n"));
	mount_image(end.hash);
	check_file("/opt/deep/er/a", "hello", 0640, 1000, 77);
	check_file("/etc/b", "binary", 04755, 12, 34);
	check_file("/root/one", "one\n", 0644, 0, 0);
	check_file("/srv/y/two", "two\n", 0644, 0, 0);
	check_file("/etc/resolv.conf", "", 0644, 0, 0);
	check_file("/etc/machine-id", "", 0644, 0, 0);
	check_file("/home/user", NULL, 0755, 1000, 1000);
	check_file("/usr/bin/id", NULL, 04755, 0, 0);
	check_file("/tmp", NULL, 01777, 33, 33);
	check_file("/etc/passwd",
	    "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n", 0644, 0,
	    0);
	ck_assert(!path_exists("../mnt/etc/b2") && !path_exists("../mnt/srv/x"));
	/* nothing of the build's own world stays */
	ck_assert_int_eq(count("../mnt/run ../mnt/dev ../mnt/proc ../mnt/mnt -mindepth 1", "*"), 0);
	shell("umount ../mnt%s", "");
	struct build_image found;
	ck_assert_int_eq(build_image_find("t", &found), 0);
	ck_assert_str_eq(found.hash, end.hash);
	ck_assert_str_eq(found.format, "erofs");
	ck_assert_str_eq(found.kernel, shell_base_kernel());
	ck_assert_uint_gt(found.bytes, 100000);
	ck_assert_int_eq(build_image_find("u", &found), -ENOENT);
}
END_TEST

/* The same tree as layers, for drivers that need no image. */
START_TEST(layers_are_the_image)
{
	char lowers[4096], options[5000];
	tmpdir_write(&dir, "templates/more/b.bin", "binary");
	tmpdir_write(&dir, "base/etc/b2", "goes");
	write_template(rich);
	build_good();
	ck_assert_int_eq(build_image_lowers(end.hash, lowers, sizeof(lowers)), 0);
	ck_assert_int_eq(build_image_lowers(end.hash, lowers, 100), -ENAMETOOLONG);
	ck_assert_int_eq(build_image_lowers(end.hash, lowers, sizeof(lowers)), 0);
	(void)snprintf(options, sizeof(options), "lowerdir=%s", lowers);
	ck_assert_int_eq(mkdir("../mnt", 0700), 0);
	ck_assert_int_eq(mount("overlay", "../mnt", "overlay", MS_RDONLY, options), 0);
	check_file("/opt/deep/er/a", "hello", 0640, 1000, 77);
	check_file("/srv/y/two", "two\n", 0644, 0, 0);
	ck_assert(!path_exists("../mnt/etc/b2"));
	shell("umount ../mnt%s", "");
}
END_TEST

START_TEST(only_what_changed_is_built_again)
{
	char first[BUILD_HASH_LEN + 1];
	write_template("run: ['echo a >/a', 'echo b >/b']\n");
	build_good();
	(void)str_copy(first, sizeof(first), end.hash);
	build_good();
	ck_assert_str_eq(end.hash, first);
	ck_assert_ptr_null(strstr(said, "done in"));
	write_template("run: ['echo a >/a', 'echo c >/b']\n");
	build_good();
	ck_assert_str_ne(end.hash, first);
	ck_assert_ptr_nonnull(strstr(said, "base: unchanged"));
	ck_assert_ptr_nonnull(strstr(said, "run 1: unchanged"));
	ck_assert_ptr_nonnull(strstr(said, "run 2: done in"));
	ck_assert_ptr_nonnull(strstr(said, "finish: done in"));
	/* back again: the layers are still there */
	write_template("run: ['echo a >/a', 'echo b >/b']\n");
	build_good();
	ck_assert_str_eq(end.hash, first);
	ck_assert_ptr_null(strstr(said, "done in"));
}
END_TEST

/* One that an older sandglass has left: the next build fetches its own, for which it needs Debian's
 * base, which it must make with a program that is not there. */
START_TEST(a_kernel_with_other_modules_is_fetched_again)
{
	char *path = strdup(getenv("PATH"));
	write_template("run: ['echo a >/a']\n");
	build_good();
	shell("cd kernels && mv %s 6.0-test && ln -sfn 6.0-test current", shell_base_kernel());
	(void)setenv("PATH", "/nowhere", 1);
	int r = build_with(&(struct build_conf){ .force = false });
	(void)setenv("PATH", path, 1);
	free(path);
	ck_assert_int_eq(r, -ENOENT);
	ck_assert_msg(strstr(end.text, "mmdebstrap") != NULL, "%s\n%s", end.text, said);
}
END_TEST

START_TEST(force_builds_everything)
{
	char first[BUILD_HASH_LEN + 1];
	write_template("run: ['echo a >/a']\n");
	build_good();
	(void)str_copy(first, sizeof(first), end.hash);
	ck_assert_int_eq(
	    build_with(&(struct build_conf){ .force = true, .kernel = shell_base_kernel() }), 0);
	ck_assert_str_ne(end.hash, first);
	ck_assert_ptr_null(strstr(said, "unchanged"));
	ck_assert_ptr_nonnull(strstr(said, "base: done in"));
}
END_TEST

/* ---- what programs of an image may do ---- */

static const char *const forbidden[] = { "mount -t tmpfs none /mnt", "mknod /x c 1 3",
	"echo x >/proc/sys/kernel/hostname", "chroot / /bin/sh -c :", "ls /proc/1/root/work",
	"cat /proc/1/environ | cat - /nonexistent", "echo 1 >/proc/sysrq-trigger" };

START_TEST(programs_are_confined)
{
	char rest[512];
	(void)snprintf(
	    rest, sizeof(rest), "run: ['if %s; then echo escaped; exit 9; fi']\n", forbidden[_i]);
	write_template(rest);
	build_good();
}
END_TEST

START_TEST(the_host_is_not_there)
{
	char rest[512];
	(void)snprintf(rest, sizeof(rest),
	    "run: ['cd /; for p in %s /var/lib/dpkg /etc/ssl /home/*/.ssh; do if [ -e $p ]; then "
	    "echo $p; exit 1; fi; done; cat /proc/self/uid_map; ls /proc']\n",
	    dir.path);
	write_template(rest);
	build_good();
	ck_assert_ptr_nonnull(strstr(said, "0 1879048192      65536"));
}
END_TEST

/* ---- failures ---- */

static const struct {
	const char *rest, *text;
	int code;
} bad[] = {
	{ "run: ['echo some reason >&2; exit 7']\n",
	    "step run 1: /bin/sh ended with exit status 7: some reason", -EIO },
	{ "run: ['kill -9 $$']\n", "step run 1: /bin/sh was killed by signal 9", -EIO },
	{ "packages: {apt: [x]}\n",
	    "step apt: /bin/sh ended with exit status 1: the base has no apt-get", -EIO },
	{ "packages: {pip: [x]}\n",
	    "step pip: /bin/sh ended with exit status 1: the image has no pip: add python3-pip to "
	    "packages.apt",
	    -EIO },
	{ "packages: {npm: [x]}\n",
	    "step npm: /bin/sh ended with exit status 1: the image has no npm: add npm to "
	    "packages.apt",
	    -EIO },
	{ "files: [{path: /x, content: y, owner: nobody-here}]\n",
	    "step files: a part of the builder ended with exit status 1: /x: the image has no "
	    "account nobody-here",
	    -EIO },
};

START_TEST(a_failure_is_explained)
{
	write_template(bad[_i].rest);
	ck_assert_int_eq(build_with(&(struct build_conf){ .force = false }), bad[_i].code);
	ck_assert_str_eq(end.text, bad[_i].text);
	ck_assert_str_eq(end.hash, "");
	ck_assert_int_eq(count(".", "*.new"), 0);
	ck_assert_int_eq(count("images/names -type l", "*"), 0);
	/* what worked is not done again */
	write_template("run: ['echo fine']\n");
	build_good();
	ck_assert_ptr_nonnull(strstr(said, "base: unchanged"));
}
END_TEST

START_TEST(bad_requests_are_explained)
{
	write_template("files: [{path: /x, source: absent}]\n");
	ck_assert_int_eq(build_with(&(struct build_conf){ .force = false }), -ENOENT);
	ck_assert_ptr_nonnull(strstr(end.text, "templates/absent: No such file or directory"));
	shell("ln -s /etc/passwd %s/templates/absent", dir.path);
	ck_assert_int_eq(build_with(&(struct build_conf){ .force = false }), -ELOOP);
	ck_assert_int_eq(build_with(&(struct build_conf){ .name = "other" }), -ENOENT);
	ck_assert_str_eq(end.text, "there is no template other");
	tmpdir_write(&dir, "templates/t.yaml", "name: t\n");
	ck_assert_int_eq(build_with(&(struct build_conf){ .force = false }), -EINVAL);
	ck_assert_str_eq(end.text, "template t has only base \"host\", of which no image is built");
	tmpdir_write(&dir, "templates/t.yaml", "name: t\nbase: dir:/no/such/thing\n");
	ck_assert_int_eq(build_with(&(struct build_conf){ .force = false }), -ENOENT);
	ck_assert_str_eq(end.text, "base dir:/no/such/thing: No such file or directory");
}
END_TEST

START_TEST(a_base_may_lack_directories)
{
	shell("cd %s/base && rm -rf proc dev run tmp", dir.path);
	write_template("run: ['ls / >/tmp/x; cat /tmp/x; ls /proc/self/fd']\n");
	build_good();
	mount_image(end.hash);
	check_file("/proc", NULL, 0755, 0, 0);
	check_file("/dev", NULL, 0755, 0, 0);
	check_file("/sys", NULL, 0755, 0, 0);
	ck_assert(!path_exists("../mnt/tmp/x"));
	shell("umount ../mnt%s", "");
}
END_TEST

static const char *const links[] = { "dev", "proc", "run", "tmp" };

/* Nothing is mounted where a link of the base leads. */
START_TEST(a_base_with_links_is_refused)
{
	char command[256], want[128];
	(void)snprintf(command, sizeof(command), "rm -rf ../base/%s && ln -s /etc ../base/%s",
	    links[_i], links[_i]);
	ck_assert_int_eq(system(command), 0);
	write_template("run: ['echo no']\n");
	ck_assert_int_lt(build_with(&(struct build_conf){ .force = false }), 0);
	(void)snprintf(want, sizeof(want), "cannot prepare /%s: Not a directory", links[_i]);
	ck_assert_msg(strstr(end.text, want), "%s", end.text);
}
END_TEST

START_TEST(time_and_disk_are_limited)
{
	write_template("run: ['echo here; sleep 271828']\n");
	ck_assert_int_eq(build_with(&(struct build_conf){ .limit_s = 3 }), -ETIMEDOUT);
	ck_assert_str_eq(end.text, "the build took longer than 3 s");
	ck_assert_int_eq(system("pgrep -f 'sleep 27182[8]' >/dev/null"), 256);
	ck_assert_int_eq(build_with(&(struct build_conf){ .min_free_bytes = 1ull << 60 }), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(end.text, "the disk of the state directory has "));
	ck_assert_int_eq(count(".", "*.new"), 0);
}
END_TEST

START_TEST(the_log_is_bounded)
{
	write_template(
	    "run: ['i=0; while [ $i -lt 21000 ]; do echo line $i; i=$((i+1)); done', "
	    "'printf \"\\033[31mred\\033[0m\\001\\303\\n\"', 'printf \"%05000d\\n\" 7']\n");
	build_good();
	ck_assert_ptr_nonnull(strstr(said, "run 1: line 19999\n"));
	ck_assert_ptr_nonnull(strstr(said, "run 1: more than 20000 lines; the rest is left out\n"));
	ck_assert_ptr_null(strstr(said, "run 1: line 20001\n"));
	ck_assert_ptr_nonnull(strstr(said, "run 2: red?\n"));
	const char *longest = strstr(said, "run 3: 0000");
	ck_assert_ptr_nonnull(longest);
	ck_assert_uint_le(strcspn(longest, "\n"), ERR_TEXT_MAX + 7);
}
END_TEST

/* ---- interrupted ---- */

static bool nobody(const char *hash, void *arg)
{
	return arg && str_eq(arg, hash);
}

START_TEST(a_killed_build_leaves_only_rubbish)
{
	/* where in the build: what was said just before */
	static const char *const points[] = { "base: done", "setup: done", "run 1: here",
		"run 1: done", "finish: done" };
	int fd;
	write_template("run: ['echo here; sleep 0.2', 'echo there']\n");
	shell("rm -rf layers/*%s", "");
	said[0] = '\0';
	pid_t pid = start(&(struct build_conf){ .force = false }, &fd);
	follow(fd, points[_i]);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	(void)close(fd);
	/* its processes are gone with it */
	struct timespec moment = { .tv_nsec = 100 * 1000000 };
	char path[128], command[256];
	(void)nanosleep(&moment, NULL);
	(void)snprintf(command, sizeof(command), "! grep -q %s /proc/self/mountinfo",
	    tmpdir_at(&dir, STATE, path));
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(build_sweep(nobody, NULL, BUILD_IDLE_S), 0);
	ck_assert_int_eq(count(".", "*.new"), 0);
	build_good();
}
END_TEST

START_TEST(sweeping_keeps_what_is_used)
{
	char first[BUILD_HASH_LEN + 1];
	struct build_image i;
	write_template("run: ['echo a >/a']\n");
	build_good();
	(void)str_copy(first, sizeof(first), end.hash);
	write_template("run: ['echo b >/a']\n");
	build_good();
	ck_assert_int_eq(build_sweep(nobody, first, BUILD_IDLE_S), 0);
	ck_assert_int_eq(build_image_read(first, &i), 0);
	ck_assert_int_eq(build_sweep(nobody, NULL, BUILD_IDLE_S), 0);
	ck_assert_int_eq(build_image_read(first, &i), -ENOENT);
	ck_assert_int_eq(build_image_read(end.hash, &i), 0);
	ck_assert_int_eq(count("layers -mindepth 1 -maxdepth 1", "*"), 6); /* those of first, too */
	shell("touch -d '2 days ago' layers/*%s", "");
	ck_assert_int_eq(build_sweep(nobody, NULL, BUILD_IDLE_S), 0);
	ck_assert_int_eq(count("layers -mindepth 1 -maxdepth 1", "*"), 4);
	/* in use by a sandbox though its template was removed */
	(void)str_copy(first, sizeof(first), end.hash);
	ck_assert_int_eq(build_unname("t"), 0);
	ck_assert_int_eq(build_sweep(nobody, first, 0), 0);
	ck_assert_int_eq(build_image_find("t", &i), -ENOENT);
	ck_assert_int_eq(build_image_read(first, &i), 0);
	ck_assert_int_eq(build_unname("t"), 0);
	ck_assert_int_eq(build_sweep(nobody, NULL, 0), 0);
	ck_assert_int_eq(count("layers images -mindepth 1 -maxdepth 1", "*"), 1); /* names */
}
END_TEST

/* Those that images are to be started with, and that of the next build. */
START_TEST(sweeping_keeps_kernels_that_are_used)
{
	write_template("run: ['echo a >/a']\n");
	build_good();
	shell("cd kernels && mkdir old new%s && ln -sfn new current", "");
	ck_assert_int_eq(build_sweep(nobody, NULL, BUILD_IDLE_S), 0);
	ck_assert_int_eq(count("kernels -mindepth 1 -maxdepth 1", "*"), 3);
	ck_assert_int_eq(count("kernels -maxdepth 1", "old"), 0);
	ck_assert_int_eq(count("kernels -maxdepth 1", shell_base_kernel()), 1);
	ck_assert_int_eq(build_unname("t"), 0);
	ck_assert_int_eq(build_sweep(nobody, NULL, BUILD_IDLE_S), 0);
	ck_assert_int_eq(count("kernels -mindepth 1 -maxdepth 1", "*"), 2);
	ck_assert_int_eq(count("kernels -maxdepth 1", "new"), 1);
}
END_TEST

/* ---- other bases ---- */

START_TEST(a_tar_ball)
{
	char text[256];
	shell("tar -C %s/base -czf ../base.tgz .", dir.path);
	(void)snprintf(text, sizeof(text), "name: t\nbase: 'tar:%s/base.tgz'\n", dir.path);
	tmpdir_write(&dir, "templates/t.yaml", text);
	build_good();
	mount_image(end.hash);
	check_file("/usr/bin/id", NULL, 04755, 0, 0);
	check_file("/tmp", NULL, 01777, 33, 33);
	shell("umount ../mnt%s", "");
}
END_TEST

START_TEST(an_oci_layout)
{
	char text[256];
	if (system("command -v umoci >/dev/null && command -v skopeo >/dev/null") != 0) {
		(void)printf("skipped: an_oci_layout (no umoci or skopeo)\n");
		return;
	}
	shell("cd %s && umoci init --layout oci && umoci new --image oci:v1 && "
	      "umoci insert --image oci:v1 base / >/dev/null && mkdir more && echo x >more/only && "
	      "umoci insert --image oci:v1 --whiteout /etc/group >/dev/null && "
	      "umoci insert --image oci:v1 more /more >/dev/null",
	    dir.path);
	(void)snprintf(text, sizeof(text),
	    "name: t\nbase: 'oci:dir:%s/oci:v1'\nrun: ['ls -ln /']\n", dir.path);
	tmpdir_write(&dir, "templates/t.yaml", text);
	build_good();
	mount_image(end.hash);
	check_file("/usr/bin/id", NULL, 04755, 0, 0);
	check_file("/tmp", NULL, 01777, 33, 33);
	check_file("/more/only", "x\n", 0644, 0, 0);
	check_file("/etc/group", "user:x:1000:\n", 0644, 0, 0);
	shell("umount ../mnt%s", "");
}
END_TEST

static Suite *build_suite(void)
{
	Suite *s = suite_create("build");
	TCase *tc = test_case(s, "build", 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, an_image_has_what_the_template_says);
	tcase_add_test(tc, layers_are_the_image);
	tcase_add_test(tc, only_what_changed_is_built_again);
	tcase_add_test(tc, a_kernel_with_other_modules_is_fetched_again);
	tcase_add_test(tc, force_builds_everything);
	tcase_add_loop_test(tc, programs_are_confined, 0, sizeof(forbidden) / sizeof(forbidden[0]));
	tcase_add_test(tc, the_host_is_not_there);
	tcase_add_loop_test(tc, a_failure_is_explained, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tc, bad_requests_are_explained);
	tcase_add_test(tc, a_base_may_lack_directories);
	tcase_add_loop_test(tc, a_base_with_links_is_refused, 0, sizeof(links) / sizeof(links[0]));
	tcase_add_test(tc, time_and_disk_are_limited);
	tcase_add_test(tc, the_log_is_bounded);
	tcase_add_loop_test(tc, a_killed_build_leaves_only_rubbish, 0, 5);
	tcase_add_test(tc, sweeping_keeps_what_is_used);
	tcase_add_test(tc, sweeping_keeps_kernels_that_are_used);
	tcase_add_test(tc, a_tar_ball);
	tcase_add_test(tc, an_oci_layout);
	return s;
}

TEST_MAIN(build_suite)
