/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/id.h"
#include "base/path.h"
#include "base/str.h"

#define NS 1000000000
#define CLOCK_SKEW_NS (NS / 50) /* as exact as a message on its way */
#define HOST_NAME_MAX_LEN 63
#define HOST_NAME_SET "abcdefghijklmnopqrstuvwxyz0123456789-"
#define CGROUPS "/sys/fs/cgroup"
#define BOOT_ID "/run/sandglass/boot_id"
#define BOOT_ID_SHOWN "/proc/sys/kernel/random/boot_id"
#define MACHINE_ID_BYTES 16

static int fail(struct err *reterr, int r, const char *path)
{
	return r < 0 ? err_set(reterr, r, "%s: %s", path, err_name(r)) : 0;
}

/* ---- files ---- */

static int replace(const struct machine *m, const char *name, const char *text, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	int r = path_printf(path, sizeof(path), "%s%s", m->root, name);
	if (r == 0)
		r = fd_replace_file(AT_FDCWD, path, 0644, text, strlen(text));
	return fail(reterr, r, name);
}

/* Of the kernel's. */
static int set(const struct machine *m, const char *name, const char *text, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	int r = path_printf(path, sizeof(path), "%s%s", m->root, name);
	if (r == 0)
		r = fd_write_file(AT_FDCWD, path, text, strlen(text));
	return fail(reterr, r, name);
}

/* ---- identities ---- */

/* The same file always: it is what is mounted over the kernel's. */
static int write_boot_id(const struct machine *m, struct err *reterr)
{
	char path[PATH_LEN_MAX], id[38];
	id_uuid(id);
	id[36] = '\n';
	int r = path_printf(path, sizeof(path), "%s" BOOT_ID, m->root);
	CLEAN_FD int fd =
	    r < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (r == 0 && (fd < 0 || pwrite(fd, id, 37, 0) != 37))
		r = errno ? -errno : -EIO;
	return fail(reterr, r, BOOT_ID);
}

int machine_renew_ids(const struct machine *m, struct err *reterr)
{
	unsigned char bytes[MACHINE_ID_BYTES];
	char text[2 * MACHINE_ID_BYTES + 2];
	id_random(bytes, sizeof(bytes));
	str_hex(bytes, sizeof(bytes), text);
	text[2 * MACHINE_ID_BYTES] = '\n';
	text[2 * MACHINE_ID_BYTES + 1] = '\0';
	int r = replace(m, "/etc/machine-id", text, reterr);
	return r < 0 ? r : write_boot_id(m, reterr);
}

static bool is_host_name(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= HOST_NAME_MAX_LEN && str_only(name, HOST_NAME_SET) && name[0] != '-' &&
	       name[n - 1] != '-';
}

int machine_set_name(const struct machine *m, const char *name, struct err *reterr)
{
	char text[256];
	if (!is_host_name(name))
		return err_set(reterr, -EINVAL,
		    "hostname: expected at most %d letters a-z, digits and '-'", HOST_NAME_MAX_LEN);
	if (!*m->root && sethostname(name, strlen(name)) < 0)
		return fail(reterr, -errno, "hostname");
	(void)snprintf(text, sizeof(text), "%s\n", name);
	int r = replace(m, "/etc/hostname", text, reterr);
	(void)snprintf(text, sizeof(text),
	    "127.0.0.1\tlocalhost\n127.0.1.1\t%s\n::1\tlocalhost ip6-localhost ip6-loopback\n",
	    name);
	return r < 0 ? r : replace(m, "/etc/hosts", text, reterr);
}

/* ---- limits ---- */

int machine_limit_processes(const struct machine *m, uint64_t max, struct err *reterr)
{
	char text[24] = "max";
	if (max)
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)max);
	return set(m, MACHINE_CGROUP "/pids.max", text, reterr);
}

/* Everything that we start is in it like we are. A kernel that has no accounts of memory does not
 * say when it killed for it. */
static int enter_cgroup(const struct machine *m, struct err *reterr)
{
	(void)set(m, CGROUPS "/cgroup.subtree_control", "+memory", NULL);
	int r = set(m, CGROUPS "/cgroup.subtree_control", "+pids", reterr);
	if (r == 0)
		r = fail(reterr, path_mkdir_p(MACHINE_CGROUP, 0755), MACHINE_CGROUP);
	return r < 0 ? r : set(m, MACHINE_CGROUP "/cgroup.procs", "1", reterr);
}

/* Memory that was used within the last second is not taken back to go on for a while with what is
 * left, reading every page of every program again and again: somebody is killed at once. Not every
 * kernel can do that. */
static void set_reclaim(const struct machine *m)
{
	(void)set(m, "/sys/kernel/mm/lru_gen/enabled", "y", NULL);
	(void)set(m, "/sys/kernel/mm/lru_gen/min_ttl_ms", "1000", NULL);
}

/* Huge pages for those who ask. Otherwise a copy that does nothing would go on to put its small
 * pages together, all of which it shares with the snapshot and its other copies. */
static void set_huge_pages(const struct machine *m)
{
	(void)set(m, "/sys/kernel/mm/transparent_hugepage/enabled", "madvise", NULL);
}

int machine_prepare(const struct machine *m, struct err *reterr)
{
	int r = fail(reterr, path_mkdir_p("/run/sandglass", 0755), "/run/sandglass");
	if (r == 0)
		r = machine_renew_ids(m, reterr);
	if (r == 0 && mount(BOOT_ID, BOOT_ID_SHOWN, NULL, MS_BIND, NULL) < 0)
		r = fail(reterr, -errno, BOOT_ID_SHOWN);
	set_reclaim(m);
	set_huge_pages(m);
	return r < 0 ? r : enter_cgroup(m, reterr);
}

/* ---- time and chance ---- */

int machine_set_clock(const struct machine *m, int64_t real_ns, struct err *reterr)
{
	int64_t skew = real_ns - clock_real_ns();
	const struct timespec ts = { .tv_sec = real_ns / NS, .tv_nsec = real_ns % NS };
	if (skew < CLOCK_SKEW_NS && skew > -CLOCK_SKEW_NS)
		return 0;
	return clock_settime(CLOCK_REALTIME, &ts) < 0 ? fail(reterr, -errno, "clock") : 0;
}

int machine_add_entropy(const struct machine *m, const void *p, size_t n, struct err *reterr)
{
	_Alignas(struct rand_pool_info) unsigned char
	    mem[sizeof(struct rand_pool_info) + MACHINE_ENTROPY_MAX];
	struct rand_pool_info *pool = (struct rand_pool_info *)mem;
	size_t used = n < MACHINE_ENTROPY_MAX ? n : MACHINE_ENTROPY_MAX;
	CLEAN_FD int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(reterr, -errno, "/dev/urandom");
	pool->entropy_count = (int)used * 8;
	pool->buf_size = (int)used;
	memcpy(mem + sizeof(*pool), p, used);
	if (ioctl(fd, RNDADDENTROPY, pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
		return fail(reterr, -errno, "/dev/urandom");
	return 0;
}

void machine_sync(const struct machine *m)
{
	sync();
}
