/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel must have. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/str.h"
#include "doctor/host.h"
#include "doctor/report.h"

#define LANDLOCK_ABI_WANTED 2

/* First word of a file. */
static const char *read_word(const struct host *h, const char *path, struct buf *b)
{
	(void)host_text(h, path, b);
	char *text = buf_cstr(b);
	if (!text)
		return "";
	text[strcspn(text, " \n")] = '\0';
	return text;
}

static const char release_file[] = "/proc/sys/kernel/osrelease";

void check_kernel(struct report *r, const struct host *h)
{
	static const char fix[] =
	    "apt-get install linux-image-amd64 and boot it: Debian 12 has 6.1";
	CLEAN_BUF struct buf b = BUF_INIT;
	const char *release = read_word(h, release_file, &b);
	unsigned v[3] = { 0 };
	if (host_version(release, v) < 2)
		report_add(r, "kernel", REPORT_FAIL, NULL, "%s cannot be read", release_file);
	else if (v[0] < 5 || (v[0] == 5 && v[1] < 19))
		report_add(r, "kernel", REPORT_FAIL, fix,
		    "%s; 5.19 or later is needed (id-mapped mounts under overlayfs)", release);
	else
		report_add(r, "kernel", REPORT_OK, NULL, "%s", release);
}

/* ---- cgroups, as jail/cgroup.h uses them ---- */

struct groups {
	char unified[256];	/* where the version 2 tree is mounted */
	bool memory, cpu, pids; /* version 1 hierarchies */
};

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; (p = strstr(p, word)) != NULL; p += n)
		if ((p == list || strchr(", ", p[-1])) && strchr(", \n", p[n]))
			return true;
	return false;
}

/* "id parent dev root mountpoint opts [tag...] - type source superopts" */
static void take_mount(struct groups *g, char *line)
{
	char point[256], type[32], opts[256] = "";
	char *tail = strstr(line, " - ");
	if (!tail || sscanf(line, "%*s %*s %*s %*s %255s", point) != 1 ||
	    sscanf(tail + 3, "%31s %*s %255s", type, opts) < 1)
		return;
	if (str_eq(type, "cgroup2") && !g->unified[0])
		(void)str_copy(g->unified, sizeof(g->unified), point);
	if (!str_eq(type, "cgroup"))
		return;
	g->memory |= has_word(opts, "memory");
	g->cpu |= has_word(opts, "cpu");
	g->pids |= has_word(opts, "pids");
}

static void check_v2(struct report *r, const char *list)
{
	static const char fix[] = "let all controllers be on: no cgroup_disable= in "
				  "/proc/cmdline, and in a container delegate memory, cpu and pids";
	bool cpu = has_word(list, "cpu");
	report_add(r, "cgroup", cpu ? REPORT_OK : REPORT_FAIL, cpu ? NULL : fix,
	    "version 2 with memory, %spids", cpu ? "cpu, " : "");
}

void check_cgroups(struct report *r, const struct host *h)
{
	static const char fix[] =
	    "switch them on at boot: add systemd.unified_cgroup_hierarchy=1 cgroup_enable=memory "
	    "to GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub and reboot";
	CLEAN_BUF struct buf b = BUF_INIT, file = BUF_INIT;
	struct groups g = { 0 };
	char path[PATH_LEN_MAX], *save = NULL;
	(void)host_text(h, "/proc/self/mountinfo", &b);
	for (char *l = strtok_r(buf_cstr(&b), "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		take_mount(&g, l);
	const char *list = "";
	if (g.unified[0] && path_join(path, sizeof(path), g.unified, "cgroup.controllers") == 0)
		list = host_text(h, path, &file);
	if (has_word(list, "memory") && has_word(list, "pids")) {
		check_v2(r, list);
		return;
	}
	if (!g.memory || !g.pids) {
		report_add(r, "cgroup", REPORT_FAIL, fix,
		    "no hierarchy has the controllers memory and pids (memory: %s, pids: %s)",
		    g.memory ? "yes" : "no", g.pids ? "yes" : "no");
		return;
	}
	report_add(r, "cgroup", g.cpu ? REPORT_OK : REPORT_WARN, g.cpu ? NULL : fix,
	    "%s with memory, %spids%s", g.unified[0] ? "hybrid, version 1" : "version 1",
	    g.cpu ? "cpu, " : "",
	    g.cpu ? "" : "; without cpu no sandbox's share of the processors is limited");
}

/* ---- file systems ---- */

static int try_idmap(const struct host *h, const char *path)
{
	char dir[PATH_LEN_MAX];
	int e = host_existing(h, path, dir, sizeof(dir));
	return e < 0 ? e : h->ops->idmap(dir);
}

void check_idmap(struct report *r, const struct host *h)
{
	int state = try_idmap(h, h->state_dir), usr = try_idmap(h, "/usr");
	if (state < 0)
		report_add(r, "idmap", REPORT_FAIL,
		    "put state_dir on ext4, xfs or btrfs (tmpfs from Linux 6.3 on)",
		    "no user or id-mapped mounts on the file system of %s: %s", h->state_dir,
		    err_name(state));
	else if (usr < 0)
		report_add(r, "idmap", REPORT_WARN,
		    "have /usr on ext4, xfs or btrfs, or use templates with a built base",
		    "no id-mapped mount of /usr, which base host needs: %s", err_name(usr));
	else
		report_add(r, "idmap", REPORT_OK, NULL,
		    "user namespaces and id-mapped mounts of %s and /usr", h->state_dir);
}

/* Is it built in or loaded, or else a module that can be? */
static bool has_module(const struct host *h, const char *file)
{
	CLEAN_BUF struct buf release = BUF_INIT, list = BUF_INIT;
	char path[PATH_LEN_MAX];
	return path_printf(path, sizeof(path), "/lib/modules/%s/modules.dep",
		   read_word(h, release_file, &release)) == 0 &&
	       strstr(host_text(h, path, &list), file) != NULL;
}

void check_overlay(struct report *r, const struct host *h)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	if (strstr(host_text(h, "/proc/filesystems", &b), "\toverlay\n"))
		report_add(r, "overlayfs", REPORT_OK, NULL, "known to the kernel");
	else if (has_module(h, "/overlay.ko"))
		report_add(r, "overlayfs", REPORT_OK, NULL, "a module that is loaded when needed");
	else
		report_add(r, "overlayfs", REPORT_FAIL, "boot a kernel with CONFIG_OVERLAY_FS",
		    "this kernel has none");
}

void check_loop(struct report *r, const struct host *h)
{
	int e = host_open_device(h, "/dev/loop-control");
	report_add(r, "loop", e == 0 ? REPORT_OK : REPORT_WARN, e == 0 ? NULL : "modprobe loop",
	    "/dev/loop-control: %s",
	    e == 0 ? "opens" : "cannot be opened; disks of sandboxes are in memory then");
}

/* ---- fences ---- */

void check_seccomp(struct report *r, const struct host *h)
{
	static const char file[] = "/proc/sys/kernel/seccomp/actions_avail";
	CLEAN_BUF struct buf b = BUF_INIT;
	const char *actions = host_text(h, file, &b);
	bool ok = has_word(actions, "errno") && has_word(actions, "kill_process");
	report_add(r, "seccomp", ok ? REPORT_OK : REPORT_FAIL,
	    ok ? NULL : "boot a kernel with CONFIG_SECCOMP_FILTER",
	    ok ? "filters work" : "%s does not name errno and kill_process", file);
}

void check_landlock(struct report *r, const struct host *h)
{
	int abi = h->ops->landlock_abi();
	if (abi >= LANDLOCK_ABI_WANTED)
		report_add(r, "landlock", REPORT_OK, NULL, "ABI %d", abi);
	else
		report_add(r, "landlock", REPORT_WARN,
		    "boot with landlock first in lsm=, as in lsm=landlock,lockdown,yama,apparmor",
		    "%s; one fence less around sandboxes of driver namespace",
		    abi > 0 ? "ABI 1, 2 is needed" : "none");
}
