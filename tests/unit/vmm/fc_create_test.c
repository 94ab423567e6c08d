/* SPDX-License-Identifier: Apache-2.0 */
/* Every step of a cold boot and of a clone, and every way in which each can fail. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/path.h"
#include "base/str.h"
#include "fc_rig.h"
#include "image/template.h"
#include "vmm_tests.h"

#define DRIVER vmm_firecracker_driver

static const char *const cold_requests[] = { "PUT /logger", "PUT /metrics", "PUT /serial",
	"PUT /machine-config", "PUT /boot-source", "PUT /drives/rootfs", "PUT /drives/disk",
	"PUT /network-interfaces/eth0", "PUT /vsock", "PUT /entropy", "PUT /balloon",
	"PUT /actions=InstanceStart" };
static const char *const clone_requests[] = { "PUT /logger", "PUT /metrics", "PUT /serial",
	"PUT /snapshot/load", "PATCH /drives/rootfs", "PATCH /drives/disk",
	"PATCH /network-interfaces/eth0", "PATCH /vm=Resumed" };

#define HANG_MS 300
#define N_COLD (sizeof(cold_requests) / sizeof(*cold_requests))
#define N_CLONE (sizeof(clone_requests) / sizeof(*clone_requests))

/* What goes wrong, the code and a part of the sentence that tells it. */
static const struct way {
	const char *kind;
	int code;
	const char *text;
} ways[] = {
	{ "refuse The test says no.", -EREMOTEIO, "The test says no." },
	{ "exit 148", -ECHILD, "system call that its filter forbids (exit code 148)" },
	{ "exit 0", -ECHILD, "the guest shut down or rebooted" },
	{ "kill", -ECHILD, "killed by signal 9" },
	{ "hang", -ETIMEDOUT, "no answer in time" },
	{ "close", -ECONNRESET, "the connection ended" },
	{ "garbage", -EBADMSG, "no answer" },
	{ "endless", -EBADMSG, "no answer" },
};
#define N_WAYS (sizeof(ways) / sizeof(*ways))

static void set_fault(struct fc_rig *r, const char *request, const char *kind)
{
	char text[256];
	(void)snprintf(text, sizeof(text), "no-tap\nfault %s %s\n", request, kind);
	r->vmm->limit_max_ms = str_eq(kind, "hang") ? HANG_MS : 0;
	fake_launcher_script(r->la, text);
}

static void check_failed(struct fc_rig *r, const struct way *w, const char *request, int code)
{
	ck_assert_msg(code == w->code, "%s, %s: %d %s", request, w->kind, code, r->err.text);
	ck_assert_msg(
	    strstr(r->err.text, w->text) != NULL, "%s, %s: %s", request, w->kind, r->err.text);
	ck_assert_ptr_null(r->inst);
	ck_assert_uint_eq(fake_launcher_boxes(r->la), 0);
	ck_assert_uint_eq(fake_launcher_alive(r->la), 0);
}

START_TEST(test_cold)
{
	struct fc_rig r;
	struct stat st;
	fc_rig_open(&r, NULL);
	fake_launcher_set_network(r.la, true);
	ck_assert_int_eq(fc_rig_prepare(&r), 0);
	ck_assert(!DRIVER.has_warm(r.vmm, r.tmpl));
	ck_assert_msg(fc_rig_create(&r, VMM_START_BEST) == 0, "%s", r.err.text);
	ck_assert(!DRIVER.is_warm(r.inst));
	ck_assert_uint_eq(fake_launcher_verbs(r.la, PROTO_VM_OPEN), 1);
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	ck_assert(fc_rig_echoes(&r, FC_DATA_PORT));
	ck_assert_int_eq(stat(DRIVER.control(r.inst).path, &st), 0);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fc_rig_close(&r);
}
END_TEST

/* What Firecracker was told, as it tells it. */
struct asked {
	struct fc_rig *r;
	char text[4096];
	int done;
};

static void on_config(const struct err *err, struct buf *body, void *arg)
{
	struct asked *a = arg;
	ck_assert_int_eq(err->code, 0);
	(void)snprintf(
	    a->text, sizeof(a->text), "%.*s", (int)buf_len(body), (const char *)buf_data(body));
	a->done = 1;
}

START_TEST(test_configuration)
{
	struct fc_rig r;
	struct asked a = { 0 };
	fc_rig_open(&r, NULL);
	fake_launcher_set_network(r.la, true);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	fc_api_call(&r.inst->api, "GET", "/vm/config", NULL, 2000, on_config, &a);
	fc_rig_until(&r, &a.done);
	static const char *const parts[] = { "\"vcpu_count\":2", "\"mem_size_mib\":128",
		"\"boot_args\":\"quiet reboot=k panic=1\"", "\"initrd_path\":\"initrd\"",
		"\"path_on_host\":\"rootfs\",\"is_root_device\":false,\"is_read_only\":true",
		"\"path_on_host\":\"disk\",\"is_root_device\":false,\"is_read_only\":false",
		"\"host_dev_name\":\"tap0\",\"guest_mac\":\"02:fc:00:00:00:05\"",
		"\"rx_rate_limiter\":{\"bandwidth\"", "\"tx_rate_limiter\":{\"bandwidth\"",
		"\"ops\":{\"size\":20000", "\"guest_cid\":3,\"uds_path\":\"vm/v.sock\"",
		"\"entropy\":{\"rate_limiter\"", "\"serial_out_path\":\"vm/console\"",
		"\"balloon\":{\"amount_mib\":0,\"deflate_on_oom\":true,"
		"\"stats_polling_interval_s\":0,\"free_page_reporting\":true}" };
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		ck_assert_msg(strstr(a.text, parts[i]) != NULL, "%s not in %s", parts[i], a.text);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fc_rig_close(&r);
}
END_TEST

/* Old enough that fields are missing; sent, they would make it refuse. */
START_TEST(test_versions_that_work)
{
	static const char *const versions[] = { "1.15.1", "1.16.1", "1.17.0" };
	struct fc_rig r;
	char script[64];
	(void)snprintf(script, sizeof(script), "version %s\nno-tap\n", versions[_i]);
	fc_rig_open(&r, script);
	fake_launcher_set_network(r.la, true);
	fc_rig_make_warm(&r);
	ck_assert_msg(fc_rig_create(&r, VMM_START_BEST) == 0, "%s", r.err.text);
	ck_assert(DRIVER.is_warm(r.inst));
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	ck_assert_uint_eq(fake_launcher_creates(r.la), 2);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_versions_that_do_not)
{
	static const struct {
		const char *vmm, *jailer, *text;
	} cases[] = {
		{ "", "Jailer v1.17.0", "firecracker is not installed" },
		{ "Firecracker v1.17.0", "", "jailer is not installed" },
		{ "Firecracker v1.16.0", "Jailer v1.16.0", "cannot reach the host over vsock" },
		{ "Firecracker v1.15.0", "Jailer v1.15.0", "out of support" },
		{ "Firecracker v1.14.4", "Jailer v1.14.4", "out of support" },
		{ "Firecracker v2.0.0", "Jailer v2.0.0", "not the one that is known" },
		{ "Firecracker", "Jailer v1.17.0", "firecracker --version says" },
		{ "Firecracker v1.17.0", "1.17.0", "jailer --version says" },
		{ "Firecracker v1.17.0", "Jailer v1.16.1", "does not belong to" },
	};
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	fake_launcher_set_vmm(r.la, cases[_i].vmm);
	fake_launcher_set_jailer(r.la, cases[_i].jailer);
	ck_assert_int_lt(fc_rig_prepare(&r), 0);
	ck_assert_msg(strstr(r.err.text, cases[_i].text) != NULL, "%s", r.err.text);
	ck_assert_int_lt(fc_rig_create(&r, VMM_START_COLD), 0);
	ck_assert_msg(strstr(r.err.text, cases[_i].text) != NULL, "%s", r.err.text);
	ck_assert_uint_eq(fake_launcher_creates(r.la), 0);
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_cold_fails)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	fake_launcher_set_network(r.la, true);
	const char *request = cold_requests[_i];
	for (size_t w = 0; w < N_WAYS; w++) {
		unsigned before = fake_launcher_creates(r.la);
		set_fault(&r, request, ways[w].kind);
		check_failed(&r, &ways[w], request, fc_rig_create(&r, VMM_START_COLD));
		ck_assert_uint_eq(fake_launcher_creates(r.la) - before, 2); /* once more */
	}
	fc_rig_close(&r);
}
END_TEST

/* It answers and dies: the next request, or the owner, learns how. */
START_TEST(test_cold_dies_after)
{
	struct fc_rig r;
	const char *request = cold_requests[_i];
	fc_rig_open(&r, NULL);
	fake_launcher_set_network(r.la, true);
	set_fault(&r, request, "after 150");
	int code = fc_rig_create(&r, VMM_START_COLD);
	if (code == 0) {
		ck_assert_int_eq(_i, N_COLD - 1);
		fc_rig_until(&r, &r.exits);
		ck_assert_int_eq(r.exit_status, 150 << 8);
		ck_assert_int_eq(fc_rig_destroy(&r), 0);
	} else {
		const struct way w = { "after 150", -ECHILD, "(exit code 150)" };
		check_failed(&r, &w, request, code);
	}
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_start_fails)
{
	struct fc_rig r;
	fc_rig_open(&r, "start-exit 153\n");
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), -ECHILD);
	ck_assert_msg(strstr(r.err.text, "exit code 153") != NULL, "%s", r.err.text);
	ck_assert_uint_eq(fake_launcher_creates(r.la), 1); /* what starts nothing is not repeated */
	fake_launcher_script(r.la, "start-delay 200\nno-tap\n");
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fc_rig_close(&r);
}
END_TEST

/* Somebody else listens on the socket. */
START_TEST(test_another_process)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	fake_launcher_set_uid(r.la, 4711);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), -EPERM);
	ck_assert_uint_eq(fake_launcher_boxes(r.la), 0);
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_launcher_fails)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	fake_launcher_fail(r.la, PROTO_VM_INFO, 0, -EIO, 1);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), -EIO);
	fake_launcher_fail(r.la, PROTO_CREATE, 0, -ENOSPC, 1);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), -ENOSPC);
	ck_assert_uint_eq(fake_launcher_creates(r.la), 0);
	fake_launcher_fail(r.la, PROTO_VM_DO, PROTO_VM_OPEN, -EPERM, 2);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), -EPERM);
	ck_assert_uint_eq(fake_launcher_boxes(r.la), 0);
	fake_launcher_fail(r.la, PROTO_VM_DO, PROTO_VM_OPEN, -EPERM, 1);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0); /* the second try */
	fake_launcher_fail(r.la, PROTO_DESTROY, 0, -EAGAIN, 1);
	ck_assert_int_eq(fc_rig_destroy(&r), 0); /* until it works */
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_warm_is_gone)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	fc_rig_make_warm(&r);
	fake_launcher_fail(r.la, PROTO_CREATE, 0, -ENOSPC, 1);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_BEST), -ENOSPC);
	ck_assert(vmm_firecracker_driver.has_warm(r.vmm, r.tmpl));
	fake_launcher_fail(r.la, PROTO_CREATE, 0, -ESTALE, 1);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_BEST), -ESTALE);
	ck_assert(!vmm_firecracker_driver.has_warm(r.vmm, r.tmpl));
	ck_assert_uint_eq(fake_launcher_boxes(r.la), 0);
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_clone)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	fake_launcher_set_network(r.la, true);
	fc_rig_make_warm(&r);
	ck_assert_msg(fc_rig_create(&r, VMM_START_BEST) == 0, "%s", r.err.text);
	struct vmm_inst *first = r.inst;
	ck_assert(DRIVER.is_warm(first));
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_BEST), 0);
	ck_assert(DRIVER.is_warm(r.inst));
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	r.inst = first;
	ck_assert(fc_rig_echoes(&r, FC_DATA_PORT));
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	/* A new driver finds it. */
	(void)map_remove(r.vmm->warm, "py");
	ck_assert_int_eq(fc_rig_prepare(&r), 0);
	ck_assert(DRIVER.has_warm(r.vmm, r.tmpl));
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_clone_fails)
{
	struct fc_rig r;
	const char *request = clone_requests[_i];
	fc_rig_open(&r, NULL);
	fake_launcher_set_network(r.la, true);
	for (size_t w = 0; w < N_WAYS; w++) {
		fake_launcher_script(r.la, "no-tap\n");
		r.vmm->limit_max_ms = 0;
		fc_rig_make_warm(&r);
		set_fault(&r, request, ways[w].kind);
		int code = fc_rig_create(&r, VMM_START_BEST);
		if (code == 0) {
			/* A snapshot that is refused is given up; the template boots. */
			ck_assert_int_eq(strncmp(ways[w].kind, "refuse", 6), 0);
			ck_assert_str_eq(request, "PUT /snapshot/load");
			ck_assert(!DRIVER.is_warm(r.inst));
			ck_assert(!DRIVER.has_warm(r.vmm, r.tmpl));
			ck_assert_int_eq(fc_rig_destroy(&r), 0);
			continue;
		}
		check_failed(&r, &ways[w], request, code);
	}
	fc_rig_close(&r);
}
END_TEST

/* A snapshot file that is damaged, cut or of another format. */
static void spoil(const struct fc_rig *r, const char *file, off_t size, bool flip)
{
	char path[160];
	char byte = 'X';
	fake_launcher_kept(r->la, "py", file, path);
	int fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	if (flip)
		ck_assert_int_eq(pwrite(fd, &byte, 1, 40), 1);
	else
		ck_assert_int_eq(ftruncate(fd, size), 0);
	(void)close(fd);
}

START_TEST(test_bad_files)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	for (int how = 0; how < 4; how++) {
		fake_launcher_script(r.la, "no-tap\n");
		fc_rig_make_warm(&r);
		if (how == 0)
			spoil(&r, "state", 0, true);
		else if (how == 1)
			spoil(&r, "state", 10, false);
		else if (how == 2)
			spoil(&r, "mem", 4096, false);
		else
			fake_launcher_script(r.la, "no-tap\nsnapshot-version 12.0.0\n");
		ck_assert_msg(fc_rig_create(&r, VMM_START_BEST) == 0, "%s", r.err.text);
		ck_assert(!DRIVER.is_warm(r.inst));
		ck_assert_int_eq(fc_rig_destroy(&r), 0);
	}
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_dies_later)
{
	struct fc_rig r;
	fc_rig_open(&r, "no-tap\nguest-exit 100\nconsole Kernel panic - not syncing: VFS\n"
			"console RIP: 0033:0x1\n");
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	fc_rig_until(&r, &r.exits);
	ck_assert_int_eq(r.exit_status, 0);
	char text[ERR_TEXT_MAX];
	fc_inst_explain(r.inst, text, sizeof(text));
	ck_assert_msg(strstr(text, "rebooted") && strstr(text, "Kernel panic"), "%s", text);
	ck_assert_int_eq(r.ooms, 0);
	ck_assert_int_lt(fc_rig_pause(&r), 0);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fake_launcher_script(r.la, "no-tap\n");
	r.exits = 0;
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	ck_assert_int_eq(kill(fake_launcher_pid(r.la), SIGKILL), 0);
	fc_rig_until(&r, &r.exits);
	ck_assert_int_eq(r.exit_status, SIGKILL);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fc_rig_close(&r);
}
END_TEST

/* The kernel says so first; more than fits into an error follows. */
START_TEST(test_dies_for_want_of_memory)
{
	struct fc_rig r;
	fc_rig_open(&r,
	    "no-tap\nguest-exit 100\nconsole [ 9.1] all is well\n"
	    "console [ 9.2] Kernel panic - not syncing: System is deadlocked on memory\n"
	    "console [ 9.2] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0-40-cloud-amd64 #1  Debian\n"
	    "console [ 9.3] Kernel Offset: disabled, and many registers that say less than it\n"
	    "console [ 9.4] ---[ end Kernel panic - not syncing: System is deadlocked ]---\n");
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	fc_rig_until(&r, &r.exits);
	char text[ERR_TEXT_MAX];
	fc_inst_explain(r.inst, text, sizeof(text));
	ck_assert_str_eq(text, "the guest shut down or rebooted (exit code 0); end of its console: "
			       "Kernel panic - not syncing: System is deadlocked on memory");
	ck_assert_int_eq(r.ooms, 1);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fc_rig_close(&r);
}
END_TEST

/* The daemon dies and comes back. */
static void restart(struct fc_rig *r, char id[ID_SANDBOX_LEN + 1])
{
	(void)str_copy(id, ID_SANDBOX_LEN + 1, r->inst->watch.id);
	fc_inst_unref(r->inst);
	r->inst = NULL;
	fake_launcher_forget_watches(r->la);
}

START_TEST(test_adopt)
{
	static const char *const scripts[] = { "no-tap\n", "no-tap\nversion 1.16.1\n" };
	char id[ID_SANDBOX_LEN + 1];
	struct fc_rig r;
	fc_rig_open(&r, scripts[_i]);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	restart(&r, id);
	ck_assert_msg(fc_rig_adopt(&r, id) == 0, "%s", r.err.text);
	ck_assert(!r.inst->paused);
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	ck_assert_int_eq(fc_rig_pause(&r), 0);
	restart(&r, id);
	ck_assert_msg(fc_rig_adopt(&r, id) == 0, "%s", r.err.text);
	ck_assert(r.inst->paused);
	ck_assert_int_eq(fc_rig_resume(&r), 0);
	ck_assert(fc_rig_echoes(&r, FC_CONTROL_PORT));
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	ck_assert_int_eq(fc_rig_adopt(&r, id), -ENOENT);
	fc_rig_close(&r);
}
END_TEST

static bool keep_none(const char *id, void *arg)
{
	return false;
}

static void on_swept(const struct err *err, unsigned removed, void *arg)
{
	struct fc_rig *r = arg;
	ck_assert_uint_eq(removed, 1);
	fc_rig_on_plain(err, r);
}

START_TEST(test_sweep)
{
	char id[ID_SANDBOX_LEN + 1];
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	restart(&r, id);
	r.answers = 0;
	DRIVER.sweep(r.vmm, keep_none, NULL, on_swept, &r);
	fc_rig_wait(&r);
	ck_assert_uint_eq(fake_launcher_boxes(r.la), 0);
	fc_rig_close(&r);
}
END_TEST

static void on_usage(const struct err *err, const struct vmm_usage *u, void *arg)
{
	ck_assert_int_eq(err->code, 0);
	ck_assert_uint_eq(u->pids, 1);
	fc_rig_on_plain(err, arg);
}

START_TEST(test_usage)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), 0);
	r.answers = 0;
	DRIVER.usage(r.inst, on_usage, &r);
	fc_rig_wait(&r);
	r.answers = 0;
	DRIVER.set_internet(r.inst, true, fc_rig_on_plain, &r);
	fc_rig_wait(&r);
	ck_assert_int_eq(r.err.code, 0);
	ck_assert_int_eq(fc_rig_destroy(&r), 0);
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_too_many_cpus)
{
	struct fc_rig r;
	fc_rig_open(&r, NULL);
	r.tmpl->cpu_milli = 33000;
	ck_assert_int_eq(fc_rig_prepare(&r), -EINVAL);
	ck_assert_str_eq(r.err.text, "cpus: Firecracker has 1 to 32, got 33");
	ck_assert_int_eq(fc_rig_create(&r, VMM_START_COLD), -EINVAL);
	fc_rig_close(&r);
}
END_TEST

START_TEST(test_probe)
{
	static const struct {
		const char *script;
		int code;
		const char *text;
	} cases[] = {
		{ "guest-exit 20\nconsole " PROTO_PROBE_TEXT "\n", 0, "" },
		{ "guest-exit 20\nconsole [ 1.2] " PROTO_PROBE_KERNEL " on\n", 0, "" },
		{ "guest-exit 20\n", -EIO, "KVM runs no guest here" },
		{ "guest-exit 20\nconsole double fault\n", -EIO, "double fault" },
		{ "fault PUT /actions refuse Kvm error: Error creating KVM object.\n", -EREMOTEIO,
		    "Error creating KVM object." },
		{ "fault PUT /actions exit 148\n", -ECHILD, "exit code 148" },
		{ "fault PUT /actions after 1\n", -EIO, "exit code 1" },
		{ "fault PUT /boot-source refuse No.\n", -EREMOTEIO, "No." },
		{ "start-exit 153\n", -ECHILD, "exit code 153" },
		{ "version 1.16.0\n", -ENOTSUP, "1.16.0 is not used" },
	};
	struct fc_rig r;
	fc_rig_open(&r, cases[_i].script);
	ck_assert_msg(fc_rig_probe(&r) == cases[_i].code, "%d %s", r.err.code, r.err.text);
	ck_assert_msg(strstr(r.err.text, cases[_i].text) != NULL, "%s", r.err.text);
	ck_assert_uint_eq(fake_launcher_boxes(r.la), 0);
	fc_rig_close(&r);
}
END_TEST

void add_fc_create(Suite *s)
{
	TCase *tc = test_case(s, "create", 60);
	tcase_add_test(tc, test_cold);
	tcase_add_test(tc, test_configuration);
	tcase_add_loop_test(tc, test_versions_that_work, 0, 3);
	tcase_add_loop_test(tc, test_versions_that_do_not, 0, 9);
	tcase_add_loop_test(tc, test_cold_fails, 0, (int)N_COLD);
	tcase_add_loop_test(tc, test_cold_dies_after, 0, (int)N_COLD);
	tcase_add_test(tc, test_start_fails);
	tcase_add_test(tc, test_another_process);
	tcase_add_test(tc, test_launcher_fails);
	tcase_add_test(tc, test_warm_is_gone);
	tcase_add_test(tc, test_clone);
	tcase_add_loop_test(tc, test_clone_fails, 0, (int)N_CLONE);
	tcase_add_test(tc, test_bad_files);
	tcase_add_test(tc, test_dies_later);
	tcase_add_test(tc, test_dies_for_want_of_memory);
	tcase_add_loop_test(tc, test_adopt, 0, 2);
	tcase_add_test(tc, test_sweep);
	tcase_add_test(tc, test_usage);
	tcase_add_test(tc, test_too_many_cpus);
	tcase_add_loop_test(tc, test_probe, 0, 10);
}
