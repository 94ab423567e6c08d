/* SPDX-License-Identifier: Apache-2.0 */
/* What is on disk of saved VMs: finding and removing it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/box.h"
#include "launcher/vm_save.h"

#define TRIES 10

int vm_snapshot_path(const char *snapshot, const char *file, char *dst, size_t cap)
{
	return path_printf(dst, cap, "snapshots/%s%s%s", snapshot, file[0] ? "/" : "", file);
}

bool vm_snapshot_needs(const char *key)
{
	DIR *d = opendir("snapshots");
	bool needed = false;
	for (struct dirent *e; d && !needed && (e = readdir(d)) != NULL;) {
		struct vm_manifest m;
		char dir[128];
		needed = id_sandbox_valid(e->d_name) &&
			 vm_snapshot_path(e->d_name, "", dir, sizeof(dir)) == 0 &&
			 vm_manifest_read(dir, &m, NULL) == 0 &&
			 (str_eq(m.key, key) || str_eq(m.image, key));
	}
	if (d)
		(void)closedir(d);
	return needed;
}

int vm_each_snapshot_in(const char *dir, void (*fn)(const char *id, void *arg), void *arg)
{
	DIR *d = opendir(dir);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (id_sandbox_valid(e->d_name))
			fn(e->d_name, arg);
	(void)closedir(d);
	return 0;
}

int vm_snapshots_each(void (*fn)(const char *id, void *arg), void *arg)
{
	return vm_each_snapshot_in("snapshots", fn, arg);
}

void vm_remove_leftovers(const char *dir, bool all)
{
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		char path[400];
		if (!str_ends(e->d_name, VM_OLD) && !(all && str_ends(e->d_name, VM_UNFINISHED)))
			continue;
		int r = path_printf(path, sizeof(path), "%s/%s", dir, e->d_name);
		/* A writer that is being killed may end a call that it is in. */
		for (int i = 0; i < TRIES && r == 0 && (r = path_remove_tree(path)) == -ENOTEMPTY;
		     i++) {
			const struct timespec t = { .tv_nsec = 20000000 };
			(void)nanosleep(&t, NULL);
			r = 0;
		}
		if (r < 0)
			log_warn("cannot remove %s: %s", path, err_name(r));
	}
	if (d)
		(void)closedir(d);
}

static int sweep(void *arg)
{
	vm_remove_leftovers("warm", false);
	vm_remove_leftovers("snapshots", false);
	return 0;
}

static void on_swept(struct task *t, int r, void *arg)
{
	struct server *s = arg;
	if (s->sweep_again)
		vm_sweep_soon(s);
}

void vm_sweep_soon(struct server *s)
{
	s->sweep_again = s->vm_sweep.running;
	if (s->vm_sweep.running)
		return;
	int r = task_start(&s->vm_sweep, s->loop, sweep, s, on_swept, s);
	if (r < 0)
		log_warn("cannot remove old snapshots now: %s", err_name(r));
}

int vm_snapshot_remove(struct server *s, const char *snapshot)
{
	char path[128], old[160], tag[9];
	id_random_text(tag, 8);
	int r = vm_snapshot_path(snapshot, "", path, sizeof(path));
	if (r == 0)
		r = path_printf(old, sizeof(old), "%s.%s" VM_OLD, path, tag);
	if (r < 0)
		return r;
	if (rename(path, old) < 0 && errno != ENOENT)
		return -errno;
	vm_sweep_soon(s);
	return 0;
}
