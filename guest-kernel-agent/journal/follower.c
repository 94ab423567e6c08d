/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/journal/follower.h"

static void follower_end(struct follower *f, int err)
{
	void (*on_end)(int, void *) = f->ops->on_end;
	void *arg = f->arg;
	follower_fini(f);
	on_end(err, arg);
}

/* Hand out records until the client has enough: 0, 1 at the end of the journal, or -errno. */
static int pull_batch(struct follower *f)
{
	struct journal_record rec;
	while (f->ops->is_ready(f->arg)) {
		int r = journal_read(&f->reader, &rec);
		if (r == JOURNAL_CLOSED)
			return 1;
		if (r != JOURNAL_RECORD)
			return r;
		r = f->ops->on_record(&rec, f->arg);
		if (r < 0)
			return r;
	}
	return 0;
}

static void on_pull(struct loop_defer *d, void *arg)
{
	struct follower *f = arg;
	uint64_t before = f->reader.next;
	int r = pull_batch(f);
	if (r >= 0 && f->ops->on_batch) {
		int e = f->ops->on_batch(f->arg);
		r = e < 0 ? e : r;
	}
	if (r != 0) {
		follower_end(f, r < 0 ? r : 0);
		return;
	}
	if (f->reader.next != before || f->reader.step)
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
