/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/proto.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

size_t proto_size(uint32_t kind)
{
	switch (kind) {
	case PROTO_REPLY:
		return sizeof(struct proto_reply);
	case PROTO_ITEM:
		return sizeof(struct proto_item);
	case PROTO_EVENT:
		return sizeof(struct proto_event);
	case PROTO_LOG:
		return sizeof(struct proto_log);
	case PROTO_IMAGE:
		return sizeof(struct proto_image);
	default:
		return kind >= PROTO_PREPARE && kind < PROTO_REQUESTS_END
			   ? sizeof(struct proto_request)
			   : 0;
	}
}

bool proto_probe_ran(const struct proto_event *e)
{
	return e->event == PROTO_EXITED && e->value == 0 &&
	       (strstr(e->text, PROTO_PROBE_TEXT) || strstr(e->text, PROTO_PROBE_KERNEL));
}

bool proto_base_valid(const char *s)
{
	return !str_empty(s) && !strchr("._:-", s[0]) &&
	       str_only(s, "abcdefghijklmnopqrstuvwxyz0123456789._:-");
}

bool proto_name_valid(const char *s)
{
	return !str_empty(s) && !strchr("_-", s[0]) && strlen(s) <= PROTO_NAME_MAX &&
	       str_only(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");
}

static bool text_ends(const char *s, size_t cap)
{
	return memchr(s, '\0', cap) != NULL;
}

static bool id_ok(const char *id)
{
	return text_ends(id, ID_SANDBOX_LEN + 1) && id_sandbox_valid(id);
}

static bool base_ok(const char *base)
{
	return text_ends(base, PROTO_BASE_MAX + 1) && proto_base_valid(base);
}

static bool name_ok(const char *name)
{
	return text_ends(name, PROTO_NAME_MAX + 1) && proto_name_valid(name);
}

static bool log_ok(const struct proto_log *m)
{
	return m->level <= PROTO_LOG_ERROR && text_ends(m->step, sizeof(m->step)) &&
	       text_ends(m->text, sizeof(m->text));
}

static bool image_ok(const struct proto_image *m)
{
	return name_ok(m->name) && m->state <= PROTO_IMAGE_FAILED &&
	       text_ends(m->hash, sizeof(m->hash)) && text_ends(m->format, sizeof(m->format)) &&
	       text_ends(m->kernel, sizeof(m->kernel)) && text_ends(m->text, sizeof(m->text));
}

static int check_range(const char *what, uint64_t v, uint64_t min, uint64_t max, struct err *reterr)
{
	if (v >= min && v <= max)
		return 0;
	return err_set(reterr, -EINVAL, "%s: expected %llu to %llu, got %llu", what,
	    (unsigned long long)min, (unsigned long long)max, (unsigned long long)v);
}

static bool hash_ok(const char *hash)
{
	return text_ends(hash, PROTO_HASH_LEN + 1) && strlen(hash) == PROTO_HASH_LEN &&
	       str_only(hash, "0123456789abcdef");
}

/* Names of templates: as bases, and "_". */
static bool tmpl_ok(const char *name)
{
	return text_ends(name, PROTO_BASE_MAX + 1) && !str_empty(name) && !strchr("_-", name[0]) &&
	       str_only(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
}

static int check_vm(const struct proto_create *c, struct err *reterr)
{
	if (!tmpl_ok(c->vm.tmpl))
		return err_set(reterr, -EINVAL, "template: not a valid name");
	if (!hash_ok(c->vm.tmpl_hash))
		return err_set(
		    reterr, -EINVAL, "template hash: expected %d hex digits", PROTO_HASH_LEN);
	if (c->start == PROTO_START_SNAPSHOT && !id_ok(c->snapshot))
		return err_set(
		    reterr, -EINVAL, "snapshot: expected 1 to %d of [a-z0-9]", ID_SANDBOX_LEN);
	int r = check_range("kvm", c->vm.kvm, 0, 1, reterr);
	if (r == 0)
		r = check_range("vcpus", c->vm.vcpus, 1, PROTO_VCPUS_MAX, reterr);
	if (r == 0)
		r = check_range(
		    "memory", c->memory_bytes, PROTO_VM_MEMORY_MIN, PROTO_MEMORY_MAX, reterr);
	if (r == 0 && (c->memory_bytes | c->disk_bytes) & (PROTO_VM_UNIT - 1))
		return err_set(reterr, -EINVAL, "memory, disk: expected multiples of 1 MiB");
	return r;
}

static int check_kind(const struct proto_create *c, struct err *reterr)
{
	int r = check_range("kind", c->kind, 0, PROTO_BOX_KINDS - 1, reterr);
	if (r == 0)
		r = check_range("start", c->start, 0, PROTO_STARTS - 1, reterr);
	if (r < 0)
		return r;
	if (c->kind != PROTO_BOX_NAMESPACE)
		return check_vm(c, reterr);
	if (c->start != PROTO_START_COLD)
		return err_set(reterr, -EINVAL, "start: namespaces have no snapshots");
	return base_ok(c->base) ? 0 : err_set(reterr, -EINVAL, "base: not a valid name");
}

static int check_memory(uint64_t bytes, struct err *reterr)
{
	return check_range("memory", bytes, PROTO_MEMORY_MIN, PROTO_MEMORY_MAX, reterr);
}

static int check_disk(uint64_t bytes, struct err *reterr)
{
	return check_range("disk", bytes, PROTO_DISK_MIN, PROTO_DISK_MAX, reterr);
}

static int check_cpu(uint32_t milli, struct err *reterr)
{
	return check_range("cpu", milli, PROTO_CPU_MILLI_MIN, PROTO_CPU_MILLI_MAX, reterr);
}

static int check_resize(const struct proto_sizes *to, struct err *reterr)
{
	int r = to->memory_bytes ? check_memory(to->memory_bytes, reterr) : 0;
	if (r == 0 && to->disk_bytes)
		r = check_disk(to->disk_bytes, reterr);
	if (r == 0 && to->disk_bytes & (PROTO_VM_UNIT - 1))
		return err_set(reterr, -EINVAL, "disk: expected a multiple of 1 MiB");
	return r < 0 ? r : check_cpu(to->cpu_milli, reterr);
}

static int check_create(const struct proto_create *c, struct err *reterr)
{
	if (!id_ok(c->id))
		return err_set(reterr, -EINVAL, "id: expected 1 to %d of [a-z0-9]", ID_SANDBOX_LEN);
	int r = check_kind(c, reterr);
	if (r == 0)
		r = check_memory(c->memory_bytes, reterr);
	if (r == 0)
		r = check_cpu(c->cpu_milli, reterr);
	if (r == 0)
		r = check_disk(c->disk_bytes, reterr);
	if (r == 0)
		r = check_range("pids", c->max_pids, PROTO_PIDS_MIN, PROTO_PIDS_MAX, reterr);
	if (r == 0)
		r = check_range("internet", c->internet, 0, 1, reterr);
	return r;
}

static int bad_id(const char *what, struct err *reterr)
{
	return err_set(reterr, -EINVAL, "%s: expected 1 to %d of [a-z0-9]", what, ID_SANDBOX_LEN);
}

/* Requests about one sandbox, and those of VMs. */
static int check_box(const union proto_any *m, struct err *reterr)
{
	switch (m->head.kind) {
	case PROTO_VM_PREPARE:
		if (m->request.create.kind == PROTO_BOX_NAMESPACE)
			return err_set(reterr, -EINVAL, "kind: expected that of a VM");
		return check_create(&m->request.create, reterr);
	case PROTO_VM_INFO:
		return check_range(
		    "kind", m->request.box.on, PROTO_BOX_QEMU, PROTO_BOX_KINDS - 1, reterr);
	case PROTO_RESIZE:
		if (!id_ok(m->request.resize.id))
			return bad_id("id", reterr);
		return check_resize(&m->request.resize.to, reterr);
	case PROTO_VM_DO:
		if (!id_ok(m->request.box.id))
			return bad_id("id", reterr);
		return check_range("verb", m->request.box.on, 0, PROTO_VM_VERBS - 1, reterr);
	case PROTO_VM_SNAPSHOT:
		if (!id_ok(m->request.box.snapshot))
			return bad_id("snapshot", reterr);
		/* fall through */
	default:
		if (!id_ok(m->request.box.id))
			return bad_id("id", reterr);
		return check_range("internet", m->request.box.on, 0, 1, reterr);
	}
}

int proto_check_request(const union proto_any *m, size_t n, struct err *reterr)
{
	if (n < sizeof(m->head) || m->head.version != PROTO_VERSION ||
	    n != proto_size(m->head.kind) || m->head.kind >= PROTO_REPLY)
		return err_set(reterr, -EPROTO, "not a request of this version");
	switch (m->head.kind) {
	case PROTO_LIST:
	case PROTO_VM_SNAPSHOTS:
	case PROTO_IMAGES:
		return 0;
	case PROTO_BUILD:
	case PROTO_BUILD_CANCEL:
	case PROTO_IMAGE_REMOVE:
		if (!name_ok(m->request.build.name))
			return err_set(reterr, -EINVAL, "template: not a valid name");
		return check_range("force", m->request.build.force, 0, 1, reterr);
	case PROTO_PREPARE:
		return base_ok(m->request.base)
			   ? 0
			   : err_set(reterr, -EINVAL, "base: not a valid name");
	case PROTO_CREATE:
		return check_create(&m->request.create, reterr);
	default:
		return check_box(m, reterr);
	}
}

int proto_check_answer(const union proto_any *m, size_t n)
{
	if (n < sizeof(m->head) || m->head.version != PROTO_VERSION ||
	    n != proto_size(m->head.kind))
		return -EPROTO;
	switch (m->head.kind) {
	case PROTO_REPLY:
		return text_ends(m->reply.text, sizeof(m->reply.text)) &&
			       text_ends(m->reply.box.socket_dir, PROTO_SOCKET_DIR) &&
			       text_ends(m->reply.box.cmdline, sizeof(m->reply.box.cmdline))
			   ? 0
			   : -EPROTO;
	case PROTO_ITEM:
		return id_ok(m->item.id) ? 0 : -EPROTO;
	case PROTO_EVENT:
		return id_ok(m->event.id) && text_ends(m->event.text, sizeof(m->event.text))
			   ? 0
			   : -EPROTO;
	case PROTO_LOG:
		return log_ok(&m->log) ? 0 : -EPROTO;
	case PROTO_IMAGE:
		return image_ok(&m->image) ? 0 : -EPROTO;
	default:
		return -EPROTO;
	}
}
