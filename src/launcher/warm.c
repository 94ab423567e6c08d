/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/warm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/box.h"
#include "launcher/disk.h"
#include "launcher/vm_save.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* One whose memory is here, or on its way. */
struct warm {
	struct link link;
	struct server *srv;
	char key[RECORD_KEY_LEN + 1];
	int fd;
	int loading_fd; /* while the task fills it, -1 */
	struct task task;
	struct link waiters;
	struct loop_defer tell; /* waiters of one that is here */
};

int warm_path(const char *key, const char *file, char *dst, size_t cap)
{
	return path_printf(dst, cap, "warm/%s%s%s", key, file[0] ? "/" : "", file);
}

bool warm_exists(const char *key)
{
	struct vm_manifest m;
	char dir[128];
	return warm_path(key, "", dir, sizeof(dir)) == 0 && vm_manifest_read(dir, &m, NULL) == 0 &&
	       str_eq(m.key, key);
}

int warm_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? -errno : 0;
}

static struct warm *find(struct server *s, const char *key)
{
	LIST_EACH(l, &s->warms)
	{
		struct warm *w = container_of(l, struct warm, link);
		if (str_eq(w->key, key))
			return w;
	}
	return NULL;
}

int warm_memory(struct server *s, const char *key)
{
	const struct warm *w = find(s, key);
	return w ? w->fd : -1;
}

static void tell_waiters(struct warm *w, int fd_or_code)
{
	struct link all;
	link_init(&all);
	for (struct link *l; (l = list_pop_front(&w->waiters));)
		list_push_back(&all, l);
	for (struct link *l; (l = list_pop_front(&all));) {
		struct warm_wait *wait = container_of(l, struct warm_wait, link);
		wait->done(wait, fd_or_code, wait->arg);
	}
}

static void on_tell(struct loop_defer *d, void *arg)
{
	struct warm *w = arg;
	tell_waiters(w, w->fd);
}

static struct warm *warm_new(struct server *s, const char *key)
{
	struct warm *w = mem_zalloc(sizeof(*w));
	if (!w)
		return NULL;
	w->srv = s;
	w->fd = w->loading_fd = -1;
	(void)str_copy(w->key, sizeof(w->key), key);
	link_init(&w->link);
	link_init(&w->waiters);
	loop_defer_init(&w->tell, s->loop, on_tell, w);
	list_push_back(&s->warms, &w->link);
	return w;
}

static void warm_free(struct warm *w)
{
	link_remove(&w->link);
	loop_defer_fini(&w->tell);
	task_fini(&w->task);
	(void)fd_close(w->fd);
	(void)fd_close(w->loading_fd);
	(void)mem_free(w);
}

/* ---- filling the memory of one that is on disk ---- */

static int fill(void *arg)
{
	const struct warm *w = arg;
	char path[128];
	int r = warm_path(w->key, "mem", path, sizeof(path));
	if (r < 0)
		return r;
	CLEAN_FD int from = open(path, O_RDONLY | O_CLOEXEC);
	return from < 0 ? -errno : disk_copy_data(from, w->loading_fd);
}

static void on_filled(struct task *t, int r, void *arg)
{
	struct warm *w = arg;
	if (r == 0)
		r = warm_seal(w->loading_fd);
	if (r == 0) {
		w->fd = TAKE_FD(w->loading_fd);
		tell_waiters(w, w->fd);
		return;
	}
	log_warn("warm snapshot %.12s: cannot load its memory: %s", w->key, err_name(r));
	tell_waiters(w, r);
	warm_free(w);
}

static int start_filling(struct warm *w, uint64_t memory_bytes)
{
	w->loading_fd = memfd_create(WARM_MEMORY_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (w->loading_fd < 0 || ftruncate(w->loading_fd, (off_t)memory_bytes) < 0)
		return -errno;
	return task_start_with(&w->task, w->srv->loop, &w->loading_fd, 1, fill, w, on_filled, w);
}

int warm_want(struct server *s, const char *key, uint64_t memory_bytes, struct warm_wait *wait)
{
	struct warm *w = find(s, key);
	link_init(&wait->link);
	if (!w) {
		w = warm_new(s, key);
		int r = w ? start_filling(w, memory_bytes) : -ENOMEM;
		if (r < 0) {
			if (w)
				warm_free(w);
			return r;
		}
	}
	list_push_back(&w->waiters, &wait->link);
	if (w->fd >= 0)
		loop_defer_set(&w->tell);
	return 0;
}

void warm_unwant(struct warm_wait *wait)
{
	if (wait->link.next)
		link_remove(&wait->link);
}

int warm_add(struct server *s, const char *key, int fd_consume)
{
	struct warm *w = find(s, key);
	if (w) { /* one that was made meanwhile is as good */
		(void)fd_close(fd_consume);
		return 0;
	}
	w = warm_new(s, key);
	if (!w) {
		(void)fd_close(fd_consume);
		return -ENOMEM;
	}
	w->fd = fd_consume;
	return 0;
}

/* ---- removing ---- */

static bool is_needed(struct server *s, const char *key)
{
	void *it = NULL;
	for (const struct box *b; (b = map_next(s->boxes, &it, NULL));)
		if (str_eq(b->rec.warm, key))
			return true;
	return vm_snapshot_needs(key);
}

int warm_set_aside(struct server *s, const char *key)
{
	struct warm *w = find(s, key);
	char path[128], old[160], tag[9];
	id_random_text(tag, 8);
	if (w && w->fd >= 0)
		warm_free(w);
	int r = warm_path(key, "", path, sizeof(path));
	if (r == 0)
		r = path_printf(old, sizeof(old), "%s.%s" VM_OLD, path, tag);
	if (r == 0 && rename(path, old) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0)
		vm_sweep_soon(s);
	return r;
}

void warm_drop_stale(struct server *s, const struct vm_manifest *current)
{
	DIR *d = opendir("warm");
	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		struct vm_manifest m;
		char dir[300];
		if (strlen(e->d_name) != RECORD_KEY_LEN ||
		    path_printf(dir, sizeof(dir), "warm/%s", e->d_name) < 0)
			continue;
		int r = vm_manifest_read(dir, &m, NULL);
		bool stale =
		    r < 0 || (str_eq(m.tmpl, current->tmpl) &&
				 (!str_eq(m.content, current->content) ||
				     (!str_eq(m.host, current->host) && m.kvm == current->kvm)));
		if (stale && !is_needed(s, e->d_name)) {
			log_info("warm snapshot %.12s of %s: removed", e->d_name,
			    r < 0 ? "nobody" : m.tmpl);
			(void)warm_set_aside(s, e->d_name);
		}
	}
	if (d)
		(void)closedir(d);
}

void warm_sweep(void)
{
	vm_remove_leftovers("warm", true);
	vm_remove_leftovers("snapshots", true);
}

void warm_close_all(struct server *s)
{
	LIST_EACH_SAFE(l, &s->warms)
	warm_free(container_of(l, struct warm, link));
}
