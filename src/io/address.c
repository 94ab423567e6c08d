/* SPDX-License-Identifier: Apache-2.0 */
#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

socklen_t address_size(const union address *a)
{
	switch (a->any.sa_family) {
	case AF_INET:
		return sizeof(a->in4);
	case AF_INET6:
		return sizeof(a->in6);
	default:
		return sizeof(a->un);
	}
}

int address_parse_host(const char *host, uint16_t port, union address *ret)
{
	union address a = { .in4 = { .sin_family = AF_INET, .sin_port = htons(port) } };
	if (inet_pton(AF_INET, host, &a.in4.sin_addr) != 1) {
		a = (union address){ .in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };
		if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) != 1)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

static int parse_port(const char *s, uint16_t *ret)
{
	uint64_t v;
	if (strlen(s) > 5 || str_u64(s, UINT16_MAX, &v) < 0)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

int address_parse(const char *s, union address *ret, bool *ret_every)
{
	char host[INET6_ADDRSTRLEN];
	uint16_t port;
	union address a;
	const char *colon = strrchr(s, ':');
	if (!colon || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	size_t n = (size_t)(colon - s);
	if (n == 0) {
		*ret = (union address){ .in6 = { .sin6_family = AF_INET6,
					    .sin6_port = htons(port),
					    .sin6_addr = IN6ADDR_ANY_INIT } };
		*ret_every = true;
		return 0;
	}
	bool brackets = s[0] == '[' && n >= 2 && s[n - 1] == ']';
	if (brackets) {
		s++;
		n -= 2;
	}
	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, s, n);
	host[n] = '\0';
	/* Brackets belong to IPv6 and to nothing else (RFC 3986 3.2.2). */
	if (address_parse_host(host, port, &a) < 0 || brackets != (a.any.sa_family == AF_INET6))
		return -EINVAL;
	*ret = a;
	*ret_every = false;
	return 0;
}

void address_print(const union address *a, char *dst, size_t cap)
{
	char host[INET6_ADDRSTRLEN] = "";
	switch (a->any.sa_family) {
	case AF_INET:
		(void)inet_ntop(AF_INET, &a->in4.sin_addr, host, sizeof(host));
		(void)snprintf(dst, cap, "%s:%u", host, ntohs(a->in4.sin_port));
		break;
	case AF_INET6:
		if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
			(void)inet_ntop(AF_INET, &a->in6.sin6_addr.s6_addr[12], host, sizeof(host));
			(void)snprintf(dst, cap, "%s:%u", host, ntohs(a->in6.sin6_port));
			break;
		}
		(void)inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
		(void)snprintf(dst, cap, "[%s]:%u", host, ntohs(a->in6.sin6_port));
		break;
	default:
		(void)str_copy(dst, cap, "unix");
	}
}
