/* SPDX-License-Identifier: Apache-2.0 */
#include "hostnet/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fdutil.h"

struct request {
	struct nlmsghdr head;
	char body[512];
};

static void *reserve(struct request *q, size_t n)
{
	void *p = (char *)q + NLMSG_ALIGN(q->head.nlmsg_len);
	q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + n);
	memset(p, 0, n);
	return p;
}

static void *begin(struct request *q, int type, int flags, size_t n)
{
	memset(q, 0, sizeof(*q));
	q->head.nlmsg_type = (uint16_t)type;
	q->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	q->head.nlmsg_len = NLMSG_LENGTH(0);
	return reserve(q, n);
}

static struct rtattr *put(struct request *q, int type, const void *p, size_t n)
{
	struct rtattr *a = reserve(q, RTA_SPACE(n));
	a->rta_type = (uint16_t)type;
	a->rta_len = (uint16_t)RTA_LENGTH(n);
	if (n > 0)
		memcpy(RTA_DATA(a), p, n);
	return a;
}

static void put_text(struct request *q, int type, const char *s)
{
	(void)put(q, type, s, strlen(s) + 1);
}

/* A nested attribute ends where the message ends now. */
static void end_nested(struct request *q, struct rtattr *a)
{
	a->rta_len = (uint16_t)((char *)q + q->head.nlmsg_len - (char *)a);
}

static int transact(int nl, struct request *q)
{
	char answer[4096];
	ssize_t n;
	if (send(nl, q, q->head.nlmsg_len, 0) < 0)
		return -errno;
	do
		n = recv(nl, answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	const struct nlmsghdr *h = (const void *)answer;
	if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
}

int netlink_open(void)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK };
	CLEAN_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int netlink_add_veth(int nl, const char *name, const char *peer, int netns_fd)
{
	struct request q;
	(void)begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	put_text(&q, IFLA_IFNAME, name);
	struct rtattr *info = put(&q, IFLA_LINKINFO, NULL, 0);
	put_text(&q, IFLA_INFO_KIND, "veth");
	struct rtattr *data = put(&q, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *far = put(&q, VETH_INFO_PEER, NULL, 0);
	(void)reserve(&q, sizeof(struct ifinfomsg));
	put_text(&q, IFLA_IFNAME, peer);
	(void)put(&q, IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd));
	end_nested(&q, far);
	end_nested(&q, data);
	end_nested(&q, info);
	return transact(nl, &q);
}

int netlink_set_link(int nl, const char *name, bool up)
{
	struct request q;
	struct ifinfomsg *m = begin(&q, RTM_NEWLINK, 0, sizeof(*m));
	put_text(&q, IFLA_IFNAME, name);
	m->ifi_change = IFF_UP;
	m->ifi_flags = up ? IFF_UP : 0;
	return transact(nl, &q);
}

int netlink_del_link(int nl, const char *name)
{
	struct request q;
	(void)begin(&q, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
	put_text(&q, IFLA_IFNAME, name);
	return transact(nl, &q);
}

int netlink_add_address(int nl, const char *name, struct in_addr address, unsigned prefix)
{
	struct request q;
	struct ifaddrmsg *m = begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	m->ifa_family = AF_INET;
	m->ifa_prefixlen = (uint8_t)prefix;
	m->ifa_index = if_nametoindex(name);
	if (m->ifa_index == 0)
		return -ENODEV;
	(void)put(&q, IFA_LOCAL, &address, sizeof(address));
	(void)put(&q, IFA_ADDRESS, &address, sizeof(address));
	return transact(nl, &q);
}

int netlink_add_default_route(int nl, struct in_addr gateway, const char *name)
{
	struct request q;
	struct rtmsg *m = begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*m));
	unsigned index = if_nametoindex(name);
	if (index == 0)
		return -ENODEV;
	m->rtm_family = AF_INET;
	m->rtm_table = RT_TABLE_MAIN;
	m->rtm_protocol = RTPROT_STATIC;
	m->rtm_scope = RT_SCOPE_UNIVERSE;
	m->rtm_type = RTN_UNICAST;
	(void)put(&q, RTA_GATEWAY, &gateway, sizeof(gateway));
	(void)put(&q, RTA_OIF, &index, sizeof(index));
	return transact(nl, &q);
}
