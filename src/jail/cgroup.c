/* SPDX-License-Identifier: Apache-2.0 */
#include "jail/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"

#define MEMSW "memory.memsw.limit_in_bytes"
#define MOUNTINFO_MAX (4u << 20)
#define FILE_MAX 65536u
#define CPU_PERIOD_US 100000u
#define KILL_ROUNDS 100 /* until no process was seen any more */

static const char *const controllers[CGROUP_CONTROLLERS] = { "memory", "cpu", "cpuacct", "pids" };

/* ---- finding hierarchies ---- */

static bool list_has(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; (p = strstr(p, word)) != NULL; p += n)
		if ((p == list || p[-1] == ',') && (p[n] == ',' || p[n] == '\0' || p[n] == '\n'))
			return true;
	return false;
}

/* "id parent dev root mountpoint opts [tag...] - type source superopts" */
static void take_mount_line(struct cgroup_tree *t, char *line)
{
	char *tail = strstr(line, " - ");
	char *save = NULL, *point = NULL;
	if (!tail)
		return;
	*tail = '\0';
	char *word = strtok_r(line, " ", &save);
	for (int i = 0; word && i < 4; i++)
		word = strtok_r(NULL, " ", &save);
	point = word;
	char *type = strtok_r(tail + 3, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	char *opts = strtok_r(NULL, " ", &save);
	if (!point || !type || !opts)
		return;
	if (str_eq(type, "cgroup2") && !t->path[CGROUP_UNIFIED][0])
		(void)str_copy(t->path[CGROUP_UNIFIED], sizeof(t->path[0]), point);
	for (int i = 0; i < CGROUP_CONTROLLERS && str_eq(type, "cgroup"); i++)
		if (list_has(opts, controllers[i]) && !t->path[i][0])
			(void)str_copy(t->path[i], sizeof(t->path[0]), point);
}

static int find_trees(struct cgroup_tree *t, const char *mountinfo)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	char *save = NULL;
	CLEAN_FD int fd =
	    open(mountinfo ? mountinfo : "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = fd_read_all(fd, MOUNTINFO_MAX, &text);
	if (r < 0)
		return r;
	char *s = buf_cstr(&text);
	if (!s)
		return -ENOMEM;
	for (char *line = strtok_r(s, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_mount_line(t, line);
	return 0;
}

/* ---- small files ---- */

static int read_text(int dirfd, const char *file, char *dst, size_t cap)
{
	CLEAN_FD int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, dst, cap - 1);
	if (n < 0)
		return -errno;
	dst[n] = '\0';
	return 0;
}

/* The whole number at the start of a text, or behind "key " on one of its lines; 0 = none. */
static uint64_t find_number(const char *p, const char *key)
{
	size_t n = key ? strlen(key) : 0;
	while (key && p && !(strncmp(p, key, n) == 0 && p[n] == ' '))
		p = (p = strchr(p, '\n')) ? p + 1 : NULL;
	if (!p)
		return 0;
	p += key ? n + 1 : 0;
	return strncmp(p, "max", 3) == 0 ? UINT64_MAX : strtoull(p, NULL, 10);
}

static uint64_t read_number(int dirfd, const char *file, const char *key)
{
	char text[4096];
	if (dirfd < 0 || read_text(dirfd, file, text, sizeof(text)) < 0)
		return 0;
	return find_number(text, key);
}

static int write_text(int dirfd, const char *file, const char *text)
{
	return fd_write_file(dirfd, file, text, strlen(text));
}

static int write_number(int dirfd, const char *file, uint64_t v)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return write_text(dirfd, file, text);
}

static int open_dir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* ---- the parent ---- */

/* Controllers must be switched on in each group above those that use them. */
static int enable_v2(const struct cgroup_tree *t, const char *mount, struct err *reterr)
{
	static const char wanted[] = "+memory +cpu +pids";
	char root[PATH_LEN_MAX];
	int r = path_join(root, sizeof(root), mount, "cgroup.subtree_control");
	if (r == 0)
		r = write_text(AT_FDCWD, root, wanted);
	if (r == 0)
		r = write_text(t->parent_fd[CGROUP_UNIFIED], "cgroup.subtree_control", wanted);
	return r < 0 ? err_set(reterr, r, "cannot switch on cgroup controllers in %s: %s", mount,
			   err_name(r))
		     : 0;
}

static int open_parent(struct cgroup_tree *t, unsigned i, const char *parent, struct err *reterr)
{
	char dir[PATH_LEN_MAX];
	int r = path_join(dir, sizeof(dir), t->path[i], parent);
	if (r == 0 && strlen(dir) >= sizeof(t->path[i]))
		r = -ENAMETOOLONG;
	if (r == 0 && mkdir(dir, 0755) < 0 && errno != EEXIST)
		r = -errno;
	if (r == 0) {
		t->parent_fd[i] = open_dir(AT_FDCWD, dir);
		r = t->parent_fd[i] < 0 ? t->parent_fd[i] : 0;
	}
	if (r < 0)
		return err_set(reterr, r, "cannot make cgroup %s: %s", dir, err_name(r));
	(void)str_copy(t->path[i], sizeof(t->path[i]), dir);
	return 0;
}

static bool v2_has_controllers(const char *mount)
{
	char path[PATH_LEN_MAX], text[512];
	if (path_join(path, sizeof(path), mount, "cgroup.controllers") < 0 ||
	    read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	return strstr(text, "memory") && strstr(text, "pids");
}

static int open_parents(struct cgroup_tree *t, const char *parent, struct err *reterr)
{
	char mount[sizeof(t->path[0])];
	(void)str_copy(mount, sizeof(mount), t->path[CGROUP_UNIFIED]);
	t->v2 = mount[0] && v2_has_controllers(mount);
	if (!t->v2 && (!t->path[CGROUP_MEMORY][0] || !t->path[CGROUP_PIDS][0]))
		return err_set(reterr, -ENOTSUP, "no cgroup hierarchy has both memory and pids");
	for (unsigned i = 0; i < CGROUP_TREES; i++) {
		if (t->v2 && i != CGROUP_UNIFIED)
			t->path[i][0] = '\0';
		if (!t->path[i][0])
			continue;
		int r = open_parent(t, i, parent, reterr);
		if (r < 0)
			return r;
	}
	return t->v2 ? enable_v2(t, mount, reterr) : 0;
}

int cgroup_tree_open(
    struct cgroup_tree *t, const char *mountinfo, const char *parent, struct err *reterr)
{
	*t = (struct cgroup_tree){ 0 };
	for (int i = 0; i < CGROUP_TREES; i++)
		t->parent_fd[i] = -1;
	int r = find_trees(t, mountinfo);
	if (r < 0)
		return err_set(reterr, r, "cannot read the mount table: %s", err_name(r));
	r = open_parents(t, parent, reterr);
	if (r < 0)
		cgroup_tree_close(t);
	return r;
}

void cgroup_tree_close(struct cgroup_tree *t)
{
	for (int i = 0; i < CGROUP_TREES; i++)
		t->parent_fd[i] = fd_close(t->parent_fd[i]);
}

int cgroup_tree_remove(const struct cgroup_tree *t)
{
	int first = 0;
	for (int i = 0; i < CGROUP_TREES; i++)
		if (t->parent_fd[i] >= 0 && rmdir(t->path[i]) < 0 && errno != ENOENT && first == 0)
			first = -errno;
	return first;
}

/* ---- one group ---- */

static int limit_cpu(const struct cgroup_tree *t, const int *dir, uint32_t cpu_milli)
{
	uint64_t quota = (uint64_t)cpu_milli * CPU_PERIOD_US / 1000;
	char text[48];
	if (!t->v2)
		return dir[CGROUP_CPU] < 0
			   ? 0
			   : write_number(dir[CGROUP_CPU], "cpu.cfs_quota_us", quota);
	(void)snprintf(text, sizeof(text), "%llu %u", (unsigned long long)quota, CPU_PERIOD_US);
	return write_text(dir[CGROUP_UNIFIED], "cpu.max", text);
}

static int limit_memory(const struct cgroup_tree *t, const int *dir, uint64_t bytes)
{
	int d = dir[t->v2 ? CGROUP_UNIFIED : CGROUP_MEMORY];
	const char *file = t->v2 ? "memory.max" : "memory.limit_in_bytes";
	int r = write_number(d, file, bytes);
	/* The limit without swap may not be above that with swap, which is then raised first. */
	if (r == -EINVAL && !t->v2 && write_number(d, MEMSW, bytes) == 0)
		r = write_number(d, file, bytes);
	if (r < 0)
		return r;
	/* Without swap accounting these files are absent; then v1 can still be told not to swap. */
	if (t->v2) {
		r = write_text(d, "memory.swap.max", "0");
		return r == -ENOENT ? 0 : r;
	}
	r = write_number(d, MEMSW, bytes);
	if (r == -ENOENT || r == -EOPNOTSUPP)
		r = write_number(d, "memory.swappiness", 0);
	return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

static int set_limits(const struct cgroup_tree *t, const int *dir, const struct cgroup_limits *l)
{
	int r = limit_memory(t, dir, l->memory_bytes);
	if (r == 0)
		r = limit_cpu(t, dir, l->cpu_milli);
	if (r == 0)
		r = write_number(
		    dir[t->v2 ? CGROUP_UNIFIED : CGROUP_PIDS], "pids.max", l->max_pids);
	return r;
}

static void close_dirs(const int dir[CGROUP_TREES])
{
	for (int i = 0; i < CGROUP_TREES; i++)
		(void)fd_close(dir[i]);
}

int cgroup_create(const struct cgroup_tree *t, const char *name, const struct cgroup_limits *l,
    struct err *reterr)
{
	int dir[CGROUP_TREES], r = 0;
	for (int i = 0; i < CGROUP_TREES; i++)
		dir[i] = -1;
	for (int i = 0; i < CGROUP_TREES && r == 0; i++) {
		if (t->parent_fd[i] < 0)
			continue;
		if (mkdirat(t->parent_fd[i], name, 0755) < 0 && errno != EEXIST)
			r = -errno;
		else
			r = (dir[i] = open_dir(t->parent_fd[i], name)) < 0 ? dir[i] : 0;
	}
	if (r == 0)
		r = set_limits(t, dir, l);
	close_dirs(dir);
	if (r < 0) {
		(void)cgroup_remove(t, name);
		return err_set(reterr, r, "cannot make the cgroup: %s", err_name(r));
	}
	return 0;
}

static int check_use(
    const struct cgroup_tree *t, const char *name, uint64_t bytes, struct err *reterr)
{
	struct cgroup_usage u;
	cgroup_read(t, name, &u);
	if (u.memory_bytes <= bytes / 10 * 9)
		return 0;
	return err_set(reterr, -EBUSY, "memory: %llu MiB are in use already, expected more",
	    (unsigned long long)(u.memory_bytes >> 20));
}

int cgroup_resize(const struct cgroup_tree *t, const char *name, uint64_t memory_bytes,
    uint32_t cpu_milli, struct err *reterr)
{
	int dir[CGROUP_TREES];
	int r = memory_bytes ? check_use(t, name, memory_bytes, reterr) : 0;
	if (r < 0)
		return r;
	for (int i = 0; i < CGROUP_TREES; i++) {
		dir[i] = t->parent_fd[i] < 0 ? -1 : open_dir(t->parent_fd[i], name);
		if (r == 0 && t->parent_fd[i] >= 0 && dir[i] < 0)
			r = dir[i];
	}
	if (r == 0 && memory_bytes)
		r = limit_memory(t, dir, memory_bytes);
	if (r == 0)
		r = limit_cpu(t, dir, cpu_milli);
	close_dirs(dir);
	return r < 0 ? err_set(reterr, r, "cannot change the cgroup: %s", err_name(r)) : 0;
}

int cgroup_remove(const struct cgroup_tree *t, const char *name)
{
	int first = 0;
	for (int i = 0; i < CGROUP_TREES; i++)
		if (t->parent_fd[i] >= 0 && unlinkat(t->parent_fd[i], name, AT_REMOVEDIR) < 0 &&
		    errno != ENOENT && first == 0)
			first = -errno;
	return first;
}

/* Version 1 has no kill file: signal what is listed until nothing is. */
static int kill_listed(int dir)
{
	for (int round = 0; round < KILL_ROUNDS; round++) {
		CLEAN_BUF struct buf text = BUF_INIT;
		int r = fd_read_file(dir, "cgroup.procs", FILE_MAX, &text);
		if (r < 0)
			return r;
		char *s = buf_cstr(&text), *save = NULL;
		if (!s)
			return -ENOMEM;
		if (*s == '\0')
			return 0;
		for (char *p = strtok_r(s, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
			long pid = strtol(p, NULL, 10);
			if (pid > 1)
				(void)kill((pid_t)pid, SIGKILL);
		}
	}
	return -EAGAIN;
}

int cgroup_kill(const struct cgroup_tree *t, const char *name)
{
	unsigned tree = t->parent_fd[CGROUP_UNIFIED] >= 0 ? CGROUP_UNIFIED : CGROUP_PIDS;
	CLEAN_FD int dir = open_dir(t->parent_fd[tree], name);
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	int r = tree == CGROUP_UNIFIED ? write_text(dir, "cgroup.kill", "1") : -ENOENT;
	return r == -ENOENT ? kill_listed(dir) : r;
}

static void read_v2(int d, struct cgroup_usage *u)
{
	u->memory_bytes = read_number(d, "memory.current", NULL);
	u->memory_limit = read_number(d, "memory.max", NULL);
	u->oom_kills = read_number(d, "memory.events", "oom_kill");
	u->cpu_usec = read_number(d, "cpu.stat", "usage_usec");
	u->pids = (uint32_t)read_number(d, "pids.current", NULL);
	u->pids_refused = read_number(d, "pids.events", "max");
}

static void read_v1(const int *d, struct cgroup_usage *u)
{
	u->memory_bytes = read_number(d[CGROUP_MEMORY], "memory.usage_in_bytes", NULL);
	u->memory_limit = read_number(d[CGROUP_MEMORY], "memory.limit_in_bytes", NULL);
	u->oom_kills = read_number(d[CGROUP_MEMORY], "memory.oom_control", "oom_kill");
	u->cpu_usec = read_number(d[CGROUP_CPUACCT], "cpuacct.usage", NULL) / 1000;
	u->pids = (uint32_t)read_number(d[CGROUP_PIDS], "pids.current", NULL);
	u->pids_refused = read_number(d[CGROUP_PIDS], "pids.events", "max");
}

void cgroup_read(const struct cgroup_tree *t, const char *name, struct cgroup_usage *ret)
{
	int dir[CGROUP_TREES];
	*ret = (struct cgroup_usage){ 0 };
	for (int i = 0; i < CGROUP_TREES; i++)
		dir[i] = t->parent_fd[i] < 0 ? -1 : open_dir(t->parent_fd[i], name);
	if (t->v2)
		read_v2(dir[CGROUP_UNIFIED], ret);
	else
		read_v1(dir, ret);
	for (int i = 0; i < CGROUP_TREES; i++)
		(void)fd_close(dir[i]);
}

int cgroup_each(const struct cgroup_tree *t, int (*fn)(const char *name, void *arg), void *arg)
{
	int r = 0;
	for (int i = 0; i < CGROUP_TREES && r == 0; i++) {
		if (t->parent_fd[i] < 0)
			continue;
		int fd = open_dir(t->parent_fd[i], ".");
		DIR *d = fd < 0 ? NULL : fdopendir(fd);
		if (!d) {
			(void)fd_close(fd);
			return fd < 0 ? fd : -ENOMEM;
		}
		for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;)
			if (e->d_type == DT_DIR && e->d_name[0] != '.')
				r = fn(e->d_name, arg);
		(void)closedir(d);
	}
	return r;
}

/* ---- placing a process ---- */

void cgroup_door_close(struct cgroup_door *d)
{
	d->unified_fd = fd_close(d->unified_fd);
	for (int i = 0; i < CGROUP_CONTROLLERS; i++)
		d->tasks_fd[i] = fd_close(d->tasks_fd[i]);
}

int cgroup_door_open(const struct cgroup_tree *t, const char *name, struct cgroup_door *ret)
{
	char path[64];
	int r = path_printf(path, sizeof(path), "%s/tasks", name);
	ret->unified_fd = -1;
	for (int i = 0; i < CGROUP_CONTROLLERS; i++)
		ret->tasks_fd[i] = -1;
	if (r == 0 && t->parent_fd[CGROUP_UNIFIED] >= 0) {
		int fd = open_dir(t->parent_fd[CGROUP_UNIFIED], name);
		r = fd < 0 ? fd : 0;
		ret->unified_fd = fd < 0 ? -1 : fd;
	}
	for (int i = 0; i < CGROUP_CONTROLLERS && r == 0; i++) {
		if (t->parent_fd[i] < 0)
			continue;
		ret->tasks_fd[i] = openat(t->parent_fd[i], path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		r = ret->tasks_fd[i] < 0 ? -errno : 0;
	}
	if (r < 0)
		cgroup_door_close(ret);
	return r;
}

int cgroup_door_enter(const struct cgroup_door *d)
{
	for (int i = 0; i < CGROUP_CONTROLLERS; i++)
		if (d->tasks_fd[i] >= 0 && write(d->tasks_fd[i], "0", 1) != 1)
			return -errno;
	return 0;
}

/* ---- being told ---- */

int cgroup_oom_eventfd(const struct cgroup_tree *t, const char *name)
{
	char text[48];
	if (t->v2)
		return -ENOTSUP;
	CLEAN_FD int dir = open_dir(t->parent_fd[CGROUP_MEMORY], name);
	if (dir < 0)
		return dir;
	CLEAN_FD int control = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	CLEAN_FD int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control < 0 || event < 0)
		return -errno;
	(void)snprintf(text, sizeof(text), "%d %d", event, control);
	int r = write_text(dir, "cgroup.event_control", text);
	return r < 0 ? r : TAKE_FD(event);
}

int cgroup_pids_open(const struct cgroup_tree *t, const char *name)
{
	char path[PATH_LEN_MAX];
	int r = cgroup_pids_path(t, name, path, sizeof(path));
	if (r < 0)
		return r;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

uint64_t cgroup_pids_count(int pids_fd)
{
	char text[256];
	ssize_t n = pread(pids_fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return find_number(text, "max");
}

int cgroup_path(const struct cgroup_tree *t, unsigned tree, const char *name, char *dst, size_t cap)
{
	if (t->parent_fd[tree] < 0)
		return -ENOENT;
	return path_join(dst, cap, t->path[tree], name);
}

static int file_path(const struct cgroup_tree *t, unsigned tree, const char *name, const char *file,
    char *dst, size_t cap)
{
	if (t->parent_fd[tree] < 0)
		return -ENOENT;
	return path_printf(dst, cap, "%s/%s/%s", t->path[tree], name, file);
}

int cgroup_oom_path(const struct cgroup_tree *t, const char *name, char *dst, size_t cap)
{
	return t->v2 ? file_path(t, CGROUP_UNIFIED, name, "memory.events", dst, cap) : -ENOTSUP;
}

int cgroup_pids_path(const struct cgroup_tree *t, const char *name, char *dst, size_t cap)
{
	return file_path(t, t->v2 ? CGROUP_UNIFIED : CGROUP_PIDS, name, "pids.events", dst, cap);
}
