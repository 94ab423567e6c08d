/* SPDX-License-Identifier: Apache-2.0 */
/* What only the kernel can answer. What would change something is tried in a child that first gets
 * namespaces of its own, which go with it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "doctor/host.h"
#include "hostnet/netlink.h"
#include "jail/landlock.h"
#include "jail/mnt.h"
#include "jail/userns.h"

#define SPARE_IDS 0x7ff00000u /* above what slots of any instance use */

/* Run fn in a child; what it says comes back: 0 or -errno. */
static int in_child(
    int (*fn)(const void *arg, struct err *reterr), const void *arg, struct err *reterr)
{
	int status = 0;
	struct err *told =
	    mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		return err_set(reterr, -errno, "%s", err_name(-errno));
	pid_t pid = fork();
	if (pid == 0) {
		int r = fn(arg, told);
		if (r < 0)
			(void)err_set(told, r, "%s", err_name(r));
		_exit(0);
	}
	int r = pid < 0 ? -errno : 0;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (r == 0 && status != 0)
		r = -ECHILD;
	if (r < 0)
		(void)err_set(reterr, r, "the test process: %s", err_name(r));
	else if (told->code)
		(void)err_set(reterr, r = told->code, "%s", err_text(told));
	(void)munmap(told, sizeof(*told));
	return r;
}

static int map_here(const void *arg, struct err *reterr)
{
	(void)reterr;
	const char *dir = arg;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	CLEAN_FD int userns = userns_new(SPARE_IDS);
	return userns < 0 ? userns : mnt_bind(dir, dir, MNT_RO, userns);
}

static int real_idmap(const char *dir)
{
	return in_child(map_here, dir, NULL);
}

/* Ask the kernel's nf_tables for its generation: it loads the module for that. */
static int ask_nftables(void)
{
	struct {
		struct nlmsghdr head;
		struct nfgenmsg msg;
	} q = { .head = { .nlmsg_len = sizeof(q),
		    .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
		    .nlmsg_flags = NLM_F_REQUEST } };
	union {
		struct nlmsghdr head;
		char space[1024];
	} a;
	struct timeval limit = { .tv_sec = 5 };
	CLEAN_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	ssize_t n = recv(fd, &a, sizeof(a), 0);
	if (n < (ssize_t)sizeof(a.head))
		return n < 0 ? -errno : -EPROTO;
	if (a.head.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN))
		return 0;
	const struct nlmsgerr *e = NLMSG_DATA(&a.head);
	return a.head.nlmsg_type == NLMSG_ERROR && e->error < 0 ? e->error : -EPROTO;
}

static int try_network(const void *arg, struct err *reterr)
{
	(void)arg;
	if (unshare(CLONE_NEWNET) < 0)
		return err_set(reterr, -errno, "network namespaces: %s", err_name(-errno));
	CLEAN_FD int nl = netlink_open();
	CLEAN_FD int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = nl < 0 ? nl : here < 0 ? -errno : netlink_add_veth(nl, "sgd0", "sgd1", here);
	if (r < 0)
		return err_set(reterr, r, "veth: %s", err_name(r));
	r = ask_nftables();
	return r < 0 ? err_set(reterr, r, "nftables: %s", err_name(r)) : 0;
}

static int real_network(struct err *reterr)
{
	return in_child(try_network, NULL, reterr);
}

static int real_free_space(const char *dir, uint64_t *ret)
{
	struct statvfs s;
	if (statvfs(dir, &s) < 0)
		return -errno;
	*ret = (uint64_t)s.f_bavail * s.f_frsize;
	return 0;
}

static bool real_has_user(const char *name)
{
	return getpwnam(name) != NULL;
}

const struct host_ops host_ops_real = {
	.landlock_abi = landlock_abi,
	.idmap = real_idmap,
	.network = real_network,
	.free_space = real_free_space,
	.has_user = real_has_user,
};
