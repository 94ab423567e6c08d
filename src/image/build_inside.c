/* SPDX-License-Identifier: Apache-2.0 */
#include "image/build_inside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

#define ACCOUNTS_MAX (1u << 20)
#define FIRST_ID 1000u
#define LAST_ID 60000u

static int fail(const char *what, int r)
{
	(void)fprintf(stderr, "%s: %s\n", what, err_name(r));
	(void)fflush(stderr);
	return 1;
}

static int write_file(const char *path, mode_t mode, const void *p, size_t n)
{
	return fd_replace_file(AT_FDCWD, path, mode, p, n);
}

/* ---- accounts ---- */

/* Line of name in a colon-separated file; its fields from the third on are numbers. */
static bool find_account(char *text, const char *name, unsigned *ret_uid, unsigned *ret_gid)
{
	size_t n = strlen(name);
	for (char *line = text; line && *line; line = strchr(line, '\n'), line += line ? 1 : 0) {
		if (strncmp(line, name, n) != 0 || line[n] != ':')
			continue;
		char *second = strchr(line + n + 1, ':');
		if (!second)
			return false;
		unsigned uid = 0, gid = 0;
		int got = sscanf(second, ":%u:%u", &uid, &gid);
		if (got < 1)
			return false;
		*ret_uid = uid;
		if (ret_gid)
			*ret_gid = got == 2 ? gid : uid;
		return true;
	}
	return false;
}

static bool id_taken(const char *text, unsigned id)
{
	char third[32];
	(void)snprintf(third, sizeof(third), ":%u:", id);
	for (const char *line = text; line && *line;) {
		const char *end = strchr(line, '\n');
		const char *hit = strchr(line, ':');
		hit = hit ? strchr(hit + 1, ':') : NULL;
		if (hit && (!end || hit < end) && str_after(hit, third))
			return true;
		line = end ? end + 1 : NULL;
	}
	return false;
}

static char *read_text(const char *path, struct buf *b)
{
	int r = fd_read_file(AT_FDCWD, path, ACCOUNTS_MAX, b);
	return r < 0 && r != -ENOENT ? NULL : buf_cstr(b);
}

static int append_line(const char *path, struct buf *text, mode_t mode, const char *line)
{
	size_t n = buf_len(text);
	int r = n > 0 && buf_data(text)[n - 1] != '\n' ? buf_append_byte(text, '\n') : 0;
	if (r == 0)
		r = buf_append_str(text, line);
	return r < 0 ? r : write_file(path, mode, buf_data(text), buf_len(text));
}

static int add_account(const char *user, struct buf *passwd, struct buf *group, unsigned *ret_id)
{
	char line[256];
	struct stat st;
	unsigned id = FIRST_ID;
	CLEAN_BUF struct buf shadow = BUF_INIT;
	while (id < LAST_ID && (id_taken(buf_cstr(passwd), id) || id_taken(buf_cstr(group), id)))
		id++;
	(void)snprintf(line, sizeof(line), "%s:x:%u:%u:%s:/home/%s:%s\n", user, id, id, user, user,
	    stat("/bin/bash", &st) == 0 ? "/bin/bash" : "/bin/sh");
	int r = append_line("/etc/passwd", passwd, 0644, line);
	(void)snprintf(line, sizeof(line), "%s:x:%u:\n", user, id);
	if (r == 0)
		r = append_line("/etc/group", group, 0644, line);
	(void)snprintf(line, sizeof(line), "%s:*:19000:0:99999:7:::\n", user);
	if (r == 0 && read_text("/etc/shadow", &shadow))
		r = append_line("/etc/shadow", &shadow, 0640, line);
	*ret_id = id;
	return r;
}

static int copy_skeleton(const char *home, unsigned uid, unsigned gid)
{
	static const char *const names[] = { ".bashrc", ".profile", ".bash_logout" };
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		char from[64], to[256];
		CLEAN_BUF struct buf b = BUF_INIT;
		(void)snprintf(from, sizeof(from), "/etc/skel/%s", names[i]);
		(void)snprintf(to, sizeof(to), "%s/%s", home, names[i]);
		if (fd_read_file(AT_FDCWD, from, ACCOUNTS_MAX, &b) < 0 || path_exists(to))
			continue;
		r = write_file(to, 0644, buf_data(&b), buf_len(&b));
		if (r == 0 && lchown(to, uid, gid) < 0)
			r = -errno;
	}
	return r;
}

static int make_user(const struct inside_setup *s)
{
	char home[128];
	unsigned uid = 0, gid = 0;
	CLEAN_BUF struct buf passwd = BUF_INIT;
	CLEAN_BUF struct buf group = BUF_INIT;
	char *text = read_text("/etc/passwd", &passwd);
	if (!text || !read_text("/etc/group", &group))
		return -EIO;
	int r = 0;
	if (!find_account(text, s->user, &uid, &gid)) {
		r = add_account(s->user, &passwd, &group, &uid);
		gid = uid;
	}
	if (r < 0 || uid == 0)
		return r;
	(void)snprintf(home, sizeof(home), "/home/%s", s->user);
	r = path_mkdir_p(home, 0755);
	if (r == 0 && lchown(home, uid, gid) < 0)
		r = -errno;
	if (r == 0)
		r = copy_skeleton(home, uid, gid);
	if (r == 0 && !path_exists(s->workdir)) {
		r = path_mkdir_p(s->workdir, 0755);
		if (r == 0 && lchown(s->workdir, uid, gid) < 0)
			r = -errno;
	}
	return r;
}

/* ---- the parts ---- */

static const struct {
	const char *path;
	mode_t mode;
} dirs[] = { { "/etc", 0755 }, { "/home", 0755 }, { "/mnt", 0755 }, { "/opt", 0755 },
	{ "/root", 0700 }, { "/srv", 0755 }, { "/sys", 0555 }, { "/usr", 0755 },
	{ "/usr/local", 0755 }, { "/var", 0755 }, { "/var/tmp", 01777 }, { "/var/log", 0755 } };

static const struct {
	const char *path, *text;
} etc[] = {
	{ "/etc/resolv.conf", "" },
	{ "/etc/hostname", "sandbox\n" },
	{ "/etc/machine-id", "" },
	{ "/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tsandbox\n"
			"::1\tlocalhost ip6-localhost ip6-loopback\n" },
};

int inside_setup(void *arg)
{
	const struct inside_setup *s = arg;
	int r = 0;
	(void)umask(0);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (mkdir(dirs[i].path, dirs[i].mode) < 0 && errno != EEXIST)
			return fail(dirs[i].path, -errno);
	(void)umask(022);
	for (size_t i = 0; i < sizeof(etc) / sizeof(etc[0]); i++) {
		r = write_file(etc[i].path, 0644, etc[i].text, strlen(etc[i].text));
		if (r < 0)
			return fail(etc[i].path, r);
	}
	if (s->sources_list) {
		const char *path = "/etc/apt/sources.list";
		r = write_file(path, 0644, s->sources_list, strlen(s->sources_list));
		if (r < 0)
			return fail(path, r);
	}
	/* mmdebstrap keeps the options that it was run with, and those are this machine's. */
	if (unlink("/etc/apt/apt.conf.d/99mmdebstrap") < 0 && errno != ENOENT && errno != ENOTDIR)
		return fail("/etc/apt/apt.conf.d/99mmdebstrap", -errno);
	r = make_user(s);
	return r < 0 ? fail("the user's account", r) : 0;
}

/* USER[:GROUP], names or numbers. */
static int read_owner(const char *owner, unsigned *ret_uid, unsigned *ret_gid)
{
	char user[80];
	CLEAN_BUF struct buf passwd = BUF_INIT;
	CLEAN_BUF struct buf group = BUF_INIT;
	uint64_t v;
	(void)str_copy(user, sizeof(user), owner);
	char *colon = strchr(user, ':');
	if (colon)
		*colon++ = '\0';
	if (str_u64(user, 65534, &v) == 0) {
		*ret_uid = *ret_gid = (unsigned)v;
	} else {
		char *text = read_text("/etc/passwd", &passwd);
		if (!text || !find_account(text, user, ret_uid, ret_gid))
			return -ESRCH;
	}
	if (colon && str_u64(colon, 65534, &v) == 0) {
		*ret_gid = (unsigned)v;
	} else if (colon) {
		char *text = read_text("/etc/group", &group);
		if (!text || !find_account(text, colon, ret_gid, NULL))
			return -ESRCH;
	}
	return 0;
}

int inside_files(void *arg)
{
	const struct inside_files *files = arg;
	for (size_t i = 0; i < files->n; i++) {
		const struct inside_file *f = &files->v[i];
		char parent[1100];
		unsigned uid = 0, gid = 0;
		int r = read_owner(f->owner, &uid, &gid);
		if (r < 0) {
			(void)fprintf(
			    stderr, "%s: the image has no account %s\n", f->path, f->owner);
			return 1;
		}
		(void)str_copy(parent, sizeof(parent), f->path);
		*strrchr(parent, '/') = '\0';
		if (parent[0])
			r = path_mkdir_p(parent, 0755);
		if (r == 0)
			r = write_file(f->path, 0600, f->content, f->n);
		if (r == 0 && (lchown(f->path, uid, gid) < 0 || chmod(f->path, f->mode) < 0))
			r = -errno;
		if (r < 0)
			return fail(f->path, r);
	}
	return 0;
}

/* Log files keep their names: services expect them. */
static void empty_logs(const char *dir, int depth)
{
	DIR *d = depth < 4 ? opendir(dir) : NULL;
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		char path[512];
		struct stat st;
		if (e->d_name[0] == '.' || path_join(path, sizeof(path), dir, e->d_name) < 0 ||
		    lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			empty_logs(path, depth + 1);
		else if (S_ISREG(st.st_mode) && st.st_size > 0)
			(void)truncate(path, 0);
	}
	if (d)
		(void)closedir(d);
}

int inside_finish(void *arg)
{
	static const char *const gone[] = { "/root/.cache", "/root/.npm", "/root/.config",
		"/var/cache/apt/pkgcache.bin", "/var/cache/apt/srcpkgcache.bin",
		"/var/cache/debconf/config.dat-old", "/var/cache/debconf/templates.dat-old",
		"/var/lib/dpkg/status-old", "/var/lib/dbus/machine-id",
		"/var/log/apt/eipp.log.xz" };
	(void)arg;
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
		if (path_exists(gone[i])) {
			int r = path_remove_tree(gone[i]);
			if (r < 0)
				return fail(gone[i], r);
		}
	empty_logs("/var/log", 0);
	int r = write_file("/etc/machine-id", 0644, "", 0);
	return r < 0 ? fail("/etc/machine-id", r) : 0;
}
