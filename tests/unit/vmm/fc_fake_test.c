/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stand-ins for Firecracker and its jailer: what the tests of the driver rest on. Literal
 * faults, states and exit codes are those of the real ones (reference of versions 1.15 to 1.17).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "fake_firecracker/fake.h"
#include "lib/test.h"
#include "lib/tmpdir.h"
#include "vmm_tests.h"

#define ARGS_MAX 12

struct rig {
	struct tmpdir dir;
	char program[128];
	pid_t pid;
	int api;
	char answer[8192];
};

static void rig_open(struct rig *r, const char *name, const char *script)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char from[128];
	*r = (struct rig){ .api = -1 };
	tmpdir_make(&r->dir);
	(void)snprintf(from, sizeof(from), "tests/lib/fake_firecracker/%s", name);
	ck_assert_msg(fd_read_file(AT_FDCWD, from, 64u << 20, &b) == 0, "%s", from);
	if (script)
		ck_assert_int_eq(buf_printf(&b, "%s%s", FAKE_SCRIPT_MARK, script), 0);
	(void)tmpdir_at(&r->dir, name, r->program);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, r->program, 0755, buf_data(&b), buf_len(&b)), 0);
	tmpdir_write(&r->dir, "kernel", "k");
	tmpdir_write(&r->dir, "disk", "d");
}

static void rig_close(struct rig *r)
{
	(void)fd_close(r->api);
	if (r->pid > 0) {
		(void)kill(r->pid, SIGKILL);
		(void)waitpid(r->pid, NULL, 0);
	}
	tmpdir_remove(&r->dir);
}

static int exit_code(struct rig *r)
{
	int status;
	ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
	r->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Its exit code; what it printed is in answer. */
static int run(struct rig *r, const char *const *args)
{
	const char *argv[ARGS_MAX + 2] = { r->program };
	int out[2];
	for (size_t i = 0; args[i] && i < ARGS_MAX; i++)
		argv[i + 1] = args[i];
	ck_assert_int_eq(pipe(out), 0);
	r->pid = fork();
	if (r->pid == 0) {
		if (dup2(out[1], 1) < 0 || dup2(out[1], 2) < 0 || chdir(r->dir.path) < 0)
			_exit(99);
		(void)close(out[0]);
		(void)execv(r->program, (char *const *)argv);
		_exit(99);
	}
	(void)close(out[1]);
	size_t n = 0;
	for (ssize_t k; (k = read(out[0], r->answer + n, sizeof(r->answer) - 1 - n)) > 0;)
		n += (size_t)k;
	r->answer[n] = '\0';
	(void)close(out[0]);
	return exit_code(r);
}

static void start(struct rig *r)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char path[128];
	(void)tmpdir_at(&r->dir, "api", path);
	(void)unlink(path);
	r->pid = fork();
	if (r->pid == 0) {
		if (chdir(r->dir.path) < 0)
			_exit(99);
		(void)execl(
		    r->program, r->program, "--api-sock", "api", "--id", "vm-1", (char *)NULL);
		_exit(99);
	}
	(void)fd_close(r->api);
	r->api = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)str_copy(a.sun_path, sizeof(a.sun_path), path);
	for (int i = 0; i < 3000 && connect(r->api, (struct sockaddr *)&a, sizeof(a)) < 0; i++)
		(void)poll(NULL, 0, 1);
}

/* The status; the body is in answer. 0: it hung up. */
static int call(struct rig *r, const char *method, const char *path, const char *body)
{
	char head[256];
	size_t n = 0;
	int k = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
	    method, path, strlen(body));
	ck_assert_int_eq(write(r->api, head, (size_t)k), k);
	if (body[0])
		ck_assert_int_gt(write(r->api, body, strlen(body)), 0);
	for (;;) {
		ssize_t got = read(r->api, r->answer + n, sizeof(r->answer) - 1 - n);
		if (got <= 0)
			return 0;
		n += (size_t)got;
		r->answer[n] = '\0';
		char *end = strstr(r->answer, "\r\n\r\n");
		const char *length = strstr(r->answer, "Content-Length: ");
		size_t want = length ? strtoul(length + 16, NULL, 10) : 0;
		if (!end || n < (size_t)(end + 4 - r->answer) + want)
			continue;
		int status = atoi(r->answer + 9);
		memmove(r->answer, end + 4, want + 1);
		return status;
	}
}

static void ok(struct rig *r, const char *method, const char *path, const char *body)
{
	int status = call(r, method, path, body);
	ck_assert_msg(status == 204, "%s %s: %d %s", method, path, status, r->answer);
}

static void refused(
    struct rig *r, const char *method, const char *path, const char *body, const char *text)
{
	int status = call(r, method, path, body);
	ck_assert_msg(status == 400 && strstr(r->answer, text) != NULL, "%s %s: %d %s", method,
	    path, status, r->answer);
}

static void check_state(struct rig *r, const char *state)
{
	ck_assert_int_eq(call(r, "GET", "/", ""), 200);
	ck_assert_msg(strstr(r->answer, state) != NULL, "%s", r->answer);
}

#define MACHINE "{\"vcpu_count\":1,\"mem_size_mib\":16}"
#define START "{\"action_type\":\"InstanceStart\"}"
#define LOAD                                                                                 \
	"{\"snapshot_path\":\"state\",\"mem_backend\":{\"backend_type\":\"File\",\"backend_" \
	"path\":"                                                                            \
	"\"mem\"}}"
#define CREATE "{\"snapshot_path\":\"state\",\"mem_file_path\":\"mem\"}"
#define DESERIALIZE "An error occurred when deserializing the json body of a request: "

static void boot(struct rig *r)
{
	ok(r, "PUT", "/machine-config", MACHINE);
	ok(r, "PUT", "/boot-source", "{\"kernel_image_path\":\"kernel\"}");
	ok(r, "PUT", "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v.sock\"}");
	ok(r, "PUT", "/actions", START);
}

/* ---- command lines ---- */

START_TEST(test_command_line)
{
	static const struct {
		const char *args[6];
		int code;
		const char *text;
	} cases[] = {
		{ { "--version" }, 0, "Firecracker v1.16.1\n" },
		{ { "--snapshot-version" }, 0, "v10.0.0\n" },
		{ { "--nothing" }, 153, "Found argument '--nothing' which wasn't expected" },
		{ { "--id" }, 153, "requires a value" },
		{ { "--id", "a/b" }, 153, "Invalid instance ID" },
		{ { "--id", "a", "--id", "b" }, 153, "provided more than once" },
		{ { "--no-api" }, 153, "required, but not found" },
		{ { "--no-api", "--config-file", "kernel" }, 152, "from one single json failed" },
		{ { "--api-sock", "/nowhere/api" }, 1, "Failed to bind" },
	};
	struct rig r;
	rig_open(&r, "firecracker", "version 1.16.1\nsnapshot-version 10.0.0\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int code = run(&r, cases[i].args);
		ck_assert_msg(code == cases[i].code && strstr(r.answer, cases[i].text) != NULL,
		    "%s: %d %s", cases[i].args[0], code, r.answer);
	}
	rig_close(&r);
}
END_TEST

START_TEST(test_jailer_command_line)
{
	static const struct {
		const char *args[12];
		int code;
		const char *text;
	} cases[] = {
		{ { "--version" }, 0, "Jailer v" },
		{ { "--exec-file", "disk", "--uid", "1", "--gid", "1" }, 1, "'id' required" },
		{ { "--id", "a", "--exec-file", "disk", "--uid", "1" }, 1, "'gid' required" },
		{ { "--id", "a_b", "--exec-file", "disk", "--uid", "1", "--gid", "1" }, 1,
		    "Invalid instance ID" },
		{ { "--id", "a", "--exec-file", "no", "--uid", "1", "--gid", "1" }, 1,
		    "Failed to canonicalize path no" },
		{ { "--id", "a", "--exec-file", "disk", "--uid", "x", "--gid", "1" }, 1,
		    "Invalid UID" },
		{ { "--nothing" }, 1, "wasn't expected" },
		{ { "--id", "a", "--exec-file", "disk", "--uid", "1", "--gid", "1",
		      "--chroot-base-dir", "none" },
		    1, "Failed to canonicalize path none" },
	};
	struct rig r;
	rig_open(&r, "jailer", NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int code = run(&r, cases[i].args);
		ck_assert_msg(code == cases[i].code && strstr(r.answer, cases[i].text) != NULL,
		    "case %zu: %d %s", i, code, r.answer);
	}
	const char *const io_max[] = { "--id", "a", "--exec-file", "disk", "--uid", "1", "--gid",
		"1", "--chroot-base-dir", "/tmp", "--cgroup", "io.max=8:0=1", NULL };
	ck_assert_int_eq(run(&r, io_max), 1);
	ck_assert_ptr_nonnull(strstr(r.answer, "Invalid format for cgroups"));
	rig_close(&r);
}
END_TEST

/* ---- the API ---- */

START_TEST(test_strict_bodies)
{
	struct rig r;
	rig_open(&r, "firecracker", "version 1.15.1\nno-tap\n");
	start(&r);
	refused(&r, "PUT", "/machine-config", "{", DESERIALIZE);
	refused(&r, "PUT", "/machine-config", "", "Empty PUT request.");
	refused(&r, "PATCH", "/vm", "", "Empty PATCH request.");
	refused(&r, "GET", "/", "{}", "GET request cannot have a body.");
	refused(&r, "PUT", "/foo", "{}", "Invalid request method and/or path: PUT foo.");
	refused(&r, "PUT", "/machine-config", "{\"vcpu_count\":1}", "missing field `mem_size_mib`");
	refused(&r, "PUT", "/machine-config", "{\"vcpu_count\":\"1\",\"mem_size_mib\":1}",
	    "invalid type for `vcpu_count`");
	refused(&r, "PUT", "/machine-config", "{\"vcpu_count\":33,\"mem_size_mib\":1}",
	    "The vCPU number is invalid");
	refused(&r, "PUT", "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\",\"x\":1}",
	    DESERIALIZE "unknown field `x`");
	refused(&r, "PUT", "/drives/a-b",
	    "{\"drive_id\":\"a-b\",\"is_root_device\":false,\"path_on_host\":\"disk\"}",
	    "alphanumeric characters and underscores");
	refused(&r, "PUT", "/drives/a",
	    "{\"drive_id\":\"b\",\"is_root_device\":false,\"path_on_host\":\"disk\"}",
	    "The id from the path does not match the id from the body!");
	refused(&r, "PUT", "/network-interfaces/a", "{\"iface_id\":\"b\",\"host_dev_name\":\"t\"}",
	    "The id from the path [a] does not match the id from the body [b]!");
	refused(&r, "PUT", "/drives/a",
	    "{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"no\"}", "os error 2");
	refused(&r, "PUT", "/boot-source", "{\"kernel_image_path\":\"no\"}",
	    "The kernel file cannot be opened");
	/* Fields of later versions. */
	refused(&r, "PUT", "/network-interfaces/a",
	    "{\"iface_id\":\"a\",\"host_dev_name\":\"t\",\"mtu\":1500}", "unknown field `mtu`");
	refused(&r, "PUT", "/snapshot/load",
	    "{\"snapshot_path\":\"s\",\"vsock_override\":{\"uds_path\":\"v\"}}",
	    "unknown field `vsock_override`");
	check_state(&r, "Not started");
	rig_close(&r);
}
END_TEST

START_TEST(test_states)
{
	struct rig r;
	rig_open(&r, "firecracker", "no-tap\n");
	start(&r);
	refused(&r, "PUT", "/actions", START, "Cannot start microvm without kernel configuration.");
	refused(&r, "PATCH", "/vm", "{\"state\":\"Paused\"}",
	    "The requested operation is not supported before starting the microVM.");
	refused(&r, "PUT", "/snapshot/create", CREATE, "not supported before starting");
	boot(&r);
	check_state(&r, "Running");
	refused(&r, "PUT", "/machine-config", MACHINE,
	    "The requested operation is not supported after starting the microVM.");
	refused(&r, "PUT", "/snapshot/create", CREATE, "Create snapshot error");
	refused(&r, "PUT", "/snapshot/load", LOAD,
	    "Loading a microVM snapshot not allowed after configuring boot-specific resources.");
	ok(&r, "PATCH", "/vm", "{\"state\":\"Paused\"}");
	ok(&r, "PATCH", "/vm", "{\"state\":\"Paused\"}");
	check_state(&r, "Paused");
	ok(&r, "PUT", "/snapshot/create", CREATE);
	check_state(&r, "Paused");
	ok(&r, "PATCH", "/vm", "{\"state\":\"Resumed\"}");
	ok(&r, "PATCH", "/vm", "{\"state\":\"Resumed\"}");
	check_state(&r, "Running");
	ok(&r, "PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}");
	ck_assert_int_eq(exit_code(&r), 0);
	rig_close(&r);
}
END_TEST

START_TEST(test_load)
{
	struct rig r;
	char path[128];
	rig_open(&r, "firecracker", "no-tap\n");
	start(&r);
	boot(&r);
	ok(&r, "PATCH", "/vm", "{\"state\":\"Paused\"}");
	ok(&r, "PUT", "/snapshot/create", CREATE);
	(void)kill(r.pid, SIGKILL);
	(void)exit_code(&r);
	start(&r); /* the old socket is still there */
	refused(&r, "PUT", "/snapshot/load", LOAD, "Error binding to the host-side Unix socket");
	ck_assert_int_eq(exit_code(&r), 1); /* a failed load ends it */
	ck_assert_int_eq(unlink(tmpdir_at(&r.dir, "v.sock", path)), 0);
	start(&r);
	ok(&r, "PUT", "/logger", "{\"log_path\":\"log\"}"); /* does not count */
	ok(&r, "PUT", "/snapshot/load", LOAD);
	check_state(&r, "Paused");
	ok(&r, "PATCH", "/vm", "{\"state\":\"Resumed\"}");
	(void)kill(r.pid, SIGKILL);
	(void)exit_code(&r);
	ck_assert_int_eq(unlink(path), 0);
	start(&r);
	ok(&r, "PUT", "/entropy", "{}");
	refused(&r, "PUT", "/snapshot/load", LOAD, "not allowed after configuring");
	check_state(&r, "Not started"); /* this one is harmless */
	(void)kill(r.pid, SIGKILL);
	(void)exit_code(&r);
	static const struct {
		const char *body, *text;
	} bad[] = {
		{ "{\"snapshot_path\":\"state\"}",
		    "missing field: either `mem_backend` or `mem_file_path` is required" },
		{ "{\"snapshot_path\":\"state\",\"mem_file_path\":\"mem\",\"mem_backend\":{"
		  "\"backend_type\":\"File\",\"backend_path\":\"mem\"}}",
		    "too many fields" },
		{ "{\"snapshot_path\":\"state\",\"mem_file_path\":\"mem\",\"network_overrides\":[{"
		  "\"iface_id\":\"x\",\"host_dev_name\":\"t\"}]}",
		    "Unknown Network Device." },
		{ "{\"snapshot_path\":\"disk\",\"mem_file_path\":\"mem\"}",
		    "Failed to load snapshot state from file" },
		{ "{\"snapshot_path\":\"none\",\"mem_file_path\":\"mem\"}", "os error 2" },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		start(&r);
		refused(&r, "PUT", "/snapshot/load", bad[i].body, bad[i].text);
		ck_assert_int_eq(exit_code(&r), 1);
	}
	rig_close(&r);
}
END_TEST

/* ---- vsock ---- */

static int dial(struct rig *r)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char path[128];
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)str_copy(a.sun_path, sizeof(a.sun_path), tmpdir_at(&r->dir, "v.sock", path));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What comes within ms, at most a line of it; "" = the end; NULL = nothing. */
static const char *hear(int fd, int ms)
{
	static char text[64];
	struct pollfd p = { fd, POLLIN, 0 };
	size_t n = 0;
	if (poll(&p, 1, ms) == 0)
		return NULL;
	while (n < sizeof(text) - 1 && (n == 0 || text[n - 1] != '\n') &&
	       (n == 0 || poll(&p, 1, 100) > 0) && read(fd, text + n, 1) == 1)
		n++;
	text[n] = '\0';
	return text;
}

START_TEST(test_vsock)
{
	struct rig r;
	rig_open(&r, "firecracker", "no-tap\n");
	start(&r);
	boot(&r);
	int fd = dial(&r);
	say(fd, "connect 49001\nhello"); /* what follows may come at once */
	ck_assert_str_eq(hear(fd, 5000), "OK 1073741824\n");
	ck_assert_str_eq(hear(fd, 5000), "hello");
	(void)close(fd);
	fd = dial(&r);
	say(fd, "CONN"); /* not in one write */
	ck_assert_str_eq(hear(fd, 1000), "");
	(void)close(fd);
	fd = dial(&r);
	say(fd, "CONNECT 1234\n"); /* nobody listens: no word */
	ck_assert_str_eq(hear(fd, 1000), "");
	(void)close(fd);
	/* Frozen after a pause; connections end with a snapshot. */
	fd = dial(&r);
	say(fd, "CONNECT 49002\n");
	ck_assert_ptr_nonnull(strstr(hear(fd, 5000), "OK "));
	ok(&r, "PATCH", "/vm", "{\"state\":\"Paused\"}");
	say(fd, "x");
	ck_assert_ptr_null(hear(fd, 100));
	ok(&r, "PUT", "/snapshot/create", CREATE);
	ok(&r, "PATCH", "/vm", "{\"state\":\"Resumed\"}");
	ck_assert_str_eq(hear(fd, 5000), "");
	(void)close(fd);
	rig_close(&r);
}
END_TEST

/* Of 1.16.1: a pause and a resume with no snapshot in between, and vsock is dead. */
START_TEST(test_vsock_bug)
{
	struct rig r;
	rig_open(&r, "firecracker", "no-tap\nversion 1.16.1\n");
	start(&r);
	boot(&r);
	ok(&r, "PATCH", "/vm", "{\"state\":\"Paused\"}");
	ok(&r, "PATCH", "/vm", "{\"state\":\"Resumed\"}");
	int fd = dial(&r);
	say(fd, "CONNECT 49001\n");
	ck_assert_ptr_null(hear(fd, 1500));
	ck_assert_str_eq(hear(fd, 3000), ""); /* after 2 s */
	(void)close(fd);
	rig_close(&r);
}
END_TEST

void add_fc_fake(Suite *s)
{
	TCase *tc = test_case(s, "fake", 20);
	tcase_add_test(tc, test_command_line);
	tcase_add_test(tc, test_jailer_command_line);
	tcase_add_test(tc, test_strict_bodies);
	tcase_add_test(tc, test_states);
	tcase_add_test(tc, test_load);
	tcase_add_test(tc, test_vsock);
	tcase_add_test(tc, test_vsock_bug);
}
