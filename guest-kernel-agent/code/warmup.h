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

/* on_change: a kernel answered or failed. */
struct warmup *warmup_new(struct contexts *cs, void (*on_change)(void *arg), void *arg);
/* The contexts are gone already. */
struct warmup *warmup_free(struct warmup *w);
/* Start the default context of a language; again for the same one changes nothing. 0, -EINVAL (no
 * such kernel, too many), or -ENOMEM. */
int warmup_start(struct warmup *w, const char *language, struct err *reterr);
/* Every kernel that was asked for has answered. */
bool warmup_is_ready(const struct warmup *w);
/* What is being waited for, or what failed: a sentence in a static buffer of w. */
const char *warmup_reason(struct warmup *w, bool *ret_failed);
/* New seeds in every running kernel, before its next cell. */
void warmup_reseed(struct contexts *cs);
