/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "hostnet/tap.h"
#include "launcher/box.h"
#include "launcher/disk.h"
#include "launcher/fc.h"
#include "launcher/fc_child.h"
#include "launcher/outbox.h"

#define LOOK_AGAIN_MS 1
#define NOFILE 2048u
#define ARGS_MAX 32
#define CGROUP_FS "/sys/fs/cgroup/"

/* Paths and texts that a plan points to. */
struct plan_store {
	struct fc_child_plan plan;
	const char *argv[ARGS_MAX];
	size_t n;
	char text[ARGS_MAX][160];
	size_t used;
	char jail[160], vm_dir[160], vm_in_base[200], disk_from[160], disk[160], disk_in_jail[256];
	char store[160];
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int fc_jail_path(const struct box *b, const char *file, char *dst, size_t cap)
{
	const char *program = fc_program(b->srv);
	if (!program)
		return -ENOENT;
	return path_printf(dst, cap, "boxes/%s/jail/%s/%s/root%s%s", b->rec.id, base_name(program),
	    b->rec.id, file[0] ? "/" : "", file);
}

int fc_vm_dir(const struct box *b, char *dst, size_t cap)
{
	char dir[128];
	int r = box_socket_dir(b, dir, sizeof(dir));
	return r < 0 ? r : path_join(dst, cap, dir, "vm");
}

/* A directory that exists everywhere, belongs to root and is empty of what we need. */
static const char *jail_base(void)
{
	return path_exists("/mnt") ? "/mnt" : "/srv";
}

/* ---- files ---- */

/* Shared files are root's; that the VM's user may read them is a bit of the file itself. Nobody but
 * root gets at the original. */
static int link_file(const struct box *b, const char *from, const char *as)
{
	char to[PATH_LEN_MAX];
	struct stat st;
	int r = fc_jail_path(b, as, to, sizeof(to));
	if (r < 0)
		return r;
	CLEAN_FD int fd = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != 0)
		return -EPERM;
	if ((st.st_mode & 07777) != 0444 && fchmod(fd, 0444) < 0)
		return -errno;
	return link(from, to) < 0 ? -errno : 0;
}

static int link_from(const struct box *b, const char *dir, const char *name, const char *as)
{
	char from[PATH_LEN_MAX];
	int r = path_join(from, sizeof(from), dir, name);
	return r < 0 ? r : link_file(b, from, as);
}

static int make_dirs(const struct box *b)
{
	static const char *const dirs[] = { "", "snap", "vm" };
	char path[PATH_LEN_MAX];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		int r = fc_jail_path(b, dirs[i], path, sizeof(path));
		if (r == 0)
			r = path_mkdir_p(path, 0711);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Pipes for what it says: its user writes, the daemon reads; others do not get into the directory.
 * They are root's, as the directory is: a kernel that protects pipes in shared directories then
 * lets them be opened. */
static int make_vm_dir(const struct box *b)
{
	static const char *const pipes[] = { "log", "metrics", "console" };
	const uint32_t uid = slots_base(&b->srv->slots, b->rec.slot);
	char dir[160], path[200];
	int r = fc_vm_dir(b, dir, sizeof(dir));
	if (r == 0 && (mkdir(dir, 0700) < 0 || lchown(dir, 0, uid) < 0 || chmod(dir, 01731) < 0))
		r = -errno;
	for (size_t i = 0; r == 0 && i < sizeof(pipes) / sizeof(pipes[0]); i++) {
		r = path_join(path, sizeof(path), dir, pipes[i]);
		if (r == 0 && (mkfifo(path, 0600) < 0 || chmod(path, 0666) < 0))
			r = -errno;
	}
	return r;
}

static bool boots(const struct box *b)
{
	return b->want.start == PROTO_START_COLD || b->want.start == PROTO_START_PROBE;
}

/* A kernel that gets nothing else. */
static int place_probe(struct box *b)
{
	char path[160];
	int r = box_path(b, "kernel", path, sizeof(path));
	if (r == 0)
		r = vm_image_probe(path, &b->vm.image);
	return r < 0 ? r : link_file(b, b->vm.image.kernel_path, "kernel");
}

static int place_files(struct box *b, struct plan_store *ps, struct err *reterr)
{
	const struct vm_image *m = &b->vm.image;
	bool cold = boots(b);
	int r = make_dirs(b);
	if (r == 0)
		r = make_vm_dir(b);
	if (r == 0)
		r = fc_made_note(b);
	if (r == 0 && b->want.start == PROTO_START_PROBE)
		return place_probe(b);
	if (r == 0)
		r = link_file(b, m->root_path, "rootfs");
	if (r == 0 && cold)
		r = link_file(b, m->kernel_path, "kernel");
	if (r == 0 && cold)
		r = link_file(b, m->initrd_path, "initrd");
	if (r < 0 || cold)
		return r;
	r = fc_store_find(b, ps->store, sizeof(ps->store), reterr);
	if (r == 0)
		r = link_from(b, ps->store, "state", "snap/state");
	return r < 0 ? r : link_from(b, ps->store, "mem", "snap/mem");
}

/* ---- command line ---- */

static void add(struct plan_store *ps, const char *s)
{
	if (ps->n < ARGS_MAX - 1)
		ps->argv[ps->n++] = s;
}

static void addf(struct plan_store *ps, const char *option, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void addf(struct plan_store *ps, const char *option, const char *fmt, ...)
{
	char *at = ps->text[ps->used++];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(at, sizeof(ps->text[0]), fmt, ap);
	va_end(ap);
	add(ps, option);
	add(ps, at);
}

/* Without settings of ours the jailer moves the process into the parent that it is told, or is
 * silent when there is none: it is told the group that the process is in already. */
static int add_cgroup(const struct box *b, struct plan_store *ps, struct err *reterr)
{
	const struct cgroup_tree *t = &b->srv->cgroups;
	char path[512];
	if (!t->v2) {
		addf(ps, "--cgroup-version", "1");
		return 0;
	}
	int r = cgroup_path(t, CGROUP_UNIFIED, b->rec.id, path, sizeof(path));
	const char *rest = r == 0 ? str_after(path, CGROUP_FS) : NULL;
	if (!rest || strlen(rest) >= sizeof(ps->text[0]))
		return err_set(
		    reterr, -ENOTSUP, "control groups are not where the jailer looks (%s)", path);
	addf(ps, "--cgroup-version", "2");
	addf(ps, "--parent-cgroup", "%s", rest);
	return 0;
}

static int make_argv(const struct box *b, struct plan_store *ps, struct err *reterr)
{
	const struct server *s = b->srv;
	const unsigned uid = slots_base(&s->slots, b->rec.slot);
	add(ps, fc_jailer(s));
	addf(ps, "--id", "%s", b->rec.id);
	add(ps, "--exec-file");
	add(ps, fc_program(s));
	addf(ps, "--uid", "%u", uid);
	addf(ps, "--gid", "%u", uid);
	add(ps, "--chroot-base-dir");
	add(ps, jail_base());
	addf(ps, "--resource-limit", "fsize=%llu", (unsigned long long)vm_file_limit(b));
	addf(ps, "--resource-limit", "no-file=%u", NOFILE);
	int r = add_cgroup(b, ps, reterr);
	add(ps, "--");
	addf(ps, "--api-sock", "vm/api.sock");
	return r;
}

static int make_cmdline(struct box *b)
{
	char dns[128];
	int r = vm_list_dns(b, dns, sizeof(dns));
	if (r < 0)
		return r;
	return path_printf(b->fc.cmdline, sizeof(b->fc.cmdline),
	    "reboot=k panic=1 quiet console=ttyS0 pci=off i8042.noaux i8042.nomux i8042.dumbkbd "
	    "random.trust_cpu=on sandglass.root=/dev/vda sandglass.rootfs=%s "
	    "sandglass.disk=/dev/vdb sandglass.channel=vsock "
	    "sandglass.net=" TAP_GUEST_ADDRESS "/%d," TAP_ADDRESS "," TAP_MAC "%s%s",
	    b->vm.image.fs, TAP_PREFIX, dns[0] ? " sandglass.dns=" : "", dns);
}

/* ---- the child ---- */

static int find_disk(const struct box *b, struct plan_store *ps)
{
	if (boots(b))
		return disk_master_path(b->rec.disk_bytes, ps->disk_from, sizeof(ps->disk_from));
	return path_join(ps->disk_from, sizeof(ps->disk_from), ps->store, "disk");
}

static int make_plan(
    struct box *b, const struct spawn *sp, struct plan_store *ps, struct err *reterr)
{
	const struct server *s = b->srv;
	const char *program = fc_program(s);
	if (!program || !fc_jailer(s))
		return err_set(reterr, -ENOENT, "firecracker or jailer is not installed");
	ps->plan = (struct fc_child_plan){ .argv = ps->argv,
		.jail = ps->jail,
		.base = jail_base(),
		.vm_dir = ps->vm_dir,
		.vm_in_base = ps->vm_in_base,
		.disk_from = ps->disk_from,
		.disk = ps->disk,
		.disk_in_jail = ps->disk_in_jail,
		.uid = slots_base(&s->slots, b->rec.slot),
		.conn_fd = s->outbox->fd,
		.status_fd = sp->status[1],
		.log_fd = sp->log[1],
		.netns_fd = b->netns_fd,
		.door = sp->door,
		.fault = s->conf->fault,
		.fault_arg = s->conf->fault_arg };
	int r = place_files(b, ps, reterr);
	if (r == 0)
		r = box_path(b, "jail", ps->jail, sizeof(ps->jail));
	if (r == 0)
		r = fc_vm_dir(b, ps->vm_dir, sizeof(ps->vm_dir));
	if (r == 0)
		r = path_printf(ps->vm_in_base, sizeof(ps->vm_in_base), "%s/%s/%s/root/vm",
		    jail_base(), base_name(program), b->rec.id);
	if (r == 0)
		r = find_disk(b, ps);
	if (r == 0)
		r = box_path(b, "disk", ps->disk, sizeof(ps->disk));
	if (r == 0)
		r = fc_jail_path(b, "disk", ps->disk_in_jail, sizeof(ps->disk_in_jail));
	if (r == 0)
		r = make_cmdline(b);
	return r < 0 ? r : make_argv(b, ps, reterr);
}

int fc_spawn(struct box *b, struct err *reterr)
{
	struct plan_store ps = { 0 };
	struct spawn sp;
	int r = spawn_open(b, &sp);
	if (r == 0)
		r = make_plan(b, &sp, &ps, reterr);
	if (r == 0)
		r = spawn_run(b, &sp, fc_child_run, &ps.plan);
	spawn_close(b, &sp);
	return r < 0 ? err_set(reterr, r, "cannot start its jailer: %s", err_name(r)) : 0;
}

/* ---- ready ---- */

/* The jailer skips what it cannot do with groups without a word. */
static int check_group(const struct box *b, struct err *reterr)
{
	const struct cgroup_tree *t = &b->srv->cgroups;
	CLEAN_BUF struct buf text = BUF_INIT;
	char path[600], pid[16];
	int r =
	    cgroup_path(t, t->v2 ? CGROUP_UNIFIED : CGROUP_MEMORY, b->rec.id, path, sizeof(path));
	if (r == 0)
		r = path_join(path, sizeof(path), path, "cgroup.procs");
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, 65536, &text);
	char *s = r == 0 ? buf_cstr(&text) : NULL, *save = NULL;
	(void)snprintf(pid, sizeof(pid), "%d", b->rec.pid);
	for (char *l = s ? strtok_r(s, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save))
		if (str_eq(l, pid))
			return 0;
	return err_set(reterr, r < 0 ? r : -ESRCH, "the VMM is not in its control group");
}

/* Directories that the jailer gave to the VM's user. Device nodes stay its own. */
static int take_back_jail(const struct box *b)
{
	static const char *const dirs[] = { "", "dev", "dev/net", "run" };
	char path[PATH_LEN_MAX];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		int r = fc_jail_path(b, dirs[i], path, sizeof(path));
		if (r < 0)
			return r;
		if ((lchown(path, 0, 0) < 0 || chmod(path, 0711) < 0) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int own_api_socket(const struct box *b)
{
	char path[200];
	int r = fc_vm_dir(b, path, sizeof(path));
	if (r == 0)
		r = path_join(path, sizeof(path), path, "api.sock");
	/* No guest has run yet: this is the one that Firecracker has made. */
	if (r == 0 && (lchown(path, b->srv->conf->owner_uid, b->srv->conf->owner_gid) < 0 ||
			  chmod(path, 0600) < 0))
		r = -errno;
	return r;
}

/* 0: it is ready; -EAGAIN: not yet. */
static int look(const struct box *b, struct err *reterr)
{
	char path[200];
	int r = fc_vm_dir(b, path, sizeof(path));
	if (r == 0)
		r = path_join(path, sizeof(path), path, "api.sock");
	if (r < 0)
		return r;
	int fd = fd_connect_unix(path);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return -EAGAIN;
	if (fd < 0)
		return fd;
	(void)fd_close(fd);
	r = check_group(b, reterr);
	if (r == 0)
		r = take_back_jail(b);
	return r < 0 ? r : own_api_socket(b);
}

static void on_look(struct loop_timer *t, void *arg)
{
	struct box *b = arg;
	int r = look(b, &b->op.err);
	if (r == -EAGAIN)
		loop_timer_set(t, LOOK_AGAIN_MS);
	else
		op_wake(&b->op, b->wait, r);
}

int fc_ready(struct box *b, struct err *reterr)
{
	int r = look(b, reterr);
	if (r != -EAGAIN)
		return r;
	b->wait = op_slot(&b->op);
	loop_timer_fini(&b->fc.look);
	loop_timer_init(&b->fc.look, b->srv->loop, on_look, b);
	loop_timer_set(&b->fc.look, LOOK_AGAIN_MS);
	return OP_WAIT;
}

void fc_forget_ready(struct box *b)
{
	loop_timer_fini(&b->fc.look);
}
