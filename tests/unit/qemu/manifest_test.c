/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm_manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "launcher/box.h"
#include "launcher/warm.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "qemu_tests.h"

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct vm_manifest sample = { .key = HASH,
	.host = HASH,
	.content = HASH,
	.tmpl = "code-interpreter-v1",
	.image = "00ff",
	.fs = "erofs",
	.kvm = 1,
	.vcpus = 2,
	.memory_bytes = 1 << 30,
	.disk_bytes = 64,
	.state_size = 5,
	.memory_size = 6 };

static void write_size(struct tmpdir *t, const char *name, off_t n)
{
	char path[128];
	tmpdir_write(t, name, "");
	ck_assert_int_eq(truncate(tmpdir_at(t, name, path), n), 0);
}

static void write_files(struct tmpdir *t)
{
	write_size(t, "state", 5);
	write_size(t, "mem", 6);
	write_size(t, "disk", 64);
}

START_TEST(manifests_read_back)
{
	struct tmpdir t;
	struct vm_manifest got;
	struct err err = ERR_INIT;
	tmpdir_make(&t);
	ck_assert_int_eq(vm_manifest_read(t.path, &got, &err), -ENOENT);
	err_reset(&err);
	write_files(&t);
	ck_assert_int_eq(vm_manifest_write(t.path, &sample), 0);
	ck_assert_msg(vm_manifest_read(t.path, &got, &err) == 0, "%s", err.text);
	ck_assert_str_eq(got.key, HASH);
	ck_assert_str_eq(got.tmpl, sample.tmpl);
	ck_assert_str_eq(got.image, sample.image);
	ck_assert_str_eq(got.fs, sample.fs);
	ck_assert_uint_eq(got.kvm, 1);
	ck_assert_uint_eq(got.vcpus, 2);
	ck_assert_uint_eq(got.memory_bytes, sample.memory_bytes);
	ck_assert_uint_eq(got.disk_bytes, 64);
	tmpdir_remove(&t);
}
END_TEST

START_TEST(files_must_have_their_sizes)
{
	static const char *const names[] = { "state", "mem", "disk" };
	struct tmpdir t;
	struct vm_manifest got;
	tmpdir_make(&t);
	ck_assert_int_eq(vm_manifest_write(t.path, &sample), 0);
	for (size_t i = 0; i < 3; i++) {
		struct err err = ERR_INIT;
		char path[128];
		write_files(&t);
		write_size(&t, names[i], 4);
		ck_assert_int_eq(vm_manifest_read(t.path, &got, &err), -EBADMSG);
		ck_assert_ptr_nonnull(strstr(err.text, names[i]));
		ck_assert_ptr_nonnull(strstr(err.text, "expected"));
		err_reset(&err);
		ck_assert_int_eq(unlink(tmpdir_at(&t, names[i], path)), 0);
		ck_assert_int_eq(vm_manifest_read(t.path, &got, &err), -ENOENT);
	}
	tmpdir_remove(&t);
}
END_TEST

START_TEST(rubbish_is_no_manifest)
{
	struct tmpdir t;
	struct vm_manifest got = { .vcpus = 77 };
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[128];
	tmpdir_make(&t);
	write_files(&t);
	ck_assert_int_eq(vm_manifest_write(t.path, &sample), 0);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, tmpdir_at(&t, "manifest", path), 4096, &b), 0);
	char *text = buf_cstr(&b);
	for (size_t n = 0; n + 1 < strlen(text); n++) { /* cut anywhere but at the last byte */
		char keep = text[n];
		text[n] = '\0';
		tmpdir_write(&t, "manifest", text);
		ck_assert_int_eq(vm_manifest_read(t.path, &got, NULL), -EBADMSG);
		text[n] = keep;
	}
	static const char *const swaps[][2] = { { "sandglass-vm 1", "sandglass-vm 2" },
		{ "key 0", "key z" }, { "image 00ff", "image 00/f" }, { "kvm 1", "kvm 2" },
		{ "vcpus 2", "vcpus 0" } };
	for (size_t i = 0; i < sizeof(swaps) / sizeof(swaps[0]); i++) {
		char *at = strstr(text, swaps[i][0]);
		memcpy(at, swaps[i][1], strlen(swaps[i][1]));
		tmpdir_write(&t, "manifest", text);
		ck_assert_int_eq(vm_manifest_read(t.path, &got, NULL), -EBADMSG);
		memcpy(at, swaps[i][0], strlen(swaps[i][0]));
	}
	ck_assert_uint_eq(got.vcpus, 77);
	tmpdir_remove(&t);
}
END_TEST

/* An emulated counter runs at the host's rate, which the kernel was told at its boot: on a machine
 * with another one the clock of a clone would go wrong. */
START_TEST(machines_of_other_rates_have_other_keys)
{
	static const uint64_t khz[] = { 2000000, 2600000, 2000100 };
	static struct server s[3];
	const struct vm_image image = { .hash = "00ff" };
	const struct proto_create want = { .kind = PROTO_BOX_QEMU, .vm = { .vcpus = 1 } };
	struct vm_manifest m[3];
	if (!qemu_program()) {
		(void)printf("skipped: qemu-system-x86_64 is not installed\n");
		return;
	}
	for (size_t i = 0; i < 3; i++) {
		s[i].vm_host.tsc_khz = khz[i];
		ck_assert_int_eq(warm_key(&s[i], &want, &image, &m[i]), 0);
	}
	ck_assert_str_ne(m[0].host, m[1].host);
	ck_assert_str_ne(m[0].key, m[1].key);
	ck_assert_str_eq(m[0].content, m[1].content);
	ck_assert_str_eq(m[0].host, m[2].host); /* one machine, measured twice */
	ck_assert_str_eq(m[0].key, m[2].key);
}
END_TEST

void add_manifest_tests(Suite *s)
{
	TCase *tc = test_case(s, "manifest", 10);
	tcase_add_test(tc, manifests_read_back);
	tcase_add_test(tc, files_must_have_their_sizes);
	tcase_add_test(tc, rubbish_is_no_manifest);
	tcase_add_test(tc, machines_of_other_rates_have_other_keys);
}
