/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an earlier launcher left. The kernel is asked first: a record counts only when its process
 * lives with the start time that it names, in this boot. Such a sandbox is taken over; whatever
 * else is found (directories, sockets, groups, network slots) belongs to nobody and is removed.
 */
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/map.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "launcher/box.h"
#include "launcher/disk.h"

/* Its limits are watched again, and what was counted meanwhile is not news. A process that had not
 * become an agent is watched, too: the removal waits for its end. */
static int take_over(struct box *b)
{
	struct cgroup_usage u;
	struct err err = ERR_INIT;
	int r = record_open_process(&b->rec);
	if (r >= 0)
		r = box_watch_process(b, r);
	if (r == 0 && !b->rec.ready)
		r = -ECANCELED;
	if (r == 0)
		r = box_watch_limits(b);
	if (r == 0 && b->rec.net_slot >= 0 && b->srv->net)
		r = hostnet_adopt(b->srv->net, (unsigned)b->rec.net_slot, &err);
	if (r < 0)
		return r;
	cgroup_read(&b->srv->cgroups, b->rec.id, &u);
	b->oom_told = u.oom_kills;
	b->pids_told = u.pids_refused;
	return 0;
}

static void load_record(struct box *b, const char *boot)
{
	struct record rec;
	char path[128];
	int r = box_path(b, "record", path, sizeof(path));
	if (r == 0)
		r = record_read(path, &rec);
	if (r < 0 || !str_eq(rec.id, b->rec.id) || !str_eq(rec.boot, boot))
		return;
	b->rec = rec;
	/* Nobody gets its ids while something of it may be alive. */
	if (slots_adopt(&b->srv->slots, rec.slot) < 0) {
		b->rec.slot = SLOTS_MAX;
		b->rec.ready = false;
	}
}

static int recover_box(struct server *s, const char *id, const char *boot)
{
	if (map_get(s->boxes, id))
		return 0;
	struct box *b = box_new(s, id);
	if (!b)
		return -ENOMEM;
	load_record(b, boot);
	int r = take_over(b);
	if (r == 0) {
		box_set_state(b, BOX_LIVE);
		log_info("%s: found alive as process %d", id, b->rec.pid);
		return 0;
	}
	log_info("%s: removing what is left of it (%s)", id, err_name(r));
	b->rec.net_slot = -1; /* settling removes slots that nobody adopted */
	box_set_state(b, BOX_DEAD);
	box_remove(b);
	return 0;
}

static int recover_dir(struct server *s, const char *dir, const char *boot)
{
	DIR *d = opendir(dir);
	int r = 0;
	if (!d)
		return -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;)
		if (id_sandbox_valid(e->d_name))
			r = recover_box(s, e->d_name, boot);
	(void)closedir(d);
	return r;
}

struct recover_arg {
	struct server *srv;
	const char *boot;
};

static int recover_group(const char *name, void *arg)
{
	const struct recover_arg *a = arg;
	return id_sandbox_valid(name) ? recover_box(a->srv, name, a->boot) : 0;
}

int recover(struct server *s, struct err *reterr)
{
	char boot[RECORD_BOOT_LEN + 1];
	struct recover_arg arg = { s, boot };
	int r = record_boot_id(boot);
	if (r == 0)
		r = recover_dir(s, "boxes", boot);
	if (r == 0)
		r = recover_dir(s, s->agents_dir, boot);
	if (r == 0)
		r = cgroup_each(&s->cgroups, recover_group, &arg);
	if (r < 0)
		return err_set(
		    reterr, r, "cannot look for sandboxes of an earlier start: %s", err_name(r));
	if (s->net)
		hostnet_settle(s->net);
	warm_sweep();
	bases_sweep(s);
	disk_sweep_masters();
	fc_store_sweep();
	return 0;
}
