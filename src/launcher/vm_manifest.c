/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm_manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"

#define FORMAT 1u
#define MANIFEST_MAX 4096u
#define HEX "0123456789abcdef"

int vm_manifest_write(const char *dir, const struct vm_manifest *m)
{
	char text[MANIFEST_MAX];
	CLEAN_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = path_printf(text, sizeof(text),
	    "sandglass-vm %u\nkey %s\nhost %s\ncontent %s\ntemplate %s\nimage %s\nfs %s\nkvm %u\n"
	    "vcpus %u\nmemory %llu\ndisk %llu\nstate-size %llu\nmem-size %llu\n",
	    FORMAT, m->key, m->host, m->content, m->tmpl, m->image, m->fs, m->kvm, m->vcpus,
	    (unsigned long long)m->memory_bytes, (unsigned long long)m->disk_bytes,
	    (unsigned long long)m->state_size, (unsigned long long)m->memory_size);
	return r < 0 ? r : fd_replace_file(fd, "manifest", 0600, text, strlen(text));
}

static bool is_hash(const char *s)
{
	return strlen(s) == RECORD_KEY_LEN && str_only(s, HEX);
}

static int parse(char *text, struct vm_manifest *m)
{
	unsigned format = 0;
	int used = 0;
	unsigned long long memory = 0, disk = 0, state = 0, mem = 0;
	int n = sscanf(text,
	    "sandglass-vm %u\nkey %64s\nhost %64s\ncontent %64s\ntemplate %63s\nimage %64s\nfs "
	    "%15s\nkvm %u\nvcpus %u\nmemory %llu\ndisk %llu\nstate-size %llu\nmem-size %llu\n%n",
	    &format, m->key, m->host, m->content, m->tmpl, m->image, m->fs, &m->kvm, &m->vcpus,
	    &memory, &disk, &state, &mem, &used);
	if (n != 13 || format != FORMAT || text[used] != '\0' || !is_hash(m->key) ||
	    !is_hash(m->host) || !is_hash(m->content) || !str_only(m->image, HEX) || m->kvm > 1 ||
	    m->vcpus == 0 || m->vcpus > PROTO_VCPUS_MAX || memory > PROTO_MEMORY_MAX ||
	    disk > PROTO_DISK_MAX)
		return -EBADMSG;
	m->memory_bytes = memory;
	m->disk_bytes = disk;
	m->state_size = state;
	m->memory_size = mem;
	return 0;
}

static int check_file(const char *dir, const char *name, uint64_t want, struct err *reterr)
{
	struct stat st;
	char path[PATH_LEN_MAX];
	int r = path_printf(path, sizeof(path), "%s/%s", dir, name);
	if (r == 0 && lstat(path, &st) < 0)
		r = -errno;
	if (r < 0)
		return err_set(reterr, r, "file %s: %s", name, err_name(r));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != want)
		return err_set(reterr, -EBADMSG, "file %s: expected %llu bytes, found %lld", name,
		    (unsigned long long)want, (long long)st.st_size);
	return 0;
}

int vm_manifest_read(const char *dir, struct vm_manifest *ret, struct err *reterr)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct vm_manifest m = { 0 };
	char path[PATH_LEN_MAX];
	int r = path_printf(path, sizeof(path), "%s/manifest", dir);
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, MANIFEST_MAX, &b);
	if (r < 0)
		return err_set(reterr, r, "its manifest: %s", err_name(r));
	char *text = buf_cstr(&b);
	if (!text || parse(text, &m) < 0)
		return err_set(reterr, -EBADMSG, "its manifest is not one of this version");
	r = check_file(dir, "state", m.state_size, reterr);
	if (r == 0)
		r = check_file(dir, "mem", m.memory_size, reterr);
	if (r == 0)
		r = check_file(dir, "disk", m.disk_bytes, reterr);
	if (r == 0)
		*ret = m;
	return r;
}
