/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Thread pool for calls that have no asynchronous form (SQLite commit, hashing, getaddrinfo). A job
 * is owned by the pool from work_submit() until done() was called on the loop; jobs of one lane run
 * one after the other in the order of submission, lanes run in parallel.
 */
struct loop;
struct work;

struct work_job {
	void (*run)(struct work_job *job);  /* in a thread; touches nothing but the job */
	void (*done)(struct work_job *job); /* on the loop; may free the job */
	struct work_job *next_;
};

struct work *work_new(struct loop *l, unsigned lanes); /* one thread a lane */
/* Runs what is queued, delivers every done(), joins. */
struct work *work_free(struct work *w);
void work_submit(struct work *w, unsigned lane, struct work_job *job);
