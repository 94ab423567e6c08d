/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any packet on the launcher's socket, from both ends: what is accepted has its size, its kind and
 * texts that end, and a request's sizes are within their bounds.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "launcher/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_resize(const struct proto_sizes *to)
{
	assert(!to->memory_bytes ||
	       (to->memory_bytes >= PROTO_MEMORY_MIN && to->memory_bytes <= PROTO_MEMORY_MAX));
	assert(!to->disk_bytes ||
	       (to->disk_bytes >= PROTO_DISK_MIN && to->disk_bytes <= PROTO_DISK_MAX &&
		   to->disk_bytes % PROTO_VM_UNIT == 0));
	assert(to->cpu_milli >= PROTO_CPU_MILLI_MIN);
}

static void check_create(const struct proto_create *c)
{
	assert(id_sandbox_valid(c->id) && strlen(c->id) <= ID_SANDBOX_LEN);
	assert(c->kind < PROTO_BOX_KINDS && c->start < PROTO_STARTS);
	if (c->kind == PROTO_BOX_NAMESPACE) {
		assert(proto_base_valid(c->base) && strlen(c->base) <= PROTO_BASE_MAX);
		assert(!strchr(c->base, '/') && c->base[0] != '.');
	} else {
		assert(strlen(c->vm.tmpl) <= PROTO_BASE_MAX && !strchr(c->vm.tmpl, '/'));
		assert(c->vm.tmpl[0] && c->vm.tmpl[0] != '.');
		assert(strlen(c->vm.tmpl_hash) == PROTO_HASH_LEN);
		assert(c->vm.vcpus >= 1 && c->vm.vcpus <= PROTO_VCPUS_MAX);
		assert(c->start != PROTO_START_SNAPSHOT || id_sandbox_valid(c->snapshot));
	}
	assert(c->memory_bytes >= PROTO_MEMORY_MIN && c->memory_bytes <= PROTO_MEMORY_MAX);
	assert(c->disk_bytes >= PROTO_DISK_MIN && c->disk_bytes <= PROTO_DISK_MAX);
	assert(c->max_pids >= PROTO_PIDS_MIN && c->max_pids <= PROTO_PIDS_MAX);
}

static void check_request(const union proto_any *m)
{
	switch (m->head.kind) {
	case PROTO_LIST:
	case PROTO_IMAGES:
		break;
	case PROTO_BUILD:
	case PROTO_BUILD_CANCEL:
	case PROTO_IMAGE_REMOVE:
		assert(proto_name_valid(m->request.build.name) && m->request.build.force <= 1);
		break;
	case PROTO_PREPARE:
		assert(strlen(m->request.base) <= PROTO_BASE_MAX);
		break;
	case PROTO_VM_INFO:
		assert(m->request.box.on > 0 && m->request.box.on < PROTO_BOX_KINDS);
		break;
	case PROTO_RESIZE:
		assert(id_sandbox_valid(m->request.resize.id));
		check_resize(&m->request.resize.to);
		break;
	case PROTO_VM_DO:
		assert(id_sandbox_valid(m->request.box.id));
		assert(m->request.box.on < PROTO_VM_VERBS);
		break;
	case PROTO_CREATE:
	case PROTO_VM_PREPARE:
		check_create(&m->request.create);
		break;
	case PROTO_VM_SNAPSHOT:
		assert(id_sandbox_valid(m->request.box.snapshot));
		/* fall through */
	default:
		assert(id_sandbox_valid(m->request.box.id) && m->request.box.on <= 1);
	}
}

static void check_answer(const union proto_any *m)
{
	if (m->head.kind == PROTO_REPLY)
		assert(strlen(m->reply.text) < ERR_TEXT_MAX);
	else if (m->head.kind == PROTO_ITEM)
		assert(id_sandbox_valid(m->item.id));
	else if (m->head.kind == PROTO_LOG)
		assert(strlen(m->log.text) < ERR_TEXT_MAX && strlen(m->log.step) <= PROTO_STEP_MAX);
	else if (m->head.kind == PROTO_IMAGE)
		assert(proto_name_valid(m->image.name) && strlen(m->image.text) < ERR_TEXT_MAX);
	else
		assert(strlen(m->event.text) < ERR_TEXT_MAX);
}

/* The seeds are short; what a packet lacks up to the size of its kind is zero when pad is set. */
static size_t fill(union proto_any *m, const uint8_t *p, size_t n, bool pad)
{
	memset(m, 0, sizeof(*m));
	memcpy(m, p, n < sizeof(*m) ? n : sizeof(*m));
	size_t whole = proto_size(m->head.kind);
	return pad && n < whole ? whole : n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	union proto_any m;
	struct err err = ERR_INIT;
	if (n == 0)
		return 0;
	n = fill(&m, p + 1, n - 1, p[0] == 'p');
	if (n > sizeof(m))
		return 0; /* the socket's reader cuts there */
	int r = proto_check_request(&m, n, &err);
	assert(r == err.code && (r == 0 || r == -EPROTO || r == -EINVAL));
	if (r == 0)
		check_request(&m);
	if (proto_check_answer(&m, n) == 0) {
		assert(r != 0);
		check_answer(&m);
	}
	return 0;
}
