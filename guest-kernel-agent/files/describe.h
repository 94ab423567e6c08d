/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Entries for events of a watch that create, write or change attributes, as the watch's user sees
 * them now. */
#include "base/list.h"

struct as_user;
struct describe;
struct watch;

/* Moves events into a job. done comes from the loop once, with the events in order; those whose
 * entry was gone have none. NULL when out of memory: the events stay where they are. */
struct describe *describe_start(struct as_user *pool, const struct watch *w, struct link *events,
    void (*done)(struct link *events, void *arg), void *arg);
/* done does not come any more. Accepts NULL; returns NULL. */
struct describe *describe_cancel(struct describe *d);
