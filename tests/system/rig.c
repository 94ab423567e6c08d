/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/list.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "jail/cgroup.h"
#include "jail/mnt.h"
#include "launcher/server.h"
#include "lib/fake_firecracker/fake.h"

#define CALL_LIMIT_MS 60000
#define OWNER_ID 65533
#define OWN_FS_BYTES (512ll << 20)
#define IMAGE RIG_IMAGE
#define IMAGE_2 "fedcba9876543210fedcba9876543210"
#define RIG_CIDR "10.219.0.0/24"

struct rig_fault {
	char step[32];
};

/* ---- the launcher process ---- */

static int play_fault(const char *step, void *arg)
{
	const struct rig_fault *f = arg;
	return str_eq(f->step, step) ? -EIO : 0;
}

static const char *program(const char *variable, const char *fallback)
{
	const char *p = getenv(variable);
	return p ? p : fallback;
}

/* In the child no assertion may be made: Check would write to a descriptor that is not its own. */
static void make_absolute(const char *path, char dst[PATH_LEN_MAX])
{
	if (!realpath(path, dst)) {
		perror(path);
		_exit(1);
	}
}

/* The stand-in is found by its name in a directory of ours. */
static void path_of(const struct rig *r, const char *name, char dst[PATH_LEN_MAX])
{
	(void)snprintf(dst, PATH_LEN_MAX, "%s/bin/%s", r->dir, name);
}

static void run_in_process(struct rig *r, const char *state, const char *run, const char *agent)
{
	struct err err = ERR_INIT;
	char firecracker[PATH_LEN_MAX], jailer[PATH_LEN_MAX];
	path_of(r, "firecracker", firecracker);
	path_of(r, "jailer", jailer);
	struct server_conf conf = { .state_dir = state,
		.runtime_dir = run,
		.instance = r->instance,
		.owner_uid = OWNER_ID,
		.owner_gid = OWNER_ID,
		.agent = agent,
		.firecracker = firecracker,
		.jailer = jailer,
		.cidr = RIG_CIDR,
		.net_ready = r->network,
		.fault = play_fault,
		.fault_arg = r->fault };
	log_open("launcher", LOG_LEVEL_ERROR);
	int rc = server_run(&conf, 3, &err);
	if (rc < 0)
		(void)fprintf(stderr, "launcher: %s\n", err_text(&err));
	_exit(rc < 0);
}

static void become_launcher(struct rig *r, int sock)
{
	char state[PATH_LEN_MAX], run[PATH_LEN_MAX], agent[PATH_LEN_MAX], exe[PATH_LEN_MAX], id[16];
	char templates[PATH_LEN_MAX];
	char firecracker[PATH_LEN_MAX], jailer[PATH_LEN_MAX];
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(state, sizeof(state), "%s/state", r->dir);
	(void)snprintf(run, sizeof(run), "%s/run", r->dir);
	(void)snprintf(templates, sizeof(templates), "%s/templates", r->dir);
	(void)snprintf(id, sizeof(id), "%d", OWNER_ID);
	make_absolute(program("RIG_PROBE", "tests/system/probe_init"), agent);
	if (dup2(sock, 3) < 0)
		_exit(1);
	(void)close_range(4, ~0u, 0);
	if (r->fault)
		run_in_process(r, state, run, agent);
	make_absolute(program("RIG_LAUNCHER", "sandglass-launcher"), exe);
	path_of(r, "firecracker", firecracker);
	path_of(r, "jailer", jailer);
	(void)execl(exe, exe, "--state", state, "--runtime", run, "--instance", r->instance,
	    "--owner-uid", id, "--owner-gid", id, "--agent", agent, "--templates", templates,
	    "--cidr", RIG_CIDR, "--firecracker", firecracker, "--jailer", jailer,
	    r->network ? NULL : "--no-network", (char *)NULL);
	_exit(1);
}

static void on_lost(void *arg)
{
	struct rig *r = arg;
	r->lost = true;
}

void rig_start_launcher(struct rig *r)
{
	int sv[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	r->pid = fork();
	ck_assert_int_ge(r->pid, 0);
	if (r->pid == 0)
		become_launcher(r, sv[1]);
	(void)close(sv[1]);
	r->lost = false;
	if (r->la)
		ck_assert_int_eq(launcher_connect(r->la, sv[0]), 0);
	else
		r->la = launcher_new(r->loop, sv[0], on_lost, r);
	ck_assert_ptr_nonnull(r->la);
}

void rig_stop_launcher(struct rig *r, int signo)
{
	(void)kill(r->pid, signo);
	ck_assert_int_eq(waitpid(r->pid, NULL, 0), r->pid);
	r->pid = 0;
	for (int i = 0; i < 200 && !r->lost; i++)
		rig_pause(r, 10);
	ck_assert(r->lost);
}

/* What the old one had is left to the end of the test's process, as with a crash. */
void rig_replace_client(struct rig *r)
{
	r->la = NULL;
	(void)kill(r->pid, SIGKILL);
	ck_assert_int_eq(waitpid(r->pid, NULL, 0), r->pid);
	r->loop = loop_new();
	ck_assert_ptr_nonnull(r->loop);
	rig_start_launcher(r);
}

void rig_set_fault(struct rig *r, const char *step)
{
	(void)str_copy(r->fault->step, sizeof(r->fault->step), step ? step : "");
}

/* ---- waiting ---- */

static void on_tick(struct loop_timer *t, void *arg)
{
	*(bool *)arg = true;
}

void rig_pause(struct rig *r, unsigned ms)
{
	struct loop_timer t;
	bool over = false;
	loop_timer_init(&t, r->loop, on_tick, &over);
	loop_timer_set(&t, ms);
	while (!over)
		ck_assert_int_eq(loop_turn(r->loop, true), 0);
	loop_timer_fini(&t);
}

bool rig_wait(struct rig *r, const int *v, unsigned limit_ms)
{
	uint64_t until = clock_mono_ms() + limit_ms;
	while (*v == 0 && clock_mono_ms() < until)
		rig_pause(r, 5);
	return *v != 0;
}

struct answer {
	bool there;
	struct err err;
	struct proto_reply reply;
	unsigned items;
};

static void on_answer(const struct err *err, const struct proto_reply *reply, void *arg)
{
	struct answer *a = arg;
	a->there = true;
	a->err = *err;
	if (reply)
		a->reply = *reply;
}

static void on_item(const char *id, void *arg)
{
	((struct answer *)arg)->items++;
}

static int wait_answer(struct rig *r, struct answer *a, struct err *reterr)
{
	struct loop_timer t;
	bool over = false;
	loop_timer_init(&t, r->loop, on_tick, &over);
	loop_timer_set(&t, CALL_LIMIT_MS);
	while (!a->there && !over)
		ck_assert_int_eq(loop_turn(r->loop, true), 0);
	loop_timer_fini(&t);
	ck_assert_msg(a->there, "the launcher does not answer");
	if (reterr)
		*reterr = a->err;
	return a->err.code;
}

/* ---- requests ---- */

static void on_event(struct launcher_watch *w, const struct proto_event *e)
{
	struct rig_box *b = container_of(w, struct rig_box, watch);
	switch (e->event) {
	case PROTO_EXITED:
		b->exits++;
		b->exit_status = e->value;
		b->exit_oom = e->oom;
		(void)str_copy(b->text, sizeof(b->text), e->text);
		break;
	case PROTO_OOM:
		b->ooms++;
		b->oom_kills = e->value;
		break;
	case PROTO_PIDS:
		b->pids++;
		b->refused = e->value;
		break;
	default:
		ck_abort_msg("unknown event %u", e->event);
	}
}

void rig_create_default(struct proto_create *c, const char *id)
{
	*c = (struct proto_create){ .base = "host",
		.memory_bytes = RIG_MEMORY,
		.disk_bytes = RIG_DISK,
		.cpu_milli = 1000,
		.max_pids = RIG_PIDS };
	(void)str_copy(c->id, sizeof(c->id), id);
}

int rig_create_as(
    struct rig *r, struct rig_box *b, const struct proto_create *c, struct err *reterr)
{
	struct answer a = { 0 };
	*b = (struct rig_box){ .watch.cb = on_event };
	(void)str_copy(b->watch.id, sizeof(b->watch.id), c->id);
	bool watched =
	    launcher_watch_add(r->la, &b->watch) == 0; /* not if there is one of this id */
	ck_assert_int_eq(launcher_create(r->la, c, on_answer, &a), 0);
	int rc = wait_answer(r, &a, reterr);
	if (rc < 0 && watched)
		launcher_watch_remove(r->la, &b->watch);
	b->pid = a.reply.box.pid;
	b->uid_base = a.reply.box.uid_base;
	return rc;
}

int rig_create(struct rig *r, struct rig_box *b, const char *id, struct err *reterr)
{
	struct proto_create c;
	rig_create_default(&c, id);
	return rig_create_as(r, b, &c, reterr);
}

int rig_destroy(struct rig *r, struct rig_box *b)
{
	struct answer a = { 0 };
	ck_assert_int_eq(launcher_destroy(r->la, b->watch.id, on_answer, &a), 0);
	int rc = wait_answer(r, &a, NULL);
	launcher_watch_remove(r->la, &b->watch);
	return rc;
}

int rig_adopt(struct rig *r, const char *id)
{
	struct answer a = { 0 };
	ck_assert_int_eq(launcher_adopt(r->la, id, on_answer, &a), 0);
	return wait_answer(r, &a, NULL);
}

int rig_usage(struct rig *r, const char *id, struct proto_usage *ret)
{
	struct answer a = { 0 };
	ck_assert_int_eq(launcher_usage(r->la, id, on_answer, &a), 0);
	int rc = wait_answer(r, &a, NULL);
	*ret = a.reply.usage;
	return rc;
}

static int ask_resize(struct rig *r, const char *id, const struct proto_sizes *to)
{
	struct answer a = { 0 };
	ck_assert_int_eq(launcher_resize(r->la, id, to, on_answer, &a), 0);
	return wait_answer(r, &a, NULL);
}

int rig_resize(struct rig *r, const char *id, uint64_t memory_bytes, unsigned cpu_milli)
{
	return ask_resize(r, id, &(struct proto_sizes){ memory_bytes, 0, cpu_milli });
}

int rig_grow_disk(struct rig *r, const char *id, uint64_t bytes)
{
	return ask_resize(r, id, &(struct proto_sizes){ 0, bytes, 1000 });
}

unsigned rig_count(struct rig *r)
{
	struct answer a = { 0 };
	ck_assert_int_eq(launcher_list(r->la, on_item, on_answer, &a), 0);
	ck_assert_int_eq(wait_answer(r, &a, NULL), 0);
	return a.items;
}

/* ---- talking to the probe ---- */

static int connect_to(const struct rig *r, const struct rig_box *b, const char *name)
{
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/run/agents/%s/%s.sock", r->dir, b->watch.id, name);
	return fd_connect_unix(path);
}

/* Read until the end or the limit; false when the limit came first. */
static bool read_until_end(int fd, struct buf *dst, unsigned limit_s)
{
	uint64_t until = clock_mono_ms() + limit_s * 1000ull;
	for (;;) {
		char chunk[4096];
		struct pollfd p = { fd, POLLIN, 0 };
		uint64_t now = clock_mono_ms();
		if (now >= until || poll(&p, 1, (int)(until - now)) <= 0)
			return false;
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n <= 0)
			return true;
		ck_assert_int_eq(buf_append(dst, chunk, (size_t)n), 0);
	}
}

bool rig_answers(struct rig *r, struct rig_box *b)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	CLEAN_FD int fd = connect_to(r, b, "control");
	return fd >= 0 && read_until_end(fd, &text, 5) && str_eq(buf_cstr(&text), "ok\n");
}

int rig_run(struct rig *r, struct rig_box *b, unsigned uid, const char *command, char *out,
    size_t cap, unsigned limit_s)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	CLEAN_FD int fd = connect_to(r, b, "data");
	ck_assert_int_ge(fd, 0);
	dprintf(fd, "%u %s\n", uid, command);
	bool ended = read_until_end(fd, &text, limit_s);
	char *s = buf_cstr(&text);
	ck_assert_ptr_nonnull(s);
	char *status = NULL;
	for (char *p = s; (p = strstr(p, "status ")) != NULL; p++)
		status = p;
	int code = status ? atoi(status + 7) : 124;
	if (status)
		*status = '\0';
	if (out)
		(void)str_copy(out, cap, s);
	rig_pause(r, 1);
	return ended || status ? code : 124;
}

const char *rig_out(struct rig *r, struct rig_box *b, const char *command)
{
	static char out[RIG_OUT];
	int status = rig_run(r, b, 0, command, out, sizeof(out), 30);
	ck_assert_msg(status == 0, "%s: status %d: %s", command, status, out);
	return out;
}

/* ---- what is left ---- */

static unsigned count_lines(const char *path, const char *with)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	unsigned n = 0;
	CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_all(fd, 8u << 20, &text) < 0)
		return 0;
	for (char *p = buf_cstr(&text); (p = strstr(p, with)) != NULL; p++)
		n++;
	return n;
}

static unsigned count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;
	for (struct dirent *e; d && (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	if (d)
		(void)closedir(d);
	return n;
}

/* Loop devices whose file is in our directory, also when it was unlinked. */
static unsigned count_loops(const char *dir)
{
	unsigned n = 0;
	for (int i = 0; i < 256; i++) {
		char path[96];
		(void)snprintf(path, sizeof(path), "/sys/block/loop%d/loop/backing_file", i);
		n += count_lines(path, dir) > 0;
	}
	return n;
}

static int count_group(const char *name, void *arg)
{
	++*(unsigned *)arg;
	return 0;
}

/* Without those that are dead already: when the launcher was killed, it is not for us to reap them.
 */
static bool is_zombie(const char *pid)
{
	char path[300];
	(void)snprintf(path, sizeof(path), "/proc/%s/status", pid);
	return count_lines(path, "State:\tZ") > 0;
}

static unsigned count_processes(const char *name)
{
	DIR *d = opendir("/proc");
	unsigned n = 0;
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		char path[300];
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%s/cgroup", e->d_name);
		n += count_lines(path, name) > 0 && !is_zombie(e->d_name);
	}
	if (d)
		(void)closedir(d);
	return n;
}

void rig_take_ledger(const struct rig *r, struct rig_ledger *ret)
{
	char path[128];
	struct cgroup_tree t;
	*ret = (struct rig_ledger){ .mounts = count_lines("/proc/self/mountinfo", r->dir),
		.loops = count_loops(r->dir),
		.processes = count_processes(r->group) };
	(void)snprintf(path, sizeof(path), "%s/state/launcher/boxes", r->dir);
	ret->files = count_entries(path);
	(void)snprintf(path, sizeof(path), "%s/run/agents", r->dir);
	ret->sockets = count_entries(path);
	if (cgroup_tree_open(&t, NULL, r->group, NULL) == 0) {
		(void)cgroup_each(&t, count_group, &ret->cgroups);
		cgroup_tree_close(&t);
	}
}

/* ---- life ---- */

/* An ext4 image: tmpfs would do, too, but knows id-mapped mounts only since Linux 6.3. */
static void mount_own_fs(const struct rig *r)
{
	char image[32], dev[MNT_LOOP_PATH];
	int status = 0;
	(void)snprintf(image, sizeof(image), "/tmp/sg-image-%s", r->instance);
	int fd = open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, OWN_FS_BYTES), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)execlp("mke2fs", "mke2fs", "-q", "-F", "-t", "ext4", image, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "mke2fs: status %x", status);
	int loop = mnt_loop(fd, dev);
	ck_assert_int_ge(loop, 0);
	ck_assert_int_eq(mount(dev, r->dir, "ext4", 0, NULL), 0);
	ck_assert_int_eq(unlink(image), 0);
	(void)close(loop);
	(void)close(fd);
}

static void put_image(const struct rig *r);
static void copy_program(const struct rig *r, const char *name, const char *script);

static void open_rig(struct rig *r, bool faults)
{
	struct answer a = { 0 };
	char path[128];
	id_random_text(r->instance, sizeof(r->instance) - 1);
	(void)snprintf(r->group, sizeof(r->group), "sandglass-%s", r->instance);
	(void)str_copy(r->dir, sizeof(r->dir), "/tmp/sandglass-system.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->dir));
	if (r->own_fs)
		mount_own_fs(r);
	(void)snprintf(path, sizeof(path), "%s/state", r->dir);
	ck_assert_int_eq(path_mkdir_p(path, 0755), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	if (r->firecracker) {
		put_image(r);
		copy_program(r, "firecracker", r->script);
		copy_program(r, "jailer", NULL);
	}
	if (faults) {
		r->fault = mmap(NULL, sizeof(*r->fault), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		ck_assert_ptr_ne(r->fault, MAP_FAILED);
	}
	r->loop = loop_new();
	ck_assert_ptr_nonnull(r->loop);
	rig_start_launcher(r);
	ck_assert_int_eq(launcher_prepare(r->la, "host", on_answer, &a), 0);
	struct err err;
	ck_assert_msg(wait_answer(r, &a, &err) == 0, "prepare: %s", err_text(&err));
}

void rig_open(struct rig *r, bool faults)
{
	*r = (struct rig){ 0 };
	open_rig(r, faults);
}

void rig_open_network(struct rig *r)
{
	*r = (struct rig){ .network = true };
	open_rig(r, false);
}

void rig_open_own_fs(struct rig *r)
{
	*r = (struct rig){ .own_fs = true };
	open_rig(r, false);
}

/* ---- Firecracker ---- */

static void copy_program(const struct rig *r, const char *name, const char *script)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char from[128], to[PATH_LEN_MAX];
	(void)snprintf(from, sizeof(from), "tests/lib/fake_firecracker/%s", name);
	path_of(r, name, to);
	ck_assert_msg(fd_read_file(AT_FDCWD, from, 64u << 20, &b) == 0, "%s", from);
	if (script)
		ck_assert_int_eq(buf_printf(&b, "%s%s", FAKE_SCRIPT_MARK, script), 0);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, to, 0755, buf_data(&b), buf_len(&b)), 0);
}

void rig_script(struct rig *r, const char *script)
{
	copy_program(r, "firecracker", script);
}

void rig_jailer(struct rig *r, const char *version)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[PATH_LEN_MAX];
	copy_program(r, "jailer", NULL);
	path_of(r, "jailer", path);
	ck_assert_int_eq(fd_read_file(AT_FDCWD, path, 64u << 20, &b), 0);
	ck_assert_int_eq(buf_printf(&b, "\n#fake-jailer-version %s\n", version), 0);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0755, buf_data(&b), buf_len(&b)), 0);
}

static void put_file(const struct rig *r, const char *name, const char *text)
{
	char path[PATH_LEN_MAX];
	(void)snprintf(path, sizeof(path), "%s/state/launcher/%s", r->dir, name);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, text, strlen(text)), 0);
}

/* Named by the launcher's agent, here the probe. */
void rig_initrd_path(const struct rig *r, char dst[PATH_LEN_MAX])
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char hex[2 * HASH_SHA256_LEN + 1];
	const char *probe = program("RIG_PROBE", "tests/system/probe_init");
	ck_assert_int_eq(fd_read_file(AT_FDCWD, probe, 64u << 20, &b), 0);
	ck_assert_int_eq(hash_sha256_hex(buf_data(&b), buf_len(&b), hex), 0);
	(void)snprintf(
	    dst, PATH_LEN_MAX, "%s/state/launcher/kernels/6.1/initrd-%.32s.cpio", r->dir, hex);
}

static void put_root(const struct rig *r, const char *dir)
{
	char name[128];
	(void)snprintf(name, sizeof(name), "%s/root.img", dir);
	put_file(r, name, dir);
	(void)snprintf(name, sizeof(name), "%s/manifest.json", dir);
	put_file(r, name,
	    "{\"format\": \"ext4\", \"kernel\": \"6.1\", \"inputs\": \"-\", \"bytes\": 1, "
	    "\"created_ns\": 1}");
}

/* As a build leaves it. */
static void put_image(const struct rig *r)
{
	static const char *const dirs[] = { "bin", "state", "state/launcher",
		"state/launcher/images", "state/launcher/images/names",
		"state/launcher/images/" IMAGE, "state/launcher/kernels",
		"state/launcher/kernels/6.1" };
	char path[PATH_LEN_MAX];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", r->dir, dirs[i]);
		ck_assert_int_eq(path_mkdir_p(path, i == 1 ? 0755 : 0700), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/state/launcher/images/names/py", r->dir);
	ck_assert_int_eq(symlink("../" IMAGE, path), 0);
	put_root(r, "images/" IMAGE);
	put_file(r, "kernels/6.1/vmlinux", "kernel");
	rig_initrd_path(r, path);
	ck_assert_int_eq(fd_replace_file(AT_FDCWD, path, 0600, "no archive", 10), 0);
}

void rig_renew_image(struct rig *r)
{
	char path[PATH_LEN_MAX];
	(void)snprintf(path, sizeof(path), "%s/state/launcher/images/" IMAGE_2, r->dir);
	ck_assert_int_eq(path_mkdir_p(path, 0700), 0);
	put_root(r, "images/" IMAGE_2);
	(void)snprintf(path, sizeof(path), "%s/state/launcher/images/names/py", r->dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("../" IMAGE_2, path), 0);
}

void rig_open_firecracker(struct rig *r, bool faults, const char *script)
{
	*r = (struct rig){ .network = true, .firecracker = true };
	r->script = script;
	open_rig(r, faults);
}

static void remove_network(const struct rig *r)
{
	const struct hostnet_conf conf = { .instance = r->instance, .cidr = RIG_CIDR, .ready = 0 };
	struct err err = ERR_INIT;
	struct hostnet *h = hostnet_open(&conf, &err);
	ck_assert_msg(h && hostnet_teardown(h, &err) == 0, "%s", err_text(&err));
	(void)hostnet_close(h);
}

void rig_close(struct rig *r)
{
	struct rig_ledger left;
	struct cgroup_tree t;
	rig_take_ledger(r, &left);
	ck_assert_uint_eq(rig_count(r), 0);
	ck_assert_uint_eq(left.mounts, r->own_fs);
	ck_assert_uint_eq(left.loops, 0);
	ck_assert_uint_eq(left.cgroups, 0);
	ck_assert_uint_eq(left.files, 0);
	ck_assert_uint_eq(left.sockets, 0);
	ck_assert_uint_eq(left.processes, 0);
	r->la = launcher_free(r->la);
	int status = 0;
	ck_assert_int_eq(waitpid(r->pid, &status, 0), r->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "launcher: status %x", status);
	r->loop = loop_free(r->loop);
	if (r->network)
		remove_network(r);
	if (r->fault)
		(void)munmap(r->fault, sizeof(*r->fault));
	if (cgroup_tree_open(&t, NULL, r->group, NULL) == 0) {
		ck_assert_int_eq(cgroup_tree_remove(&t), 0);
		cgroup_tree_close(&t);
	}
	if (r->own_fs)
		ck_assert_int_eq(umount(r->dir), 0);
	ck_assert_int_eq(path_remove_tree(r->dir), 0);
}
