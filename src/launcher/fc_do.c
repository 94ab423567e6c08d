/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a live VM: its sockets, room for a snapshot, signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "launcher/box.h"
#include "launcher/fc.h"

/* A name that the VMM has made may be anything: only a socket, and never through a link. */
static int own_socket(const struct box *b, const char *name)
{
	char dir[PATH_LEN_MAX], path[PATH_LEN_MAX], self[64];
	struct stat st;
	int r = fc_vm_dir(b, dir, sizeof(dir));
	if (r == 0)
		r = path_join(path, sizeof(path), dir, name);
	if (r < 0)
		return r;
	CLEAN_FD int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fchownat(fd, "", b->srv->conf->owner_uid, b->srv->conf->owner_gid, AT_EMPTY_PATH) < 0 ||
	    chmod(self, 0600) < 0)
		return -errno;
	return 0;
}

/* From now on the VMM can make nothing in it, and what is there cannot be replaced. */
static int open_sockets(struct box *b, struct err *reterr)
{
	char dir[PATH_LEN_MAX];
	int r = fc_vm_dir(b, dir, sizeof(dir));
	if (r == 0 && (lchown(dir, 0, 0) < 0 || chmod(dir, 0711) < 0))
		r = -errno;
	if (r == 0)
		r = own_socket(b, "api.sock");
	if (r == 0)
		r = own_socket(b, "v.sock");
	return r < 0 ? err_set(reterr, r, "its sockets: %s", err_name(r)) : 0;
}

static int discard_out(const struct box *b)
{
	char path[PATH_LEN_MAX];
	int r = fc_jail_path(b, "out", path, sizeof(path));
	return r < 0 ? r : path_remove_tree(path);
}

static int open_out(struct box *b, struct err *reterr)
{
	const uint32_t uid = slots_base(&b->srv->slots, b->rec.slot);
	char path[PATH_LEN_MAX];
	struct statvfs fs;
	int r = discard_out(b);
	if (r == 0)
		r = fc_jail_path(b, "out", path, sizeof(path));
	if (r == 0 && statvfs(".", &fs) < 0)
		r = -errno;
	if (r < 0)
		return err_set(reterr, r, "cannot prepare a snapshot: %s", err_name(r));
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
	uint64_t need = b->rec.memory_bytes + FC_SLACK_BYTES;
	if (room < need)
		return err_set(reterr, -ENOSPC,
		    "a snapshot needs %llu MiB in the state directory, %llu are free",
		    (unsigned long long)(need >> 20), (unsigned long long)(room >> 20));
	if (mkdir(path, 0700) < 0 || lchown(path, uid, uid) < 0)
		return err_set(reterr, -errno, "cannot make %s: %s", path, err_name(-errno));
	return 0;
}

static int send_signal(const struct box *b, int sig)
{
	if (!b->child_running)
		return -ESRCH;
	return (int)syscall(SYS_pidfd_send_signal, b->child.pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int fc_do(struct box *b, enum proto_vm_verb verb, struct err *reterr)
{
	switch (verb) {
	case PROTO_VM_OPEN:
		return open_sockets(b, reterr);
	case PROTO_VM_OUT:
		return open_out(b, reterr);
	case PROTO_VM_DISCARD:
		return discard_out(b);
	case PROTO_VM_STOP:
		return send_signal(b, SIGSTOP);
	case PROTO_VM_CONTINUE:
		return send_signal(b, SIGCONT);
	case PROTO_VM_KILL:
		return send_signal(b, SIGKILL);
	default:
		return -EINVAL;
	}
}

bool fc_is_stopped(const struct box *b)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", b->rec.pid);
	const char *s = fd_read_file(AT_FDCWD, path, 4096, &text) == 0 ? buf_cstr(&text) : NULL;
	s = s ? strrchr(s, ')') : NULL;
	return s && s[1] == ' ' && s[2] == 'T';
}
