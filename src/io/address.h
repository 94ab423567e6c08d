/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Socket addresses as text and back, numeric only: nothing here asks a name server. */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

union address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

socklen_t address_size(const union address *a);
/* A bare address, without brackets: 0 or -EINVAL. */
int address_parse_host(const char *host, uint16_t port, union address *ret);
/* "127.0.0.1:80", "[::1]:80", or ":80" (then *ret_every is set and the address is [::]): 0 or
 * -EINVAL. */
int address_parse(const char *s, union address *ret, bool *ret_every);
/* "127.0.0.1:80", "[::1]:80", "unix"; truncates. */
void address_print(const union address *a, char *dst, size_t cap);
