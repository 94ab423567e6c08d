/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, disk, devices, network. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/meminfo.h"
#include "base/path.h"
#include "base/str.h"
#include "doctor/host.h"
#include "doctor/report.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define MEMORY_WANTED (1 * GIB) /* a sandbox or two beside the server */
#define DISK_NEEDED (1 * GIB)
#define DISK_WANTED (10 * GIB) /* images of templates and what they are built in */

/* ---- network ---- */

void check_network(struct report *r, const struct host *h)
{
	struct err err = ERR_INIT;
	int e = h->ops->network(&err);
	report_add(r, "network", e == 0 ? REPORT_OK : REPORT_FAIL,
	    e == 0 ? NULL : "modprobe -a nf_tables nft_ct nft_masq veth", "%s",
	    e == 0 ? "nftables and veth, tried in a namespace of their own" : err_text(&err));
}

void check_forward(struct report *r, const struct host *h)
{
	static const char file[] = "/proc/sys/net/ipv4/ip_forward";
	CLEAN_BUF struct buf b = BUF_INIT;
	char value = host_text(h, file, &b)[0];
	if (value == '1')
		report_add(r, "ip_forward", REPORT_OK, NULL, "on");
	else if (value == '0')
		report_add(r, "ip_forward", REPORT_OK, NULL,
		    "off; the server switches it on when it starts");
	else
		report_add(r, "ip_forward", REPORT_FAIL, "mount /proc/sys writable",
		    "%s cannot be read", file);
}

/* ---- memory and disk ---- */

void check_memory(struct report *r, const struct host *h)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct meminfo m = { 0 };
	if (meminfo_parse(host_text(h, "/proc/meminfo", &b), &m) < 0) {
		report_add(r, "memory", REPORT_FAIL, NULL, "/proc/meminfo cannot be read");
		return;
	}
	bool ok = m.available >= MEMORY_WANTED;
	report_add(r, "memory", ok ? REPORT_OK : REPORT_WARN,
	    ok ? NULL : "give the machine more memory, or templates less (resources: memory)",
	    "%" PRIu64 " MiB of %" PRIu64 " MiB available", m.available / MIB, m.total / MIB);
}

void check_swap(struct report *r, const struct host *h)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	const char *text = host_text(h, "/proc/swaps", &b);
	const char *first = strchr(text, '\n');
	char name[128];
	if (first && sscanf(first + 1, "%127s", name) == 1)
		report_add(r, "swap", REPORT_WARN, "swapoff -a, and take it out of /etc/fstab",
		    "%s is on: memory of snapshots and of their clones may be read from disk, and "
		    "clones slow down",
		    name);
	else
		report_add(r, "swap", REPORT_OK, NULL, "off");
}

void check_disk(struct report *r, const struct host *h)
{
	static const char fix[] = "make room, or give state_dir a larger file system";
	char dir[PATH_LEN_MAX];
	uint64_t left = 0;
	int e = host_existing(h, h->state_dir, dir, sizeof(dir));
	if (e == 0)
		e = h->ops->free_space(dir, &left);
	if (e < 0)
		report_add(r, "disk", REPORT_FAIL, NULL, "%s: %s", h->state_dir, err_name(e));
	else
		report_add(r, "disk",
		    left < DISK_NEEDED	 ? REPORT_FAIL
		    : left < DISK_WANTED ? REPORT_WARN
					 : REPORT_OK,
		    left < DISK_WANTED ? fix : NULL, "%" PRIu64 " MiB free for %s%s", left / MIB,
		    h->state_dir,
		    left < DISK_WANTED ? "; 10 GiB let images of templates be built" : "");
}

void check_hugepages(struct report *r, const struct host *h)
{
	CLEAN_BUF struct buf b = BUF_INIT, thp = BUF_INIT;
	const char *line = strstr(host_text(h, "/proc/meminfo", &b), "HugePages_Total:");
	unsigned long n = 0;
	if (line)
		(void)sscanf(line, "HugePages_Total: %lu", &n);
	const char *mode =
	    strchr(host_text(h, "/sys/kernel/mm/transparent_hugepage/enabled", &thp), '[');
	int len = mode ? (int)strcspn(mode + 1, "]\n") : 0;
	report_add(r, "hugepages", REPORT_OK, NULL,
	    "%lu reserved, none are needed; transparent: %.*s", n, len ? len : 7,
	    len ? mode + 1 : "unknown");
}

/* ---- devices ---- */

/* What a guest does on it is for the test boots to say. */
void check_kvm(struct report *r, const struct host *h)
{
	static const char fix[] =
	    "switch virtualisation on in the firmware (in a VM: nested virtualisation), then "
	    "modprobe kvm_intel || modprobe kvm_amd";
	int e = host_open_device(h, "/dev/kvm");
	if (e == 0)
		report_add(r, "kvm", REPORT_OK, NULL,
		    "/dev/kvm opens; whether guests run on it is told by the test boots");
	else
		report_add(r, "kvm", REPORT_WARN, fix,
		    "/dev/kvm: %s; microVMs are emulated at best",
		    e == -ENOENT ? "absent" : err_name(e));
}

void check_tun(struct report *r, const struct host *h)
{
	int e = host_open_device(h, "/dev/net/tun");
	report_add(r, "tun", e == 0 ? REPORT_OK : REPORT_WARN, e == 0 ? NULL : "modprobe tun",
	    "/dev/net/tun: %s", e == 0 ? "opens" : "cannot be opened; microVMs have no network");
}
