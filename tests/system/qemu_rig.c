/* SPDX-License-Identifier: Apache-2.0 */
#include "qemu_rig.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/path.h"
#include "base/str.h"

#define ASK_LIMIT_MS 20000
#define KERNEL "k1"
#define IMAGE "00ff00ff00ff00ff00ff00ff00ff00ff"
#define FILE_LIMIT (64u << 20)

static const struct vmm_driver *const drv = &vmm_qemu_driver;

static const char *kernel_dir(void)
{
	return getenv("SANDGLASS_TEST_KERNEL");
}

bool qemu_rig_possible(void)
{
	char path[PATH_LEN_MAX];
	if (access("/usr/bin/qemu-system-x86_64", X_OK) < 0) {
		(void)printf("skipped: qemu-system-x86_64 is not installed\n");
		return false;
	}
	if (!kernel_dir() || path_printf(path, sizeof(path), "%s/vmlinux", kernel_dir()) < 0 ||
	    !path_exists(path)) {
		(void)printf("skipped: SANDGLASS_TEST_KERNEL names no directory with a kernel\n");
		return false;
	}
	return true;
}

/* ---- files of the guest ---- */

static void add_entry(struct buf *b, const char *name, unsigned mode, const void *p, size_t n)
{
	static unsigned ino = 1;
	ck_assert_int_eq(
	    buf_printf(b, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ino++,
		mode, 0, 0, 1, 0, n, 0, 0, 0, 0, strlen(name) + 1, 0),
	    0);
	ck_assert_int_eq(buf_append(b, name, strlen(name) + 1), 0);
	while (buf_len(b) % 4)
		ck_assert_int_eq(buf_append_byte(b, 0), 0);
	ck_assert_int_eq(buf_append(b, p, n), 0);
	while (buf_len(b) % 4)
		ck_assert_int_eq(buf_append_byte(b, 0), 0);
}

static void add_file(struct buf *b, const char *from, const char *name, unsigned mode)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	CLEAN_FD int fd = open(from, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0 && fd_read_all(fd, FILE_LIMIT, &text) == 0, "%s", from);
	add_entry(b, name, mode, buf_data(&text), buf_len(&text));
}

static void write_initrd(const char *path)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char from[PATH_LEN_MAX], name[300];
	const char *init = getenv("RIG_VM_INIT");
	add_file(&b, init ? init : "tests/system/vm_init", "init", 0100755);
	add_entry(&b, "modules", 040755, "", 0);
	(void)path_printf(from, sizeof(from), "%s/modules", kernel_dir());
	DIR *d = opendir(from);
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		(void)path_printf(from, sizeof(from), "%s/modules/%s", kernel_dir(), e->d_name);
		(void)snprintf(name, sizeof(name), "modules/%s", e->d_name);
		add_file(&b, from, name, 0100644);
	}
	(void)closedir(d);
	add_entry(&b, "TRAILER!!!", 0, "", 0);
	CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_int_eq(fd_write_all(fd, buf_data(&b), buf_len(&b)), 0);
}

static const char *in_state(const struct qemu_rig *q, const char *name)
{
	static char path[PATH_LEN_MAX];
	(void)path_printf(path, sizeof(path), "%s/state/launcher/%s", q->r.dir, name);
	return path;
}

static void write_text(const char *path, const char *text)
{
	CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
}

/* As the launcher calls it, by the hash of its agent. */
static void initrd_name(char *dst, size_t cap)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char hex[2 * HASH_SHA256_LEN + 1];
	const char *probe = getenv("RIG_PROBE");
	CLEAN_FD int fd = open(probe ? probe : "tests/system/probe_init", O_RDONLY | O_CLOEXEC);
	ck_assert(fd >= 0 && fd_read_all(fd, FILE_LIMIT, &b) == 0);
	ck_assert_int_eq(hash_sha256_hex(buf_data(&b), buf_len(&b), hex), 0);
	(void)snprintf(dst, cap, "kernels/" KERNEL "/initrd-%.32s.cpio", hex);
}

static void make_image(const struct qemu_rig *q)
{
	char vmlinux[PATH_LEN_MAX], name[128];
	(void)path_printf(vmlinux, sizeof(vmlinux), "%s/vmlinux", kernel_dir());
	ck_assert_int_eq(path_mkdir_p(in_state(q, "images/names"), 0755), 0);
	ck_assert_int_eq(path_mkdir_p(in_state(q, "images/" IMAGE), 0755), 0);
	ck_assert_int_eq(path_mkdir_p(in_state(q, "kernels/" KERNEL), 0755), 0);
	ck_assert_int_eq(symlink("../" IMAGE, in_state(q, "images/names/test")), 0);
	write_text(in_state(q, "images/" IMAGE "/manifest.json"),
	    "{\"format\": \"erofs\", \"kernel\": \"" KERNEL
	    "\", \"inputs\": \"-\", \"bytes\": 1, \"created_ns\": 1}");
	write_text(in_state(q, "images/" IMAGE "/root.img"), "");
	ck_assert_int_eq(truncate(in_state(q, "images/" IMAGE "/root.img"), 1 << 20), 0);
	ck_assert_int_eq(symlink(vmlinux, in_state(q, "kernels/" KERNEL "/vmlinux")), 0);
	initrd_name(name, sizeof(name));
	write_initrd(in_state(q, name));
}

/* ---- life ---- */

void qemu_rig_open_driver(struct qemu_rig *q)
{
	struct err err = ERR_INIT;
	ck_assert_msg(drv->open(q->r.loop, q->r.la, &q->v, &err) == 0, "%s", err_text(&err));
}

void qemu_rig_open(struct qemu_rig *q, bool network, bool faults)
{
	*q = (struct qemu_rig){ .tmpl = { .name = "test",
				    .memory_bytes = QEMU_RIG_MEMORY,
				    .disk_bytes = RIG_DISK,
				    .cpu_milli = 1000,
				    .max_pids = RIG_PIDS } };
	memset(q->tmpl.hash, 'a', 64);
	if (network)
		rig_open_network(&q->r);
	else
		rig_open(&q->r, faults);
	make_image(q);
	qemu_rig_open_driver(q);
}

void qemu_rig_close(struct qemu_rig *q)
{
	q->v = drv->close(q->v);
	rig_close(&q->r);
}

/* ---- calls ---- */

static void on_plain(const struct err *err, void *arg)
{
	struct qemu_seen *s = arg;
	s->err = *err;
	s->there = 1;
}

static void on_inst(const struct err *err, struct vmm_inst *inst, void *arg)
{
	struct qemu_seen *s = arg;
	s->inst = inst;
	on_plain(err, arg);
}

static void on_event(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg)
{
	struct qemu_seen *s = arg;
	s->exits += kind == VMM_END_EXITED;
}

static int wait_for(struct qemu_rig *q, struct qemu_seen *s)
{
	ck_assert_msg(rig_wait(&q->r, &s->there, 60000), "the driver does not answer");
	s->there = 0;
	return s->err.code;
}

struct vmm_spec qemu_rig_spec(struct qemu_rig *q, const char *id, enum vmm_start start)
{
	struct vmm_spec spec = { .start = start,
		.tmpl = &q->tmpl,
		.memory_bytes = q->tmpl.memory_bytes,
		.disk_bytes = q->tmpl.disk_bytes,
		.cpu_milli = q->tmpl.cpu_milli,
		.max_pids = q->tmpl.max_pids,
		.internet = q->tmpl.internet };
	(void)str_copy(spec.id, sizeof(spec.id), id);
	return spec;
}

int qemu_rig_create(struct qemu_rig *q, struct qemu_seen *s, const struct vmm_spec *spec)
{
	*s = (struct qemu_seen){ .there = 0 };
	drv->create(q->v, spec, on_event, s, on_inst, s);
	return wait_for(q, s);
}

void qemu_rig_destroy(struct qemu_rig *q, struct qemu_seen *s)
{
	drv->destroy(s->inst, on_plain, s);
	ck_assert_int_eq(wait_for(q, s), 0);
}

int qemu_rig_prepare(struct qemu_rig *q, struct err *reterr)
{
	struct qemu_seen s = { .there = 0 };
	drv->prepare(q->v, &q->tmpl, on_plain, &s);
	int r = wait_for(q, &s);
	if (reterr)
		*reterr = s.err;
	return r;
}

int qemu_rig_do(struct qemu_rig *q, struct qemu_seen *s,
    void (*fn)(struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg))
{
	fn(s->inst, on_plain, s);
	return wait_for(q, s);
}

int qemu_rig_resize(struct qemu_rig *q, struct qemu_seen *s, const struct vmm_sizes *to)
{
	s->there = 0;
	drv->resize(s->inst, to, on_plain, s);
	return wait_for(q, s);
}

int qemu_rig_snapshot(struct qemu_rig *q, struct qemu_seen *s, const char *snapshot)
{
	drv->snapshot(s->inst, snapshot, on_plain, s);
	return wait_for(q, s);
}

int qemu_rig_forget(struct qemu_rig *q, const char *snapshot)
{
	struct qemu_seen s = { .there = 0 };
	drv->snapshot_remove(q->v, snapshot, on_plain, &s);
	return wait_for(q, &s);
}

void qemu_rig_make_warm(struct qemu_rig *q)
{
	struct qemu_seen s;
	struct vmm_spec spec = qemu_rig_spec(q, "icold", VMM_START_COLD);
	ck_assert_msg(qemu_rig_prepare(q, &s.err) == 0, "%s", err_text(&s.err));
	ck_assert_msg(qemu_rig_create(q, &s, &spec) == 0, "%s", err_text(&s.err));
	ck_assert(!drv->is_warm(s.inst));
	qemu_rig_expect(q, &s, "echo booted", "booted");
	qemu_rig_expect(q, &s, "write warm", "ok");
	rig_pause(&q->r, 100); /* the guest notices that the port is closed */
	ck_assert_msg(qemu_rig_do(q, &s, drv->warm) == 0, "%s", err_text(&s.err));
	ck_assert_int_eq(s.exits, 0);
	qemu_rig_destroy(q, &s);
	ck_assert(drv->has_warm(q->v, &q->tmpl));
}

/* ---- the guest ---- */

const char *qemu_rig_ask(struct qemu_rig *q, const struct qemu_seen *s, const char *command)
{
	static char out[4096];
	size_t n = 0;
	uint64_t until = clock_mono_ms() + ASK_LIMIT_MS;
	CLEAN_FD int fd = fd_connect_unix(drv->control(s->inst).path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(dprintf(fd, "%s\n", command), 0);
	out[0] = '\0';
	while (clock_mono_ms() < until && !s->exits) {
		struct pollfd p = { fd, POLLIN, 0 };
		if (poll(&p, 1, 0) == 0) {
			rig_pause(&q->r, 5);
			continue;
		}
		ssize_t got = read(fd, out + n, sizeof(out) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		out[n] = '\0';
		char *end = strchr(out, '\n');
		if (end) {
			*end = '\0';
			return out;
		}
	}
	return "";
}

void qemu_rig_expect(
    struct qemu_rig *q, const struct qemu_seen *s, const char *command, const char *answer)
{
	ck_assert_str_eq(qemu_rig_ask(q, s, command), answer);
}

/* The driver's memory stays with its instance, as if the process had ended: a new launcher client
 * takes the old one's place. */
static void close_monitors(void)
{
	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_un sa = { 0 };
		socklen_t n = sizeof(sa) - 1;
		if (getpeername(fd, (struct sockaddr *)&sa, &n) == 0 && sa.sun_family == AF_UNIX &&
		    str_ends(sa.sun_path, "/monitor.sock"))
			(void)close(fd);
	}
}

void qemu_rig_abandon(struct qemu_rig *q, struct qemu_seen *s)
{
	close_monitors();
	s->inst = NULL;
	q->v = NULL;
	rig_replace_client(&q->r);
	qemu_rig_open_driver(q);
}

int qemu_rig_adopt(struct qemu_rig *q, struct qemu_seen *s, const struct vmm_spec *spec)
{
	*s = (struct qemu_seen){ .there = 0 };
	drv->adopt(q->v, spec, on_event, s, on_inst, s);
	return wait_for(q, s);
}

unsigned qemu_rig_count(struct qemu_rig *q, const char *dir)
{
	unsigned n = 0;
	DIR *d = opendir(in_state(q, dir));
	for (struct dirent *e; d && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d)
		(void)closedir(d);
	return n;
}

const char *qemu_rig_warm_dir(struct qemu_rig *q)
{
	static char path[PATH_LEN_MAX];
	DIR *d = opendir(in_state(q, "warm"));
	path[0] = '\0';
	for (struct dirent *e; d && (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			(void)path_printf(
			    path, sizeof(path), "%s/%s", in_state(q, "warm"), e->d_name);
	if (d)
		(void)closedir(d);
	return path;
}

void qemu_rig_clear_warm(struct qemu_rig *q)
{
	q->tmpl.hash[1] = q->tmpl.hash[1] == 'a' ? 'c' : 'a';
	ck_assert_int_eq(qemu_rig_prepare(q, NULL), 0);
}

pid_t qemu_rig_pid(struct qemu_rig *q, const char *id)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char name[64];
	(void)snprintf(name, sizeof(name), "boxes/%s/record", id);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, in_state(q, name), 4096, &b), 0);
	const char *pid = strstr(buf_cstr(&b), "\npid ");
	ck_assert_ptr_nonnull(pid);
	return (pid_t)atoi(pid + 5);
}

void qemu_rig_check_sealed(struct qemu_rig *q, const char *id)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/8", (int)qemu_rig_pid(q, id));
	CLEAN_FD int fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & all, all);
	ck_assert_int_lt(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	ck_assert_int_eq(errno, EPERM);
}
