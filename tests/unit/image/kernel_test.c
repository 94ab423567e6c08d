/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel images, modules, and the first file system of a guest. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/initramfs.h"
#include "image/modules.h"
#include "image/vmlinux.h"
#include "image_tests.h"
#include "lib/tmpdir.h"

/* ---- vmlinux ---- */

#define PAYLOAD_AT 0x400 /* one sector of set-up code behind the boot sector */

/* Literals "\177ELFab", then 20 bytes of "ab" over and over, then literals "xyz": 29 bytes. */
static const unsigned char lz4_block[] = { 0x6f, 0177, 'E', 'L', 'F', 'a', 'b', 2, 0, 1, 0x30, 'x',
	'y', 'z' };
static const char unpacked[] = "\177ELFabababababababababababxyz";

struct image {
	unsigned char bytes[PAYLOAD_AT + 256];
	size_t n;
};

static void put_u32(unsigned char *p, size_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static void make_image(struct image *im, const unsigned char *block, size_t n, size_t size)
{
	memset(im, 0, sizeof(*im));
	im->bytes[0x1f1] = 1;
	memcpy(im->bytes + 0x202, "HdrS\x0f\x02", 6);
	unsigned char *p = im->bytes + PAYLOAD_AT;
	put_u32(p, 0x184c2102);
	put_u32(p + 4, n);
	memcpy(p + 8, block, n);
	put_u32(p + 8 + n, size);
	put_u32(im->bytes + 0x248, 0);
	put_u32(im->bytes + 0x24c, 8 + n + 4);
	im->n = PAYLOAD_AT + 8 + n + 4;
}

static int extract(const struct image *im, struct buf *dst, struct err *err)
{
	*err = (struct err)ERR_INIT;
	buf_fini(dst);
	return vmlinux_extract(im->bytes, im->n, dst, err);
}

START_TEST(kernel_is_unpacked)
{
	struct image im;
	struct err err;
	CLEAN_BUF struct buf out = BUF_INIT;
	make_image(&im, lz4_block, sizeof(lz4_block), sizeof(unpacked) - 1);
	ck_assert_msg(extract(&im, &out, &err) == 0, "%s", err.text);
	ck_assert_uint_eq(buf_len(&out), sizeof(unpacked) - 1);
	ck_assert_mem_eq(buf_data(&out), unpacked, sizeof(unpacked) - 1);
}
END_TEST

START_TEST(bad_kernels_are_refused)
{
	struct image good, im;
	struct err err;
	CLEAN_BUF struct buf out = BUF_INIT;
	make_image(&good, lz4_block, sizeof(lz4_block), sizeof(unpacked) - 1);
	for (size_t n = 0; n < good.n; n++) {
		im = good;
		im.n = n;
		ck_assert_int_lt(extract(&im, &out, &err), 0);
		ck_assert(err.text[0]);
	}
	/* No byte of the block may lead outside; what still unpacks has the right size. */
	for (size_t i = 0; i < sizeof(lz4_block); i++)
		for (unsigned v = 0; v < 256; v++) {
			im = good;
			im.bytes[PAYLOAD_AT + 8 + i] = (unsigned char)v;
			if (extract(&im, &out, &err) == 0)
				ck_assert_uint_eq(buf_len(&out), sizeof(unpacked) - 1);
		}
	make_image(&im, lz4_block, sizeof(lz4_block), sizeof(unpacked));
	ck_assert_int_eq(extract(&im, &out, &err), -EBADMSG);
	im = good;
	im.bytes[PAYLOAD_AT] = 0x28; /* zstd */
	ck_assert_int_eq(extract(&im, &out, &err), -ENOTSUP);
	ck_assert_str_eq(err.text, "the kernel image is compressed, but not with LZ4");
	im = good;
	im.bytes[0x202] = 'h';
	ck_assert_int_eq(extract(&im, &out, &err), -EBADMSG);
	im = good;
	im.bytes[0x206] = 7;
	ck_assert_int_eq(extract(&im, &out, &err), -ENOTSUP);
}
END_TEST

/* ---- modules ---- */

static void add_module(const struct tmpdir *t, const char *file, const char *depends)
{
	char path[128], bytes[256];
	int n = snprintf(bytes, sizeof(bytes), "ELF%clicense=GPL%cdepends=%s%cvermagic=x%c", 0, 0,
	    depends, 0, 0);
	ck_assert_int_eq(
	    fd_replace_file(AT_FDCWD, tmpdir_at(t, file, path), 0600, bytes, (size_t)n), 0);
}

static void make_tree(const struct tmpdir *t)
{
	char path[128];
	ck_assert_int_eq(path_mkdir_p(tmpdir_at(t, "kernel/drivers/virtio", path), 0700), 0);
	ck_assert_int_eq(path_mkdir_p(tmpdir_at(t, "out", path), 0700), 0);
	add_module(t, "kernel/drivers/virtio/top-one.ko", "middle,low_est");
	add_module(t, "kernel/drivers/middle.ko", "low-est,part");
	add_module(t, "kernel/drivers/virtio/low_est.ko", "");
	add_module(t, "kernel/more.ko", "middle,nowhere");
	add_module(t, "kernel/loop_a.ko", "loop_b");
	add_module(t, "kernel/loop_b.ko", "loop_a");
	add_module(t, "kernel/packed.ko.xz", "");
}

static const char builtin[] = "kernel/fs/ext4/ext4.ko\nkernel/lib/part.ko\n";

static int collect(const struct tmpdir *t, const char *const *wanted, struct err *err)
{
	char tree[128], out[128];
	*err = (struct err)ERR_INIT;
	return modules_collect_these(
	    wanted, tmpdir_at(t, "kernel", tree), builtin, tmpdir_at(t, "out", out), err);
}

START_TEST(modules_come_in_order)
{
	static const char *const wanted[] = { "top_one", "ext4", "-middle", "-absent", NULL };
	struct tmpdir t;
	struct err err;
	char path[128];
	CLEAN_BUF struct buf b = BUF_INIT;
	tmpdir_make(&t);
	make_tree(&t);
	ck_assert_msg(collect(&t, wanted, &err) == 0, "%s", err.text);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, tmpdir_at(&t, "out/order", path), 4096, &b), 0);
	ck_assert_str_eq(buf_cstr(&b), "low_est.ko\nmiddle.ko\ntop-one.ko\n");
	ck_assert(path_exists(tmpdir_at(&t, "out/top-one.ko", path)));
	ck_assert(!path_exists(tmpdir_at(&t, "out/more.ko", path)));
	tmpdir_remove(&t);
}
END_TEST

START_TEST(optional_modules_are_marked)
{
	static const char *const wanted[] = { "low_est", "-top_one", NULL };
	struct tmpdir t;
	struct err err;
	char path[128];
	CLEAN_BUF struct buf b = BUF_INIT;
	tmpdir_make(&t);
	make_tree(&t);
	ck_assert_msg(collect(&t, wanted, &err) == 0, "%s", err.text);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, tmpdir_at(&t, "out/order", path), 4096, &b), 0);
	ck_assert_str_eq(buf_cstr(&b), "low_est.ko\n-middle.ko\n-top-one.ko\n");
	tmpdir_remove(&t);
}
END_TEST

static const struct {
	const char *name;
	int code;
	const char *text;
} bad_modules[] = {
	{ "absent", -ENOENT, "the kernel has no module absent" },
	{ "more", -ENOENT, "the kernel has no module nowhere" },
	{ "loop_a", -ELOOP, "the kernel's modules depend on each other: loop_a" },
	{ "packed", -ENOTSUP, "the kernel's modules are compressed: " },
};

START_TEST(bad_modules_are_refused)
{
	const char *const wanted[] = { bad_modules[_i].name, NULL };
	struct tmpdir t;
	struct err err;
	tmpdir_make(&t);
	make_tree(&t);
	ck_assert_int_eq(collect(&t, wanted, &err), bad_modules[_i].code);
	ck_assert_msg(strncmp(err.text, bad_modules[_i].text, strlen(bad_modules[_i].text)) == 0,
	    "%s", err.text);
	tmpdir_remove(&t);
}
END_TEST

/* ---- initramfs ---- */

static int write_initramfs(const struct tmpdir *t, const char *name)
{
	char path[128], modules[128];
	struct err err = ERR_INIT;
	CLEAN_FD int init = open(tmpdir_at(t, "agent", path), O_RDONLY | O_CLOEXEC);
	CLEAN_FD int out =
	    open(tmpdir_at(t, name, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert(init >= 0 && out >= 0);
	return initramfs_write(out, init, tmpdir_at(t, "modules", modules), &err);
}

static void read_command(const char *command, struct buf *dst)
{
	char line[256];
	FILE *f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		ck_assert_int_eq(buf_append_str(dst, line), 0);
	ck_assert_int_eq(pclose(f), 0);
}

static void make_initramfs_input(const struct tmpdir *t)
{
	char path[128];
	ck_assert_int_eq(path_mkdir_p(tmpdir_at(t, "modules", path), 0700), 0);
	tmpdir_write(t, "agent", "the agent");
	tmpdir_write(t, "modules/order", "a.ko\n-b-c.ko\n");
	tmpdir_write(t, "modules/a.ko", "A");
	tmpdir_write(t, "modules/b-c.ko", "BBBBB");
	tmpdir_write(t, "modules/unlisted.ko", "no");
}

START_TEST(initramfs_is_a_cpio)
{
	struct tmpdir t;
	char command[256];
	CLEAN_BUF struct buf names = BUF_INIT;
	CLEAN_BUF struct buf text = BUF_INIT;
	tmpdir_make(&t);
	make_initramfs_input(&t);
	ck_assert_int_eq(write_initramfs(&t, "one.cpio"), 0);
	(void)snprintf(command, sizeof(command), "cpio --quiet -t <%s/one.cpio 2>&1", t.path);
	read_command(command, &names);
	ck_assert_str_eq(buf_cstr(&names), "dev\nlib\nlib/modules\nproc\nroot\nsys\ndev/console\n"
					   "init\nlib/modules/order\nlib/modules/a.ko\n"
					   "lib/modules/b-c.ko\n");
	(void)snprintf(command, sizeof(command),
	    "cd %s && mkdir x && cd x && cpio --quiet -id --no-absolute-filenames init 'lib/*' "
	    "<../one.cpio && stat -c %%a init && cat init lib/modules/*.ko",
	    t.path);
	read_command(command, &text);
	ck_assert_str_eq(buf_cstr(&text), "755\nthe agentABBBBB");
	tmpdir_remove(&t);
}
END_TEST

START_TEST(initramfs_is_reproducible)
{
	struct tmpdir t;
	char path[128];
	CLEAN_BUF struct buf one = BUF_INIT;
	CLEAN_BUF struct buf two = BUF_INIT;
	tmpdir_make(&t);
	make_initramfs_input(&t);
	ck_assert_int_eq(write_initramfs(&t, "one"), 0);
	ck_assert_int_eq(write_initramfs(&t, "two"), 0);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, tmpdir_at(&t, "one", path), 1 << 20, &one), 0);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, tmpdir_at(&t, "two", path), 1 << 20, &two), 0);
	ck_assert_uint_eq(buf_len(&one), buf_len(&two));
	ck_assert_mem_eq(buf_data(&one), buf_data(&two), buf_len(&one));
	/* a name in the order that leads elsewhere, and one that is not there */
	tmpdir_write(&t, "modules/order", "../agent\n");
	ck_assert_int_eq(write_initramfs(&t, "bad"), -EBADMSG);
	tmpdir_write(&t, "modules/order", "absent.ko\n");
	ck_assert_int_eq(write_initramfs(&t, "bad"), -ENOENT);
	tmpdir_remove(&t);
}
END_TEST

void kernel_tests(Suite *s)
{
	TCase *tc = test_case(s, "kernel", 20);
	tcase_add_test(tc, kernel_is_unpacked);
	tcase_add_test(tc, bad_kernels_are_refused);
	tcase_add_test(tc, modules_come_in_order);
	tcase_add_test(tc, optional_modules_are_marked);
	tcase_add_loop_test(
	    tc, bad_modules_are_refused, 0, sizeof(bad_modules) / sizeof(bad_modules[0]));
	tcase_add_test(tc, initramfs_is_a_cpio);
	tcase_add_test(tc, initramfs_is_reproducible);
}
