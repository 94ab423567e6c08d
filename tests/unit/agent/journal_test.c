/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/mem.h"
#include "guest-kernel-agent/journal/journal.h"
#include "guest-kernel-agent/journal/offsets.h"
#include "guest-kernel-agent/journal/spill.h"
#include "lib/test.h"
#include "unit/agent/agent_tests.h"

/* A record's bytes follow from its number, so that any reader can check what it gets. */
static size_t length_of(uint64_t seq)
{
	uint64_t v = seq * 2654435761u;
	return v % 97 == 0 ? 9000 + v % 5000 : v % 61;
}

/* Bytes of record seq are those of the pattern from a place that depends on seq. */
static unsigned char pattern[20000];

static const unsigned char *bytes_of(uint64_t seq)
{
	if (!pattern[1])
		for (size_t i = 0; i < sizeof(pattern); i++)
			pattern[i] = (unsigned char)(i * 7 + i / 256);
	return pattern + seq % 1000;
}

static void add(struct journal *j, uint64_t seq)
{
	unsigned char *bytes = (unsigned char *)bytes_of(seq);
	size_t n = length_of(seq);
	struct iovec iov[] = { { bytes, n / 2 }, { bytes + n / 2, n - n / 2 } };
	ck_assert_int_eq(journal_append(j, (unsigned)(seq % 7), (int64_t)seq * 10, iov, 2), 0);
	ck_assert_uint_eq(journal_last(j), seq);
}

static void check_record(const struct journal_record *rec, uint64_t seq)
{
	ck_assert_uint_eq(rec->seq, seq);
	ck_assert_uint_eq(rec->type, seq % 7);
	ck_assert_int_eq(rec->time_ns, (int64_t)seq * 10);
	ck_assert_uint_eq(rec->n, length_of(seq));
	ck_assert_mem_eq(rec->data, bytes_of(seq), rec->n);
}

static void ignore_call(void *arg)
{
}

static void count_call(void *arg)
{
	++*(int *)arg;
}

static struct journal *make(const struct journal_conf *c)
{
	struct journal *j = journal_new(c);
	ck_assert_ptr_nonnull(j);
	return j;
}

START_TEST(test_read_in_order)
{
	struct journal *j = make(&(struct journal_conf){ .keep = true });
	struct journal_reader r;
	struct journal_record rec;
	int woken = 0;
	ck_assert_int_eq(journal_reader_init(&r, j, 0, count_call, &woken), 0);
	ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_WAIT);
	add(j, 1);
	add(j, 2);
	ck_assert_int_eq(woken, 1);
	for (uint64_t seq = 1; seq <= 2; seq++) {
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
		check_record(&rec, seq);
	}
	ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_WAIT);
	journal_close(j);
	ck_assert_int_eq(woken, 2);
	ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_CLOSED);
	ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_CLOSED);
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

/* Random interleaving of one writer and several readers that come and go: each sees every record
 * from the place it asked for, once, in order, whatever lies in memory or in the file. */
START_TEST(test_random_readers)
{
	struct journal *j = make(&(struct journal_conf){ .keep = true, .memory = 4096 });
	struct journal_reader readers[5] = { 0 };
	uint64_t next[5] = { 0 }, last = 0;
	unsigned seed = 1000u + (unsigned)_i;
	int woken = 0;
	while (last < 3000) {
		unsigned k = (unsigned)rand_r(&seed) % 5, n = (unsigned)rand_r(&seed) % 40;
		switch (rand_r(&seed) % 8) {
		case 0:
			journal_reader_fini(&readers[k]);
			next[k] = last ? 1 + (uint64_t)rand_r(&seed) % (last + 1) : 1;
			ck_assert_int_eq(
			    journal_reader_init(&readers[k], j, next[k], count_call, &woken), 0);
			break;
		case 1:
		case 2:
			while (n--)
				add(j, ++last);
			break;
		default:
			while (readers[k].journal && n--) {
				struct journal_record rec;
				int r = journal_read(&readers[k], &rec);
				ck_assert_int_eq(
				    r, next[k] <= last ? JOURNAL_RECORD : JOURNAL_WAIT);
				if (r == JOURNAL_RECORD)
					check_record(&rec, next[k]++);
			}
		}
		ck_assert_uint_le(journal_memory(j), 4096 + 16384);
	}
	for (int k = 0; k < 5; k++)
		journal_reader_fini(&readers[k]);
	journal_free(j);
}
END_TEST

START_TEST(test_replay_from_each)
{
	struct journal *j = make(&(struct journal_conf){ .keep = true, .memory = 2048 });
	struct journal_record rec;
	for (uint64_t seq = 1; seq <= 300; seq++)
		add(j, seq);
	journal_close(j);
	for (uint64_t from = 1; from <= 301; from++) {
		struct journal_reader r;
		ck_assert_int_eq(journal_reader_init(&r, j, from, ignore_call, NULL), 0);
		for (uint64_t seq = from; seq <= 300; seq++) {
			ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
			check_record(&rec, seq);
		}
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_CLOSED);
		journal_reader_fini(&r);
	}
	struct journal_reader r;
	ck_assert_int_eq(journal_reader_init(&r, j, 302, NULL, NULL), -ERANGE);
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

/* Without keep, output of any size passes a reader in bounded memory, and nothing is stored. */
START_TEST(test_trim_behind_reader)
{
	struct journal *j = make(&(struct journal_conf){ .cap = 100000 });
	struct journal_reader r;
	struct journal_record rec;
	int woken = 0;
	ck_assert_int_eq(journal_reader_init(&r, j, 1, count_call, &woken), 0);
	for (uint64_t seq = 1; seq <= 5000; seq++) {
		add(j, seq);
		if (seq % 10)
			continue;
		for (uint64_t k = seq - 9; k <= seq; k++) {
			ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
			check_record(&rec, k);
		}
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_WAIT);
		ck_assert_uint_eq(journal_bytes(j), 0);
		ck_assert(journal_has_room(j));
		ck_assert_uint_le(journal_memory(j), JOURNAL_MEMORY);
	}
	struct journal_reader late;
	ck_assert_int_eq(journal_reader_init(&late, j, 1, NULL, NULL), -ERANGE);
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

/* At the cap a reader that is behind makes the writer wait, and lets it go on when it has moved. */
START_TEST(test_cap_with_slow_reader)
{
	int rooms = 0, woken = 0;
	struct journal *j = make(&(struct journal_conf){
	    .keep = true, .memory = 4096, .cap = 20000, .on_room = count_call, .arg = &rooms });
	struct journal_reader r;
	struct journal_record rec;
	uint64_t last = 0, seq = 1;
	ck_assert_int_eq(journal_reader_init(&r, j, 1, count_call, &woken), 0);
	for (int round = 0; round < 50; round++) {
		while (journal_has_room(j))
			add(j, ++last);
		ck_assert_uint_le(journal_bytes(j), 20000 + 16000);
		ck_assert_int_eq(rooms, round);
		while (rooms == round) {
			ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
			check_record(&rec, seq++);
		}
	}
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

/* Nobody reads: what was read goes except for the spared part, what was not read stays. */
START_TEST(test_cap_alone)
{
	int rooms = 0;
	struct journal *j = make(&(struct journal_conf){
	    .keep = true, .memory = 4096, .cap = 64000, .on_room = count_call, .arg = &rooms });
	struct journal_reader r;
	struct journal_record rec;
	uint64_t last = 0, seen = 0;
	while (journal_has_room(j))
		add(j, ++last);
	ck_assert_uint_eq(journal_first(j), 1);
	ck_assert_int_eq(journal_reader_init(&r, j, 1, ignore_call, NULL), 0);
	while (seen < last / 2) {
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
		check_record(&rec, ++seen);
	}
	journal_reader_fini(&r); /* the record in hand does not count as read */
	seen--;
	ck_assert_int_ge(rooms, 1);
	while (journal_has_room(j))
		add(j, ++last);
	ck_assert_uint_gt(journal_first(j), 1);
	ck_assert_uint_le(journal_first(j), seen + 1);
	ck_assert_int_eq(journal_reader_init(&r, j, seen + 1, ignore_call, NULL), 0);
	for (uint64_t seq = seen + 1; seq <= last; seq++) {
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
		check_record(&rec, seq);
	}
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

/* Nobody reads a journal that keeps what is newest: there is always room. A reader that comes gets
 * all that is left, and from then on the writer waits for it. */
START_TEST(test_drop_oldest)
{
	struct journal *j = make(&(struct journal_conf){
	    .keep = true, .drop_oldest = true, .memory = 4096, .cap = 64000 });
	struct journal_reader r;
	struct journal_record rec;
	uint64_t last = 0, first;
	while (last < 20000) {
		ck_assert(journal_has_room(j));
		add(j, ++last);
		ck_assert_uint_le(journal_bytes(j), 64000 + 16000);
	}
	first = journal_first(j);
	ck_assert_uint_gt(first, 1);
	ck_assert_uint_ge(journal_bytes(j), 32000);
	ck_assert_int_eq(journal_reader_init(&r, j, first - 1, ignore_call, NULL), -ERANGE);
	ck_assert_int_eq(journal_reader_init(&r, j, first, ignore_call, NULL), 0);
	while (journal_has_room(j))
		add(j, ++last);
	for (uint64_t seq = first; seq <= last; seq++) {
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
		check_record(&rec, seq);
	}
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

/* The reader that made the writer wait goes away: the writer is told, to decide anew. */
START_TEST(test_reader_leaves_at_cap)
{
	int rooms = 0;
	struct journal *j = make(&(struct journal_conf){
	    .keep = true, .memory = 1024, .cap = 3000, .on_room = count_call, .arg = &rooms });
	struct journal_reader r;
	uint64_t last = 0;
	ck_assert_int_eq(journal_reader_init(&r, j, 1, ignore_call, NULL), 0);
	while (journal_has_room(j))
		add(j, ++last);
	ck_assert_int_eq(rooms, 0);
	journal_reader_fini(&r);
	ck_assert_int_eq(rooms, 1);
	ck_assert(!journal_has_room(j));
	ck_assert(!journal_has_readers(j));
	journal_free(j);
}
END_TEST

START_TEST(test_large_records)
{
	static char big[3 * 1024 * 1024];
	struct journal *j = make(&(struct journal_conf){ .keep = true });
	struct journal_reader r;
	struct journal_record rec;
	memset(big, 'x', sizeof(big));
	for (int i = 0; i < 3; i++) {
		struct iovec iov = { big, sizeof(big) - (size_t)i };
		ck_assert_int_eq(journal_append(j, 1, 0, &iov, 1), 0);
		add(j, journal_last(j) + 1);
	}
	struct iovec huge[] = { { big, JOURNAL_RECORD_MAX }, { big, 1 } };
	ck_assert_int_eq(journal_append(j, 1, 0, huge, 2), -EMSGSIZE);
	ck_assert_int_eq(journal_reader_init(&r, j, 1, ignore_call, NULL), 0);
	for (uint64_t seq = 1; seq <= 6; seq++) {
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
		if (seq % 2 == 0)
			check_record(&rec, seq);
		else
			ck_assert_uint_eq(rec.n, sizeof(big) - seq / 2);
	}
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

/* Neither directory nor memory file: what does not fit stays in memory, and the writer must wait.
 */
START_TEST(test_no_place_to_spill)
{
	struct journal *j = make(
	    &(struct journal_conf){ .keep = true, .memory = 4096, .spill_dir = "/nonexistent" });
	struct journal_reader r;
	struct journal_record rec;
	for (uint64_t seq = 1; seq <= 500; seq++)
		add(j, seq);
	ck_assert_int_eq(journal_reader_init(&r, j, 1, ignore_call, NULL), 0);
	for (uint64_t seq = 1; seq <= 500; seq++) {
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
		check_record(&rec, seq);
	}
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

START_TEST(test_out_of_memory)
{
	struct journal_conf c = { .keep = true, .memory = 4096 };
	for (long nth = 0; nth < 40; nth++) {
		mem_fail_after(nth);
		struct journal *j = journal_new(&c);
		struct journal_reader r = { 0 };
		struct journal_record rec;
		char byte[700] = { 0 };
		struct iovec iov = { byte, sizeof(byte) };
		int added = 0, e = j ? 0 : -ENOMEM;
		while (e == 0 && added < 30) {
			e = journal_append(j, 1, 0, &iov, 1);
			added += e == 0;
		}
		mem_fail_after(-1);
		if (j) {
			ck_assert_int_eq(journal_reader_init(&r, j, 1, ignore_call, NULL), 0);
			for (int i = 0; i < added; i++)
				ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
			ck_assert_int_eq(journal_read(&r, &rec), e);
		}
		journal_reader_fini(&r);
		journal_free(j);
	}
}
END_TEST

/* Root in the sandbox can write to the file: readers get an error or wrong bytes, never a crash. */
START_TEST(test_tampered_file)
{
	struct journal *j = make(&(struct journal_conf){ .keep = true, .memory = 4096 });
	char junk[4096], link[64];
	/* The lowest free number is the directory's for a moment, the next one stays the file's. */
	int lowest = dup(STDERR_FILENO);
	(void)close(lowest);
	for (uint64_t seq = 1; seq <= 300; seq++)
		add(j, seq);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", lowest + 1);
	CLEAN_FD int writer = open(link, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(writer, 0);
	memset(junk, 0xff, sizeof(junk));
	for (int at = 0; at < 64; at++)
		ck_assert_int_eq(pwrite(writer, junk, sizeof(junk), at * 4096), sizeof(junk));
	for (uint64_t from = 1; from <= 300; from += 7) {
		struct journal_reader r;
		struct journal_record rec;
		ck_assert_int_eq(journal_reader_init(&r, j, from, ignore_call, NULL), 0);
		int e = journal_read(&r, &rec);
		ck_assert(e == -EBADMSG || e == JOURNAL_RECORD);
		journal_reader_fini(&r);
	}
	journal_free(j);
}
END_TEST

/* Who only looks keeps nothing, is no reader, and learns that its place is gone. */
START_TEST(test_peeker)
{
	struct journal *j =
	    make(&(struct journal_conf){ .keep = true, .memory = 4096, .cap = 64000 });
	struct journal_reader p, r;
	struct journal_record rec;
	uint64_t last = 0, seq = 0;
	while (journal_has_room(j))
		add(j, ++last);
	ck_assert_int_eq(journal_peeker_init(&p, j, 1, ignore_call, NULL), 0);
	ck_assert(!journal_has_readers(j));
	while (seq < last) {
		ck_assert_int_eq(journal_read(&p, &rec), JOURNAL_RECORD);
		check_record(&rec, ++seq);
	}
	ck_assert_int_eq(journal_read(&p, &rec), JOURNAL_WAIT);
	ck_assert(!journal_has_room(j)); /* nobody has read it */
	journal_reader_fini(&p);
	ck_assert_int_eq(journal_peeker_init(&p, j, 1, ignore_call, NULL), 0);
	ck_assert_int_eq(journal_read(&p, &rec), JOURNAL_RECORD);
	check_record(&rec, 1);
	ck_assert_int_eq(journal_reader_init(&r, j, 1, ignore_call, NULL), 0);
	for (seq = 1; seq <= last; seq++)
		ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_RECORD);
	ck_assert_int_eq(journal_read(&r, &rec), JOURNAL_WAIT);
	ck_assert(journal_has_room(j));
	ck_assert_uint_gt(journal_first(j), 2);
	ck_assert_int_eq(journal_read(&p, &rec), -ERANGE);
	journal_reader_fini(&p);
	journal_reader_fini(&r);
	journal_free(j);
}
END_TEST

START_TEST(test_offsets)
{
	struct offsets o = { 0 };
	uint64_t offset = 0, first = 1, seq;
	ck_assert_uint_eq(offsets_find(&o, 0), 0);
	for (seq = 10; seq < 200000; seq++, offset += 1000)
		offsets_note(&o, offset, seq, first);
	ck_assert_uint_le(o.n, offset / OFFSETS_BYTES + 1);
	for (uint64_t at = 0; at < offset; at += 77777) {
		uint64_t found = offsets_find(&o, at), right = 10 + at / 1000;
		ck_assert_uint_le(found, right);
		ck_assert_uint_ge(found + OFFSETS_BYTES / 1000 + 1, right);
	}
	/* A stream that says little among much of others. */
	offsets_note(&o, offset, seq += OFFSETS_RECORDS, first);
	ck_assert_uint_eq(offsets_find(&o, offset + 5), seq);
	/* What leads to dropped records only goes when room is needed. */
	size_t cap = o.cap;
	for (int i = 0; i < 100000; i++, offset += 64 * 1024)
		offsets_note(&o, offset, seq + (uint64_t)i, seq + (uint64_t)i - 100);
	ck_assert_uint_eq(o.cap, cap);
	ck_assert_uint_eq(offsets_find(&o, offset), seq + 99999);
	offsets_fini(&o);
	mem_fail_after(0);
	offsets_note(&o, 0, 1, 1);
	mem_fail_after(-1);
	ck_assert_uint_eq(offsets_find(&o, 0), 0);
	offsets_fini(&o);
}
END_TEST

START_TEST(test_spill_reuses_space)
{
	struct spill s = SPILL_INIT;
	char in[4096], out[4096];
	uint64_t at, first;
	memset(in, 7, sizeof(in));
	ck_assert_int_eq(spill_put(&s, "/tmp", in, sizeof(in), &first), 0);
	ck_assert_int_eq(spill_put(&s, "/tmp", in, sizeof(in), &at), 0);
	ck_assert_int_eq(spill_get(&s, at, out, sizeof(out)), 0);
	ck_assert_mem_eq(in, out, sizeof(in));
	ck_assert_int_eq(spill_get(&s, at + 1, out, sizeof(out)), -EIO);
	spill_drop(&s, first, sizeof(in));
	ck_assert_int_eq(spill_get(&s, at, out, sizeof(out)), 0);
	spill_drop(&s, at, sizeof(in));
	ck_assert_uint_eq(s.end, 0);
	spill_fini(&s);
}
END_TEST

void add_journal_tests(Suite *s)
{
	TCase *tc = test_case(s, "journal", 60);
	tcase_add_test(tc, test_read_in_order);
	tcase_add_loop_test(tc, test_random_readers, 0, 8);
	tcase_add_test(tc, test_replay_from_each);
	tcase_add_test(tc, test_trim_behind_reader);
	tcase_add_test(tc, test_cap_with_slow_reader);
	tcase_add_test(tc, test_cap_alone);
	tcase_add_test(tc, test_drop_oldest);
	tcase_add_test(tc, test_reader_leaves_at_cap);
	tcase_add_test(tc, test_large_records);
	tcase_add_test(tc, test_no_place_to_spill);
	tcase_add_test(tc, test_out_of_memory);
	tcase_add_test(tc, test_tampered_file);
	tcase_add_test(tc, test_spill_reuses_space);
	tcase_add_test(tc, test_peeker);
	tcase_add_test(tc, test_offsets);
}
