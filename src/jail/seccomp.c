/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libseccomp turns the lists into a binary tree (about ten comparisons a call, and cheap to load),
 * which is exported and kept as plain BPF. In front of it stands one comparison of our own: a call
 * number beyond those that the library knows is answered with ENOSYS, so that C libraries fall back
 * instead of failing.
 */
#include "jail/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <stdlib.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/mem.h"
#include "jail/seccomp_lists.h"

#define NEWEST_PROBE 1024 /* call numbers looked up in the library */
#define FAMILIES 64u	  /* more than there are; beyond them EPERM */
#define PROG_MAX_BYTES (4096u * sizeof(struct sock_filter))
#define NEW_NAMESPACES                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	    CLONE_NEWPID | CLONE_NEWNET)

struct role {
	const char *name;
	const char *const *lists[5];
	bool may_fork;
};

static const struct role roles[SECCOMP_ROLES] = {
	[SECCOMP_SANDBOX] = { "sandbox",
	    { seccomp_list_common, seccomp_list_network, seccomp_list_process,
		seccomp_list_machine },
	    true },
	[SECCOMP_DAEMON] = { "daemon", { seccomp_list_common, seccomp_list_network }, false },
};

size_t seccomp_role_names(enum seccomp_role role, const char **dst, size_t cap)
{
	size_t n = 0;
	for (const char *const *const *list = roles[role].lists; *list; list++)
		for (const char *const *name = *list; *name; name++, n++)
			if (n < cap)
				dst[n] = *name;
	return n;
}

/* ---- rules ---- */

static struct scmp_arg_cmp arg(unsigned index, enum scmp_compare how, uint64_t value)
{
	return (struct scmp_arg_cmp){ .arg = index, .op = how, .datum_a = value };
}

static struct scmp_arg_cmp arg_masked(unsigned index, uint64_t mask, uint64_t value)
{
	return (struct scmp_arg_cmp){
		.arg = index, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value
	};
}

static int allow_names(scmp_filter_ctx f, const struct role *role)
{
	for (const char *const *const *list = role->lists; *list; list++)
		for (const char *const *name = *list; *name; name++) {
			int nr = seccomp_syscall_resolve_name(*name);
			if (nr < 0)
				continue; /* not on this architecture */
			int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 0);
			if (r < 0)
				return r;
		}
	return 0;
}

/* Threads, and processes where the role may make them, but no namespaces. */
static int allow_clone(scmp_filter_ctx f, const struct role *role)
{
	uint64_t mask = NEW_NAMESPACES, want = 0;
	if (!role->may_fork) {
		mask |= CLONE_THREAD;
		want = CLONE_THREAD;
	}
	int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, arg_masked(0, mask, want));
	/* Its arguments are behind a pointer; the C library then uses clone. */
	return r < 0 ? r : seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Protocols of the internet: others would only load kernel modules on behalf of a guest. */
static int allow_internet(scmp_filter_ctx f, unsigned family)
{
	static const unsigned protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP,
		IPPROTO_ICMPV6 };
	int r = 0;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]) && r == 0; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
		    arg(0, SCMP_CMP_EQ, family), arg(2, SCMP_CMP_EQ, protocols[i]));
	return r;
}

/* getifaddrs() and getaddrinfo() ask the routing table. */
static int allow_netlink(scmp_filter_ctx f)
{
	int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
	    arg(0, SCMP_CMP_EQ, AF_NETLINK), arg(2, SCMP_CMP_EQ, NETLINK_ROUTE));
	return r < 0 ? r
		     : seccomp_rule_add(f, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 2,
			   arg(0, SCMP_CMP_EQ, AF_NETLINK), arg(2, SCMP_CMP_NE, NETLINK_ROUTE));
}

/* Other families do not exist, as far as programs can tell: many take EPERM for a failure where
 * they would do without (libaudit, resolvers). */
static int allow_sockets(scmp_filter_ctx f)
{
	int r = allow_internet(f, AF_INET);
	if (r == 0)
		r = allow_internet(f, AF_INET6);
	if (r == 0)
		r = allow_netlink(f);
	if (r == 0)
		r = seccomp_rule_add(
		    f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, arg(0, SCMP_CMP_EQ, AF_UNIX));
	for (unsigned family = 0; family < FAMILIES && r == 0; family++)
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6 &&
		    family != AF_NETLINK)
			r = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
			    arg(0, SCMP_CMP_EQ, family));
	return r;
}

/* All limits but that of core files. A host whose core_pattern is a pipe would feed crashes of
 * guests to a root process, and only the limit of one byte that the sandbox starts with prevents
 * it: zero would not. Attempts to change it are answered as if they had worked. */
static int allow_limits(scmp_filter_ctx f)
{
	int r = seccomp_rule_add(
	    f, SCMP_ACT_ALLOW, SCMP_SYS(setrlimit), 1, arg(0, SCMP_CMP_NE, RLIMIT_CORE));
	if (r == 0)
		r = seccomp_rule_add(
		    f, SCMP_ACT_ERRNO(0), SCMP_SYS(setrlimit), 1, arg(0, SCMP_CMP_EQ, RLIMIT_CORE));
	if (r == 0)
		r = seccomp_rule_add(
		    f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, arg(1, SCMP_CMP_NE, RLIMIT_CORE));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
		    arg(1, SCMP_CMP_EQ, RLIMIT_CORE), arg(2, SCMP_CMP_EQ, 0));
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(0), SCMP_SYS(prlimit64), 2,
		    arg(1, SCMP_CMP_EQ, RLIMIT_CORE), arg(2, SCMP_CMP_NE, 0));
	return r;
}

static int allow_personality(scmp_filter_ctx f)
{
	/* Linux, its 32-bit view of uname, ADDR_NO_RANDOMIZE for debuggers, and the question
	 * itself. */
	static const uint64_t known[] = { PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 | UNAME26,
		ADDR_NO_RANDOMIZE, 0xffffffff };
	int r = 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && r == 0; i++)
		r = seccomp_rule_add(
		    f, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1, arg(0, SCMP_CMP_EQ, known[i]));
	return r;
}

static int add_rules(scmp_filter_ctx f, const struct role *role)
{
	int r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = allow_names(f, role);
	if (r == 0)
		r = allow_clone(f, role);
	if (r == 0)
		r = allow_sockets(f);
	if (r == 0)
		r = allow_limits(f);
	if (r == 0 && role->may_fork)
		r = allow_personality(f);
	return r;
}

/* ---- export ---- */

static unsigned newest_known_call(void)
{
	unsigned newest = 0;
	for (int nr = 0; nr < NEWEST_PROBE; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		if (name)
			newest = (unsigned)nr;
		free(name);
	}
	return newest;
}

static int export_code(scmp_filter_ctx f, struct buf *dst)
{
	CLEAN_FD int fd = memfd_create("seccomp", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = seccomp_export_bpf(f, fd);
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r < 0 ? r : fd_read_all(fd, PROG_MAX_BYTES, dst);
}

/* Of foreign architectures nothing is said here: the code behind kills them. */
static int prepend_newest(struct buf *code)
{
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 2, 0), /* x32 and negative */
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, newest_known_call(), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	CLEAN_BUF struct buf all = BUF_INIT;
	int r = buf_append(&all, head, sizeof(head));
	if (r == 0)
		r = buf_append(&all, buf_data(code), buf_len(code));
	if (r < 0)
		return r;
	struct buf old = *code;
	*code = all;
	all = old;
	return 0;
}

int seccomp_prog_build(enum seccomp_role role, struct seccomp_prog *ret, struct err *reterr)
{
	CLEAN_BUF struct buf code = BUF_INIT;
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = f ? add_rules(f, &roles[role]) : -ENOMEM;
	if (r == 0)
		r = export_code(f, &code);
	if (f)
		seccomp_release(f);
	if (r == 0)
		r = prepend_newest(&code);
	if (r < 0)
		return err_set(reterr, r, "cannot compile the %s system call filter: %s",
		    roles[role].name, err_name(r));
	ret->len = (unsigned short)(buf_len(&code) / sizeof(struct sock_filter));
	ret->code = (struct sock_filter *)(void *)buf_steal(&code, NULL);
	return ret->code ? 0 : err_set(reterr, -ENOMEM, "out of memory");
}

void seccomp_prog_fini(struct seccomp_prog *p)
{
	p->code = mem_free(p->code);
	p->len = 0;
}

int seccomp_prog_load(const struct seccomp_prog *p)
{
	struct sock_fprog prog = { .len = p->len, .filter = p->code };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? -errno : 0;
}
