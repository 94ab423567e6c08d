/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/proto.h"

#define RECORD_MAX 4096u
#define RECORD_FORMAT 2u
#define STAT_FIELD_STATE 3
#define STAT_FIELD_FLAGS 9
#define STAT_FIELD_START 22
#define FORKED_NOT_EXECED 0x40u /* PF_FORKNOEXEC, cleared before descriptors are closed on exec */

int record_boot_id(char dst[RECORD_BOOT_LEN + 1])
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &b);
	if (r < 0)
		return r;
	if (buf_len(&b) < RECORD_BOOT_LEN)
		return -EBADMSG;
	memcpy(dst, buf_data(&b), RECORD_BOOT_LEN);
	dst[RECORD_BOOT_LEN] = '\0';
	return 0;
}

/* One number of /proc/PID/stat, counted as in proc(5); -ESRCH for the dead. */
static int read_stat(pid_t pid, int which, uint64_t *ret)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	char path[64], *save = NULL;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int r = fd_read_file(AT_FDCWD, path, RECORD_MAX, &b);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	char *s = buf_cstr(&b);
	/* The name may hold anything, also blanks and brackets: fields are counted behind the last.
	 */
	char *p = s ? strrchr(s, ')') : NULL;
	if (!p)
		return s ? -EBADMSG : -ENOMEM;
	char *field = strtok_r(p + 1, " ", &save);
	if (!field || field[0] == 'Z' || field[0] == 'X')
		return -ESRCH;
	for (int i = STAT_FIELD_STATE; field && i < which; i++)
		field = strtok_r(NULL, " ", &save);
	return field ? str_u64(field, UINT64_MAX, ret) : -EBADMSG;
}

int record_process_start(pid_t pid, uint64_t *ret)
{
	return read_stat(pid, STAT_FIELD_START, ret);
}

bool record_process_has_execed(pid_t pid)
{
	uint64_t flags;
	return read_stat(pid, STAT_FIELD_FLAGS, &flags) == 0 && !(flags & FORKED_NOT_EXECED);
}

int record_write(const char *path, const struct record *r)
{
	char text[RECORD_MAX];
	int n = snprintf(text, sizeof(text),
	    "sandglass-box %u\nid %s\nboot %s\nbase %s\nslot %u\nnet %d\npid %d\nstart %llu\n"
	    "disk %llu\nkind %u\nkvm %u\nmemory %llu\nwarm %s\nready %d\n",
	    RECORD_FORMAT, r->id, r->boot, r->base, r->slot, r->net_slot, r->pid,
	    (unsigned long long)r->start, (unsigned long long)r->disk_bytes, r->kind, r->kvm,
	    (unsigned long long)r->memory_bytes, r->warm[0] ? r->warm : RECORD_NONE, r->ready);
	/* One write: a launcher that is killed leaves the old text or the new one. After a crash of
	 * the machine nothing of it counts, so nothing is synced. */
	CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

static int parse(char *text, struct record *r)
{
	unsigned format = 0;
	int ready = 0, used = 0;
	unsigned long long start = 0, disk = 0, memory = 0;
	int n = sscanf(text,
	    "sandglass-box %u\nid %21s\nboot %36s\nbase %63s\nslot %u\nnet %d\npid %d\nstart %llu\n"
	    "disk %llu\nkind %u\nkvm %u\nmemory %llu\nwarm %64s\nready %d\n%n",
	    &format, r->id, r->boot, r->base, &r->slot, &r->net_slot, &r->pid, &start, &disk,
	    &r->kind, &r->kvm, &memory, r->warm, &ready, &used);
	if (n != 14 || format != RECORD_FORMAT || text[used] != '\0')
		return -EBADMSG;
	if (!id_sandbox_valid(r->id) || !proto_base_valid(r->base) || r->pid < 0 ||
	    r->kind >= PROTO_BOX_KINDS || r->kvm > 1)
		return -EBADMSG;
	if (str_eq(r->warm, RECORD_NONE))
		r->warm[0] = '\0';
	else if (strlen(r->warm) != RECORD_KEY_LEN || !str_only(r->warm, "0123456789abcdef"))
		return -EBADMSG;
	r->start = start;
	r->disk_bytes = disk;
	r->memory_bytes = memory;
	r->ready = ready == 1;
	return 0;
}

int record_read(const char *path, struct record *ret)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct record r = { 0 };
	int rc = fd_read_file(AT_FDCWD, path, RECORD_MAX, &b);
	if (rc < 0)
		return rc;
	char *s = buf_cstr(&b);
	if (!s)
		return -ENOMEM;
	rc = parse(s, &r);
	if (rc == 0)
		*ret = r;
	return rc;
}

int record_open_process(const struct record *r)
{
	uint64_t start;
	if (r->pid <= 1)
		return -ESRCH;
	CLEAN_FD int fd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	if (fd < 0)
		return -errno;
	/* The descriptor pins the number: what is read now is about the same process. */
	int rc = record_process_start(r->pid, &start);
	if (rc < 0)
		return rc;
	return start == r->start ? TAKE_FD(fd) : -ESRCH;
}
