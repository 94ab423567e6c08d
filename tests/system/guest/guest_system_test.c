/* SPDX-License-Identifier: Apache-2.0 */
/* The agent as the init of emulated machines, and our side of its channels. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "guest/guest.h"
#include "guest/machine.h"
#include "lib/test.h"
#include "loop/loop.h"
#include "rpc/http_client.h"

#define LIMIT_MS 60000
#define CUTS 60
#define BIG (40u << 20)

static struct machine_rig rig;
static struct loop *loop;
static int answered, status;
static struct err err;
static struct buf answer;

static void setup(void)
{
	machine_rig_open(&rig);
	loop = loop_new();
}

static void teardown(void)
{
	(void)loop_free(loop);
	machine_rig_close(&rig);
	buf_fini(&answer);
}

static struct guest *open_guest(const struct machine_vm *vm)
{
	const struct guest_channel control = { GUEST_CHANNEL_SERIAL, vm->control, 0 };
	const struct guest_channel data = { GUEST_CHANNEL_SERIAL, vm->data, 0 };
	const struct guest_channel ports[] = { { GUEST_CHANNEL_VSOCK, vm->vsock, 49001 },
		{ GUEST_CHANNEL_VSOCK, vm->vsock, 49002 } };
	struct guest *g =
	    vm->vsock[0] ? guest_new(loop, &ports[0], &ports[1]) : guest_new(loop, &control, &data);
	ck_assert_ptr_nonnull(g);
	return g;
}

static void on_done(const struct err *e, void *arg)
{
	answered++;
	err = *e;
}

static void wait_done(const char *what)
{
	while (!answered)
		ck_assert_int_eq(loop_turn(loop, true), 0);
	answered = 0;
	ck_assert_msg(err.code == 0, "%s: %s", what, err.text);
}

static void boot(struct guest *g)
{
	const struct guest_boot b = {
		.template_id = "t", .user = "root", .workdir = "/root", .pids = 99
	};
	guest_boot(g, &b, LIMIT_MS, on_done, NULL);
	wait_done("boot");
}

static void init(struct guest *g)
{
	const struct guest_identity id = { .sandbox_id = "i1",
		.template_id = "t",
		.default_user = "root",
		.default_workdir = "/root" };
	guest_init(g, &id, on_done, NULL);
	wait_done("init");
}

static void check(struct guest *g)
{
	guest_check(g, LIMIT_MS, on_done, NULL);
	wait_done("check");
}

static void on_fetched(int e, int code, const void *body, size_t n, void *arg)
{
	answered++;
	err = (struct err)ERR_INIT;
	status = code;
	if (e < 0)
		(void)err_set(&err, e, "fetch");
	buf_reset(&answer);
	ck_assert_int_eq(buf_append(&answer, body, n), 0);
}

static struct http_fetch *start_call(struct guest *g, const char *method, const char *path,
    const char *type, const void *body, size_t n)
{
	struct http_head head = HTTP_HEAD_INIT;
	ck_assert_int_eq(http_head_set_request(&head, method, "http", "x", path), 0);
	ck_assert_int_eq(http_fields_add(&head.fields, "sandglass-port", "49983"), 0);
	if (type)
		ck_assert_int_eq(http_fields_add(&head.fields, "content-type", type), 0);
	struct http_fetch *f =
	    http_fetch_start(guest_data(g), &head, body, n, 1 << 20, LIMIT_MS, on_fetched, NULL);
	ck_assert_ptr_nonnull(f);
	http_head_fini(&head);
	return f;
}

static struct http_fetch *start_fetch(struct guest *g, const char *path)
{
	return start_call(g, "GET", path, NULL, NULL, 0);
}

/* The text that a path of envd answers with. */
static const char *fetch(struct guest *g, const char *path)
{
	(void)start_fetch(g, path);
	wait_done(path);
	ck_assert_int_eq(status, 200);
	return buf_cstr(&answer);
}

static int64_t machine_time(struct guest *g)
{
	int64_t ts = 0;
	(void)fetch(g, "/metrics");
	CLEAN_JSON json_t *o =
	    json_parse_object(buf_data(&answer), buf_len(&answer), 1 << 16, false, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_get_int(o, "ts", 0, INT64_MAX, &ts, NULL), 0);
	return ts;
}

/* ---- cases ---- */

/* Clients that come, ask, and vanish anywhere; a new one is served each time. */
static void check_clients(const struct machine_vm *vm)
{
	struct guest *g = open_guest(vm);
	boot(g);
	init(g);
	for (int i = 0; i < CUTS; i++) {
		unsigned char turns;
		g = guest_free(g);
		g = open_guest(vm);
		struct http_fetch *f = start_fetch(g, "/metrics");
		id_random(&turns, 1);
		for (turns %= 16; turns && !answered; turns--)
			ck_assert_int_eq(loop_turn(loop, true), 0);
		if (!answered)
			http_fetch_cancel(f);
		answered = 0;
		if (i % 4 == 0)
			check(g);
		if (i % 4 == 1)
			ck_assert_ptr_nonnull(strstr(fetch(g, "/metrics"), "\"ts\""));
	}
	ck_assert_str_eq(fetch(g, "/files?path=/etc/resolv.conf"), "nameserver 169.254.0.22\n");
	g = guest_free(g);
}

START_TEST(clients_come_and_go)
{
	struct machine_vm vm;
	machine_start(&vm, &rig, "vm", NULL);
	check_clients(&vm);
	machine_kill(&vm);
}
END_TEST

/* What Firecracker's machines have; its sockets are stood in for, the guest's side is the real one.
 */
START_TEST(clients_come_and_go_by_vsock)
{
	struct machine_vm vm;
	machine_start_vsock(&vm, &rig, "vm");
	check_clients(&vm);
	machine_kill(&vm);
}
END_TEST

static void wait_ms(uint64_t ms)
{
	for (uint64_t until = clock_mono_ms() + ms; clock_mono_ms() < until;)
		(void)loop_turn(loop, false);
}

/* Memory that a process, or here a file, has used and freed goes back to the host. Through the
 * balloon of QEMU: the guest's side is the one that Firecracker's machines have. */
START_TEST(freed_memory_goes_back)
{
	struct machine_vm vm;
	char *big = mem_zalloc(BIG);
	ck_assert_ptr_nonnull(big);
	memset(big, 'x', BIG);
	machine_start_balloon(&vm, &rig, "vm");
	struct guest *g = open_guest(&vm);
	boot(g);
	init(g);
	size_t before = machine_memory_in_use(&vm);
	(void)start_call(
	    g, "POST", "/files?path=/dev/shm/big", "application/octet-stream", big, BIG);
	wait_done("upload");
	ck_assert_int_eq(status, 200);
	size_t full = machine_memory_in_use(&vm);
	ck_assert_uint_gt(full, before + BIG / 2);
	static const char body[] = "{\"path\":\"/dev/shm/big\"}";
	(void)start_call(
	    g, "POST", "/filesystem.Filesystem/Remove", "application/json", body, strlen(body));
	wait_done("remove");
	ck_assert_int_eq(status, 200);
	for (int i = 0; i < 60 && machine_memory_in_use(&vm) > full - BIG / 2; i++)
		wait_ms(500);
	ck_assert_uint_le(machine_memory_in_use(&vm), full - BIG / 2);
	g = guest_free(g);
	machine_kill(&vm);
	(void)mem_free(big);
}
END_TEST

/* Ports without a client report a hang-up for ever: whoever watches for that takes a processor. */
START_TEST(agent_without_clients_rests)
{
	struct machine_vm vm;
	machine_start(&vm, &rig, "vm", NULL);
	struct guest *g = open_guest(&vm);
	boot(g);
	init(g);
	g = guest_free(g);
	wait_ms(2000);
	unsigned before = machine_cpu_ms(&vm);
	wait_ms(3000);
	ck_assert_uint_lt(machine_cpu_ms(&vm) - before, 600);
	machine_kill(&vm);
}
END_TEST

/* Two machines of one snapshot have clocks that are right, and random numbers of their own. */
START_TEST(copies_are_machines_of_their_own)
{
	static const char *const files[] = { "/files?path=/etc/machine-id",
		"/files?path=/run/sandglass/boot_id" };
	struct machine_vm vm, copy;
	char seen[2][2][64];
	machine_start(&vm, &rig, "vm", NULL);
	struct guest *g = open_guest(&vm);
	boot(g);
	guest_quiesce(g, LIMIT_MS, on_done, NULL);
	wait_done("quiesce");
	guest_close_channels(g, on_done, NULL);
	wait_done("close");
	g = guest_free(g);
	machine_save(&vm);
	/* Time passes without them. */
	wait_ms(3000);
	for (int i = 0; i < 2; i++) {
		machine_restore(&copy, &vm, i ? "copy2" : "copy1");
		g = open_guest(&copy);
		guest_wake(g, true, LIMIT_MS, on_done, NULL);
		wait_done("wake");
		int64_t ts = clock_real_ms() / 1000;
		init(g);
		ck_assert_int_le(llabs(machine_time(g) - ts), 2);
		for (int k = 0; k < 2; k++) {
			(void)snprintf(seen[i][k], sizeof(seen[i][k]), "%s", fetch(g, files[k]));
			ck_assert_uint_gt(strlen(seen[i][k]), 32);
		}
		g = guest_free(g);
		machine_kill(&copy);
	}
	ck_assert_str_ne(seen[0][0], seen[1][0]);
	ck_assert_str_ne(seen[0][1], seen[1][1]);
}
END_TEST

static const char *const bad_parameters[] = {
	"",
	"sandglass.root=/dev/vda sandglass.rootfs=erofs sandglass.disk=/dev/vdb "
	"sandglass.channel=serial", /* it is ext4 */
	"sandglass.root=/dev/vda sandglass.rootfs=ext4 sandglass.disk=/dev/vda "
	"sandglass.channel=serial", /* not twice */
};

/* A machine that cannot start ends, and does not stand there. */
START_TEST(machine_that_cannot_start_ends)
{
	struct machine_vm vm;
	machine_start(&vm, &rig, "vm", bad_parameters[_i]);
	ck_assert_int_eq(machine_wait(&vm), 0);
}
END_TEST

static Suite *guest_system_suite(void)
{
	Suite *s = suite_create("guest_system");
	const char *missing = machine_rig_missing();
	if (missing) {
		(void)printf("guest_system: skipped: %s\n", missing);
		return s;
	}
	TCase *tc = test_case(s, "guest_system", 180);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, clients_come_and_go);
	tcase_add_test(tc, agent_without_clients_rests);
	tcase_add_test(tc, freed_memory_goes_back);
	tcase_add_test(tc, copies_are_machines_of_their_own);
	tcase_add_loop_test(tc, machine_that_cannot_start_ends, 0, 3);
	missing = machine_vsock_missing();
	if (missing)
		(void)printf("guest_system: vsock: skipped: %s\n", missing);
	else
		tcase_add_test(tc, clients_come_and_go_by_vsock);
	return s;
}

TEST_MAIN(guest_system_suite)
