/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Kernels that are started ahead of demand, each made to answer a silent cell, so that the first
 * one of a user (or a snapshot) finds everything loaded; and fresh seeds for them when the sandbox
 * gets its identity, because all copies of a snapshot share the state of their random generators.
 */
#include <stdbool.h>
#include <stddef.h>

struct contexts;
struct err;
struct warmup;

/* preload: let kernels load also what is large and often used, for snapshots to share. on_change: a
 * kernel answered or failed. */
struct warmup *warmup_new(
    struct contexts *cs, bool preload, void (*on_change)(void *arg), void *arg);
/* The contexts are gone already. */
struct warmup *warmup_free(struct warmup *w);
/* Start the default context of a language; again for the same one changes nothing. 0, -EINVAL (no
 * such kernel, too many), or -ENOMEM. */
int warmup_start(struct warmup *w, const char *language, struct err *reterr);
/* A copy of a snapshot runs: what the machine had learned of the code that it runs is gone, so let
 * every kernel of warmup_start() that has answered run a few cells, as users do. Those are then
 * waited for like the first one. */
void warmup_again(struct warmup *w);
/* Also then, and before that: kernels that take no seeds (those of JavaScript and TypeScript, whose
 * Math.random() would go on from the state of the snapshot in each copy) are started anew, and
 * waited for. */
void warmup_renew(struct warmup *w);
/* Every kernel that was asked for has answered. */
bool warmup_is_ready(const struct warmup *w);
/* What is being waited for, or what failed: a sentence in a static buffer of w. */
const char *warmup_reason(struct warmup *w, bool *ret_failed);
/* New seeds in every running kernel, before its next cell. */
void warmup_reseed(struct contexts *cs);
