/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/files/entry_proto.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/files/file_info.h"
#include "guest-kernel-agent/files/watch.h"
#include "guest-kernel-agent/jupyter/text.h"

#define NS 1000000000

static const Filesystem__FileType types[] = {
	[FILE_UNKNOWN] = FILESYSTEM__FILE_TYPE__FILE_TYPE_UNSPECIFIED,
	[FILE_REGULAR] = FILESYSTEM__FILE_TYPE__FILE_TYPE_FILE,
	[FILE_DIRECTORY] = FILESYSTEM__FILE_TYPE__FILE_TYPE_DIRECTORY,
	[FILE_SYMLINK] = FILESYSTEM__FILE_TYPE__FILE_TYPE_SYMLINK,
};

static int set_metadata(struct entry_proto *e, const struct file_info *f)
{
	if (f->n_metadata == 0)
		return 0;
	e->metadata = mem_calloc(f->n_metadata, sizeof(*e->metadata));
	e->list = mem_calloc(f->n_metadata, sizeof(*e->list));
	if (!e->metadata || !e->list)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_metadata; i++) {
		filesystem__entry_info__metadata_entry__init(&e->metadata[i]);
		e->metadata[i].key = f->metadata[i].key;
		e->metadata[i].value = f->metadata[i].value;
		e->list[i] = &e->metadata[i];
	}
	e->m.n_metadata = f->n_metadata;
	e->m.metadata = e->list;
	return 0;
}

/* Times before 1970 have negative seconds, but never negative nanoseconds. */
static void set_time(struct entry_proto *e, int64_t ns)
{
	int64_t rest = ns % NS;
	google__protobuf__timestamp__init(&e->time);
	e->time.nanos = (int32_t)(rest < 0 ? rest + NS : rest);
	e->time.seconds = (ns - e->time.nanos) / NS;
	e->m.modified_time = &e->time;
}

int entry_proto_init(struct entry_proto *e, const struct file_info *f)
{
	*e = (struct entry_proto){ 0 };
	filesystem__entry_info__init(&e->m);
	e->m.name = f->name;
	e->m.type = types[f->type];
	e->m.path = f->path;
	e->m.size = (int64_t)f->size;
	e->m.mode = f->mode;
	e->m.permissions = (char *)f->permissions;
	e->m.owner = f->owner;
	e->m.group = f->group;
	if (f->symlink_target)
		e->m.symlink_target = f->symlink_target;
	set_time(e, f->modified_ns);
	return set_metadata(e, f);
}

void entry_proto_fini(struct entry_proto *e)
{
	e->metadata = mem_free(e->metadata);
	e->list = mem_free(e->list);
}

static const Filesystem__EventType changes[] = {
	[WATCH_LOST] = FILESYSTEM__EVENT_TYPE__EVENT_TYPE_UNSPECIFIED,
	[WATCH_CREATE] = FILESYSTEM__EVENT_TYPE__EVENT_TYPE_CREATE,
	[WATCH_WRITE] = FILESYSTEM__EVENT_TYPE__EVENT_TYPE_WRITE,
	[WATCH_REMOVE] = FILESYSTEM__EVENT_TYPE__EVENT_TYPE_REMOVE,
	[WATCH_RENAME] = FILESYSTEM__EVENT_TYPE__EVENT_TYPE_RENAME,
	[WATCH_CHMOD] = FILESYSTEM__EVENT_TYPE__EVENT_TYPE_CHMOD,
};

int event_proto_init(struct event_proto *p, const struct watch_event *e)
{
	*p = (struct event_proto){ 0 };
	filesystem__filesystem_event__init(&p->m);
	p->m.type = changes[e->change];
	p->m.name = (char *)e->name;
	if (!str_utf8_valid(e->name, strlen(e->name))) {
		CLEAN_BUF struct buf b = BUF_INIT;
		if (text_repair(&b, e->name, strlen(e->name)) < 0)
			return -ENOMEM;
		p->m.name = p->name = buf_steal(&b, NULL);
	}
	if (!p->m.name)
		return -ENOMEM;
	if (!e->has_entry)
		return 0;
	p->m.entry = &p->entry.m;
	return entry_proto_init(&p->entry, &e->entry);
}

void event_proto_fini(struct event_proto *p)
{
	p->name = mem_free(p->name);
	entry_proto_fini(&p->entry);
}
