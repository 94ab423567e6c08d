/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox_tests.h"
#include "store/db.h"

void hold_step(struct world *w, enum wait_kind kind, int call)
{
	if (kind == WAIT_VMM)
		fake_vmm_script(w->vmm, call, FAKE_HOLD);
	else if (kind == WAIT_GUEST)
		fake_guests.script[call] = FAKE_GUEST_HOLD;
	else
		(void)pthread_mutex_lock(&w->store->db.lock); /* the worker waits for it */
}

void release_step(struct world *w, enum wait_kind kind, int call, bool good)
{
	if (kind == WAIT_VMM) {
		fake_vmm_script(w->vmm, call, FAKE_OK);
		fake_vmm_release(w->vmm, call, good);
	} else if (kind == WAIT_GUEST) {
		fake_guests.script[call] = FAKE_GUEST_OK;
		fake_guests_release(call, good);
	} else {
		(void)pthread_mutex_unlock(&w->store->db.lock);
	}
}
