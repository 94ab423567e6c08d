/* SPDX-License-Identifier: Apache-2.0 */
/* What a Firecracker VM is made of, and with: names of what fits to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/hash.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/box.h"
#include "launcher/cpu.h"
#include "launcher/fc.h"

#define NOTE "made-of"
#define NOTE_MAX 512
#define NONE "-"

static int add_file(struct buf *dst, const char *path)
{
	struct stat st;
	if (!path || stat(path, &st) < 0)
		return -ENOENT;
	return buf_printf(dst, "%s %lld %lld.%09ld\n", path, (long long)st.st_size,
	    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static int add_host(struct buf *dst, struct server *s)
{
	struct utsname host;
	fc_host_load(&s->fc);
	int r = uname(&host) < 0 ? -errno : 0;
	if (r == 0)
		r = buf_printf(dst, "firecracker %s format %s host %s\n", s->fc.vmm, s->fc.format,
		    host.release);
	if (r == 0)
		r = add_file(dst, fc_program(s));
	return r < 0 ? r : cpu_identity(dst);
}

/* Not the size of its disk, which may grow: that is in manifests. The agent is in the initrd. */
static int add_guest(struct buf *dst, const struct proto_create *want, const struct vm_image *image)
{
	int r = buf_printf(dst, "template %s %s\nimage %s %s\nkernel %s\nvcpus %u\nmemory %llu\n",
	    want->vm.tmpl, want->vm.tmpl_hash, image->hash, image->fs, image->kernel,
	    want->vm.vcpus, (unsigned long long)want->memory_bytes);
	return r < 0 ? r : add_file(dst, image->initrd_path);
}

int fc_made_of(struct server *s, const struct proto_create *want, const struct vm_image *image,
    struct fc_made *ret, struct err *reterr)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	if (!fc_program(s))
		return err_set(reterr, -ENOENT, "firecracker is not installed");
	int r = add_host(&b, s);
	if (r == 0)
		r = hash_sha256_hex(buf_data(&b), buf_len(&b), ret->host);
	if (r == 0)
		r = add_guest(&b, want, image);
	if (r == 0)
		r = hash_sha256_hex(buf_data(&b), buf_len(&b), ret->key);
	(void)str_copy(ret->tmpl, sizeof(ret->tmpl), want->vm.tmpl);
	(void)str_copy(ret->image, sizeof(ret->image), image->hash);
	return r < 0 ? err_set(reterr, r, "cannot name the warm snapshot: %s", err_name(r)) : 0;
}

static const char *or_none(const char *s)
{
	return s[0] ? s : NONE;
}

int fc_made_note(const struct box *b)
{
	const struct fc_made *m = &b->fc.made;
	char path[160], text[NOTE_MAX];
	int r = box_path(b, NOTE, path, sizeof(path));
	int n = snprintf(text, sizeof(text), "%s %s %s %s\n", or_none(m->key), or_none(m->host),
	    or_none(m->tmpl), or_none(m->image));
	if (r < 0)
		return r;
	/* As its record: not synced, since it means nothing after a crash of the machine. */
	CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd_write_all(fd, text, (size_t)n);
}

int fc_made_recall(struct box *b)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	struct fc_made m;
	char path[160];
	int r = box_path(b, NOTE, path, sizeof(path));
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, NOTE_MAX, &text);
	const char *s = r == 0 ? buf_cstr(&text) : NULL;
	if (!s)
		return r < 0 ? r : -ENOMEM;
	if (sscanf(s, "%64s %64s %63s %64s", m.key, m.host, m.tmpl, m.image) != 4)
		return -EBADMSG;
	b->fc.made = m;
	return 0;
}
