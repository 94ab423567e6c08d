/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers of virtual machines have in common, and what owners hear of an instance. */
#include <string.h>

#include "base/str.h"
#include "launcher/proto.h"
#include "lib/test.h"
#include "vmm/events.h"
#include "vmm/machine.h"
#include "vmm_tests.h"

/* ---- events ---- */

static char heard[64];

static void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
	static const char letters[] = {
		[VMM_END_EXITED] = 'x', [VMM_EVENT_OOM] = 'o', [VMM_EVENT_PIDS] = 'p'
	};
	size_t n = strlen(heard);
	heard[n] = letters[kind];
	heard[n + 1] = (char)('0' + value);
	heard[n + 2] = '\0';
}

static const char *tell(bool own_kernel, uint32_t event, int64_t value, const char *words)
{
	const struct vmm_listener l = { NULL, on_event, NULL, own_kernel };
	const struct proto_event e = { .event = event, .value = value };
	heard[0] = '\0';
	vmm_tell_owner(&l, &e, words);
	return heard;
}

START_TEST(owners_are_told)
{
	ck_assert_str_eq(tell(false, PROTO_EXITED, 9, ""), "x9");
	ck_assert_str_eq(tell(false, PROTO_OOM, 2, ""), "o2");
	ck_assert_str_eq(tell(false, PROTO_PIDS, 3, ""), "p3");
	ck_assert_str_eq(tell(true, PROTO_OOM, 2, ""), "o2");
	ck_assert_str_eq(tell(true, PROTO_PIDS, 3, ""), ""); /* threads of its VMM */
	ck_assert_str_eq(tell(true, 99, 3, ""), "");
}
END_TEST

START_TEST(last_words_of_a_kernel)
{
	static const char none_left[] =
	    "Kernel panic - not syncing: System is deadlocked on memory";
	ck_assert_str_eq(
	    tell(true, PROTO_EXITED, 0, "Kernel panic - not syncing: Attempted"), "x0");
	ck_assert_str_eq(tell(true, PROTO_EXITED, 0, none_left), "o1x0");
	/* anybody in a sandbox without a kernel of its own could say that */
	ck_assert_str_eq(tell(false, PROTO_EXITED, 0, none_left), "x0");
}
END_TEST

/* ---- sizes ---- */

START_TEST(sizes_of_machines)
{
	const struct vmm_sizes has = { 1 << 30, 5 << 20, 2000 };
	struct vmm_sizes to = has;
	ck_assert_uint_eq(vmm_vcpus(0), 1);
	ck_assert_uint_eq(vmm_vcpus(1000), 1);
	ck_assert_uint_eq(vmm_vcpus(1001), 2);
	to.cpu_milli = 1200;
	ck_assert(vmm_machine_can_resize(&has, &to));
	to.cpu_milli = 1000;
	ck_assert(!vmm_machine_can_resize(&has, &to));
	to.cpu_milli = 2001;
	ck_assert(!vmm_machine_can_resize(&has, &to));
	to = has;
	to.memory_bytes /= 2;
	ck_assert(!vmm_machine_can_resize(&has, &to));
	to = has;
	to.disk_bytes *= 2;
	ck_assert(vmm_machine_can_resize(&has, &to));
	to.disk_bytes = 1ull << 40; /* slower than a boot */
	ck_assert(!vmm_machine_can_resize(&has, &to));
	to.disk_bytes = has.disk_bytes / 2;
	ck_assert(!vmm_machine_can_resize(&has, &to));
}
END_TEST

void add_machine(Suite *s)
{
	TCase *tc = test_case(s, "machine", 10);
	tcase_add_test(tc, owners_are_told);
	tcase_add_test(tc, last_words_of_a_kernel);
	tcase_add_test(tc, sizes_of_machines);
}
