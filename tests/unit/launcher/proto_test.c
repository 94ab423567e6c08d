/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher lets in. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "launcher/proto.h"
#include "launcher/slots.h"
#include "launcher_tests.h"
#include "lib/test.h"

static union proto_any good_create(void)
{
	union proto_any m = { .request = { .head = { PROTO_CREATE, PROTO_VERSION, 7 },
				  .create = { .id = "iabc",
				      .base = "host",
				      .memory_bytes = 1 << 30,
				      .disk_bytes = 1 << 30,
				      .cpu_milli = 1000,
				      .max_pids = 100 } } };
	return m;
}

static int check(const union proto_any *m)
{
	struct err err = ERR_INIT;
	int r = proto_check_request(m, sizeof(m->request), &err);
	ck_assert(r == 0 || err.text[0]);
	return r;
}

START_TEST(create_is_checked)
{
	union proto_any m = good_create();
	ck_assert_int_eq(check(&m), 0);
#define BAD(field, value)                             \
	do {                                          \
		m = good_create();                    \
		m.request.create.field = (value);     \
		ck_assert_int_eq(check(&m), -EINVAL); \
	} while (0)
	BAD(memory_bytes, 0);
	BAD(memory_bytes, UINT64_MAX);
	BAD(disk_bytes, 1);
	BAD(disk_bytes, UINT64_MAX);
	BAD(cpu_milli, 0);
	BAD(cpu_milli, UINT32_MAX);
	BAD(max_pids, 0);
	BAD(max_pids, UINT32_MAX);
	BAD(internet, 2);
	BAD(id[0], '\0');
	BAD(id[0], '/');
	BAD(id[1], '.');
	BAD(base[0], '.');
	BAD(base[0], '/');
	BAD(base[1], '/');
	BAD(base[0], '\0');
#undef BAD
	m = good_create();
	memset(m.request.create.id, 'a', sizeof(m.request.create.id)); /* no end */
	ck_assert_int_eq(check(&m), -EINVAL);
	m = good_create();
	memset(m.request.create.base, 'a', sizeof(m.request.create.base));
	ck_assert_int_eq(check(&m), -EINVAL);
}
END_TEST

static union proto_any good_vm(uint32_t kind)
{
	union proto_any m = good_create();
	m.head.kind = kind;
	struct proto_create *c = &m.request.create;
	c->kind = PROTO_BOX_QEMU;
	c->start = PROTO_START_SNAPSHOT;
	c->vm.vcpus = 2;
	(void)str_copy(c->vm.tmpl, sizeof(c->vm.tmpl), "code-interpreter_v1");
	memset(c->vm.tmpl_hash, 'a', PROTO_HASH_LEN);
	(void)str_copy(c->snapshot, sizeof(c->snapshot), "isnap");
	return m;
}

START_TEST(vms_are_checked)
{
	static const uint32_t kinds[] = { PROTO_CREATE, PROTO_VM_PREPARE };
	for (size_t i = 0; i < 2; i++) {
		union proto_any m = good_vm(kinds[i]);
		ck_assert_int_eq(check(&m), 0);
#define BAD(field, value)                             \
	do {                                          \
		m = good_vm(kinds[i]);                \
		m.request.create.field = (value);     \
		ck_assert_int_eq(check(&m), -EINVAL); \
	} while (0)
		BAD(kind, PROTO_BOX_KINDS);
		BAD(kind, PROTO_BOX_NAMESPACE); /* that has no snapshots */
		BAD(start, PROTO_STARTS);
		BAD(vm.kvm, 2);
		BAD(vm.vcpus, 0);
		BAD(vm.vcpus, PROTO_VCPUS_MAX + 1);
		BAD(vm.tmpl[0], '\0');
		BAD(vm.tmpl[0], '-');
		BAD(vm.tmpl[1], '/');
		BAD(vm.tmpl[1], '.');
		BAD(vm.tmpl_hash[0], 'g');
		BAD(vm.tmpl_hash[63], '\0');
		BAD(snapshot[0], '\0');
		BAD(snapshot[0], '/');
		BAD(memory_bytes, 64 << 20);
		BAD(memory_bytes, (1 << 30) + 4096);
		BAD(disk_bytes, (1 << 30) + 4096);
#undef BAD
		m = good_vm(kinds[i]);
		memset(m.request.create.vm.tmpl, 'a', sizeof(m.request.create.vm.tmpl));
		ck_assert_int_eq(check(&m), -EINVAL);
		m = good_vm(kinds[i]);
		memset(m.request.create.vm.tmpl_hash, 'a', sizeof(m.request.create.vm.tmpl_hash));
		ck_assert_int_eq(check(&m), -EINVAL);
		m = good_vm(kinds[i]);
		m.request.create.start = PROTO_START_CLONE;
		m.request.create.snapshot[0] = '/'; /* is not looked at */
		ck_assert_int_eq(check(&m), 0);
	}
	union proto_any m = good_create();
	m.head.kind = PROTO_VM_PREPARE; /* of a namespace */
	ck_assert_int_eq(check(&m), -EINVAL);
	m = (union proto_any){ .request = { .head = { PROTO_VM_SNAPSHOT, PROTO_VERSION, 1 },
				   .box = { .id = "iabc", .snapshot = "isnap" } } };
	ck_assert_int_eq(check(&m), 0);
	m.request.box.snapshot[0] = '.';
	ck_assert_int_eq(check(&m), -EINVAL);
	m = (union proto_any){ .request = { .head = { PROTO_VM_DO, PROTO_VERSION, 1 },
				   .box = { .id = "iabc", .on = PROTO_VM_VERBS - 1 } } };
	ck_assert_int_eq(check(&m), 0);
	m.request.box.on = PROTO_VM_VERBS;
	ck_assert_int_eq(check(&m), -EINVAL);
	m.request.box.on = 0;
	m.request.box.id[0] = '.';
	ck_assert_int_eq(check(&m), -EINVAL);
	m.head.kind = PROTO_VM_INFO; /* of no sandbox */
	ck_assert_int_eq(check(&m), -EINVAL);
	m.request.box.on = PROTO_BOX_FIRECRACKER;
	ck_assert_int_eq(check(&m), 0);
	m.request.box.on = PROTO_BOX_KINDS;
	ck_assert_int_eq(check(&m), -EINVAL);
}
END_TEST

START_TEST(packets_are_checked)
{
	union proto_any m = good_create();
	struct err err = ERR_INIT;
	for (size_t n = 0; n < sizeof(m.request); n++)
		ck_assert_int_eq(proto_check_request(&m, n, &err), -EPROTO);
	for (uint32_t kind = 0; kind < 256; kind++) {
		m = good_create();
		m.head.kind = kind;
		bool known = kind >= PROTO_PREPARE && kind <= PROTO_RESIZE;
		ck_assert_int_eq(
		    proto_check_request(&m, sizeof(m.request), &err) == -EPROTO, !known);
	}
	m = good_create();
	m.head.version++;
	ck_assert_int_eq(proto_check_request(&m, sizeof(m.request), &err), -EPROTO);
	static const uint32_t by_id[] = { PROTO_DESTROY, PROTO_ADOPT, PROTO_USAGE, PROTO_INTERNET };
	for (size_t i = 0; i < sizeof(by_id) / sizeof(by_id[0]); i++) {
		memset(&m, 0, sizeof(m));
		m.head = (struct proto_header){ by_id[i], PROTO_VERSION, 1 };
		ck_assert_int_eq(check(&m), -EINVAL);
		(void)str_copy(m.request.box.id, sizeof(m.request.box.id), "i1");
		ck_assert_int_eq(check(&m), 0);
		m.request.box.on = 3;
		ck_assert_int_eq(check(&m), -EINVAL);
	}
}
END_TEST

START_TEST(sizes_are_checked)
{
	union proto_any m = { .head = { PROTO_RESIZE, PROTO_VERSION, 1 } };
	struct proto_sizes *to = &m.request.resize.to;
	to->cpu_milli = 1000;
	ck_assert_int_eq(check(&m), -EINVAL); /* of whom? */
	(void)str_copy(m.request.resize.id, sizeof(m.request.resize.id), "i1");
	ck_assert_int_eq(check(&m), 0); /* memory and disk as they are */
	to->memory_bytes = PROTO_MEMORY_MIN;
	ck_assert_int_eq(check(&m), 0);
	to->memory_bytes--;
	ck_assert_int_eq(check(&m), -EINVAL);
	to->memory_bytes = PROTO_MEMORY_MAX + 1;
	ck_assert_int_eq(check(&m), -EINVAL);
	to->memory_bytes = PROTO_MEMORY_MAX;
	to->disk_bytes = PROTO_DISK_MIN;
	ck_assert_int_eq(check(&m), 0);
	to->disk_bytes = PROTO_DISK_MIN + 4096; /* of no whole MiB */
	ck_assert_int_eq(check(&m), -EINVAL);
	to->disk_bytes = PROTO_DISK_MAX + PROTO_VM_UNIT;
	ck_assert_int_eq(check(&m), -EINVAL);
	to->disk_bytes = PROTO_DISK_MAX;
	to->cpu_milli = PROTO_CPU_MILLI_MIN - 1;
	ck_assert_int_eq(check(&m), -EINVAL);
}
END_TEST

START_TEST(builds_are_checked)
{
	static const uint32_t by_name[] = { PROTO_BUILD, PROTO_BUILD_CANCEL, PROTO_IMAGE_REMOVE };
	static const char *const bad[] = { "", "-a", "_a", "A", "a/b", "a.b", ".." };
	union proto_any m;
	for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++) {
		memset(&m, 0, sizeof(m));
		m.head = (struct proto_header){ by_name[i], PROTO_VERSION, 1 };
		for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
			(void)str_copy(m.request.build.name, sizeof(m.request.build.name), bad[k]);
			ck_assert_int_eq(check(&m), -EINVAL);
		}
		(void)str_copy(m.request.build.name, sizeof(m.request.build.name), "code-v1_x");
		ck_assert_int_eq(check(&m), 0);
		m.request.build.force = 2;
		ck_assert_int_eq(check(&m), -EINVAL);
		m.request.build.force = 1;
		memset(m.request.build.name, 'a', sizeof(m.request.build.name));
		ck_assert_int_eq(check(&m), -EINVAL);
	}
}
END_TEST

START_TEST(lines_and_images_are_checked)
{
	union proto_any m = { .log.head = { PROTO_LOG, PROTO_VERSION, 1 } };
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.log)), 0);
	m.log.level = PROTO_LOG_ERROR + 1;
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.log)), -EPROTO);
	m.log.level = PROTO_LOG_INFO;
	memset(m.log.step, 'x', sizeof(m.log.step));
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.log)), -EPROTO);
	memset(&m, 0, sizeof(m));
	m.head = (struct proto_header){ PROTO_IMAGE, PROTO_VERSION, 1 };
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.image)), -EPROTO); /* no name */
	(void)str_copy(m.image.name, sizeof(m.image.name), "base");
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.image)), 0);
	m.image.state = PROTO_IMAGE_FAILED + 1;
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.image)), -EPROTO);
	m.image.state = PROTO_IMAGE_READY;
	memset(m.image.hash, 'a', sizeof(m.image.hash));
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.image)), -EPROTO);
}
END_TEST

START_TEST(answers_are_checked)
{
	union proto_any m = { .reply.head = { PROTO_REPLY, PROTO_VERSION, 1 } };
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.reply)), 0);
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.reply) - 1), -EPROTO);
	memset(m.reply.text, 'x', sizeof(m.reply.text));
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.reply)), -EPROTO);
	m = good_create();
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.request)), -EPROTO);
	memset(&m, 0, sizeof(m));
	m.head = (struct proto_header){ PROTO_EVENT, PROTO_VERSION, 0 };
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.event)), -EPROTO); /* no id */
	(void)str_copy(m.event.id, sizeof(m.event.id), "i1");
	ck_assert_int_eq(proto_check_answer(&m, sizeof(m.event)), 0);
}
END_TEST

START_TEST(slots_never_overlap)
{
	static struct slots a, b;
	slots_init(&a, "one");
	slots_init(&b, "two");
	ck_assert_uint_ge(a.first_id, SLOTS_FIRST_ID);
	ck_assert_uint_lt(slots_base(&a, SLOTS_MAX - 1), 0x80000000u - USERNS_RANGE);
	ck_assert_uint_eq(slots_base(&a, 1) - slots_base(&a, 0), USERNS_RANGE);
	ck_assert_uint_ne(a.first_id, b.first_id);
	ck_assert_int_eq(slots_adopt(&a, 3), 0);
	ck_assert_int_eq(slots_adopt(&a, 3), -EEXIST);
	ck_assert_int_eq(slots_adopt(&a, SLOTS_MAX), -EINVAL);
	slots_return(&a, 3);
	ck_assert_int_eq(slots_adopt(&a, 3), 0);
	slots_fini(&a);
	slots_fini(&b);
}
END_TEST

void add_proto_tests(Suite *s)
{
	TCase *tc = test_case(s, "proto", 10);
	tcase_add_test(tc, create_is_checked);
	tcase_add_test(tc, vms_are_checked);
	tcase_add_test(tc, packets_are_checked);
	tcase_add_test(tc, sizes_are_checked);
	tcase_add_test(tc, builds_are_checked);
	tcase_add_test(tc, lines_and_images_are_checked);
	tcase_add_test(tc, answers_are_checked);
	tcase_add_test(tc, slots_never_overlap);
}
