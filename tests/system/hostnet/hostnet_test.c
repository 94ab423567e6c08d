/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network slots for real, as root. "The internet" is a namespace of the test's own: a
 * public-looking address (TEST-NET-2) with a TCP echo on port 8000 and a datagram echo on port 53,
 * reached through the host.
 */
#include "hostnet/hostnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "hostnet/netlink.h"
#include "hostnet/tap.h"
#include "lib/test.h"

#define INTERNET "198.51.100.2"
#define UPLINK "198.51.100.1"
#define INSTANCE "tsth"

static pid_t internet;
static int internet_ns = -1;

/* ---- the other side ---- */

static int bound(int type, uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		_exit(3);
	return fd;
}

static void serve_internet(int sync)
{
	struct pollfd p[] = { { bound(SOCK_STREAM, 8000), POLLIN, 0 },
		{ bound(SOCK_DGRAM, 53), POLLIN, 0 } };
	if (listen(p[0].fd, 16) < 0 || write(sync, "r", 1) != 1)
		_exit(4);
	while (poll(p, 2, -1) > 0) {
		struct sockaddr_in from;
		socklen_t n = sizeof(from);
		char text[64];
		if (p[0].revents) {
			int c = accept(p[0].fd, (struct sockaddr *)&from, &n);
			(void)!write(c, inet_ntoa(from.sin_addr), strlen(inet_ntoa(from.sin_addr)));
			(void)close(c);
		}
		if (p[1].revents) {
			ssize_t k =
			    recvfrom(p[1].fd, text, sizeof(text), 0, (struct sockaddr *)&from, &n);
			(void)!sendto(p[1].fd, text, (size_t)k, 0, (struct sockaddr *)&from, n);
		}
	}
}

static struct in_addr address(const char *s)
{
	struct in_addr a;
	ck_assert_int_eq(inet_pton(AF_INET, s, &a), 1);
	return a;
}

/* In the child, once the parent has given it its end of the wire. */
static void become_internet(int sync)
{
	char c = 'n'; /* the namespace is there */
	if (unshare(CLONE_NEWNET) < 0 || write(sync, &c, 1) != 1 || read(sync, &c, 1) != 1)
		_exit(2);
	int nl = netlink_open();
	(void)netlink_set_link(nl, "lo", true);
	(void)netlink_add_address(nl, "eth0", address(INTERNET), 24);
	(void)netlink_set_link(nl, "eth0", true);
	(void)netlink_add_default_route(nl, address(UPLINK), "eth0");
	serve_internet(sync);
	_exit(0);
}

static void start_internet(void)
{
	int sync[2];
	char c, path[64];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync), 0);
	internet = fork();
	if (internet == 0)
		become_internet(sync[1]);
	ck_assert_int_eq(read(sync[0], &c, 1), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)internet);
	internet_ns = open(path, O_RDONLY | O_CLOEXEC);
	int nl = netlink_open();
	(void)netlink_del_link(nl, "sgtestup"); /* of a run that was broken off */
	ck_assert_int_eq(netlink_add_veth(nl, "sgtestup", "eth0", internet_ns), 0);
	ck_assert_int_eq(netlink_add_address(nl, "sgtestup", address(UPLINK), 24), 0);
	ck_assert_int_eq(netlink_set_link(nl, "sgtestup", true), 0);
	ck_assert_int_eq(write(sync[0], "l", 1), 1); /* the link is there */
	ck_assert_int_eq(read(sync[0], &c, 1), 1);   /* it listens */
	(void)close(sync[0]);
	(void)close(sync[1]);
	(void)close(nl);
}

static void stop_internet(void)
{
	int nl = netlink_open();
	(void)kill(internet, SIGKILL);
	(void)waitpid(internet, NULL, 0);
	(void)netlink_del_link(nl, "sgtestup");
	(void)close(nl);
	(void)close(internet_ns);
}

/* ---- probes from inside a slot ---- */

/* Exit status of fn in the namespace: an errno, 0 = success. */
static int inside(int ns, int (*fn)(const char *host, int port), const char *host, int port)
{
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(setns(ns, CLONE_NEWNET) < 0 ? 99 : fn(host, port));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int try_tcp(const char *host, int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval limit = { 3, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)inet_pton(AF_INET, host, &sa.sin_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? errno : 0;
}

static int try_dns(const char *host, int port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval limit = { 3, 0 };
	char text[8];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)inet_pton(AF_INET, host, &sa.sin_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (sendto(fd, "ask", 3, 0, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return errno;
	return recv(fd, text, sizeof(text), 0) == 3 ? 0 : ETIMEDOUT;
}

static int try_bind(const char *host, int port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? errno : 0;
}

static int try_open_tap(const char *host, int uid)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = TAP_NAME };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (setgid((gid_t)uid) < 0 || setuid((uid_t)uid) < 0)
		return errno;
	return ioctl(fd, TUNSETIFF, &req) < 0 ? errno : 0;
}

/* ---- tests ---- */

static struct hostnet *open_net(void)
{
	static const char *const dns[] = { INTERNET, NULL };
	struct hostnet_conf c = {
		.instance = INSTANCE, .cidr = "10.213.64.0/24", .dns = dns, .ready = 2
	};
	struct err err = ERR_INIT;
	struct hostnet *h = hostnet_open(&c, &err);
	ck_assert_msg(h != NULL, "%s", err.text);
	return h;
}

static void close_net(struct hostnet *h)
{
	struct err err = ERR_INIT;
	ck_assert_msg(hostnet_teardown(h, &err) == 0, "%s", err.text);
	ck_assert_ptr_null(hostnet_close(h));
}

static void take(struct hostnet *h, struct hostnet_slot *s, bool on)
{
	struct err err = ERR_INIT;
	ck_assert_msg(hostnet_take(h, s, &err) == 0, "%s", err.text);
	if (on)
		ck_assert_msg(hostnet_set_internet(h, s->index, true, &err) == 0, "%s", err.text);
}

START_TEST(reaches_the_public_and_nothing_else)
{
	struct hostnet *h = open_net();
	struct hostnet_slot a, b;
	hostnet_settle(h);
	take(h, &a, true);
	take(h, &b, true);
	ck_assert_int_eq(inside(a.netns_fd, try_tcp, INTERNET, 8000), 0);
	ck_assert_int_eq(inside(b.netns_fd, try_tcp, INTERNET, 8000), 0);
	static const struct {
		const char *host;
		int port;
	} refused[] = {
		{ UPLINK, 22 },		   /* an address of the host */
		{ "169.254.169.254", 80 }, /* metadata services */
		{ "10.0.0.1", 80 },
		{ "172.16.0.1", 80 },
		{ "192.168.1.1", 80 },
		{ "100.64.0.1", 80 },
		{ "198.18.0.1", 80 },
		{ "224.0.0.1", 80 },
	};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		ck_assert_msg(inside(a.netns_fd, try_tcp, refused[i].host, refused[i].port) != 0,
		    "%s", refused[i].host);
	ck_assert_int_ne(inside(a.netns_fd, try_tcp, a.gateway, 22), 0);
	ck_assert_int_ne(inside(a.netns_fd, try_tcp, b.address, 8000), 0);
	ck_assert_int_ne(inside(a.netns_fd, try_tcp, b.gateway, 8000), 0);
	/* names go to the name server, also under the address that sandboxes are told */
	ck_assert_int_eq(inside(a.netns_fd, try_dns, "10.213.64.1", 53), 0);
	ck_assert_ptr_nonnull(strstr(hostnet_resolv_conf(h), "nameserver 10.213.64.1\n"));
	/* any port may be used, IPv6 works on the loopback */
	ck_assert_int_eq(inside(a.netns_fd, try_bind, "", 80), 0);
	(void)close(a.netns_fd);
	(void)close(b.netns_fd);
	close_net(h);
}
END_TEST

START_TEST(off_means_unreachable_at_once)
{
	struct hostnet *h = open_net();
	struct hostnet_slot s;
	struct err err = ERR_INIT;
	hostnet_settle(h);
	take(h, &s, false);
	ck_assert_int_eq(inside(s.netns_fd, try_tcp, INTERNET, 8000), ENETUNREACH);
	ck_assert_int_eq(hostnet_set_internet(h, s.index, true, &err), 0);
	ck_assert_int_eq(inside(s.netns_fd, try_tcp, INTERNET, 8000), 0);
	ck_assert_int_eq(hostnet_set_internet(h, s.index, false, &err), 0);
	ck_assert_int_eq(inside(s.netns_fd, try_tcp, INTERNET, 8000), ENETUNREACH);
	ck_assert_int_eq(inside(s.netns_fd, try_dns, "10.213.64.1", 53), ENETUNREACH);
	(void)close(s.netns_fd);
	close_net(h);
}
END_TEST

static unsigned count_links(void)
{
	unsigned n = 0;
	struct if_nameindex *list = if_nameindex();
	for (struct if_nameindex *i = list; i->if_index; i++)
		n += strncmp(i->if_name, "sg" INSTANCE "-", 3 + strlen(INSTANCE)) == 0;
	if_freenameindex(list);
	return n;
}

START_TEST(slots_are_used_again_and_nothing_stays)
{
	struct hostnet *h = open_net();
	struct hostnet_slot s;
	struct err err = ERR_INIT;
	hostnet_settle(h);
	for (int i = 0; i < 100; i++) { /* more than the 63 slots of a /24 */
		take(h, &s, true);
		(void)close(s.netns_fd);
		hostnet_return(h, s.index);
		struct pollfd p = { hostnet_fd(h), POLLIN, 0 };
		(void)poll(&p, 1, 1000);
		hostnet_dispatch(h);
	}
	close_net(h);
	ck_assert_uint_eq(count_links(), 0);
	ck_assert_int_ne(hostnet_set_internet(h = open_net(), 3, true, &err), 0);
	close_net(h);
}
END_TEST

START_TEST(a_restart_adopts_what_lives)
{
	struct hostnet *h = open_net();
	struct hostnet_slot kept, lost;
	struct err err = ERR_INIT;
	hostnet_settle(h);
	take(h, &kept, true);
	take(h, &lost, true);
	h = hostnet_close(h); /* as a crash: nothing is taken down */
	(void)close(lost.netns_fd);
	h = open_net();
	ck_assert_int_eq(hostnet_adopt(h, kept.index, &err), 0);
	ck_assert_int_eq(hostnet_adopt(h, 60, &err), -ENOENT);
	hostnet_settle(h);
	ck_assert_int_eq(inside(kept.netns_fd, try_tcp, INTERNET, 8000), 0);
	ck_assert_int_eq(hostnet_set_internet(h, kept.index, false, &err), 0);
	ck_assert_int_ne(inside(kept.netns_fd, try_tcp, INTERNET, 8000), 0);
	(void)close(kept.netns_fd);
	close_net(h);
	ck_assert_uint_eq(count_links(), 0);
}
END_TEST

/* ---- a guest with a kernel of its own: a namespace whose only link is the other end of the tap
 * ----
 */

static void pump(int a, int b)
{
	char frame[2048];
	struct pollfd p[] = { { a, POLLIN, 0 }, { b, POLLIN, 0 } };
	while (poll(p, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			ssize_t n = p[i].revents ? read(p[i].fd, frame, sizeof(frame)) : 0;
			if (n > 0)
				(void)!write(p[!i].fd, frame, (size_t)n);
		}
}

static void become_guest(int tap, const char *guest_address, int sync)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "eth0" };
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0)
		_exit(1);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), nl = netlink_open();
	if (ioctl(fd, TUNSETIFF, &req) < 0 ||
	    netlink_add_address(nl, "eth0", address(guest_address), TAP_PREFIX) < 0 ||
	    netlink_set_link(nl, "eth0", true) < 0 ||
	    netlink_add_default_route(nl, address(TAP_ADDRESS), "eth0") < 0 ||
	    write(sync, "r", 1) != 1)
		_exit(2);
	pump(tap, fd);
	_exit(3);
}

static pid_t start_guest(int tap, const char *guest_address, int *ret_ns)
{
	int sync[2];
	char c, path[64];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync), 0);
	pid_t pid = fork();
	if (pid == 0)
		become_guest(tap, guest_address, sync[1]);
	ck_assert_int_eq(read(sync[0], &c, 1), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	*ret_ns = open(path, O_RDONLY | O_CLOEXEC);
	(void)close(sync[0]);
	(void)close(sync[1]);
	return pid;
}

static void stop_guest(pid_t pid, int ns)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)close(ns);
}

START_TEST(a_guest_has_the_network_of_its_slot)
{
	struct hostnet *h = open_net();
	struct hostnet_slot s, other;
	struct err err = ERR_INIT;
	int tap = -1, guest_ns = -1;
	hostnet_settle(h);
	take(h, &s, true);
	take(h, &other, true);
	ck_assert_msg(tap_add(s.netns_fd, 65533, &tap, &err) == 0, "%s", err.text);
	pid_t guest = start_guest(tap, TAP_GUEST_ADDRESS, &guest_ns);
	ck_assert_int_eq(inside(guest_ns, try_tcp, INTERNET, 8000), 0);
	ck_assert_int_eq(inside(guest_ns, try_dns, "10.213.64.1", 53), 0);
	static const char *const refused[] = { UPLINK, TAP_ADDRESS, "169.254.169.254", "10.0.0.1" };
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		ck_assert_msg(inside(guest_ns, try_tcp, refused[i], 22) != 0, "%s", refused[i]);
	ck_assert_int_ne(inside(guest_ns, try_tcp, other.address, 8000), 0);
	ck_assert_int_ne(inside(guest_ns, try_tcp, s.address, 8000), 0);
	/* nothing comes in that was not asked for, and the policy of the slot is the guest's */
	ck_assert_int_ne(inside(internet_ns, try_tcp, s.address, 8000), 0);
	ck_assert_int_eq(hostnet_set_internet(h, s.index, false, &err), 0);
	ck_assert_int_eq(inside(guest_ns, try_tcp, INTERNET, 8000), ENETUNREACH);
	ck_assert_int_eq(hostnet_set_internet(h, s.index, true, &err), 0);
	ck_assert_int_eq(inside(guest_ns, try_tcp, INTERNET, 8000), 0);
	stop_guest(guest, guest_ns);
	/* an address that is not its own gets nowhere */
	guest = start_guest(tap, "169.254.0.23", &guest_ns);
	ck_assert_int_ne(inside(guest_ns, try_tcp, INTERNET, 8000), 0);
	stop_guest(guest, guest_ns);
	(void)close(tap);
	/* one that is opened by its name belongs to its owner */
	ck_assert_msg(tap_add(other.netns_fd, 65533, NULL, &err) == 0, "%s", err.text);
	ck_assert_int_eq(inside(other.netns_fd, try_open_tap, "", 65534), EPERM);
	ck_assert_int_eq(inside(other.netns_fd, try_open_tap, "", 65533), 0);
	(void)close(s.netns_fd);
	(void)close(other.netns_fd);
	close_net(h);
	ck_assert_uint_eq(count_links(), 0);
}
END_TEST

START_TEST(bad_settings_are_named)
{
	static const char *const dns[] = { "not-an-address", NULL };
	static const struct hostnet_conf bad[] = {
		{ .instance = "UPPER", .cidr = "10.213.64.0/24" },
		{ .instance = INSTANCE, .cidr = "10.213.64.0" },
		{ .instance = INSTANCE, .cidr = "10.213.64.1/24" },
		{ .instance = INSTANCE, .cidr = "fd00::/64" },
		{ .instance = INSTANCE, .cidr = "10.213.64.0/31" },
		{ .instance = INSTANCE, .cidr = "10.213.64.0/24", .dns = dns },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = ERR_INIT;
		ck_assert_ptr_null(hostnet_open(&bad[i], &err));
		ck_assert_msg(strncmp(err.text, "network", 7) == 0, "%s", err.text);
	}
}
END_TEST

static Suite *hostnet_suite(void)
{
	Suite *s = suite_create("hostnet");
	TCase *tc = test_case(s, "slots", 60);
	tcase_add_checked_fixture(tc, start_internet, stop_internet);
	tcase_add_test(tc, reaches_the_public_and_nothing_else);
	tcase_add_test(tc, off_means_unreachable_at_once);
	tcase_add_test(tc, slots_are_used_again_and_nothing_stays);
	tcase_add_test(tc, a_restart_adopts_what_lives);
	tcase_add_test(tc, a_guest_has_the_network_of_its_slot);
	tcase_add_test(tc, bad_settings_are_named);
	return s;
}

TEST_MAIN(hostnet_suite)
