/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/work.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "loop/loop.h"

/*
 * A lane is a thread with a queue. Finished jobs go to one list of the pool; the loop is told by
 * one post per batch. The pool counts nothing else: a job is either in its lane, in a thread, or in
 * the list.
 */
struct lane {
	struct work *work;
	pthread_t thread;
	pthread_cond_t more;
	struct work_job *first, **last;
};

struct work {
	struct loop *loop;
	pthread_mutex_t lock;
	struct work_job *done_first, **done_last;
	bool posted, stop;
	unsigned n_lanes;
	struct lane lanes[];
};

static void push(struct work_job ***last, struct work_job *job)
{
	job->next_ = NULL;
	**last = job;
	*last = &job->next_;
}

static void deliver(void *arg)
{
	struct work *w = arg;
	(void)pthread_mutex_lock(&w->lock);
	struct work_job *job = w->done_first;
	w->done_first = NULL;
	w->done_last = &w->done_first;
	w->posted = false;
	(void)pthread_mutex_unlock(&w->lock);
	while (job) {
		struct work_job *next = job->next_;
		job->done(job);
		job = next;
	}
}

/* Takes the lock. The loop is told after it was given back, or it would wait for it at once. A post
 * that cannot be made now is made with the next job, or by work_free(). */
static void finished(struct work *w, struct work_job *job)
{
	(void)pthread_mutex_lock(&w->lock);
	push(&w->done_last, job);
	bool post = !w->posted;
	w->posted = true;
	(void)pthread_mutex_unlock(&w->lock);
	bool failed = post && loop_post(w->loop, deliver, w) < 0;
	(void)pthread_mutex_lock(&w->lock);
	if (failed)
		w->posted = false;
}

static void *lane_run(void *arg)
{
	struct lane *lane = arg;
	struct work *w = lane->work;
	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		while (!lane->first && !w->stop)
			(void)pthread_cond_wait(&lane->more, &w->lock);
		struct work_job *job = lane->first;
		if (!job)
			break;
		lane->first = job->next_;
		if (!lane->first)
			lane->last = &lane->first;
		(void)pthread_mutex_unlock(&w->lock);
		job->run(job);
		finished(w, job);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals belong to the thread that runs the loop. */
static int start_lane(struct lane *lane)
{
	sigset_t all, old;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&lane->thread, NULL, lane_run, lane);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

struct work *work_new(struct loop *l, unsigned lanes)
{
	struct work *w = mem_zalloc(sizeof(*w) + lanes * sizeof(struct lane));
	if (!w)
		return NULL;
	w->loop = l;
	w->done_last = &w->done_first;
	(void)pthread_mutex_init(&w->lock, NULL);
	for (unsigned i = 0; i < lanes; i++) {
		struct lane *lane = &w->lanes[i];
		lane->work = w;
		lane->last = &lane->first;
		(void)pthread_cond_init(&lane->more, NULL);
		if (start_lane(lane) < 0)
			return work_free(w);
		w->n_lanes++;
	}
	return w;
}

struct work *work_free(struct work *w)
{
	if (!w)
		return NULL;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	for (unsigned i = 0; i < w->n_lanes; i++)
		(void)pthread_cond_signal(&w->lanes[i].more);
	(void)pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->n_lanes; i++) {
		(void)pthread_join(w->lanes[i].thread, NULL);
		(void)pthread_cond_destroy(&w->lanes[i].more);
	}
	/* A post that is still in the loop must find the pool: run it now. */
	while (w->posted)
		(void)loop_turn(w->loop, false);
	deliver(w);
	(void)pthread_mutex_destroy(&w->lock);
	return mem_free(w);
}

void work_submit(struct work *w, unsigned lane, struct work_job *job)
{
	(void)pthread_mutex_lock(&w->lock);
	push(&w->lanes[lane].last, job);
	(void)pthread_mutex_unlock(&w->lock);
	(void)pthread_cond_signal(&w->lanes[lane].more);
}
