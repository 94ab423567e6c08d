/* SPDX-License-Identifier: Apache-2.0 */
#include "hostnet/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "hostnet/hostnet.h"

static int parse_cidr(const char *cidr, struct in_addr *ret_network, unsigned *ret_prefix)
{
	char text[INET_ADDRSTRLEN];
	const char *slash = strchr(cidr, '/');
	uint64_t prefix;
	if (!slash || (size_t)(slash - cidr) >= sizeof(text) || str_u64(slash + 1, 32, &prefix) < 0)
		return -EINVAL;
	memcpy(text, cidr, (size_t)(slash - cidr));
	text[slash - cidr] = '\0';
	if (inet_pton(AF_INET, text, ret_network) != 1)
		return -EINVAL;
	*ret_prefix = (unsigned)prefix;
	return 0;
}

int plan_init(struct plan *p, const char *instance, const char *cidr, struct err *reterr)
{
	*p = (struct plan){ .prefix = 0 };
	if (str_empty(instance) ||
	    str_copy(p->instance, sizeof(p->instance), instance) >= sizeof(p->instance) ||
	    !str_only(instance, "abcdefghijklmnopqrstuvwxyz0123456789"))
		return err_set(reterr, -EINVAL, "network: instance: expected 1 to 8 of [a-z0-9]");
	if (parse_cidr(cidr, &p->network, &p->prefix) < 0 || p->prefix < 8 || p->prefix > 29)
		return err_set(reterr, -EINVAL,
		    "network.cidr: expected an IPv4 network from /8 to /29, got '%s'", cidr);
	uint32_t mask = 0xffffffffu << (32 - p->prefix);
	if (ntohl(p->network.s_addr) & ~mask)
		return err_set(reterr, -EINVAL, "network.cidr: '%s' has host bits set", cidr);
	/* The first four addresses stay unused, so that nothing here is the network's own address.
	 */
	uint32_t slots = (~mask + 1) / 4 - 1;
	p->n_slots = slots < HOSTNET_SLOTS_MAX ? slots : HOSTNET_SLOTS_MAX;
	return 0;
}

static struct in_addr address_at(const struct plan *p, unsigned index, unsigned host)
{
	return (struct in_addr){ htonl(ntohl(p->network.s_addr) + 4 * (index + 1) + host) };
}

struct in_addr plan_gateway(const struct plan *p, unsigned index)
{
	return address_at(p, index, 1);
}

struct in_addr plan_address(const struct plan *p, unsigned index)
{
	return address_at(p, index, 2);
}

void plan_link_name(const struct plan *p, unsigned index, char dst[IFNAMSIZ])
{
	(void)snprintf(dst, IFNAMSIZ, "sg%s-%u", p->instance, index % 10000);
}

int plan_link_index(const struct plan *p, const char *name)
{
	uint64_t index;
	const char *s = str_after(name, "sg");
	s = s ? str_after(s, p->instance) : NULL;
	s = s ? str_after(s, "-") : NULL;
	return s && str_u64(s, HOSTNET_SLOTS_MAX - 1, &index) == 0 ? (int)index : -1;
}
