/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/metrics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "base/str.h"

#define FILE_MAX (256 * 1024)
#define MIB (1024 * 1024)

struct metrics {
	uint64_t cpu_us, wall_us; /* at the last call */
	double cpu_pct;
};

struct memory {
	uint64_t total, used, cache;
};

struct metrics *metrics_new(void)
{
	return mem_zalloc(sizeof(struct metrics));
}

struct metrics *metrics_free(struct metrics *m)
{
	return mem_free(m);
}

/* ---- small files ---- */

static const char *read_text(const char *path, struct buf *b)
{
	buf_reset(b);
	return fd_read_file(AT_FDCWD, path, FILE_MAX, b) == 0 ? buf_cstr(b) : NULL;
}

/* A file that holds one number; "max" and everything else that is none counts as absent. */
static bool read_number(const char *path, uint64_t *ret)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char *s = (char *)read_text(path, &b);
	if (!s)
		return false;
	s[strcspn(s, "\n")] = 0;
	return str_u64(s, UINT64_MAX, ret) == 0;
}

/* The number behind "key " or "key:" at the beginning of a line; 0 when there is none. */
static uint64_t number_after(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p ? 1 : 0) {
		uint64_t v;
		if (strncmp(p, key, n) == 0 && (p[n] == ' ' || p[n] == ':') &&
		    sscanf(p + n + 1, "%" SCNu64, &v) == 1)
			return v;
	}
	return 0;
}

/* ---- memory ---- */

static bool memory_of_cgroup(const char *limit, const char *usage, const char *stat,
    const char *cache_key, uint64_t machine, struct memory *ret)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	uint64_t total, used;
	if (!read_number(limit, &total) || total > machine || !read_number(usage, &used))
		return false;
	const char *text = read_text(stat, &b);
	uint64_t cache = text ? number_after(text, cache_key) : 0;
	*ret = (struct memory){
		.total = total, .used = used > cache ? used - cache : 0, .cache = cache
	};
	return true;
}

static struct memory read_memory(void)
{
	struct memory m = { 0 };
	CLEAN_BUF struct buf b = BUF_INIT;
	const char *text = read_text("/proc/meminfo", &b);
	if (text) {
		uint64_t available = number_after(text, "MemAvailable") * 1024;
		m.total = number_after(text, "MemTotal") * 1024;
		m.cache = number_after(text, "Cached") * 1024;
		m.used = m.total > available ? m.total - available : 0;
	}
	if (!memory_of_cgroup("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
		"/sys/fs/cgroup/memory.stat", "file", m.total, &m))
		(void)memory_of_cgroup("/sys/fs/cgroup/memory/memory.limit_in_bytes",
		    "/sys/fs/cgroup/memory/memory.usage_in_bytes",
		    "/sys/fs/cgroup/memory/memory.stat", "total_cache", m.total, &m);
	return m;
}

/* ---- processors ---- */

static int64_t cpu_count(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Time that processes have used, in microseconds. */
static uint64_t cpu_used_us(void)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	uint64_t v, user, nice, system, idle, wait, irq, softirq;
	const char *text = read_text("/sys/fs/cgroup/cpu.stat", &b);
	if (text && (v = number_after(text, "usage_usec")) > 0)
		return v;
	if (read_number("/sys/fs/cgroup/cpuacct/cpuacct.usage", &v))
		return v / 1000;
	text = read_text("/proc/stat", &b);
	if (!text || sscanf(text,
			 "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			 " %" SCNu64,
			 &user, &nice, &system, &idle, &wait, &irq, &softirq) != 7)
		return 0;
	return (user + nice + system + irq + softirq) * (1000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* Percent of all processors together. */
static double cpu_percent(struct metrics *m)
{
	uint64_t cpu = cpu_used_us(), wall = clock_mono_us();
	uint64_t passed = wall - m->wall_us;
	if (m->wall_us && passed < 1000)
		return m->cpu_pct;
	m->cpu_pct = 0;
	if (m->wall_us && cpu > m->cpu_us)
		m->cpu_pct =
		    100.0 * (double)(cpu - m->cpu_us) / (double)passed / (double)cpu_count();
	if (m->cpu_pct > 100)
		m->cpu_pct = 100;
	m->cpu_us = cpu;
	m->wall_us = wall;
	return m->cpu_pct;
}

json_t *metrics_read(struct metrics *m)
{
	struct memory mem = read_memory();
	struct statvfs fs = { 0 };
	(void)statvfs("/", &fs);
	uint64_t disk_total = (uint64_t)fs.f_blocks * fs.f_frsize;
	uint64_t disk_free = (uint64_t)fs.f_bfree * fs.f_frsize;
	return json_pack("{s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "ts",
	    (json_int_t)(clock_real_ms() / 1000), "cpu_count", (json_int_t)cpu_count(),
	    "cpu_used_pct", (double)(int64_t)(cpu_percent(m) * 100) / 100, "mem_total",
	    (json_int_t)mem.total, "mem_used", (json_int_t)mem.used, "mem_cache",
	    (json_int_t)mem.cache, "mem_total_mib", (json_int_t)(mem.total / MIB), "mem_used_mib",
	    (json_int_t)(mem.used / MIB), "disk_used", (json_int_t)(disk_total - disk_free),
	    "disk_total", (json_int_t)disk_total);
}
