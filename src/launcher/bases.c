/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root file systems of bases. There is one kind, "host"; its directory's name carries a stamp of
 * what it was made from, so that a changed host gets a new one while sandboxes go on using the old.
 * Building takes place in a task, under another name until complete.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "image/hostbase.h"
#include "launcher/box.h"

#define HOST "host"
#define UNFINISHED ".new"
#define OLD ".old" /* about to be removed */

static int host_name(char dst[PROTO_BASE_MAX + 1], struct err *reterr)
{
	char stamp[HOSTBASE_STAMP_LEN + 1];
	int r = hostbase_stamp(stamp, reterr);
	return r < 0 ? r : path_printf(dst, PROTO_BASE_MAX + 1, HOST "-%s", stamp);
}

static bool is_built(const char *name)
{
	char path[128];
	return path_printf(path, sizeof(path), "bases/%s", name) == 0 && path_exists(path);
}

int bases_find_current(struct server *s, struct err *reterr)
{
	char name[PROTO_BASE_MAX + 1];
	int r = host_name(name, reterr);
	if (r == 0 && is_built(name))
		(void)str_copy(s->host_base, sizeof(s->host_base), name);
	return r;
}

const char *bases_dir(struct server *s, const char *base)
{
	const char *tmpl = str_after(base, PROTO_BASE_TEMPLATE);
	if (tmpl)
		return images_base(tmpl, s->builds.image_base) == 0 ? s->builds.image_base : NULL;
	return str_eq(base, HOST) && s->host_base[0] ? s->host_base : NULL;
}

/* ---- building ---- */

static int build(void *arg)
{
	const struct server *s = arg;
	struct err err = ERR_INIT;
	char tmp[128], path[128];
	int r = path_printf(path, sizeof(path), "bases/%s", s->building);
	if (r == 0)
		r = path_printf(tmp, sizeof(tmp), "%s" UNFINISHED, path);
	if (r == 0)
		r = path_remove_tree(tmp);
	if (r == 0)
		r = hostbase_build(tmp, &err);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0) {
		log_error("base %s: %s", s->building, err.code ? err_text(&err) : err_name(r));
		(void)path_remove_tree(tmp);
	}
	return r;
}

static void answer(struct server *s, const struct err *err)
{
	for (struct link *l; (l = list_pop_front(&s->base_waiters));) {
		struct box_waiter *w = container_of(l, struct box_waiter, link);
		server_reply(s, w->seq, err, NULL);
		(void)mem_free(w);
	}
}

static void on_built(struct task *t, int r, void *arg)
{
	struct server *s = arg;
	struct err err = ERR_INIT;
	if (r < 0)
		(void)err_set(&err, r, "cannot build base %s: %s (the launcher's log says more)",
		    s->building, err_name(r));
	else
		(void)str_copy(s->host_base, sizeof(s->host_base), s->building);
	s->building[0] = '\0';
	answer(s, r < 0 ? &err : NULL);
}

int bases_prepare(struct server *s, uint64_t seq, const char *base, struct err *reterr)
{
	char name[PROTO_BASE_MAX + 1];
	const char *tmpl = str_after(base, PROTO_BASE_TEMPLATE);
	int r = tmpl ? images_prepare(s, tmpl, reterr) : 0;
	if (tmpl && r == 0)
		server_reply(s, seq, NULL, NULL);
	if (tmpl)
		return r;
	if (!str_eq(base, HOST))
		return err_set(reterr, -ENOENT,
		    "unknown base %s: there is \"" HOST "\" and what is built of templates", base);
	r = host_name(name, reterr);
	if (r < 0)
		return r;
	if (is_built(name)) {
		(void)str_copy(s->host_base, sizeof(s->host_base), name);
		server_reply(s, seq, NULL, NULL);
		return 0;
	}
	struct box_waiter *w = mem_zalloc(sizeof(*w));
	if (!w)
		return err_set(reterr, -ENOMEM, "out of memory");
	w->seq = seq;
	link_init(&w->link);
	list_push_back(&s->base_waiters, &w->link);
	if (s->building[0])
		return 0;
	(void)str_copy(s->building, sizeof(s->building), name);
	r = task_start(&s->base_task, s->loop, build, s, on_built, s);
	if (r < 0) {
		s->building[0] = '\0';
		link_remove(&w->link);
		(void)mem_free(w);
		return err_set(reterr, r, "cannot start to build: %s", err_name(r));
	}
	return 0;
}

/* ---- old ones ---- */

static bool in_use(const struct server *s, const char *name)
{
	void *it = NULL;
	if (str_eq(name, s->host_base))
		return true;
	for (const struct box *b; (b = map_next(s->boxes, &it, NULL));)
		if (str_eq(name, b->rec.base))
			return true;
	return false;
}

/* Renamed at once, so that a build that begins meanwhile is not taken for an old one. */
static int set_aside(const struct server *s)
{
	DIR *d = opendir("bases");
	int r = d ? 0 : -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;) {
		char from[512], to[512];
		if (e->d_name[0] == '.' || str_ends(e->d_name, OLD) || in_use(s, e->d_name))
			continue;
		r = path_printf(from, sizeof(from), "bases/%s", e->d_name);
		if (r == 0)
			r = path_printf(to, sizeof(to), "%s" OLD, from);
		if (r == 0 && rename(from, to) < 0)
			r = errno == ENOTEMPTY || errno == EEXIST ? 0 : -errno;
	}
	if (d)
		(void)closedir(d);
	return r;
}

static int remove_old(void *arg)
{
	DIR *d = opendir("bases");
	int r = d ? 0 : -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;) {
		char path[512];
		if (!str_ends(e->d_name, OLD))
			continue;
		r = path_printf(path, sizeof(path), "bases/%s", e->d_name);
		if (r == 0)
			r = path_remove_tree(path);
	}
	if (d)
		(void)closedir(d);
	return r;
}

static void on_swept(struct task *t, int r, void *arg)
{
	if (r < 0)
		log_warn("cannot remove old bases: %s", err_name(r));
}

void bases_sweep(struct server *s)
{
	int r = set_aside(s);
	if (r == 0)
		r = task_start(&s->sweep_task, s->loop, remove_old, s, on_swept, s);
	if (r < 0)
		on_swept(&s->sweep_task, r, s);
}
