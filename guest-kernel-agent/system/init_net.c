/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/init_net.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "guest-kernel-agent/system/vm_conf.h"

static void put_address(struct sockaddr *dst, struct in_addr a)
{
	const struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = a };
	memcpy(dst, &sin, sizeof(sin));
}

static struct ifreq request(const char *device)
{
	struct ifreq r = { 0 };
	(void)str_copy(r.ifr_name, sizeof(r.ifr_name), device);
	return r;
}

static int call(int fd, unsigned long op, void *arg)
{
	return ioctl(fd, op, arg) < 0 ? -errno : 0;
}

static int bring_up(int fd, const char *device)
{
	struct ifreq r = request(device);
	int err = call(fd, SIOCGIFFLAGS, &r);
	r.ifr_flags |= IFF_UP;
	return err < 0 ? err : call(fd, SIOCSIFFLAGS, &r);
}

static int set_address(int fd, const struct vm_net *net)
{
	struct ifreq r = request(INIT_NET_DEVICE);
	put_address(&r.ifr_addr, net->address);
	int err = call(fd, SIOCSIFADDR, &r);
	put_address(&r.ifr_netmask, net->mask);
	return err < 0 ? err : call(fd, SIOCSIFNETMASK, &r);
}

static int set_neighbour(int fd, const struct vm_net *net)
{
	struct arpreq r = { .arp_flags = ATF_PERM | ATF_COM };
	put_address(&r.arp_pa, net->gateway);
	r.arp_ha.sa_family = ARPHRD_ETHER;
	memcpy(r.arp_ha.sa_data, net->gateway_mac, sizeof(net->gateway_mac));
	(void)str_copy(r.arp_dev, sizeof(r.arp_dev), INIT_NET_DEVICE);
	return call(fd, SIOCSARP, &r);
}

static int set_route(int fd, const struct vm_net *net)
{
	const struct in_addr any = { INADDR_ANY };
	struct rtentry r = { .rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = (char *)INIT_NET_DEVICE };
	put_address(&r.rt_dst, any);
	put_address(&r.rt_genmask, any);
	put_address(&r.rt_gateway, net->gateway);
	return call(fd, SIOCADDRT, &r);
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int init_net_loopback(struct err *reterr)
{
	CLEAN_FD int fd = open_socket();
	int r = fd < 0 ? fd : bring_up(fd, "lo");
	return r < 0 ? err_set(reterr, r, "lo: %s", err_name(r)) : 0;
}

int init_net_device(const struct vm_net *net, struct err *reterr)
{
	CLEAN_FD int fd = open_socket();
	int r = fd < 0 ? fd : set_address(fd, net);
	if (r == 0)
		r = bring_up(fd, INIT_NET_DEVICE);
	if (r < 0)
		return err_set(reterr, r, INIT_NET_DEVICE ": %s", err_name(r));
	r = set_neighbour(fd, net);
	if (r < 0)
		return err_set(reterr, r, "neighbour: %s", err_name(r));
	r = set_route(fd, net);
	return r < 0 ? err_set(reterr, r, "default route: %s", err_name(r)) : 0;
}
