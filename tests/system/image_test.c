/* SPDX-License-Identifier: Apache-2.0 */
/* Images that the launcher builds, and sandboxes on them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "lib/test.h"
#include "rig.h"
#include "shell_base.h"
#include "system_tests.h"

#define BUILD_LIMIT_MS 60000

static struct rig r;

struct build {
	int over, lines;
	struct err err;
	char text[16384]; /* of all lines */
};

static void on_log(const struct proto_log *m, void *arg)
{
	struct build *b = arg;
	size_t n = strlen(b->text);
	b->lines++;
	(void)snprintf(b->text + n, sizeof(b->text) - n, "%s: %s\n", m->step, m->text);
}

static void on_done(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct build *b = arg;
	b->err = *err;
	b->over = 1;
}

static void write_template(const char *name, const char *rest)
{
	char path[256], text[1024];
	(void)snprintf(path, sizeof(path), "%s/templates/%s.yaml", r.dir, name);
	(void)snprintf(text, sizeof(text), "name: %s\nbase: 'dir:%s/base'\n%s", name, r.dir, rest);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, text, strlen(text)), 0);
}

static void set_up(void)
{
	char script[4096];
	rig_open(&r, false);
	(void)snprintf(script, sizeof(script), shell_base_script, r.dir);
	ck_assert_int_eq(system(script), 0);
	(void)snprintf(script, sizeof(script),
	    "cd %s && mkdir -p templates && cd state/launcher/kernels && k=%s && mkdir $k && "
	    "touch $k/vmlinux && mkdir $k/modules && >$k/modules/order && ln -s $k current",
	    r.dir, shell_base_kernel());
	ck_assert_int_eq(system(script), 0);
}

static void tear_down(void)
{
	rig_close(&r);
}

static void begin(struct build *b, const char *name)
{
	memset(b, 0, sizeof(*b));
	ck_assert_int_eq(launcher_build(r.la, name, false, on_log, on_done, b), 0);
}

static int build(struct build *b, const char *name)
{
	begin(b, name);
	ck_assert(rig_wait(&r, &b->over, BUILD_LIMIT_MS));
	return b->err.code;
}

static int ask(int (*call)(struct launcher *, const char *, launcher_done_fn *, void *),
    const char *name, struct build *b)
{
	memset(b, 0, sizeof(*b));
	ck_assert_int_eq(call(r.la, name, on_done, b), 0);
	ck_assert(rig_wait(&r, &b->over, BUILD_LIMIT_MS));
	return b->err.code;
}

struct images {
	int over;
	unsigned n;
	struct proto_image v[8];
};

static void on_image(const struct proto_image *m, void *arg)
{
	struct images *im = arg;
	ck_assert_uint_lt(im->n, 8);
	im->v[im->n++] = *m;
}

static void on_listed(const struct err *err, const struct proto_reply *reply, void *arg)
{
	ck_assert_int_eq(err->code, 0);
	((struct images *)arg)->over = 1;
}

static const struct images *list(void)
{
	static struct images im;
	memset(&im, 0, sizeof(im));
	ck_assert_int_eq(launcher_images(r.la, on_image, on_listed, &im), 0);
	ck_assert(rig_wait(&r, &im.over, 5000));
	return &im;
}

START_TEST(a_sandbox_on_an_image)
{
	struct build b;
	struct rig_box box;
	struct proto_create c;
	struct err err = ERR_INIT;
	write_template("t", "run: ['echo built >/etc/mark; mkdir /srv/d']\n");
	ck_assert_int_eq(ask(launcher_prepare, "template:t", &b), -ENOENT);
	ck_assert_str_eq(b.err.text, "template t has no image yet: build it with \"sandglass "
				     "template build t\"");
	ck_assert_uint_eq(list()->n, 0);
	ck_assert_msg(build(&b, "t") == 0, "%s\n%s", b.err.text, b.text);
	ck_assert_ptr_nonnull(strstr(b.text, "run 1: done in"));
	const struct images *im = list();
	ck_assert_uint_eq(im->n, 1);
	ck_assert_str_eq(im->v[0].name, "t");
	ck_assert_uint_eq(im->v[0].state, PROTO_IMAGE_READY);
	ck_assert_str_eq(im->v[0].format, "erofs");
	ck_assert_str_eq(im->v[0].kernel, shell_base_kernel());
	ck_assert_uint_gt(im->v[0].bytes, 100000);
	ck_assert_uint_eq(strlen(im->v[0].hash), PROTO_IMAGE_HASH_LEN);
	ck_assert_int_eq(ask(launcher_prepare, "template:t", &b), 0);
	rig_create_default(&c, "iimage");
	(void)str_copy(c.base, sizeof(c.base), "template:t");
	ck_assert_msg(rig_create_as(&r, &box, &c, &err) == 0, "%s", err.text);
	ck_assert_str_eq(rig_out(&r, &box, "cat /etc/mark"), "built\n");
	ck_assert_str_eq(
	    rig_out(&r, &box, "echo more >>/etc/mark; cat /etc/mark"), "built\nmore\n");
	ck_assert_str_eq(rig_out(&r, &box,
			     "ls /srv; mv /srv/d /srv/e; ls /srv; [ -u /usr/bin/id ] "
			     "&& echo setuid; [ ! -e /usr/bin/python3 ] && echo own"),
	    "d\ne\nsetuid\nown\n");
	/* its image stays while it lives, though another one was built */
	write_template("t", "run: ['echo again >/etc/mark']\n");
	ck_assert_uint_eq(list()->v[0].state, PROTO_IMAGE_OUTDATED);
	ck_assert_int_eq(ask(launcher_prepare, "template:t", &b), -ENOENT);
	ck_assert_ptr_nonnull(strstr(b.err.text, "was changed after its image was built"));
	ck_assert_int_eq(build(&b, "t"), 0);
	ck_assert_int_eq(ask(launcher_image_remove, "t", &b), 0);
	rig_pause(&r, 300);
	ck_assert_str_eq(
	    rig_out(&r, &box, "cat /etc/mark; ls /usr/bin/sleep"), "built\nmore\n/usr/bin/sleep\n");
	ck_assert_int_eq(rig_destroy(&r, &box), 0);
	ck_assert_uint_eq(list()->n, 0);
}
END_TEST

START_TEST(builds_wait_for_each_other)
{
	struct build a, same, b;
	write_template("a", "run: ['sleep 1']\n");
	write_template("b", "");
	begin(&a, "a");
	begin(&same, "a");
	begin(&b, "b");
	ck_assert(rig_wait(&r, &same.over, 5000));
	ck_assert_int_eq(same.err.code, -EBUSY);
	ck_assert_str_eq(same.err.text, "the image of a is being built already");
	ck_assert_int_eq(a.over, 0);
	ck_assert_uint_eq(list()->n, 2);
	ck_assert_uint_eq(list()->v[0].state, PROTO_IMAGE_BUILDING);
	ck_assert_int_eq(ask(launcher_image_remove, "a", &same), -EBUSY);
	ck_assert(rig_wait(&r, &b.over, BUILD_LIMIT_MS));
	ck_assert_int_eq(a.over, 1);
	ck_assert_int_eq(a.err.code, 0);
	ck_assert_int_eq(b.err.code, 0);
}
END_TEST

static bool sleeps(void)
{
	return system("pgrep -f 'sleep 31415[9]' >/dev/null") == 0;
}

START_TEST(a_build_is_cancelled)
{
	struct build a, b, c;
	write_template("a", "run: ['echo here; sleep 314159']\n");
	write_template("b", "");
	begin(&a, "a");
	begin(&b, "b");
	for (int i = 0; i < 1000 && !sleeps(); i++)
		rig_pause(&r, 20);
	ck_assert_int_eq(ask(launcher_build_cancel, "b", &c), 0);
	ck_assert_int_eq(b.over, 1);
	ck_assert_int_eq(b.err.code, -ECANCELED);
	ck_assert_int_eq(ask(launcher_build_cancel, "a", &c), 0);
	ck_assert(rig_wait(&r, &a.over, 5000));
	ck_assert_int_eq(a.err.code, -ECANCELED);
	rig_pause(&r, 300);
	ck_assert(!sleeps());
	ck_assert_uint_eq(list()->n, 0);
	char command[128];
	(void)snprintf(
	    command, sizeof(command), "find %s -name '*.new' | grep . && exit 1; exit 0", r.dir);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(a_failed_build_is_remembered)
{
	struct build b;
	write_template("t", "run: ['echo because >&2; exit 3']\n");
	ck_assert_int_eq(build(&b, "t"), -EIO);
	ck_assert_str_eq(b.err.text, "step run 1: /bin/sh ended with exit status 3: because");
	const struct images *im = list();
	ck_assert_uint_eq(im->n, 1);
	ck_assert_uint_eq(im->v[0].state, PROTO_IMAGE_FAILED);
	ck_assert_str_eq(im->v[0].text, b.err.text);
	ck_assert_str_eq(im->v[0].hash, "");
	ck_assert_int_eq(build(&b, "unknown"), -ENOENT);
	ck_assert_str_eq(b.err.text, "there is no template unknown");
}
END_TEST

/* A killed launcher takes its builder along; the daemon's request builds it after all. */
START_TEST(a_build_survives_its_launcher)
{
	struct build b;
	char path[256];
	write_template("t", "run: ['echo here; sleep 2', 'echo there']\n");
	begin(&b, "t");
	for (int i = 0; i < 1000 && !strstr(b.text, "run 1: here"); i++)
		rig_pause(&r, 20);
	rig_stop_launcher(&r, SIGKILL);
	rig_start_launcher(&r);
	ck_assert(rig_wait(&r, &b.over, BUILD_LIMIT_MS));
	ck_assert_msg(b.err.code == 0, "%s", b.err.text);
	ck_assert_ptr_nonnull(strstr(b.text, "base: unchanged"));
	(void)snprintf(path, sizeof(path), "find %s/state/launcher -name '*.new' | grep .", r.dir);
	ck_assert_int_ne(system(path), 0);
}
END_TEST

void add_image_tests(Suite *s)
{
	TCase *tc = test_case(s, "image", 120);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, a_sandbox_on_an_image);
	tcase_add_test(tc, builds_wait_for_each_other);
	tcase_add_test(tc, a_build_is_cancelled);
	tcase_add_test(tc, a_failed_build_is_remembered);
	tcase_add_test(tc, a_build_survives_its_launcher);
}
