/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * sandbox.h in memory, for tests of what is above it: a registry without drivers, store or agents.
 * It stands in for libsandbox.a and for guest_data(): every sandbox has the one data channel that
 * it was given. Creates and kills answer from a later loop turn, or when they are told to.
 */
#include "sandbox/sandbox.h"

struct http_client;

struct sandboxes *fake_sandboxes_new(struct loop *l, const struct templates *ts);
struct sandboxes *fake_sandboxes_free(struct sandboxes *s);
/* Where guest_data() of each running sandbox leads. */
void fake_sandboxes_set_data(struct sandboxes *s, struct http_client *data);
/* Creates wait from now on; those that waited go on when hold is false. */
void fake_sandboxes_hold(struct sandboxes *s, bool hold);
/* The next creates (until set to 0) and kills fail with that. */
void fake_sandboxes_fail(struct sandboxes *s, int code, const char *text);
/* The driver keeps snapshots from now on. */
void fake_sandboxes_let_pause(struct sandboxes *s);
/* Put a running sandbox there. id NULL: a random one; metadata may be NULL. */
struct sandbox *fake_sandbox_add(struct sandboxes *s, const char *team_id, const char *id,
    int64_t started_ns, const char *const *metadata);
void fake_sandbox_end(struct sandbox *sb, enum sandbox_end why, const char *detail);
void fake_sandbox_emit(struct sandbox *sb, enum sandbox_event_kind kind);
void fake_sandbox_set_mask_host(struct sandbox *sb, const char *mask);
void fake_sandbox_set_traffic_token(struct sandbox *sb, const char *token);

struct fake_sandboxes_stats {
	unsigned creating, created, cancelled, killed, subscribers;
	/* of the newest create */
	char template_ref[64], team_id[40], env[128];
	unsigned timeout_s, team_limit;
	bool secure, internet, allow_public_traffic;
};
const struct fake_sandboxes_stats *fake_sandboxes_stats(const struct sandboxes *s);
