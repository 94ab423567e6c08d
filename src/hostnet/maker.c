/* SPDX-License-Identifier: Apache-2.0 */
#include "hostnet/maker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "hostnet/netlink.h"

static int set_sysctl(const char *name, const char *value)
{
	char path[PATH_LEN_MAX];
	int r = path_printf(path, sizeof(path), "/proc/sys/net/%s", name);
	return r < 0 ? r : fd_write_file(AT_FDCWD, path, value, strlen(value));
}

/* ---- inside a slot's namespace ---- */

static int configure_inside(const struct plan *p, unsigned index)
{
	CLEAN_FD int nl = netlink_open();
	if (nl < 0)
		return nl;
	/* Services may use any port: root in the sandbox has no rights over this namespace. */
	int r = set_sysctl("ipv4/ip_unprivileged_port_start", "0");
	if (r == 0)
		r = set_sysctl("ipv4/ping_group_range", "0 2147483647");
	/* IPv6 is not routed; lo keeps ::1. A kernel without IPv6 has no such files. */
	if (r == 0 && path_exists("/proc/sys/net/ipv6/conf/" MAKER_LINK))
		r = set_sysctl("ipv6/conf/" MAKER_LINK "/disable_ipv6", "1");
	if (r == 0)
		r = netlink_set_link(nl, "lo", true);
	if (r == 0)
		r = netlink_add_address(nl, MAKER_LINK, plan_address(p, index), PLAN_PREFIX);
	return r;
}

int maker_set_inside(int netns_fd, bool up, struct in_addr gateway)
{
	CLEAN_FD int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || setns(netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	CLEAN_FD int nl = netlink_open();
	int r = nl < 0 ? nl : netlink_set_link(nl, MAKER_LINK, up);
	if (r == 0 && up)
		r = netlink_add_default_route(nl, gateway, MAKER_LINK);
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* never go on in the wrong namespace */
	return r;
}

/* ---- the maker's process ---- */

struct maker {
	const struct plan *plan;
	bool route_localnet;
	int sock, nl, home;
};

/* A new namespace, with the process back home afterwards. */
static int new_netns(struct maker *m)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	CLEAN_FD int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;
	if (setns(m->home, CLONE_NEWNET) < 0)
		abort();
	return r < 0 ? r : TAKE_FD(fd);
}

static int configure_host_end(struct maker *m, unsigned index, const char *name)
{
	char key[64];
	int r = netlink_add_address(m->nl, name, plan_gateway(m->plan, index), PLAN_PREFIX);
	(void)snprintf(key, sizeof(key), "ipv4/conf/%s/rp_filter", name);
	if (r == 0)
		r = set_sysctl(key, "1"); /* nobody else's address as source */
	(void)snprintf(key, sizeof(key), "ipv4/conf/%s/route_localnet", name);
	if (r == 0 && m->route_localnet)
		r = set_sysctl(key, "1");
	(void)snprintf(key, sizeof(key), "ipv6/conf/%s/disable_ipv6", name);
	if (r == 0 && path_exists("/proc/sys/net/ipv6/conf"))
		r = set_sysctl(key, "1");
	return r;
}

/* The slot starts refused: both ends are down until it is handed out. */
static int make_slot(struct maker *m, unsigned index, int *ret_fd)
{
	char name[IFNAMSIZ];
	plan_link_name(m->plan, index, name);
	CLEAN_FD int ns = new_netns(m);
	if (ns < 0)
		return ns;
	int r = netlink_add_veth(m->nl, name, MAKER_LINK, ns);
	if (r < 0)
		return r;
	r = configure_host_end(m, index, name);
	if (r == 0 && setns(ns, CLONE_NEWNET) < 0)
		r = -errno;
	else if (r == 0)
		r = configure_inside(m->plan, index);
	if (setns(m->home, CLONE_NEWNET) < 0)
		abort();
	if (r < 0) {
		(void)netlink_del_link(m->nl, name);
		return r;
	}
	*ret_fd = TAKE_FD(ns);
	return 0;
}

static int drop_slot(struct maker *m, unsigned index)
{
	char name[IFNAMSIZ];
	plan_link_name(m->plan, index, name);
	int r = netlink_del_link(m->nl, name);
	return r == -ENODEV ? 0 : r; /* it went with its namespace */
}

static void serve(struct maker *m)
{
	struct maker_packet p;
	size_t nfds = 0;
	while (fd_recv_msg(m->sock, &p, sizeof(p), NULL, 0, &nfds) == sizeof(p)) {
		CLEAN_FD int ns = -1;
		p.code = p.kind == MAKER_MAKE ? make_slot(m, p.index, &ns) : drop_slot(m, p.index);
		(void)snprintf(
		    p.text, sizeof(p.text), "network slot %u: %s", p.index, err_name(p.code));
		if (fd_send_msg(m->sock, &p, sizeof(p), &ns, ns >= 0 ? 1 : 0) < 0)
			return;
	}
}

int maker_start(const struct plan *p, bool route_localnet, int *ret_fd, int *ret_pid)
{
	int sv[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		struct maker m = { .plan = p, .route_localnet = route_localnet, .sock = sv[1] };
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)fd_close(sv[0]);
		m.nl = netlink_open();
		m.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (m.nl >= 0 && m.home >= 0)
			serve(&m);
		_exit(EXIT_SUCCESS);
	}
	int r = pid < 0 ? -errno : fd_set_nonblock(sv[0]);
	(void)fd_close(sv[1]);
	if (r < 0) {
		(void)fd_close(sv[0]);
		return r;
	}
	*ret_fd = sv[0];
	*ret_pid = pid;
	return 0;
}
