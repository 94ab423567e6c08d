/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that behaves as Firecracker's jailer does: the same command line, the same things made
 * in the same order, the same refusals. What it makes is real: chroot, devices, namespaces, groups.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define GROUPS_MAX 16
#define EXTRA_MAX 32
#define DEFAULT_NO_FILE 2048
#define JAILER_VERSION "1.17.0"
#define VERSION_MARK "\n#fake-jailer-version "

struct args {
	const char *id, *exec_file, *base, *netns, *parent_cgroup;
	const char *cgroups[GROUPS_MAX];
	size_t n_cgroups;
	const char *limits[2];
	size_t n_limits;
	unsigned long uid, gid;
	bool has_uid, has_gid, daemonize, new_pid_ns;
	int cgroup_version;
	char *extra[EXTRA_MAX];
	size_t n_extra;
};

static void fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void fail(const char *fmt, ...)
{
	va_list ap;
	(void)fputs("Error: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

/* ---- command line ---- */

static const char *const with_value[] = { "--id", "--exec-file", "--uid", "--gid",
	"--chroot-base-dir", "--netns", "--cgroup", "--cgroup-version", "--parent-cgroup",
	"--resource-limit", NULL };

static bool is_in(const char *const *list, const char *s)
{
	for (; *list; list++)
		if (strcmp(*list, s) == 0)
			return true;
	return false;
}

static unsigned long number(const char *flag, const char *s)
{
	char *end = NULL;
	unsigned long n = strtoul(s, &end, 10);
	if (!isdigit((unsigned char)s[0]) || *end || n > UINT_MAX)
		fail("Invalid %s: %s", flag, s);
	return n;
}

static void take(struct args *a, const char *flag, const char *v)
{
	if (strcmp(flag, "--id") == 0)
		a->id = v;
	else if (strcmp(flag, "--exec-file") == 0)
		a->exec_file = v;
	else if (strcmp(flag, "--chroot-base-dir") == 0)
		a->base = v;
	else if (strcmp(flag, "--netns") == 0)
		a->netns = v;
	else if (strcmp(flag, "--parent-cgroup") == 0)
		a->parent_cgroup = v;
	else if (strcmp(flag, "--cgroup-version") == 0)
		a->cgroup_version = (int)number("cgroup version", v);
	else if (strcmp(flag, "--cgroup") == 0 && a->n_cgroups < GROUPS_MAX)
		a->cgroups[a->n_cgroups++] = v;
	else if (strcmp(flag, "--resource-limit") == 0 && a->n_limits < 2)
		a->limits[a->n_limits++] = v;
	else if (strcmp(flag, "--uid") == 0)
		a->uid = number("UID", v), a->has_uid = true;
	else if (strcmp(flag, "--gid") == 0)
		a->gid = number("GID", v), a->has_gid = true;
}

/* The end of the program file may say another. */
static void print_version(const char *program)
{
	char text[129] = "", version[24] = JAILER_VERSION;
	int fd = open(program, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	ssize_t n = end > 128 ? pread(fd, text, 128, end - 128) : 0;
	const char *at = n > 0 ? memmem(text, (size_t)n, VERSION_MARK, strlen(VERSION_MARK)) : NULL;
	if (at)
		(void)sscanf(at + strlen(VERSION_MARK), "%23s", version);
	(void)printf("Jailer v%s\n", version);
	exit(0);
}

static void parse(struct args *a, int argc, char **argv)
{
	*a = (struct args){ .base = "/srv/jailer", .cgroup_version = 1 };
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (++i < argc && a->n_extra < EXTRA_MAX)
				a->extra[a->n_extra++] = argv[i];
		} else if (strcmp(argv[i], "--version") == 0) {
			print_version(argv[0]);
		} else if (strcmp(argv[i], "--daemonize") == 0) {
			a->daemonize = true;
		} else if (strcmp(argv[i], "--new-pid-ns") == 0) {
			a->new_pid_ns = true;
		} else if (!is_in(with_value, argv[i])) {
			fail("Failed to parse arguments: Found argument '%s' which wasn't "
			     "expected, or isn't valid in this context.",
			    argv[i]);
		} else if (i + 1 == argc) {
			fail("Failed to parse arguments: The argument '%s' requires a value, but "
			     "none was supplied.",
			    argv[i]);
		} else {
			take(a, argv[i], argv[i + 1]);
			i++;
		}
	}
	if (!a->id || !a->exec_file || !a->has_uid || !a->has_gid)
		fail("Failed to parse arguments: Argument '%s' required, but not found.",
		    !a->id	    ? "id"
		    : !a->exec_file ? "exec-file"
		    : !a->has_uid   ? "uid"
				    : "gid");
}

static void check(struct args *a)
{
	struct stat st;
	size_t n = strlen(a->id);
	bool good = n >= 1 && n <= 64;
	for (const char *p = a->id; *p; p++)
		good = good && (isalnum((unsigned char)*p) || *p == '-');
	if (!good)
		fail("Invalid instance ID: %s", a->id);
	if (stat(a->exec_file, &st) < 0)
		fail("Failed to canonicalize path %s: %s", a->exec_file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		fail("%s is not a file", a->exec_file);
	if (stat(a->base, &st) < 0)
		fail("Failed to canonicalize path %s: %s", a->base, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		fail("%s is not a directory", a->base);
	if (a->cgroup_version != 1 && a->cgroup_version != 2)
		fail("Invalid cgroup version: %d", a->cgroup_version);
	if (a->parent_cgroup && (a->parent_cgroup[0] == '/' || strstr(a->parent_cgroup, "..")))
		fail("The path must not be absolute or contain '..': %s", a->parent_cgroup);
	for (size_t i = 0; i < a->n_cgroups; i++) {
		const char *eq = strchr(a->cgroups[i], '=');
		if (!eq || strchr(eq + 1, '='))
			fail("Invalid format for cgroups: %s", a->cgroups[i]);
	}
}

/* ---- the jail's files ---- */

static void make_dirs(const char *path)
{
	char text[PATH_MAX];
	(void)snprintf(text, sizeof(text), "%s", path);
	for (char *p = text + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char old = *p;
		*p = '\0';
		if (mkdir(text, 0777) < 0 && errno != EEXIST)
			fail("Failed to create directory %s: %s", text, strerror(errno));
		*p = old;
		if (!old)
			return;
	}
}

static void copy_exec(const struct args *a, const char *to)
{
	char text[65536];
	struct stat st;
	int in = open(a->exec_file, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0700);
	if (in < 0 || out < 0 || fstat(out, &st) < 0)
		fail("Failed to copy %s to %s: %s", a->exec_file, to, strerror(errno));
	if (st.st_nlink > 1)
		fail("Hard link detected at %s", to);
	for (ssize_t n; (n = read(in, text, sizeof(text))) != 0;)
		if (n < 0 || write(out, text, (size_t)n) != n)
			fail("Failed to copy %s to %s: %s", a->exec_file, to, strerror(errno));
	if (fchown(out, (uid_t)a->uid, (gid_t)a->gid) < 0)
		fail("Failed to change owner for %s: %s", to, strerror(errno));
	(void)close(in);
	(void)close(out);
}

/* ---- limits and groups ---- */

static void set_limits(const struct args *a)
{
	struct rlimit no_file = { DEFAULT_NO_FILE, DEFAULT_NO_FILE };
	for (size_t i = 0; i < a->n_limits; i++) {
		const char *eq = strchr(a->limits[i], '=');
		rlim_t n = eq ? strtoul(eq + 1, NULL, 10) : 0;
		const struct rlimit l = { n, n };
		if (strncmp(a->limits[i], "fsize=", 6) == 0 && setrlimit(RLIMIT_FSIZE, &l) == 0)
			continue;
		if (strncmp(a->limits[i], "no-file=", 8) != 0)
			fail("Invalid resource argument: %s", a->limits[i]);
		no_file = l;
	}
	if (setrlimit(RLIMIT_NOFILE, &no_file) < 0)
		fail("Failed to set limit for resource: %s", strerror(errno));
}

/* Where the hierarchy is mounted: the unified one, or that of a controller. */
static bool find_mount(int version, const char *controller, char dst[PATH_MAX])
{
	char line[1024], where[512], type[64], options[512];
	FILE *m = fopen("/proc/mounts", "re");
	bool found = false;
	while (m && !found && fgets(line, sizeof(line), m)) {
		if (sscanf(line, "%*s %511s %63s %511s", where, type, options) != 3)
			continue;
		found = version == 2 ? strcmp(type, "cgroup2") == 0
				     : strcmp(type, "cgroup") == 0 && strstr(options, controller);
	}
	if (m)
		(void)fclose(m);
	(void)snprintf(dst, PATH_MAX, "%s", where);
	return found;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		(void)close(fd);
	return good;
}

static void path_cat(char dst[PATH_MAX], const char *a, const char *b)
{
	if (snprintf(dst, PATH_MAX, "%s/%s", a, b) >= PATH_MAX)
		fail("path too long: %s/%s", a, b);
}

static void apply_group(const struct args *a, const char *setting, const char *parent)
{
	char mount_point[PATH_MAX], dir[PATH_MAX], path[PATH_MAX], file[64];
	char controller[32] = "";
	const char *eq = strchr(setting, '=');
	(void)snprintf(file, sizeof(file), "%.*s", (int)(eq - setting), setting);
	(void)sscanf(file, "%31[a-z]", controller);
	if (!find_mount(a->cgroup_version, controller, mount_point))
		fail("Cgroup hierarchy missing: %s", controller);
	path_cat(path, mount_point, parent);
	path_cat(dir, path, a->id);
	make_dirs(dir);
	path_cat(path, dir, file);
	if (!write_file(path, eq + 1))
		fail("Failed to write %s to %s: %s", eq + 1, path, strerror(errno));
	path_cat(path, dir, a->cgroup_version == 2 ? "cgroup.procs" : "tasks");
	if (!write_file(path, "0"))
		fail("Failed to write %s to %s: %s", "0", path, strerror(errno));
}

/* Without settings the process only moves into the parent, and is silent when there is none. */
static void join_parent(const struct args *a, const char *parent)
{
	char mount_point[PATH_MAX], dir[PATH_MAX], path[PATH_MAX];
	if (a->cgroup_version != 2)
		return;
	if (!find_mount(2, "", mount_point))
		fail("Cgroup hierarchy missing: unified");
	path_cat(dir, mount_point, parent);
	path_cat(path, dir, "cgroup.procs");
	if (access(dir, F_OK) == 0 && !write_file(path, "0"))
		fail("Failed to move into %s: %s", dir, strerror(errno));
}

static void set_groups(const struct args *a, const char *exec_name)
{
	const char *parent = a->parent_cgroup ? a->parent_cgroup : exec_name;
	for (size_t i = 0; i < a->n_cgroups; i++)
		apply_group(a, a->cgroups[i], parent);
	if (a->n_cgroups == 0)
		join_parent(a, parent);
}

/* ---- the root ---- */

static void enter_root(const char *root)
{
	if (unshare(CLONE_NEWNS) < 0)
		fail("Failed to unshare into new mount namespace: %s", strerror(errno));
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		fail("Failed to change the propagation type to slave: %s", strerror(errno));
	if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0)
		fail("Failed to bind mount the jail root directory: %s", strerror(errno));
	if (chdir(root) < 0 || mkdir("old_root", 0700) < 0)
		fail("Failed to create the jail root directory before pivoting root: %s",
		    strerror(errno));
	if (syscall(SYS_pivot_root, ".", "old_root") < 0 || chdir("/") < 0)
		fail("Failed to pivot root: %s", strerror(errno));
	if (umount2("old_root", MNT_DETACH) < 0 || rmdir("old_root") < 0)
		fail("Failed to unmount the old jail root: %s", strerror(errno));
}

static void own_dir(const struct args *a, const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		fail("Failed to create directory %s: %s", path, strerror(errno));
	if (chmod(path, 0700) < 0 || chown(path, (uid_t)a->uid, (gid_t)a->gid) < 0)
		fail("Failed to change permissions on %s: %s", path, strerror(errno));
}

static void make_device(const struct args *a, const char *path, unsigned major, unsigned minor)
{
	if (mknod(path, S_IFCHR | 0600, makedev(major, minor)) < 0)
		fail("Failed to create %s via mknod inside the jail: %s", path, strerror(errno));
	if (chown(path, (uid_t)a->uid, (gid_t)a->gid) < 0)
		fail("Failed to change owner for %s: %s", path, strerror(errno));
}

static void fill_root(const struct args *a)
{
	static const char *const dirs[] = { "/", "/dev", "/dev/net", "/run" };
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		own_dir(a, dirs[i]);
	make_device(a, "/dev/net/tun", 10, 200);
	make_device(a, "/dev/kvm", 10, 232);
	make_device(a, "/dev/urandom", 1, 9);
}

/* ---- becoming Firecracker ---- */

static void write_pid(const struct args *a, const char *exec_name, pid_t pid)
{
	char path[PATH_MAX], text[16];
	path_cat(path, "", exec_name);
	(void)strncat(path, ".pid", PATH_MAX - strlen(path) - 1);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int n = snprintf(text, sizeof(text), "%d", pid);
	if (fd < 0 || write(fd, text, (size_t)n) != n)
		fail("Failed to create PID file %s: %s", path, strerror(errno));
	(void)a;
	(void)close(fd);
}

static void become(const struct args *a, const char *exec_name) __attribute__((noreturn));
static void become(const struct args *a, const char *exec_name)
{
	static char *const env[] = { NULL };
	char path[PATH_MAX], start[32];
	struct timespec now;
	path_cat(path, "", exec_name);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(start, sizeof(start), "%lld", (long long)now.tv_sec * 1000000);
	char *argv[EXTRA_MAX + 12] = { path, "--id", (char *)a->id, "--start-time-us", start,
		"--start-time-cpu-us", "0" };
	for (size_t i = 0; i < a->n_extra; i++)
		argv[7 + i] = a->extra[i];
	if (setgroups(0, NULL) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
	    setresuid(a->uid, a->uid, a->uid) < 0)
		fail("Failed to drop privileges: %s", strerror(errno));
	(void)execve(path, argv, env);
	fail("Failed to exec into Firecracker: %s", strerror(errno));
}

static void daemonize(int null)
{
	if (fork() != 0)
		_exit(0);
	(void)setsid();
	if (fork() != 0)
		_exit(0);
	for (int i = 0; i < 3; i++)
		(void)dup2(null, i);
}

static void start(const struct args *a, const char *exec_name)
{
	if (!a->new_pid_ns) {
		write_pid(a, exec_name, getpid());
		become(a, exec_name);
	}
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		fail("Failed to clone: %s", strerror(errno));
	if (pid == 0)
		become(a, exec_name);
	write_pid(a, exec_name, pid);
	exit(0);
}

int main(int argc, char **argv)
{
	struct args a;
	char root[PATH_MAX], exec[PATH_MAX], resolved[PATH_MAX];
	parse(&a, argc, argv);
	(void)close_range(3, UINT_MAX, 0);
	(void)clearenv();
	check(&a);
	if (!realpath(a.base, resolved))
		fail("Failed to canonicalize path %s: %s", a.base, strerror(errno));
	const char *slash = strrchr(a.exec_file, '/');
	const char *exec_name = slash ? slash + 1 : a.exec_file;
	path_cat(exec, resolved, exec_name);
	path_cat(root, exec, a.id);
	path_cat(exec, root, "root");
	(void)snprintf(root, sizeof(root), "%s", exec);
	make_dirs(root);
	path_cat(exec, root, exec_name);
	copy_exec(&a, exec);
	int netns = a.netns ? open(a.netns, O_RDONLY | O_CLOEXEC) : -1;
	if (a.netns && (netns < 0 || setns(netns, CLONE_NEWNET) < 0))
		fail("Failed to set netns %s: %s", a.netns, strerror(errno));
	set_limits(&a);
	set_groups(&a, exec_name);
	int null = a.daemonize ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	enter_root(root);
	fill_root(&a);
	if (a.daemonize)
		daemonize(null);
	start(&a, exec_name);
}
