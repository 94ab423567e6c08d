/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout: header, runs in ascending order, at the next page boundary the pages of all runs but
 * those of zeros, one after the other.
 */
#include "launcher/mem_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
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
#include "launcher/record.h"

#define PAGE 4096u
#define CHUNK_PAGES 256u
#define MAPS_MAX (4u << 20)
#define SEGMENTS_MAX 64
#define RUN_ZERO 1u

#define PM_PRESENT (1ull << 63)
#define PM_SWAPPED (1ull << 62)
#define PM_FILE (1ull << 61) /* a page of the file: not written to */

static const char magic[8] = "SGMEM01";

struct head {
	char magic[8];
	uint64_t size; /* of the whole memory */
	uint64_t n_runs;
	uint64_t n_pages; /* with data */
};

struct run {
	uint64_t page; /* first */
	uint32_t n;
	uint32_t flags;
};

/* Part of the memory as it is mapped. */
struct segment {
	uint64_t at, len, off;
};

struct process {
	int mem_fd, pagemap_fd;
	struct segment seg[SEGMENTS_MAX];
	unsigned n;
};

/* ---- the process ---- */

static int add_segment(struct process *p, const struct mem_target *t, const char *line)
{
	unsigned long long from, to, off;
	char perms[5], name[96];
	int at = 0;
	if (sscanf(line, "%llx-%llx %4s %llx %*s %*s %n", &from, &to, perms, &off, &at) != 4 ||
	    at == 0)
		return 0;
	(void)snprintf(name, sizeof(name), "/memfd:%s (deleted)", t->name);
	if (!str_eq(line + at, name) || perms[3] != 'p')
		return 0;
	if (p->n == SEGMENTS_MAX || to <= from || (from | to | off) % PAGE || off >= t->size ||
	    to - from > t->size - off)
		return -EBADMSG;
	p->seg[p->n++] = (struct segment){ from, to - from, off };
	return 0;
}

static int read_maps(struct process *p, const struct mem_target *t)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[64], *save = NULL;
	(void)snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	int r = fd_read_file(AT_FDCWD, path, MAPS_MAX, &b);
	char *text = r == 0 ? buf_cstr(&b) : NULL;
	if (!text)
		return r < 0 ? r : -ENOMEM;
	for (char *line = strtok_r(text, "\n", &save); r == 0 && line;
	     line = strtok_r(NULL, "\n", &save))
		r = add_segment(p, t, line);
	return r < 0 || p->n > 0 ? r : -ENOENT;
}

static int open_process(struct process *p, const struct mem_target *t, int flags)
{
	char path[64];
	uint64_t start;
	*p = (struct process){ .mem_fd = -1, .pagemap_fd = -1 };
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
	p->mem_fd = open(path, flags | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/%d/pagemap", t->pid);
	p->pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->mem_fd < 0 || p->pagemap_fd < 0)
		return -errno;
	/* The descriptors hold that memory: what is learnt now is about the same process. */
	int r = record_process_start(t->pid, &start);
	if (r == 0 && start != t->start)
		r = -ESRCH;
	return r < 0 ? r : read_maps(p, t);
}

static void close_process(struct process *p)
{
	p->mem_fd = fd_close(p->mem_fd);
	p->pagemap_fd = fd_close(p->pagemap_fd);
}

/* ---- saving ---- */

struct saver {
	const struct mem_target *target;
	struct process proc;
	int base;
	struct buf runs;
	uint64_t n_runs, n_pages;
	unsigned char *page, *old; /* CHUNK_PAGES each */
};

static int add_page(struct saver *s, uint64_t page, bool zero)
{
	uint32_t flags = zero ? RUN_ZERO : 0;
	s->n_pages += !zero;
	if (s->n_runs > 0) {
		struct run *last = (void *)(buf_data(&s->runs) + buf_len(&s->runs) - sizeof(*last));
		if (last->page + last->n == page && last->flags == flags && last->n < UINT32_MAX) {
			last->n++;
			return 0;
		}
	}
	const struct run run = { page, 1, flags };
	s->n_runs++;
	return buf_append(&s->runs, &run, sizeof(run));
}

static bool is_zero(const unsigned char *p)
{
	return p[0] == 0 && memcmp(p, p + 1, PAGE - 1) == 0;
}

/* n pages at file page first, mapped at at; entries: their rows of pagemap. */
static int look_at(
    struct saver *s, uint64_t first, uint64_t at, const uint64_t *entries, unsigned n)
{
	bool any = false;
	for (unsigned i = 0; i < n; i++)
		any |= (entries[i] & (PM_PRESENT | PM_SWAPPED)) && !(entries[i] & PM_FILE);
	if (!any)
		return 0;
	ssize_t want = (ssize_t)n * PAGE;
	if (pread(s->proc.mem_fd, s->page, (size_t)want, (off_t)at) != want)
		return errno ? -errno : -EIO;
	bool compare =
	    s->base >= 0 && pread(s->base, s->old, (size_t)want, (off_t)(first * PAGE)) == want;
	for (unsigned i = 0; i < n; i++) {
		const unsigned char *p = s->page + (size_t)i * PAGE;
		if (!(entries[i] & (PM_PRESENT | PM_SWAPPED)) || (entries[i] & PM_FILE) ||
		    (compare && memcmp(p, s->old + (size_t)i * PAGE, PAGE) == 0))
			continue;
		int r = add_page(s, first + i, is_zero(p));
		if (r < 0)
			return r;
	}
	return 0;
}

static int scan_segment(struct saver *s, const struct segment *g)
{
	uint64_t entries[CHUNK_PAGES];
	for (uint64_t done = 0; done < g->len;) {
		uint64_t left = (g->len - done) / PAGE;
		unsigned n = left < CHUNK_PAGES ? (unsigned)left : CHUNK_PAGES;
		ssize_t want = (ssize_t)(n * sizeof(entries[0]));
		if (pread(s->proc.pagemap_fd, entries, (size_t)want,
			(off_t)((g->at + done) / PAGE * sizeof(entries[0]))) != want)
			return errno ? -errno : -EIO;
		int r = look_at(s, (g->off + done) / PAGE, g->at + done, entries, n);
		if (r < 0)
			return r;
		done += (uint64_t)n * PAGE;
	}
	return 0;
}

/* Address of a page; 0 when it is not mapped. */
static uint64_t address_of(const struct process *p, uint64_t page, uint64_t *ret_left)
{
	for (unsigned i = 0; i < p->n; i++) {
		const struct segment *g = &p->seg[i];
		uint64_t off = page * PAGE;
		if (off >= g->off && off < g->off + g->len) {
			*ret_left = (g->off + g->len - off) / PAGE;
			return g->at + (off - g->off);
		}
	}
	return 0;
}

/* One call of fn for each piece of a run that is mapped in one and fits the buffer. */
static int each_piece(const struct process *p, const struct run *run,
    int (*fn)(void *arg, uint64_t at, size_t bytes), void *arg)
{
	for (uint64_t done = 0; done < run->n;) {
		uint64_t left = 0, at = address_of(p, run->page + done, &left);
		if (at == 0)
			return -EFAULT;
		if (left > run->n - done)
			left = run->n - done;
		if (left > CHUNK_PAGES)
			left = CHUNK_PAGES;
		int r = fn(arg, at, (size_t)left * PAGE);
		if (r < 0)
			return r;
		done += left;
	}
	return 0;
}

struct copier {
	int mem_fd, file;
	unsigned char *page;
	bool zero;
};

static int copy_out(void *arg, uint64_t at, size_t bytes)
{
	const struct copier *c = arg;
	ssize_t n = pread(c->mem_fd, c->page, bytes, (off_t)at);
	if (n != (ssize_t)bytes)
		return n < 0 ? -errno : -EIO;
	return fd_write_all(c->file, c->page, bytes);
}

static uint64_t data_at(uint64_t n_runs)
{
	return (sizeof(struct head) + n_runs * sizeof(struct run) + PAGE - 1) / PAGE * PAGE;
}

static int write_out(struct saver *s, int out)
{
	struct head h = { .size = s->target->size, .n_runs = s->n_runs, .n_pages = s->n_pages };
	struct copier c = { s->proc.mem_fd, out, s->page, false };
	memcpy(h.magic, magic, sizeof(h.magic));
	int r = fd_write_all(out, &h, sizeof(h));
	if (r == 0)
		r = fd_write_all(out, buf_data(&s->runs), buf_len(&s->runs));
	off_t data = (off_t)data_at(s->n_runs);
	if (r == 0 && (ftruncate(out, data) < 0 || lseek(out, data, SEEK_SET) < 0))
		r = -errno;
	for (uint64_t i = 0; r == 0 && i < s->n_runs; i++) {
		struct run run;
		memcpy(&run, buf_data(&s->runs) + i * sizeof(run), sizeof(run));
		if (!(run.flags & RUN_ZERO))
			r = each_piece(&s->proc, &run, copy_out, &c);
	}
	return r;
}

int mem_diff_save(
    const struct mem_target *t, int base, int out, uint64_t *ret_size, struct err *reterr)
{
	struct saver s = { .target = t, .base = base };
	s.page = mem_alloc((size_t)CHUNK_PAGES * PAGE);
	s.old = mem_alloc((size_t)CHUNK_PAGES * PAGE);
	int r = s.page && s.old ? open_process(&s.proc, t, O_RDONLY) : -ENOMEM;
	for (unsigned i = 0; r == 0 && i < s.proc.n; i++)
		r = scan_segment(&s, &s.proc.seg[i]);
	if (r == 0)
		r = write_out(&s, out);
	close_process(&s.proc);
	buf_fini(&s.runs);
	(void)mem_free(s.page);
	(void)mem_free(s.old);
	if (r < 0)
		return err_set(reterr, r, "cannot read its memory: %s", err_name(r));
	*ret_size = data_at(s.n_runs) + s.n_pages * PAGE;
	return 0;
}

/* ---- loading ---- */

static int check_runs(const struct run *runs, const struct head *h)
{
	uint64_t next = 0, pages = 0, total = h->size / PAGE;
	for (uint64_t i = 0; i < h->n_runs; i++) {
		if (runs[i].page < next || runs[i].n == 0 || runs[i].flags > RUN_ZERO ||
		    runs[i].page >= total || runs[i].n > total - runs[i].page)
			return -EBADMSG;
		next = runs[i].page + runs[i].n;
		pages += runs[i].flags & RUN_ZERO ? 0 : runs[i].n;
	}
	return pages == h->n_pages ? 0 : -EBADMSG;
}

static int read_runs(const struct mem_target *t, int in, struct head *h, struct run **ret)
{
	struct stat st;
	uint64_t most = t->size / PAGE;
	if (pread(in, h, sizeof(*h), 0) != sizeof(*h) || fstat(in, &st) < 0 ||
	    memcmp(h->magic, magic, sizeof(magic)) != 0 || h->size != t->size || h->n_runs > most ||
	    h->n_pages > most || (uint64_t)st.st_size != data_at(h->n_runs) + h->n_pages * PAGE)
		return -EBADMSG;
	size_t bytes = (size_t)h->n_runs * sizeof(**ret);
	CLEAN_FREE struct run *runs = mem_alloc(bytes);
	if (!runs)
		return -ENOMEM;
	for (size_t done = 0; done < bytes;) {
		ssize_t n =
		    pread(in, (char *)runs + done, bytes - done, (off_t)(sizeof(*h) + done));
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		done += (size_t)n;
	}
	int r = check_runs(runs, h);
	if (r == 0)
		*ret = TAKE(runs);
	return r;
}

static int copy_in(void *arg, uint64_t at, size_t bytes)
{
	const struct copier *c = arg;
	if (c->zero)
		memset(c->page, 0, bytes);
	else if (read(c->file, c->page, bytes) != (ssize_t)bytes)
		return errno ? -errno : -EIO;
	ssize_t n = pwrite(c->mem_fd, c->page, bytes, (off_t)at);
	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

int mem_diff_load(const struct mem_target *t, int in, struct err *reterr)
{
	struct head h;
	struct process proc = { .mem_fd = -1, .pagemap_fd = -1 };
	CLEAN_FREE struct run *runs = NULL;
	CLEAN_FREE unsigned char *page = mem_alloc((size_t)CHUNK_PAGES * PAGE);
	int r = page ? read_runs(t, in, &h, &runs) : -ENOMEM;
	if (r == -EBADMSG)
		return err_set(reterr, r, "its memory file is damaged or of another size");
	if (r == 0)
		r = open_process(&proc, t, O_RDWR);
	if (r == 0 && lseek(in, (off_t)data_at(h.n_runs), SEEK_SET) < 0)
		r = -errno;
	struct copier c = { proc.mem_fd, in, page, false };
	for (uint64_t i = 0; r == 0 && i < h.n_runs; i++) {
		c.zero = runs[i].flags & RUN_ZERO;
		r = each_piece(&proc, &runs[i], copy_in, &c);
	}
	close_process(&proc);
	return r < 0 ? err_set(reterr, r, "cannot fill its memory: %s", err_name(r)) : 0;
}
