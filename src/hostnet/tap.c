/* SPDX-License-Identifier: Apache-2.0 */
#include "hostnet/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "hostnet/maker.h"
#include "hostnet/netlink.h"
#include "hostnet/rules.h"

#define TAP_SYSCTL "/proc/sys/net/ipv4/conf/" TAP_NAME

/* What has no route is refused with an error that is final for UDP, too: the kernel's own is not,
 * and a guest without internet would wait for its name server. */
static const char rules[] = "table ip guest {\n"
			    "  chain prerouting {\n"
			    "    type filter hook prerouting priority filter; policy accept;\n"
			    "    iifname \"" TAP_NAME "\" fib daddr type != local"
			    " fib daddr oif missing reject with icmp net-prohibited\n"
			    "  }\n"
			    "  chain postrouting {\n"
			    "    type nat hook postrouting priority srcnat; policy accept;\n"
			    "    oifname \"" MAKER_LINK "\" masquerade\n"
			    "  }\n"
			    "  chain forward {\n"
			    "    type filter hook forward priority filter; policy drop;\n"
			    "    iifname \"" TAP_NAME "\" ip saddr " TAP_GUEST_ADDRESS " accept\n"
			    "    oifname \"" TAP_NAME "\" ct state established,related accept\n"
			    "  }\n"
			    "  chain input {\n"
			    "    type filter hook input priority filter; policy accept;\n"
			    "    iifname \"" TAP_NAME "\" meta l4proto tcp reject with tcp reset\n"
			    "    iifname \"" TAP_NAME "\" drop\n"
			    "  }\n"
			    "}\n";

static int open_tap(uid_t owner, bool stays, int *ret_fd)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	CLEAN_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	(void)str_copy(req.ifr_name, sizeof(req.ifr_name), TAP_NAME);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0 ||
	    ioctl(fd, TUNSETOWNER, (unsigned long)owner) < 0 ||
	    (stays && ioctl(fd, TUNSETPERSIST, 1UL) < 0))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int set_mac(void)
{
	struct ifreq req = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	unsigned char *m = (unsigned char *)req.ifr_hwaddr.sa_data;
	const char *s = TAP_MAC;
	for (int i = 0; i < 6; i++, s += 3) {
		int r = str_unhex((const char[]){ s[0], s[1], '\0' }, &m[i], 1);
		if (r < 0)
			return r;
	}
	(void)str_copy(req.ifr_name, sizeof(req.ifr_name), TAP_NAME);
	CLEAN_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 || ioctl(fd, SIOCSIFHWADDR, &req) < 0 ? -errno : 0;
}

static int set_file(const char *path, const char *value)
{
	return fd_write_file(AT_FDCWD, path, value, strlen(value));
}

static int configure(struct err *reterr)
{
	struct in_addr address;
	CLEAN_FD int nl = netlink_open();
	if (nl < 0)
		return nl;
	(void)inet_pton(AF_INET, TAP_ADDRESS, &address);
	int r = set_mac();
	if (r == 0 && path_exists("/proc/sys/net/ipv6/conf/" TAP_NAME))
		r = set_file("/proc/sys/net/ipv6/conf/" TAP_NAME "/disable_ipv6", "1");
	if (r == 0)
		r = set_file(TAP_SYSCTL "/rp_filter", "1");
	if (r == 0) /* the guest hears of every refusal, not of one a second */
		r = set_file("/proc/sys/net/ipv4/icmp_ratelimit", "0");
	if (r == 0)
		r = netlink_add_address(nl, TAP_NAME, address, TAP_PREFIX);
	if (r == 0)
		r = netlink_set_link(nl, TAP_NAME, true);
	if (r == 0)
		r = rules_run(rules, reterr);
	if (r == 0)
		r = set_file("/proc/sys/net/ipv4/ip_forward", "1");
	return r;
}

int tap_add(int netns_fd, uid_t owner, int *ret_fd, struct err *reterr)
{
	CLEAN_FD int fd = -1;
	CLEAN_FD int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || setns(netns_fd, CLONE_NEWNET) < 0)
		return err_set(reterr, -errno, "tap: %s", err_name(-errno));
	int r = open_tap(owner, !ret_fd, &fd);
	if (r == 0)
		r = configure(reterr);
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* never go on in the wrong namespace */
	if (r < 0)
		return err_set(reterr, r, "tap: %s", err_name(r));
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 0;
}
