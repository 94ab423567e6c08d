/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots as files: fc/warm/KEY/ and fc/snapshots/ID/ with "state", "mem", "disk" and "manifest".
 * Firecracker maps the memory of the file privately, so that clones share it; files are root's,
 * read-only, never changed: what replaces one gets the name, and those who map the old one go on.
 * A directory gets its name when everything in it is synced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/box.h"
#include "launcher/disk.h"
#include "launcher/fc.h"
#include "launcher/vm_save.h"

#define WARM "fc/warm"
#define SNAPSHOTS "fc/snapshots"
#define UNFINISHED ".new"
#define OLD ".old"
#define MANIFEST_MAX 4096u
#define MANIFEST_FORMAT 2u

/* What a directory holds. */
struct manifest {
	struct fc_made made;
	unsigned long long state, memory, disk; /* sizes */
};

/* ---- manifests ---- */

static int read_manifest(const char *dir, struct manifest *ret)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct manifest m = { 0 };
	char path[256];
	unsigned format = 0;
	int end = 0, r = path_join(path, sizeof(path), dir, "manifest");
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, MANIFEST_MAX, &b);
	const char *s = r == 0 ? buf_cstr(&b) : NULL;
	if (!s)
		return r < 0 ? r : -ENOMEM;
	int n = sscanf(s,
	    "sandglass-firecracker %u\nkey %64s\nhost %64s\ntemplate %63s\nimage %64s\n"
	    "state %llu\nmemory %llu\ndisk %llu\n%n",
	    &format, m.made.key, m.made.host, m.made.tmpl, m.made.image, &m.state, &m.memory,
	    &m.disk, &end);
	if (n != 8 || format != MANIFEST_FORMAT || s[end])
		return -EBADMSG;
	*ret = m;
	return 0;
}

static bool has_size(const char *dir, const char *name, unsigned long long size)
{
	struct stat st;
	char path[256];
	return path_join(path, sizeof(path), dir, name) == 0 && lstat(path, &st) == 0 &&
	       S_ISREG(st.st_mode) && (unsigned long long)st.st_size == size;
}

/* Complete, with the sizes that it had? */
static int check_dir(const char *dir, struct manifest *m)
{
	int r = read_manifest(dir, m);
	if (r < 0)
		return r;
	return has_size(dir, "state", m->state) && has_size(dir, "mem", m->memory) &&
		       has_size(dir, "disk", m->disk)
		   ? 0
		   : -EBADMSG;
}

bool fc_warm_exists(const char *key, uint64_t memory_bytes, uint64_t disk_bytes)
{
	struct manifest m;
	char dir[160];
	return path_printf(dir, sizeof(dir), WARM "/%s", key) == 0 && check_dir(dir, &m) == 0 &&
	       str_eq(m.made.key, key) && m.memory == memory_bytes && m.disk == disk_bytes;
}

/* A snapshot of a sandbox needs the machine and the Firecracker that it was made with; what it is
 * of, an image that may be older than the template's, is in it. */
int fc_store_find(const struct box *b, char *dst, size_t cap, struct err *reterr)
{
	struct manifest m;
	const struct fc_made *made = &b->fc.made;
	bool clone = b->want.start == PROTO_START_CLONE;
	int r = clone ? path_printf(dst, cap, WARM "/%s", made->key)
		      : path_printf(dst, cap, SNAPSHOTS "/%s", b->want.snapshot);
	if (r == 0)
		r = check_dir(dst, &m);
	if (r == 0 && !(clone ? str_eq(m.made.key, made->key) : str_eq(m.made.host, made->host)))
		r = -ESTALE;
	if (r == 0 && (m.memory != b->rec.memory_bytes || m.disk != b->rec.disk_bytes))
		r = -ESTALE;
	if (r == 0)
		return 0;
	const char *what = clone ? "warm snapshot" : "snapshot";
	if (r == -ENOENT)
		return err_set(reterr, r, "there is no such %s", what);
	if (r == -ESTALE)
		return err_set(reterr, r,
		    "the %s was made with another Firecracker, processor%s or size", what,
		    clone ? ", kernel, image" : "");
	return err_set(reterr, r,
	    "the %s is damaged: its files do not have the sizes of its "
	    "manifest",
	    what);
}

int fc_store_image(const struct box *b, struct vm_image *ret, struct err *reterr)
{
	char dir[160];
	struct manifest m;
	int r = path_printf(dir, sizeof(dir), SNAPSHOTS "/%s", b->want.snapshot);
	if (r == 0)
		r = read_manifest(dir, &m);
	if (r < 0)
		return err_set(reterr, r, "snapshot %s: %s", b->want.snapshot, err_name(r));
	return vm_image_read(m.made.image, b->srv->agent_hash, ret, reterr);
}

struct need {
	const char *image;
	bool found;
};

static void look_for_need(const char *id, void *arg)
{
	struct need *n = arg;
	char dir[160];
	struct manifest m;
	n->found |= path_printf(dir, sizeof(dir), SNAPSHOTS "/%s", id) == 0 &&
		    read_manifest(dir, &m) == 0 && str_eq(m.made.image, n->image);
}

bool fc_snapshot_needs(const char *image)
{
	struct need n = { image, false };
	(void)fc_snapshots_each(look_for_need, &n);
	return n.found;
}

/* ---- saving, in a task ---- */

struct plan {
	char out[256], disk[160], dir[160];
	struct fc_made made;
	uint64_t memory_bytes;
	bool move_disk; /* nobody uses it any more */
};

static int sync_path(const char *path, int flags)
{
	CLEAN_FD int fd = open(path, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* What the VMM wrote: a plain file of a size that is possible. It is root's from then on. */
static int take_file(const char *from_dir, const char *to_dir, const char *name, uint64_t min,
    uint64_t max, unsigned long long *ret_size)
{
	char from[300], to[300];
	struct stat st;
	int r = path_join(from, sizeof(from), from_dir, name);
	if (r == 0)
		r = path_join(to, sizeof(to), to_dir, name);
	if (r < 0)
		return r;
	CLEAN_FD int fd = open(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || (uint64_t)st.st_size < min ||
	    (uint64_t)st.st_size > max)
		return -EBADMSG;
	if (fchown(fd, 0, 0) < 0 || fchmod(fd, 0444) < 0 || rename(from, to) < 0 || fsync(fd) < 0)
		return -errno;
	*ret_size = (unsigned long long)st.st_size;
	return 0;
}

static int take_disk(const struct plan *p, const char *to_dir, unsigned long long *ret_size)
{
	char to[300];
	struct stat st;
	int r = path_join(to, sizeof(to), to_dir, "disk");
	if (r < 0)
		return r;
	if (p->move_disk && rename(p->disk, to) < 0)
		return -errno;
	CLEAN_FD int fd =
	    p->move_disk ? open(to, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : disk_copy(p->disk, to);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fd < 0 && !p->move_disk ? fd : -errno;
	if (fchown(fd, 0, 0) < 0 || fchmod(fd, 0400) < 0 || fsync(fd) < 0)
		return -errno;
	*ret_size = (unsigned long long)st.st_size;
	return 0;
}

static int write_manifest(const struct plan *p, const char *dir, const struct manifest *m)
{
	char path[300], text[512];
	int r = path_join(path, sizeof(path), dir, "manifest");
	int n = snprintf(text, sizeof(text),
	    "sandglass-firecracker %u\nkey %s\nhost %s\ntemplate %s\nimage %s\n"
	    "state %llu\nmemory %llu\ndisk %llu\n",
	    MANIFEST_FORMAT, p->made.key, p->made.host, p->made.tmpl, p->made.image, m->state,
	    m->memory, m->disk);
	return r < 0 ? r : fd_replace_file(AT_FDCWD, path, 0400, text, (size_t)n);
}

static int fill(const struct plan *p, const char *dir)
{
	struct manifest m = { 0 };
	int r = take_file(p->out, dir, "state", 1, FC_STATE_MAX, &m.state);
	if (r == 0)
		r = take_file(p->out, dir, "mem", p->memory_bytes, p->memory_bytes, &m.memory);
	if (r == 0)
		r = take_disk(p, dir, &m.disk);
	if (r == 0)
		r = write_manifest(p, dir, &m);
	return r < 0 ? r : sync_path(dir, O_DIRECTORY);
}

/* Others of the same template are of no use any more. */
static void drop_others(const struct plan *p)
{
	DIR *d = opendir(WARM);
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		struct manifest m;
		char dir[300];
		if (e->d_name[0] == '.' || str_eq(e->d_name, p->made.key) ||
		    path_printf(dir, sizeof(dir), WARM "/%s", e->d_name) < 0)
			continue;
		if (read_manifest(dir, &m) < 0 || str_eq(m.made.tmpl, p->made.tmpl))
			(void)path_remove_tree(dir);
	}
	if (d)
		(void)closedir(d);
}

static int put_in_place(const struct plan *p, const char *fresh)
{
	char old[200];
	int r = path_printf(old, sizeof(old), "%s" OLD, p->dir);
	if (r == 0)
		r = path_remove_tree(old);
	if (r == 0 && rename(p->dir, old) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && rename(fresh, p->dir) < 0)
		r = -errno;
	if (r == 0)
		r = sync_path(p->move_disk ? WARM : SNAPSHOTS, O_DIRECTORY);
	(void)path_remove_tree(old);
	return r;
}

static int save(void *arg)
{
	const struct plan *p = arg;
	char fresh[200];
	int r = path_printf(fresh, sizeof(fresh), "%s" UNFINISHED, p->dir);
	if (r == 0)
		r = path_remove_tree(fresh);
	if (r == 0)
		r = path_mkdir_p(fresh, 0700);
	if (r == 0)
		r = fill(p, fresh);
	if (r == 0)
		r = put_in_place(p, fresh);
	(void)path_remove_tree(fresh);
	if (r == 0 && p->move_disk)
		drop_others(p);
	return r;
}

static int make_plan(const struct box *b, const char *dir, const char *name, struct plan *p)
{
	*p = (struct plan){ .memory_bytes = b->rec.memory_bytes, .made = b->fc.made };
	int r = fc_jail_path(b, "out", p->out, sizeof(p->out));
	if (r == 0)
		r = box_path(b, "disk", p->disk, sizeof(p->disk));
	return r < 0 ? r : path_printf(p->dir, sizeof(p->dir), "%s/%s", dir, name);
}

static void on_saved(struct task *t, int r, void *arg)
{
	struct box *b = arg;
	struct err err = ERR_INIT;
	uint64_t seq = b->fc.seq;
	b->fc.seq = 0;
	if (r < 0)
		(void)err_set(&err, r, "cannot keep the snapshot: %s", err_name(r));
	server_reply(b->srv, seq, &err, NULL);
}

static int begin(struct box *b, const char *dir, const char *name, bool move_disk)
{
	/* The task is a fork: it has its own copy. */
	struct plan p;
	int r = make_plan(b, dir, name, &p);
	p.move_disk = move_disk;
	return r < 0 ? r : task_start(&b->fc.task, b->srv->loop, save, &p, on_saved, b);
}

static int check_busy(struct box *b, struct err *reterr)
{
	if (b->fc.seq)
		return err_set(reterr, -EBUSY, "a snapshot of it is being kept already");
	int r = b->fc.made.key[0] ? 0 : fc_made_recall(b);
	return r < 0 ? err_set(reterr, r, "it is not known what it was made of: %s", err_name(r))
		     : 0;
}

int fc_save_snapshot(struct box *b, const char *snapshot, uint64_t seq, struct err *reterr)
{
	int r = check_busy(b, reterr);
	if (r == 0)
		r = begin(b, SNAPSHOTS, snapshot, false);
	if (r < 0)
		return err_set(reterr, r, "cannot keep the snapshot: %s", err_name(r));
	b->fc.seq = seq;
	return 0;
}

/* First its end, so that the files change no more. */
int fc_save_warm(struct box *b, uint64_t seq, struct err *reterr)
{
	int r = check_busy(b, reterr);
	if (r == 0)
		r = fc_do(b, PROTO_VM_KILL, reterr);
	if (r < 0)
		return err_set(reterr, r, "cannot end it: %s", err_name(r));
	b->fc.seq = seq;
	b->fc.saving = true;
	return 0;
}

void fc_on_process_end(struct box *b)
{
	struct err err = ERR_INIT;
	b->fc.saving = false;
	int r = begin(b, WARM, b->fc.made.key, true);
	if (r == 0)
		return;
	(void)err_set(&err, r, "cannot keep the snapshot: %s", err_name(r));
	server_reply(b->srv, b->fc.seq, &err, NULL);
	b->fc.seq = 0;
}

/* ---- removing ---- */

int fc_forget_snapshot(const char *snapshot)
{
	char dir[160], old[200];
	int r = path_printf(dir, sizeof(dir), SNAPSHOTS "/%s", snapshot);
	if (r == 0)
		r = path_printf(old, sizeof(old), "%s" OLD, dir);
	if (r < 0)
		return r;
	/* Never half a snapshot under its name. */
	if (rename(dir, old) < 0)
		return errno == ENOENT ? 0 : -errno;
	return path_remove_tree(old);
}

int fc_snapshots_each(void (*fn)(const char *id, void *arg), void *arg)
{
	return vm_each_snapshot_in(SNAPSHOTS, fn, arg);
}

static void sweep_dir(const char *parent)
{
	DIR *d = opendir(parent);
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		char dir[300];
		if ((str_ends(e->d_name, UNFINISHED) || str_ends(e->d_name, OLD)) &&
		    path_printf(dir, sizeof(dir), "%s/%s", parent, e->d_name) == 0)
			(void)path_remove_tree(dir);
	}
	if (d)
		(void)closedir(d);
}

void fc_store_sweep(void)
{
	sweep_dir(WARM);
	sweep_dir(SNAPSHOTS);
}
