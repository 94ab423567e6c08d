/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of one program of a build. BUILD_ROOT becomes its root; whatever is mounted inside is
 * mounted after that, so no link of an image leads outside. Files of the host arrive as mounts that
 * were opened before.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "image/build_private.h"
#include "jail/caps.h"
#include "jail/mnt.h"

#define HOST_NAME "sandbox"
#define PROCESSES_MAX 4096
#define FILES_MAX 65536
#define RUN_BYTES (64u << 20)
#define MEM_DIR_BYTES (1ull << 30) /* /tmp and package archives */

static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty" };
#define N_DEVICES (sizeof(devices) / sizeof(devices[0]))

/* What programs of the host need to know in /etc. */
static const char *const host_etc[] = { "alternatives", "apt/trusted.gpg", "apt/trusted.gpg.d",
	"apt/keyrings", "containers", "debian_version", "dpkg", "group", "gai.conf", "hosts",
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "nsswitch.conf", "os-release",
	"passwd", "perl", "protocols", "services", "ssl/certs", "ssl/openssl.cnf" };
#define N_ETC (sizeof(host_etc) / sizeof(host_etc[0]))

struct trees {
	int device[N_DEVICES];
	int etc[N_ETC];
	int usr, target, source, out;
};

static int complain(const char *what, int r)
{
	(void)fprintf(stderr, "cannot prepare %s: %s\n", what, err_name(r));
	(void)fflush(stderr);
	return r;
}

/* A copy of the mount at path, which waits to be attached. */
static int open_mount(const char *path, unsigned flags, int userns_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID };
	int fd = open_tree(AT_FDCWD, path,
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
		(flags & MNT_DEV ? 0u : (unsigned)AT_NO_AUTOMOUNT));
	if (fd < 0)
		return -errno;
	attr.attr_set |=
	    (flags & MNT_RO ? MOUNT_ATTR_RDONLY : 0) | (flags & MNT_DEV ? 0 : MOUNT_ATTR_NODEV);
	if (userns_fd >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)userns_fd;
	}
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
		int r = -errno;
		(void)close(fd);
		return r;
	}
	return fd;
}

static int attach(int fd, const char *to)
{
	return move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

static int open_trees(const struct build *b, const struct jail_plan *p, struct trees *t)
{
	char path[256];
	for (size_t i = 0; i < N_DEVICES; i++) {
		(void)snprintf(path, sizeof(path), "/dev/%s", devices[i]);
		t->device[i] = open_mount(path, MNT_DEV, -1);
		if (t->device[i] < 0)
			return complain(path, t->device[i]);
	}
	if (p->out) {
		t->out = open_mount(p->out, MNT_DEV, b->userns_fd);
		if (t->out < 0)
			return complain(p->out, t->out);
	}
	if (p->kind == JAIL_IMAGE)
		return 0;
	for (size_t i = 0; i < N_ETC; i++) {
		(void)snprintf(path, sizeof(path), "/etc/%s", host_etc[i]);
		t->etc[i] = open_mount(path, MNT_RO, -1);
	}
	t->usr = open_mount("/usr", MNT_RO, -1);
	if (t->usr < 0)
		return complain("/usr", t->usr);
	t->target = open_mount(BUILD_ROOT, MNT_DEV, -1);
	if (t->target < 0)
		return complain("the root file system", t->target);
	if (p->source) {
		t->source = open_mount(p->source, MNT_RO, b->userns_fd);
		if (t->source < 0)
			return complain(p->source, t->source);
	}
	return 0;
}

/* ---- inside the new root ---- */

static int make_file(const char *path, const void *p, size_t n)
{
	CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	return fd < 0 ? -errno : n ? fd_write_all(fd, p, n) : 0;
}

/* Where something is to be attached: a directory or a file, whatever the mount is. */
static int make_place(int tree, const char *path)
{
	char parent[256];
	struct stat st;
	(void)str_copy(parent, sizeof(parent), path);
	*strrchr(parent, '/') = '\0';
	int r = parent[0] ? path_mkdir_p(parent, 0755) : 0;
	if (r == 0 && fstat(tree, &st) < 0)
		r = -errno;
	if (r == 0 && S_ISDIR(st.st_mode))
		r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
	else if (r == 0)
		r = make_file(path, NULL, 0);
	return r;
}

static int fill_tools(const struct build *b, const struct jail_plan *p, const struct trees *t)
{
	static const char *const dirs[] = { "/usr", "/etc", "/proc", "/dev", "/run", "/tmp",
		"/target", "/var", "/var/lib", "/var/lib/dpkg", "/var/tmp", "/root", "/etc/apt",
		"/etc/apt/apt.conf.d", "/etc/apt/preferences.d" };
	static const char *const links[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };
	char path[256], target[64];
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = mkdir(dirs[i], 0755) < 0 ? -errno : 0;
	for (size_t i = 0; r == 0 && i < sizeof(links) / sizeof(links[0]); i++) {
		(void)snprintf(path, sizeof(path), "/%s", links[i]);
		(void)snprintf(target, sizeof(target), "usr/%s", links[i]);
		r = symlink(target, path) < 0 ? -errno : 0;
	}
	for (size_t i = 0; r == 0 && i < N_ETC; i++) {
		if (t->etc[i] < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/etc/%s", host_etc[i]);
		r = make_place(t->etc[i], path);
		if (r == 0)
			r = attach(t->etc[i], path);
	}
	if (r == 0)
		r = make_file("/etc/resolv.conf", buf_data(&b->host.resolv_conf),
		    buf_len(&b->host.resolv_conf));
	if (r == 0)
		r = attach(t->usr, "/usr");
	if (r == 0)
		r = attach(t->target, "/target");
	if (r == 0 && p->source) {
		r = make_place(t->source, "/source");
		if (r == 0)
			r = attach(t->source, "/source");
	}
	return r < 0 ? complain("the builder's root", r) : 0;
}

/* In an image it lies over /mnt, which is there and which nothing installs to. */
static int show_out(const struct jail_plan *p, const struct trees *t)
{
	const char *to = p->kind == JAIL_TOOLS ? "/out" : "/mnt";
	int r = 0;
	if (!p->out)
		return 0;
	if (p->kind == JAIL_TOOLS)
		r = mkdir(to, 0755) < 0 ? -errno : 0;
	if (r == 0)
		r = attach(t->out, to);
	return r < 0 ? complain(to, r) : 0;
}

static int mount_dev(const struct build *b, const struct trees *t)
{
	static const char *const links[][2] = { { "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" }, { "pts/ptmx", "/dev/ptmx" } };
	char path[64], opts[96];
	int r = mnt_tmpfs("/dev", 65536, 0755, MNT_NOEXEC);
	for (size_t i = 0; r == 0 && i < N_DEVICES; i++) {
		(void)snprintf(path, sizeof(path), "/dev/%s", devices[i]);
		r = make_file(path, NULL, 0);
		if (r == 0)
			r = attach(t->device[i], path);
	}
	for (size_t i = 0; r == 0 && i < sizeof(links) / sizeof(links[0]); i++)
		r = symlink(links[i][0], links[i][1]) < 0 ? -errno : 0;
	if (r == 0 && (mkdir("/dev/pts", 0755) < 0 || mkdir("/dev/shm", 01777) < 0 ||
			  chmod("/dev/shm", 01777) < 0))
		r = -errno;
	(void)snprintf(opts, sizeof(opts), "newinstance,ptmxmode=0666,mode=0620,gid=%u",
	    b->conf->uid_base + 5);
	if (r == 0 && mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, opts) < 0)
		r = -errno;
	return r < 0 ? complain("/dev", r) : 0;
}

/* Package scripts that mmdebstrap runs there want /dev/null. */
static int show_target_dev(const struct build *b, const struct jail_plan *p)
{
	uid_t root = b->conf->uid_base;
	int r = chown("/dev", root, root) < 0 ? -errno : 0;
	if (r < 0 || !p->target_dev)
		return r;
	(void)setfsgid(root); /* ours have no meaning on that mount */
	(void)setfsuid(root);
	r = mkdir("/target/dev", 0755) < 0 && errno != EEXIST ? -errno : 0;
	(void)setfsuid(0);
	(void)setfsgid(0);
	if (r == 0)
		r = mnt_tmpfs("/target/dev", 65536, 0755, 0);
	if (r == 0 && chown("/target/dev", root, root) < 0)
		r = -errno;
	for (size_t i = 0; r == 0 && i < N_DEVICES; i++) {
		char from[64], to[64];
		(void)snprintf(from, sizeof(from), "/dev/%s", devices[i]);
		(void)snprintf(to, sizeof(to), "/target/dev/%s", devices[i]);
		r = make_file(to, NULL, 0);
		if (r == 0)
			r = mnt_bind(from, to, MNT_DEV | MNT_NOEXEC, -1);
	}
	return r < 0 ? complain("/target/dev", r) : 0;
}

static int add_config(const char *name, const struct buf *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), BUILD_HOST_DIR "/%s", name);
	return buf_len(text) ? make_file(path, buf_data(text), buf_len(text)) : 0;
}

/* Packages are downloaded to memory: no layer keeps them. */
static int mount_package_dirs(uid_t root)
{
	static const char *const dirs[] = { "/var/cache/apt/archives", "/var/lib/apt/lists" };
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		char partial[128];
		struct stat st;
		if (stat(dirs[i], &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		int r = mnt_tmpfs(dirs[i], MEM_DIR_BYTES, 0755, 0);
		if (r < 0)
			return r;
		(void)snprintf(partial, sizeof(partial), "%s/partial", dirs[i]);
		if (mkdir(partial, 0755) < 0 || chown(dirs[i], root, root) < 0 ||
		    chown(partial, root, root) < 0)
			return -errno;
	}
	return 0;
}

static int show_config(const struct build_host *h)
{
	const struct {
		const char *name;
		const struct buf *text;
	} files[] = { { "apt.conf", &h->apt_conf }, { "pip.conf", &h->pip_conf },
		{ "npmrc", &h->npmrc }, { "ca.crt", &h->ca }, { "resolv.conf", &h->resolv_conf } };
	int r = mkdir(BUILD_HOST_DIR, 0755) < 0 ? -errno : 0;
	for (size_t i = 0; r == 0 && i < sizeof(files) / sizeof(files[0]); i++)
		r = add_config(files[i].name, files[i].text);
	return r;
}

static int mount_memory(const struct build *b, const struct jail_plan *p)
{
	uid_t root = b->conf->uid_base;
	int r = mnt_tmpfs("/run", RUN_BYTES, 0755, 0);
	if (r == 0 && (mkdir("/run/lock", 01777) < 0 || chmod("/run/lock", 01777) < 0))
		r = -errno;
	if (r == 0)
		r = mnt_tmpfs("/tmp", MEM_DIR_BYTES, 01777, 0);
	if (r == 0 && (chown("/run", root, root) < 0 || chown("/tmp", root, root) < 0))
		r = -errno;
	if (r == 0)
		r = mount_package_dirs(root);
	if (r == 0 && p->online)
		r = show_config(&b->host);
	return r < 0 ? complain("/run and /tmp", r) : 0;
}

/* The image's own one is an empty file, which the builder put there. */
static int show_resolv_conf(const struct jail_plan *p)
{
	struct stat st;
	if (p->kind != JAIL_IMAGE || !p->online || lstat("/etc/resolv.conf", &st) < 0 ||
	    !S_ISREG(st.st_mode))
		return 0;
	int r = mnt_bind(BUILD_HOST_DIR "/resolv.conf", "/etc/resolv.conf", MNT_RO, -1);
	return r < 0 ? complain("/etc/resolv.conf", r) : 0;
}

static int limit(int which, rlim_t max)
{
	struct rlimit old;
	if (getrlimit((__rlimit_resource_t)which, &old) < 0)
		return -errno;
	if (max > old.rlim_max)
		max = old.rlim_max;
	const struct rlimit lim = { max, max };
	return setrlimit((__rlimit_resource_t)which, &lim) < 0 ? -errno : 0;
}

static int give_up_rights(const struct build *b, const struct jail_plan *p)
{
	int r = limit(RLIMIT_CORE, 0);
	if (r == 0)
		r = limit(RLIMIT_NPROC, PROCESSES_MAX);
	if (r == 0)
		r = limit(RLIMIT_NOFILE, FILES_MAX);
	if (r == 0 && (setsid() < 0 || setns(b->userns_fd, CLONE_NEWUSER) < 0 ||
			  setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 ||
			  setresuid(0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
		r = -errno;
	if (r == 0 && p->kind == JAIL_IMAGE)
		r = caps_limit(caps_sandbox);
	if (r == 0 && p->kind == JAIL_IMAGE)
		r = seccomp_prog_load(&b->filter);
	return r < 0 ? complain("rights", r) : 0;
}

/* A base may lack what is mounted on, or have a link there. On its mount only its own root can make
 * directories. */
static int make_mount_points(const struct build *b)
{
	static const char *const dirs[] = { "/proc", "/dev", "/run", "/tmp", "/sys", "/mnt" };
	int r = 0;
	(void)setfsgid(b->conf->uid_base);
	(void)setfsuid(b->conf->uid_base);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		struct stat st;
		(void)mkdir(dirs[i], 0755);
		if (lstat(dirs[i], &st) < 0)
			r = complain(dirs[i], -errno);
		else if (!S_ISDIR(st.st_mode))
			r = complain(dirs[i], -ENOTDIR);
	}
	(void)setfsuid(0);
	(void)setfsgid(0);
	return r;
}

int build_jail_enter(const struct build *b, const struct jail_plan *p)
{
	struct trees t = { .usr = -1 };
	(void)umask(022);
	int r = sethostname(HOST_NAME, sizeof(HOST_NAME) - 1) < 0 ? -errno : 0;
	if (r == 0)
		r = open_trees(b, p, &t);
	if (r == 0 && p->kind == JAIL_TOOLS)
		r = mnt_tmpfs(BUILD_STAGE "/tools", 1u << 20, 0755, 0);
	if (r == 0) {
		r = mnt_pivot(p->kind == JAIL_TOOLS ? BUILD_STAGE "/tools" : BUILD_ROOT);
		if (r < 0)
			(void)complain("the root", r);
	}
	if (r == 0)
		r = p->kind == JAIL_TOOLS ? fill_tools(b, p, &t) : make_mount_points(b);
	if (r == 0 && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		r = complain("/proc", -errno);
	if (r == 0)
		r = mount_dev(b, &t);
	if (r == 0)
		r = show_target_dev(b, p);
	if (r == 0)
		r = mount_memory(b, p);
	if (r == 0)
		r = show_resolv_conf(p);
	if (r == 0)
		r = show_out(p, &t);
	return r < 0 ? r : give_up_rights(b, p);
}
