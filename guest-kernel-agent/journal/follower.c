/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/follower.h"

static void follower_end(struct follower *f, int err)
{
	void (*on_end)(int, void *) = f->ops->on_end;
	void *arg = f->arg;
	follower_fini(f);
	on_end(err, arg);
}

#define BYTES_PER_TURN (1024 * 1024) /* read at most, so that others get their turn */

enum pulled { PULLED, PULLED_NOTHING, PULLED_END };

/* An enum pulled or -errno; *bytes grows by what it cost. */
static int pull(struct follower *f, size_t *bytes)
{
	struct journal_record rec;
	int r;
	if (f->more) {
		r = f->ops->on_more(f->arg);
	} else {
		r = journal_read(&f->reader, &rec);
		if (r == JOURNAL_CLOSED)
			return PULLED_END;
		if (r != JOURNAL_RECORD)
			return r < 0 ? r : PULLED_NOTHING;
		*bytes += rec.n;
		r = f->ops->on_record(&rec, f->arg);
	}
	if (r < 0)
		return r;
	f->more = r == FOLLOWER_MORE;
	f->sent = f->sent || r != FOLLOWER_SILENT;
	return PULLED;
}

/* Hand out records until the client has enough: 0, 1 at the end of the journal, or -errno. */
static int pull_batch(struct follower *f)
{
	size_t bytes = 0;
	while (f->ops->is_ready(f->arg)) {
		int r = pull(f, &bytes);
		if (r != PULLED)
			return r == PULLED_NOTHING ? 0 : r < 0 ? r : 1;
		if (bytes < BYTES_PER_TURN)
			continue;
		loop_defer_set(&f->pull);
		return 0;
	}
	return 0;
}

static void on_pull(struct loop_defer *d, void *arg)
{
	struct follower *f = arg;
	f->sent = false;
	int r = pull_batch(f);
	if (r >= 0 && f->ops->on_batch) {
		int e = f->ops->on_batch(f->arg);
		r = e < 0 ? e : r;
	}
	if (r != 0) {
		follower_end(f, r < 0 ? r : 0);
		return;
	}
	if (f->sent)
		loop_timer_set(&f->silence, f->silence_ms);
}

static void on_silence(struct loop_timer *t, void *arg)
{
	struct follower *f = arg;
	/* A client that does not take what is there needs no more of it. */
	int r = f->ops->is_ready(f->arg) ? f->ops->on_silence(f->arg) : 0;
	if (r < 0)
		follower_end(f, r);
	else
		loop_timer_set(&f->silence, f->silence_ms);
}

static void on_more(void *arg)
{
	struct follower *f = arg;
	loop_defer_set(&f->pull);
}

int follower_init(struct follower *f, struct loop *l, struct journal *j, uint64_t from,
    unsigned silence_ms, const struct follower_ops *ops, void *arg)
{
	*f = (struct follower){ .ops = ops, .arg = arg, .silence_ms = silence_ms };
	int r = journal_reader_init(&f->reader, j, from, on_more, f);
	if (r < 0)
		return r;
	f->live = true;
	loop_defer_init(&f->pull, l, on_pull, f);
	loop_timer_init(&f->silence, l, on_silence, f);
	loop_timer_set(&f->silence, f->silence_ms);
	loop_defer_set(&f->pull);
	return 0;
}

void follower_fini(struct follower *f)
{
	if (!f->live)
		return;
	f->live = false;
	journal_reader_fini(&f->reader);
	loop_defer_fini(&f->pull);
	loop_timer_fini(&f->silence);
}

void follower_resume(struct follower *f)
{
	if (f->live)
		loop_defer_set(&f->pull);
}
