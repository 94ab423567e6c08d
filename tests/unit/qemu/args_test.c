/* SPDX-License-Identifier: Apache-2.0 */
/* What QEMU and the guest's kernel are told, and above all what not. */
#include "launcher/qemu_args.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/str.h"
#include "launcher/vm.h"
#include "launcher/vm_child.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "qemu_tests.h"

static struct qemu_conf conf_of(enum proto_start start)
{
	return (struct qemu_conf){ .program = "/usr/bin/qemu-system-x86_64",
		.start = start,
		.network = true,
		.vcpus = 2,
		.memory_bytes = 512ull << 20,
		.append = "quiet" };
}

/* All arguments, each between blanks. */
static const char *line_of(const struct qemu_conf *c)
{
	static char line[8192];
	struct qemu_args a;
	size_t n = 0;
	ck_assert_int_eq(qemu_args_build(&a, c), 0);
	ck_assert_ptr_null(a.argv[a.n]);
	for (size_t i = 0; i < a.n; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %s ", a.argv[i]);
	return line;
}

/* What device state depends on, in its order. */
static const char *devices_of(const struct qemu_conf *c)
{
	static const char *const options[] = { "-accel", "-cpu", "-smp", "-m", "-machine",
		"-device" };
	static char out[2][2048];
	static int which;
	struct qemu_args a;
	char *dst = out[which ^= 1];
	size_t n = 0;
	ck_assert_int_eq(qemu_args_build(&a, c), 0);
	for (size_t i = 0; i + 1 < a.n; i++)
		for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++)
			if (str_eq(a.argv[i], options[k]))
				n += (size_t)snprintf(
				    dst + n, 2048 - n, "%s %s\n", a.argv[i], a.argv[i + 1]);
	return dst;
}

START_TEST(dangerous_things_are_absent)
{
	static const char *const never[] = { "balloon", "user,id", "slirp", "exec:", "virtfs",
		"vhost=on", "x-ignore-shared", "qemu64", "nomodule", "nokaslr", "mitigations" };
	for (enum proto_start start = 0; start < PROTO_STARTS; start++)
		for (int kvm = 0; kvm < 2; kvm++) {
			struct qemu_conf c = conf_of(start);
			c.kvm = kvm;
			const char *line = line_of(&c);
			for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
				ck_assert_msg(!strstr(line, never[i]), "%s: %s", never[i], line);
			ck_assert_ptr_nonnull(
			    strstr(line, " -sandbox  on,obsolete=deny,elevateprivileges=deny,"
					 "spawn=deny,resourcecontrol=deny "));
			ck_assert_ptr_nonnull(strstr(line, " -nodefaults "));
			ck_assert_ptr_nonnull(strstr(line, " -no-user-config "));
			ck_assert_ptr_nonnull(strstr(line, " -no-reboot "));
			/* qemu64, which QEMU takes by itself, lacks what numpy needs: SIGILL */
			ck_assert_ptr_nonnull(strstr(line, kvm ? " -cpu  host " : " -cpu  max "));
		}
}
END_TEST

#define MACHINE                                                                            \
	"-smp 2\n-m 512\n"                                                                 \
	"-machine microvm,acpi=on,rtc=on,x-option-roms=off,isa-serial=on,memory-backend=m" \
	",mem-merge=off,dump-guest-core=off\n"
#define DEVICES                                                                \
	"-device virtio-blk-device,drive=disk\n"                               \
	"-device virtio-serial-device,max_ports=3\n"                           \
	"-device virtserialport,chardev=control,name=sandglass.control,nr=1\n" \
	"-device virtserialport,chardev=data,name=sandglass.data,nr=2\n"       \
	"-device virtio-net-device,netdev=n0,mac=02:fc:00:00:00:05\n"          \
	"-device virtio-rng-device\n"

/* What was saved before has these, in this order, and cannot be loaded by any other machine: who
 * changes them changes the version of manifests, too. */
START_TEST(devices_are_these_in_this_order)
{
	char want[2048];
	for (enum proto_start start = 0; start < PROTO_STARTS; start++)
		for (int kvm = 0; kvm < 2; kvm++) {
			bool root = start != PROTO_START_PROBE; /* nothing is kept of that */
			struct qemu_conf c = conf_of(start);
			c.kvm = kvm;
			(void)snprintf(want, sizeof(want), "-accel %s\n" MACHINE "%s" DEVICES,
			    kvm ? "kvm\n-cpu host" : "tcg,tb-size=64\n-cpu max",
			    root ? "-device virtio-blk-device,drive=root\n" : "");
			ck_assert_str_eq(devices_of(&c), want);
		}
}
END_TEST

/* Device state finds its devices by their order. */
START_TEST(devices_are_the_same_in_every_start)
{
	struct qemu_conf cold = conf_of(PROTO_START_COLD), clone = conf_of(PROTO_START_CLONE),
			 snapshot = conf_of(PROTO_START_SNAPSHOT);
	clone.network = false; /* nor by what is behind the card */
	ck_assert_str_eq(devices_of(&cold), devices_of(&clone));
	ck_assert_str_eq(devices_of(&cold), devices_of(&snapshot));
}
END_TEST

START_TEST(memory_of_clones_is_their_own)
{
	struct qemu_conf c = conf_of(PROTO_START_COLD);
	ck_assert_ptr_nonnull(strstr(
	    line_of(&c), " memory-backend-file,id=m,size=512M,mem-path=/proc/self/fd/8,share=on "));
	ck_assert_ptr_null(strstr(line_of(&c), "-incoming"));
	for (enum proto_start start = PROTO_START_CLONE; start <= PROTO_START_SNAPSHOT; start++) {
		c = conf_of(start);
		const char *line = line_of(&c);
		ck_assert_ptr_nonnull(strstr(line,
		    " memory-backend-file,id=m,size=512M,mem-path=/proc/self/fd/8,share=off "));
		ck_assert_ptr_nonnull(strstr(line, " -incoming  defer  -S "));
		ck_assert_ptr_nonnull(strstr(line, " migration.send-configuration=off "));
		ck_assert_ptr_null(strstr(line, "-kernel"));
	}
}
END_TEST

START_TEST(the_root_is_read_only)
{
	struct qemu_conf c = conf_of(PROTO_START_COLD);
	ck_assert_ptr_nonnull(
	    strstr(line_of(&c), "id=root,file=/dev/fdset/6,format=raw,if=none,readonly=on"));
	c.network = false;
	ck_assert_ptr_nonnull(strstr(line_of(&c), " hubport,id=n0,hubid=0 "));
	c.kvm = true;
	ck_assert_ptr_nonnull(strstr(line_of(&c), " -accel  kvm  -cpu  host "));
	c = conf_of(PROTO_START_PROBE);
	ck_assert_ptr_null(strstr(line_of(&c), "drive=root"));
}
END_TEST

static uint64_t rate_with(const char *file)
{
	struct vm_host host;
	vm_host_init(&host, file);
	return vm_host_tsc_khz(&host);
}

/* A later start measures a little more or less: were that taken, a snapshot of before could be
 * one of another machine. */
START_TEST(the_rate_of_the_counter_stays)
{
	struct tmpdir t;
	char path[128], text[32];
	tmpdir_make(&t);
	(void)tmpdir_at(&t, "tsc_khz", path);
	uint64_t first = rate_with(path);
	ck_assert_uint_eq(rate_with(path), first);
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)first - first / 20000);
	tmpdir_write(&t, "tsc_khz", text);
	ck_assert_uint_eq(rate_with(path), first - first / 20000);
	/* another machine, and a file that is none of ours */
	static const char *const other[] = { "1000000", "x" };
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		tmpdir_write(&t, "tsc_khz", other[i]);
		uint64_t khz = rate_with(path);
		ck_assert_uint_lt(khz > first ? khz - first : first - khz, first / 1000);
		ck_assert_uint_eq(rate_with(path), khz);
	}
	tmpdir_remove(&t);
}
END_TEST

static char *slow_page;

static void on_fault(int signo)
{
	const struct timespec t = { .tv_nsec = 3000000 };
	(void)signo;
	(void)nanosleep(&t, NULL);
	(void)mprotect(slow_page, 4096, PROT_READ | PROT_WRITE);
}

/* Whoever measures may be held up at any moment, here when it first writes down what it has seen: a
 * page that must be found on a machine that is itself a guest. */
START_TEST(the_rate_of_the_counter_is_true_for_one_who_is_held_up)
{
	uint64_t khz = rate_with(NULL);
	slow_page = mmap(NULL, 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(slow_page, MAP_FAILED);
	ck_assert_int_eq(mprotect(slow_page + 4096, 4096, PROT_READ | PROT_WRITE), 0);
	struct vm_host *h = (void *)(slow_page + 4096 - offsetof(struct vm_host, tsc_khz));
	(void)signal(SIGSEGV, on_fault);
	vm_host_init(h, NULL);
	uint64_t held = vm_host_tsc_khz(h);
	(void)signal(SIGSEGV, SIG_DFL);
	ck_assert_uint_lt(held > khz ? held - khz : khz - held, khz / 10000);
	(void)munmap(slow_page, 2 * 4096);
}
END_TEST

START_TEST(kernels_are_told_the_rate_of_the_counter)
{
	char text[QEMU_APPEND_MAX];
	struct vm_host host;
	vm_host_init(&host, NULL);
	uint64_t khz = vm_host_tsc_khz(&host);
	ck_assert_uint_gt(khz, 100000); /* 100 MHz to 10 GHz */
	ck_assert_uint_lt(khz, 10000000);
	ck_assert_uint_eq(vm_host_tsc_khz(&host), khz);
	struct vm_host again;
	vm_host_init(&again, NULL);
	uint64_t other = vm_host_tsc_khz(&again);
	ck_assert_uint_lt(other > khz ? other - khz : khz - other, khz / 1000);
	const struct qemu_boot b = {
		.fs = "erofs", .tsc_khz = 2596146, .dns = "10.0.0.1,10.0.0.2"
	};
	ck_assert_int_eq(qemu_append(text, &b), 0);
	ck_assert_ptr_nonnull(strstr(text, " tsc_early_khz=2596146 tsc=reliable "));
	ck_assert_ptr_nonnull(strstr(text, "reboot=t panic=-1 "));
	ck_assert_ptr_nonnull(strstr(text, " sandglass.root=/dev/vda sandglass.rootfs=erofs "));
	ck_assert_ptr_nonnull(
	    strstr(text, " sandglass.net=169.254.0.21/30,169.254.0.22,02:fc:00:00:00:06 "));
	ck_assert(str_ends(text, " sandglass.dns=10.0.0.1,10.0.0.2"));
	/* drivers are modules; what makes a boot faster at the price of safety stays out, too */
	static const char *const never[] = { "nomodule", "nokaslr", "mitigations" };
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		ck_assert_msg(!strstr(text, never[i]), "%s: %s", never[i], text);
}
END_TEST

void add_args_tests(Suite *s)
{
	TCase *tc = test_case(s, "args", 10);
	tcase_add_test(tc, dangerous_things_are_absent);
	tcase_add_test(tc, devices_are_these_in_this_order);
	tcase_add_test(tc, devices_are_the_same_in_every_start);
	tcase_add_test(tc, memory_of_clones_is_their_own);
	tcase_add_test(tc, the_root_is_read_only);
	tcase_add_test(tc, kernels_are_told_the_rate_of_the_counter);
	tcase_add_test(tc, the_rate_of_the_counter_stays);
	tcase_add_test(tc, the_rate_of_the_counter_is_true_for_one_who_is_held_up);
}
