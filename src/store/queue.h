/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes that the loop submits and a worker thread commits. What is submitted while a batch is
 * being written makes the next batch: one transaction, however many. Order is kept.
 */
struct db;
struct loop;
struct store_queue;
struct work_job;

struct store_queue *store_queue_new(struct loop *l, struct db *db); /* NULL on -ENOMEM */
/* Writes what was submitted and tells its owners, who can submit no more. */
struct store_queue *store_queue_free(struct store_queue *q);
/* A job that only reads, run between two batches; it takes the lock itself. */
void store_queue_read(struct store_queue *q, struct work_job *job);
