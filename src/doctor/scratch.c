/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "hostnet/netlink.h"
#include "jail/cgroup.h"
#include "jail/mnt.h"
#include "launcher/instance.h"
#include "launcher/slots.h"

#define FALLBACK "/var/tmp"
#define NAME "sandglass-doctor-XXXXXX"
#define DIR_MAX 52 /* sockets below it have a name that must fit */
#define TRIES 64
#define MOUNTINFO_MAX (4u << 20)

/* What a server keeps below launcher/ that drivers start sandboxes from. Layers are read-only: they
 * are mounted with other owners, which no overlay can be, and nothing is written there. */
static const struct {
	const char *name;
	bool read_only;
} shown[] = { { "images", false }, { "kernels", false }, { "warm", false }, { "layers", true } };

/* ---- the directory ---- */

/* Beside the state directory when that is on the same file system, so that what is tried there is
 * true for it. */
static void choose_parent(const char *state_dir, char dst[PATH_LEN_MAX])
{
	struct stat own, parent;
	if (state_dir[0] == '/' && path_printf(dst, PATH_LEN_MAX, "%s", state_dir) == 0) {
		char *slash = strrchr(dst, '/');
		*(slash == dst ? slash + 1 : slash) = '\0';
		bool there = stat(state_dir, &own) == 0;
		if (strlen(dst) + sizeof(NAME) <= DIR_MAX && stat(dst, &parent) == 0 &&
		    (!there || own.st_dev == parent.st_dev))
			return;
	}
	(void)str_copy(dst, PATH_LEN_MAX, FALLBACK);
}

static bool has_group(const char *instance)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char point[256], path[PATH_LEN_MAX], *save = NULL;
	CLEAN_FD int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 || fd_read_all(fd, MOUNTINFO_MAX, &b) < 0 ? NULL : buf_cstr(&b);
	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
	     l = strtok_r(NULL, "\n", &save))
		if (strstr(l, " - cgroup") && sscanf(l, "%*s %*s %*s %*s %255s", point) == 1 &&
		    path_printf(path, sizeof(path), "%s/sandglass-%s", point, instance) == 0 &&
		    path_exists(path))
			return true;
	return false;
}

/* Would a server with this tag share anything with one that has the other (NULL = there is none)?
 */
static bool is_free(const char *instance, const char *other)
{
	struct slots a, b;
	if (has_group(instance))
		return false;
	if (!other)
		return true;
	slots_init(&a, instance);
	slots_init(&b, other);
	return a.first_id != b.first_id;
}

static int make_below(struct scratch *s)
{
	int r = path_join(s->state, sizeof(s->state), s->dir, "state");
	if (r == 0)
		r = path_join(s->run, sizeof(s->run), s->dir, "run");
	if (r == 0)
		r = path_join(s->log, sizeof(s->log), s->dir, "log");
	if (r == 0 &&
	    (chmod(s->dir, 0711) < 0 || mkdir(s->state, 0711) < 0 || mkdir(s->run, 0711) < 0 ||
		chmod(s->state, 0711) < 0 || chmod(s->run, 0711) < 0))
		r = -errno;
	if (r < 0)
		return r;
	CLEAN_FD int log = open(s->log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return log < 0 ? -errno : instance_tag(s->state, s->instance);
}

static int make_dir(struct scratch *s, const char *state_dir)
{
	char parent[PATH_LEN_MAX], tag[INSTANCE_LEN + 1];
	bool there = instance_tag(state_dir, tag) == 0;
	choose_parent(state_dir, parent);
	for (int i = 0; i < TRIES; i++) {
		int r = path_join(s->dir, sizeof(s->dir), parent, NAME);
		if (r < 0)
			return r;
		if (!mkdtemp(s->dir)) {
			r = -errno;
			s->dir[0] = '\0';
			if (str_eq(parent, FALLBACK))
				return r;
			(void)str_copy(parent, sizeof(parent), FALLBACK); /* read-only, perhaps */
			continue;
		}
		r = make_below(s);
		if (r == 0 && is_free(s->instance, there ? tag : NULL))
			return 0;
		s->instance[0] = '\0'; /* somebody else may have its groups */
		(void)scratch_remove(s);
		if (r < 0)
			return r;
	}
	return -EBUSY;
}

/* ---- namespaces ---- */

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* By descriptors: names may have what overlayfs takes for separators. */
static int show(const struct scratch *s, const char *state_dir, const char *name, bool read_only)
{
	char from[PATH_LEN_MAX], to[PATH_LEN_MAX], up[PATH_LEN_MAX], work[PATH_LEN_MAX], opts[160];
	int r = path_printf(from, sizeof(from), "%s/launcher/%s", state_dir, name);
	if (r == 0)
		r = path_printf(to, sizeof(to), "%s/launcher/%s", s->state, name);
	if (r == 0)
		r = path_printf(up, sizeof(up), "%s/%s.new", s->dir, name);
	if (r == 0)
		r = path_printf(work, sizeof(work), "%s/%s.work", s->dir, name);
	CLEAN_FD int lower = r < 0 ? r : open_dir(from);
	if (lower < 0)
		return lower == -ENOENT ? 0 : lower;
	if (mkdir(to, 0700) < 0)
		return -errno;
	if (read_only)
		return mnt_bind(from, to, MNT_RO, -1);
	if (mkdir(up, 0700) < 0 || mkdir(work, 0700) < 0)
		return -errno;
	CLEAN_FD int upper = open_dir(up);
	CLEAN_FD int worker = open_dir(work);
	(void)snprintf(opts, sizeof(opts),
	    "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d", lower,
	    upper, worker);
	return mount("overlay", to, "overlay", MS_NOSUID | MS_NODEV, opts) < 0 ? -errno : 0;
}

static int show_all(const struct scratch *s, const char *state_dir, struct err *reterr)
{
	char launcher[PATH_LEN_MAX];
	int r = path_join(launcher, sizeof(launcher), s->state, "launcher");
	if (r == 0 && mkdir(launcher, 0700) < 0)
		r = -errno;
	if (r < 0)
		return err_set(reterr, r, "%s: %s", launcher, err_name(r));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		r = show(s, state_dir, shown[i].name, shown[i].read_only);
		if (r < 0)
			return err_set(reterr, r,
			    "cannot show %s/launcher/%s to a private server: %s", state_dir,
			    shown[i].name, err_name(r));
	}
	return 0;
}

static int enter_namespaces(struct err *reterr)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(reterr, -errno, "cannot make namespaces: %s", err_name(-errno));
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_set(reterr, -errno, "/proc: %s", err_name(-errno));
	CLEAN_FD int nl = netlink_open();
	int r = nl < 0 ? nl : netlink_set_link(nl, "lo", true);
	return r < 0 ? err_set(reterr, r, "loopback: %s", err_name(r)) : 0;
}

int scratch_enter(const struct scratch *s, const char *state_dir, struct err *reterr)
{
	int r = enter_namespaces(reterr);
	return r < 0 ? r : show_all(s, state_dir, reterr);
}

int scratch_make(struct scratch *s, const char *state_dir, struct err *reterr)
{
	*s = (struct scratch){ 0 };
	int r = make_dir(s, state_dir);
	if (r == 0 && unshare(CLONE_NEWPID) < 0) {
		r = -errno;
		(void)scratch_remove(s);
	}
	return r < 0 ? err_set(reterr, r, "cannot make a place for the test: %s", err_name(r)) : 0;
}

/* ---- removal ---- */

static int remove_group(const char *name, void *arg)
{
	return cgroup_remove(arg, name);
}

static int remove_groups(const char *instance)
{
	struct cgroup_tree t;
	char parent[32];
	if (!has_group(instance))
		return 0;
	(void)snprintf(parent, sizeof(parent), "sandglass-%s", instance);
	int r = cgroup_tree_open(&t, NULL, parent, NULL);
	if (r < 0)
		return r;
	r = cgroup_each(&t, remove_group, &t);
	int r2 = cgroup_tree_remove(&t);
	cgroup_tree_close(&t);
	return r < 0 ? r : r2;
}

int scratch_remove(struct scratch *s)
{
	if (!s->dir[0])
		return 0;
	int r = s->instance[0] ? remove_groups(s->instance) : 0;
	int r2 = path_remove_tree(s->dir);
	s->dir[0] = '\0';
	return r < 0 ? r : r2;
}
