/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/fake_guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/list.h"
#include "base/str.h"
#include "guest/guest.h"
#include "loop/loop.h"

struct fake_guests fake_guests;
static struct link guests = LINK_INIT(guests);

struct guest {
	struct link link;
	enum fake_guest_call call;
	enum fake_guest_mode mode;
	guest_fn *done;
	void *arg;
	struct loop_defer defer;
	struct guest_limits known;
	guest_limits_fn *watched; /* NULL: nobody asks */
	void *watch_arg;
};

void fake_guests_reset(void)
{
	fake_guests = (struct fake_guests){ 0 };
}

static void on_defer(struct loop_defer *d, void *arg)
{
	struct guest *g = arg;
	struct err err = ERR_INIT;
	guest_fn *done = g->done;
	if (g->mode == FAKE_GUEST_FAIL)
		(void)err_set(&err, -EPROTO, "fake agent failure");
	g->done = NULL;
	done(&err, g->arg);
}

struct guest *guest_new(
    struct loop *l, const struct guest_channel *control, const struct guest_channel *data)
{
	struct guest *g = fake_guests.refuse_new ? NULL : calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	list_push_back(&guests, &g->link);
	loop_defer_init(&g->defer, l, on_defer, g);
	fake_guests.live++;
	return g;
}

struct guest *guest_free(struct guest *g)
{
	if (!g)
		return NULL;
	link_remove(&g->link);
	fake_guests.watches -= g->watched != NULL;
	loop_defer_fini(&g->defer);
	free(g);
	fake_guests.live--;
	return NULL;
}

static void begin(struct guest *g, enum fake_guest_call call, guest_fn *done, void *arg)
{
	ck_assert_ptr_null(g->done); /* one call at a time */
	g->call = call;
	g->mode = fake_guests.script[call];
	if (g->mode == FAKE_GUEST_FAIL_ONCE) {
		g->mode = FAKE_GUEST_FAIL;
		fake_guests.script[call] = FAKE_GUEST_OK;
	}
	g->done = done;
	g->arg = arg;
	fake_guests.calls[call]++;
	if (g->mode != FAKE_GUEST_HOLD)
		loop_defer_set(&g->defer);
}

void guest_boot(
    struct guest *g, const struct guest_boot *b, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	begin(g, FAKE_GUEST_BOOT, done, arg);
}

void guest_wake(struct guest *g, bool warm_up, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	begin(g, FAKE_GUEST_WAKE, done, arg);
}

void guest_quiesce(struct guest *g, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	begin(g, FAKE_GUEST_QUIESCE, done, arg);
}

void guest_close_channels(struct guest *g, guest_fn *done, void *arg)
{
	begin(g, FAKE_GUEST_CLOSE, done, arg);
}

void guest_check(struct guest *g, uint64_t timeout_ms, guest_fn *done, void *arg)
{
	begin(g, FAKE_GUEST_CHECK, done, arg);
}

void guest_init(struct guest *g, const struct guest_identity *id, guest_fn *done, void *arg)
{
	(void)str_copy(fake_guests.sandbox_id, sizeof(fake_guests.sandbox_id), id->sandbox_id);
	fake_guests.secured = id->access_token != NULL;
	fake_guests.disk_bytes = id->disk_bytes;
	for (fake_guests.n_env = 0; id->env && id->env[fake_guests.n_env];)
		fake_guests.n_env++;
	begin(g, FAKE_GUEST_INIT, done, arg);
}

void guest_notice(struct guest *g, const char *kind, int64_t count)
{
	fake_guests.notices++;
}

void guest_watch_limits(
    struct guest *g, const struct guest_limits *known, guest_limits_fn *told, void *arg)
{
	ck_assert_ptr_null(g->watched);
	g->known = *known;
	g->watched = told;
	g->watch_arg = arg;
	fake_guests.watches++;
}

void guest_unwatch_limits(struct guest *g)
{
	fake_guests.watches -= g->watched != NULL;
	g->watched = NULL;
}

void fake_guests_met_limits(uint64_t oom_kills, uint64_t pids_refused)
{
	const struct guest_limits now = { oom_kills, pids_refused };
	LIST_EACH(l, &guests)
	{
		struct guest *g = container_of(l, struct guest, link);
		if (!g->watched ||
		    (g->known.oom_kills == oom_kills && g->known.pids_refused == pids_refused))
			continue;
		g->known = now;
		g->watched(&now, g->watch_arg);
	}
}

struct http_client *guest_data(struct guest *g)
{
	return NULL;
}

void guest_reset(struct guest *g)
{
	fake_guests.resets++;
}

void fake_guests_release(enum fake_guest_call call, bool good)
{
	LIST_EACH(l, &guests)
	{
		struct guest *g = container_of(l, struct guest, link);
		if (!g->done || g->call != call || g->mode != FAKE_GUEST_HOLD)
			continue;
		g->mode = good ? FAKE_GUEST_OK : FAKE_GUEST_FAIL;
		loop_defer_set(&g->defer);
	}
}
