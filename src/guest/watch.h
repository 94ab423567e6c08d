/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The limits that a virtual machine meets, as its agent tells them: one question (GET /limits) is
 * always open. The guest is hostile: it is asked again only after a pause, so what it says costs
 * little, and its counts concern its own sandbox only.
 */
#include "guest/call.h"
#include "guest/guest.h"

struct guest_watch {
	struct guest_call call;
	struct loop_timer pause;
	struct guest_limits known, heard;
	guest_limits_fn *told;
	void *arg;
};

void guest_watch_init(struct guest_watch *w, struct loop *l, struct http_client *control);
void guest_watch_fini(struct guest_watch *w);
void guest_watch_start(
    struct guest_watch *w, const struct guest_limits *known, guest_limits_fn *told, void *arg);
void guest_watch_stop(struct guest_watch *w); /* nothing is told any more */
