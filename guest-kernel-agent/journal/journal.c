/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/journal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "guest-kernel-agent/journal/spill.h"

#define SEGMENT_MAX (JOURNAL_MEMORY / 4)
#define SEGMENT_FIRST 1024
#define SPARED_PART 16 /* of the cap, see journal.h */

struct record_head {
	int64_t time_ns;
	uint32_t n, type;
};

struct journal_segment {
	struct link link;
	uint64_t first; /* sequence number of its first record */
	uint64_t count;
	size_t len, cap;
	unsigned char *mem; /* NULL when it is in the file */
	uint64_t at;
};

struct journal {
	struct journal_conf conf;
	size_t segment_max;
	struct link segments; /* oldest first; those in the file come before those in memory */
	struct link readers, peekers;
	uint64_t first, last;
	uint64_t seen; /* highest number that any reader has read */
	uint64_t bytes;
	size_t memory;
	struct spill spill;
	int err; /* broken behind last */
	int spill_err;
	bool closed, starved, spill_full;
};

struct journal *journal_new(const struct journal_conf *c)
{
	struct journal *j = mem_zalloc(sizeof(*j));
	if (!j)
		return NULL;
	j->conf = *c;
	j->conf.memory = c->memory ? c->memory : JOURNAL_MEMORY;
	j->conf.cap = c->cap ? c->cap : JOURNAL_CAP;
	j->conf.spill_dir = c->spill_dir ? c->spill_dir : "/tmp";
	j->segment_max = j->conf.memory / 4 < SEGMENT_MAX ? j->conf.memory / 4 : SEGMENT_MAX;
	link_init(&j->segments);
	link_init(&j->readers);
	link_init(&j->peekers);
	j->spill = (struct spill)SPILL_INIT;
	j->first = 1;
	return j;
}

static struct journal_segment *head_segment(const struct journal *j)
{
	struct link *k = list_first(&j->segments);
	return k ? container_of(k, struct journal_segment, link) : NULL;
}

static struct journal_segment *tail_segment(const struct journal *j)
{
	return list_is_empty(&j->segments)
		   ? NULL
		   : container_of(j->segments.prev, struct journal_segment, link);
}

static uint64_t segment_end(const struct journal_segment *g)
{
	return g->first + g->count;
}

static void leave_segment(const struct link *readers, const struct journal_segment *g)
{
	LIST_EACH(k, readers)
	{
		struct journal_reader *r = container_of(k, struct journal_reader, link);
		if (r->segment == g)
			r->segment = NULL;
		if (r->loaded == g)
			r->loaded = NULL;
	}
}

static void drop_segment(struct journal *j, struct journal_segment *g)
{
	leave_segment(&j->readers, g);
	leave_segment(&j->peekers, g);
	link_remove(&g->link);
	j->bytes -= g->len;
	if (g->mem) {
		j->memory -= g->cap;
		mem_free(g->mem);
	} else {
		spill_drop(&j->spill, g->at, g->len);
	}
	j->first = segment_end(g);
	mem_free(g);
}

struct journal *journal_free(struct journal *j)
{
	if (!j)
		return NULL;
	assert(list_is_empty(&j->readers) && list_is_empty(&j->peekers));
	for (struct journal_segment *g; (g = head_segment(j));)
		drop_segment(j, g);
	spill_fini(&j->spill);
	return mem_free(j);
}

/* ---- what may go ---- */

/* Records below this number have been read by everybody who is there. */
static uint64_t passed_by_all(const struct journal *j)
{
	uint64_t min = UINT64_MAX;
	LIST_EACH(k, &j->readers)
	{
		uint64_t next = container_of(k, struct journal_reader, link)->next;
		min = next < min ? next : min;
	}
	return min;
}

/* Everything was read: the segment being written starts again with the memory it has. */
static void empty_tail(struct journal *j, struct journal_segment *g)
{
	LIST_EACH(k, &j->readers)
	{
		struct journal_reader *r = container_of(k, struct journal_reader, link);
		if (r->segment == g)
			r->offset = 0;
	}
	leave_segment(&j->peekers, g);
	j->bytes -= g->len;
	g->first = j->first = segment_end(g);
	g->count = g->len = 0;
}

static void trim_passed(struct journal *j)
{
	if (j->conf.keep || list_is_empty(&j->readers))
		return;
	uint64_t floor = passed_by_all(j);
	for (struct journal_segment *g; (g = head_segment(j)) && segment_end(g) <= floor;) {
		if (g == tail_segment(j) && g->mem && g->cap <= j->segment_max) {
			empty_tail(j, g);
			return;
		}
		drop_segment(j, g);
	}
}

/* With nobody there: is this segment read, and older than the part that is spared? */
static bool is_behind_spared(const struct journal *j, const struct journal_segment *g)
{
	uint64_t newer = 0;
	if (segment_end(g) > j->seen + 1)
		return false;
	for (const struct link *k = g->link.next; k != &j->segments; k = k->next) {
		const struct journal_segment *o = container_of(k, struct journal_segment, link);
		if (segment_end(o) > j->seen + 1)
			break;
		newer += o->len;
		if (newer >= j->conf.cap / SPARED_PART)
			return true;
	}
	return false;
}

static bool is_full(const struct journal *j)
{
	return j->bytes >= j->conf.cap || (j->spill_full && j->memory > j->conf.memory);
}

static bool may_drop(const struct journal *j, const struct journal_segment *g)
{
	if (!list_is_empty(&j->readers))
		return segment_end(g) <= passed_by_all(j);
	return j->conf.drop_oldest || is_behind_spared(j, g);
}

static void trim_to_cap(struct journal *j)
{
	for (struct journal_segment *g; is_full(j) && (g = head_segment(j));) {
		if (!may_drop(j, g))
			return;
		drop_segment(j, g);
	}
}

bool journal_has_room(struct journal *j)
{
	trim_to_cap(j);
	j->starved = is_full(j);
	return !j->starved;
}

/* A reader moved on or left. */
static void offer_room(struct journal *j)
{
	if (!j->starved)
		return;
	if (!list_is_empty(&j->readers) && !journal_has_room(j))
		return;
	j->starved = false;
	if (j->conf.on_room)
		j->conf.on_room(j->conf.arg);
}

/* ---- writing ---- */

static int spill_segment(struct journal *j, struct journal_segment *g)
{
	int r = spill_put(&j->spill, j->conf.spill_dir, g->mem, g->len, &g->at);
	if (r < 0)
		return r;
	j->memory -= g->cap;
	g->mem = mem_free(g->mem);
	return 0;
}

/* Move the oldest segments from memory to the file, never the one that is being written. */
static void spill_oldest(struct journal *j)
{
	j->spill_full = false;
	LIST_EACH(k, &j->segments)
	{
		struct journal_segment *g = container_of(k, struct journal_segment, link);
		if (j->memory <= j->conf.memory || g == tail_segment(j))
			return;
		int r = g->mem ? spill_segment(j, g) : 0;
		if (r < 0) {
			j->spill_full = true;
			j->spill_err = j->spill_err ? j->spill_err : r;
			return;
		}
	}
}

static struct journal_segment *segment_new(struct journal *j, size_t need)
{
	size_t cap = SEGMENT_FIRST < j->segment_max ? SEGMENT_FIRST : j->segment_max;
	struct journal_segment *g = mem_zalloc(sizeof(*g));
	if (!g)
		return NULL;
	g->cap = need > cap ? need : cap;
	g->mem = mem_alloc(g->cap);
	if (!g->mem)
		return mem_free(g);
	g->first = j->last + 1;
	j->memory += g->cap;
	list_push_back(&j->segments, &g->link);
	return g;
}

static int segment_grow(struct journal *j, struct journal_segment *g, size_t need)
{
	size_t cap = g->cap * 2;
	while (cap < need)
		cap *= 2;
	if (cap > j->segment_max)
		cap = j->segment_max;
	unsigned char *mem = mem_realloc(g->mem, cap);
	if (!mem)
		return -ENOMEM;
	j->memory += cap - g->cap;
	g->mem = mem;
	g->cap = cap;
	return 0;
}

/* The segment that takes a record of n bytes, or NULL. */
static struct journal_segment *segment_for(struct journal *j, size_t n)
{
	struct journal_segment *g = tail_segment(j);
	if (!g || !g->mem || g->len + n > (g->cap > j->segment_max ? g->cap : j->segment_max))
		return segment_new(j, n);
	if (g->len + n > g->cap && segment_grow(j, g, g->len + n) < 0)
		return NULL;
	return g;
}

static void wake_list(const struct link *readers)
{
	LIST_EACH(k, readers)
	{
		struct journal_reader *r = container_of(k, struct journal_reader, link);
		if (r->waiting) {
			r->waiting = false;
			r->on_more(r->arg);
		}
	}
}

static void wake_readers(struct journal *j)
{
	wake_list(&j->readers);
	wake_list(&j->peekers);
}

static int journal_break(struct journal *j, int err)
{
	j->err = err;
	wake_readers(j);
	return err;
}

int journal_append(
    struct journal *j, unsigned type, int64_t time_ns, const struct iovec *iov, unsigned n_iov)
{
	struct record_head h = { .time_ns = time_ns, .type = type };
	size_t n = 0;
	assert(!j->closed);
	if (j->err)
		return j->err;
	for (unsigned i = 0; i < n_iov; i++)
		n += iov[i].iov_len;
	if (n > JOURNAL_RECORD_MAX)
		return -EMSGSIZE;
	h.n = (uint32_t)n;
	struct journal_segment *g = segment_for(j, sizeof(h) + n);
	if (!g)
		return journal_break(j, -ENOMEM);
	unsigned char *p = g->mem + g->len;
	memcpy(p, &h, sizeof(h));
	p += sizeof(h);
	for (unsigned i = 0; i < n_iov; i++) {
		if (iov[i].iov_len)
			memcpy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	g->len += sizeof(h) + n;
	g->count++;
	j->last++;
	j->bytes += sizeof(h) + n;
	if (j->memory > j->conf.memory)
		spill_oldest(j);
	wake_readers(j);
	return 0;
}

void journal_close(struct journal *j)
{
	struct journal_segment *g = tail_segment(j);
	j->closed = true;
	if (g && g->mem && g->len < g->cap) {
		unsigned char *mem = mem_realloc(g->mem, g->len);
		if (mem) {
			j->memory -= g->cap - g->len;
			g->mem = mem;
			g->cap = g->len;
		}
	}
	wake_readers(j);
}

bool journal_has_readers(const struct journal *j)
{
	return !list_is_empty(&j->readers);
}

uint64_t journal_first(const struct journal *j)
{
	return j->first;
}

uint64_t journal_last(const struct journal *j)
{
	return j->last;
}

uint64_t journal_bytes(const struct journal *j)
{
	return j->bytes;
}

size_t journal_memory(const struct journal *j)
{
	return j->memory;
}

int journal_spill_error(const struct journal *j)
{
	return j->spill_err;
}

/* ---- reading ---- */

static int reader_init(struct journal_reader *r, struct journal *j, uint64_t from,
    void (*on_more)(void *arg), void *arg)
{
	*r = (struct journal_reader){ 0 };
	if (from == 0)
		from = 1;
	if (from < j->first || from > j->last + 1)
		return -ERANGE;
	r->journal = j;
	r->next = from;
	r->on_more = on_more;
	r->arg = arg;
	return 0;
}

int journal_reader_init(struct journal_reader *r, struct journal *j, uint64_t from,
    void (*on_more)(void *arg), void *arg)
{
	int e = reader_init(r, j, from, on_more, arg);
	if (e == 0)
		list_push_back(&j->readers, &r->link);
	return e;
}

int journal_peeker_init(struct journal_reader *r, struct journal *j, uint64_t from,
    void (*on_more)(void *arg), void *arg)
{
	int e = reader_init(r, j, from, on_more, arg);
	if (e == 0) {
		r->peeks = true;
		list_push_back(&j->peekers, &r->link);
	}
	return e;
}

void journal_reader_fini(struct journal_reader *r)
{
	struct journal *j = r->journal;
	if (!j)
		return;
	bool peeks = r->peeks;
	link_remove(&r->link);
	mem_free(r->load);
	*r = (struct journal_reader){ 0 };
	if (peeks)
		return;
	trim_passed(j);
	offer_room(j);
}

/* Length of the record at offset, or -EBADMSG: root in the sandbox can tamper with the file. */
static ssize_t record_length(
    const struct journal_segment *g, const unsigned char *p, size_t offset, struct record_head *ret)
{
	if (g->len - offset < sizeof(*ret))
		return -EBADMSG;
	memcpy(ret, p + offset, sizeof(*ret));
	if (g->len - offset - sizeof(*ret) < ret->n)
		return -EBADMSG;
	return (ssize_t)(sizeof(*ret) + ret->n);
}

/* Bytes of the reader's segment, from memory or loaded from the file. */
static int segment_bytes(struct journal_reader *r, const unsigned char **ret)
{
	struct journal_segment *g = r->segment;
	if (g->mem) {
		*ret = g->mem;
		return 0;
	}
	if (r->loaded != g) {
		void *p = mem_alloc(g->len);
		if (!p)
			return -ENOMEM;
		int e = spill_get(&r->journal->spill, g->at, p, g->len);
		if (e < 0) {
			mem_free(p);
			return e;
		}
		mem_free(r->load);
		r->load = p;
		r->loaded = g;
	}
	*ret = r->load;
	return 0;
}

/* Point the reader at the record r->next, which the journal holds. */
static int locate(struct journal_reader *r)
{
	struct journal_segment *g = NULL;
	const unsigned char *p;
	LIST_EACH(k, &r->journal->segments)
	{
		g = container_of(k, struct journal_segment, link);
		if (r->next < segment_end(g))
			break;
	}
	r->segment = g;
	r->offset = 0;
	if (r->next == g->first)
		return 0;
	ssize_t e = segment_bytes(r, &p);
	for (uint64_t seq = g->first; e >= 0 && seq < r->next; seq++) {
		struct record_head h;
		e = record_length(g, p, r->offset, &h);
		r->offset += e > 0 ? (size_t)e : 0;
	}
	if (e < 0)
		r->segment = NULL;
	return e < 0 ? (int)e : 0;
}

/* The record that was handed out last is read now. */
static void advance(struct journal_reader *r)
{
	struct journal *j = r->journal;
	if (r->step == 0)
		return;
	struct journal_segment *g = r->segment;
	r->next++;
	r->offset += r->step;
	r->step = 0;
	if (r->peeks)
		return;
	j->seen = r->next - 1 > j->seen ? r->next - 1 : j->seen;
	if (g && r->next < segment_end(g))
		return;
	r->load = mem_free(r->load);
	r->loaded = NULL;
	trim_passed(j);
	offer_room(j);
}

/* Make r->segment the one that holds r->next. */
static int find_segment(struct journal_reader *r)
{
	struct journal_segment *g = r->segment;
	if (!g)
		return locate(r);
	if (r->next < segment_end(g))
		return 0;
	r->segment = container_of(g->link.next, struct journal_segment, link);
	r->offset = 0;
	return 0;
}

int journal_read(struct journal_reader *r, struct journal_record *ret)
{
	struct journal *j = r->journal;
	const unsigned char *p;
	struct record_head h = { 0 };
	advance(r);
	if (r->next > j->last) {
		r->waiting = !j->err && !j->closed;
		return j->err ? j->err : j->closed ? JOURNAL_CLOSED : JOURNAL_WAIT;
	}
	if (r->next < j->first)
		return -ERANGE;
	ssize_t e = find_segment(r);
	if (e == 0)
		e = segment_bytes(r, &p);
	if (e == 0)
		e = record_length(r->segment, p, r->offset, &h);
	if (e < 0)
		return (int)e;
	r->step = (size_t)e;
	*ret = (struct journal_record){ .seq = r->next,
		.time_ns = h.time_ns,
		.type = h.type,
		.data = p + r->offset + sizeof(h),
		.n = h.n };
	return JOURNAL_RECORD;
}
