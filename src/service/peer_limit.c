/* SPDX-License-Identifier: Apache-2.0 */
#include "service/peer_limit.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/str.h"

#define SETS 256
#define WAYS 4
#define TOKEN 60000 /* one token; one minute gives per_minute of them */

struct bucket {
	unsigned char key[17]; /* family (0: free) and address */
	uint64_t tokens;
	uint64_t at_ms; /* when tokens was true */
};

struct peer_limit {
	unsigned burst, per_minute;
	uint64_t seed;
	struct bucket sets[SETS][WAYS];
};

struct peer_limit *peer_limit_new(unsigned burst, unsigned per_minute)
{
	struct peer_limit *p = mem_zalloc(sizeof(*p));
	if (!p)
		return NULL;
	p->burst = burst;
	p->per_minute = per_minute;
	id_random(&p->seed, sizeof(p->seed));
	return p;
}

struct peer_limit *peer_limit_free(struct peer_limit *p)
{
	return mem_free(p);
}

/* "1.2.3.4:5", "[::1]:5", "::1" -> family and network; all else is family 1. */
static void parse_key(const char *peer, unsigned char key[17])
{
	char host[INET6_ADDRSTRLEN + 1];
	struct in6_addr a6;
	struct in_addr a4;
	const char *colon = strchr(peer, ':');
	size_t n = strlen(peer);
	memset(key, 0, 17);
	key[0] = 1;
	if (peer[0] == '[') {
		peer++;
		n = strcspn(peer, "]%");
	} else if (colon && !strchr(colon + 1, ':')) {
		n = (size_t)(colon - peer);
	}
	if (n >= sizeof(host))
		return;
	memcpy(host, peer, n);
	host[n] = 0;
	if (inet_pton(AF_INET, host, &a4) == 1) {
		key[0] = 4;
		memcpy(key + 1, &a4, sizeof(a4));
	} else if (inet_pton(AF_INET6, host, &a6) == 1) {
		bool mapped = IN6_IS_ADDR_V4MAPPED(&a6);
		key[0] = mapped ? 4 : 6;
		memcpy(key + 1, a6.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
	}
}

static unsigned set_of(const struct peer_limit *p, const unsigned char key[17])
{
	uint64_t h = p->seed;
	for (size_t i = 0; i < 17; i++)
		h = (h ^ key[i]) * 0x100000001b3u;
	return (unsigned)((h ^ h >> 32) % SETS);
}

static void refill(const struct peer_limit *p, struct bucket *b, uint64_t now)
{
	uint64_t full = (uint64_t)p->burst * TOKEN, elapsed = now - b->at_ms;
	b->at_ms = now;
	if (elapsed > full)
		elapsed = full; /* keeps the product small */
	b->tokens += elapsed * p->per_minute;
	if (b->tokens > full)
		b->tokens = full;
}

static struct bucket *bucket_for(struct peer_limit *p, const unsigned char key[17], uint64_t now)
{
	struct bucket *set = p->sets[set_of(p, key)], *spare = NULL;
	for (unsigned i = 0; i < WAYS; i++) {
		if (memcmp(set[i].key, key, 17) == 0) {
			refill(p, &set[i], now);
			return &set[i];
		}
	}
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key[0])
			refill(p, &set[i], now);
		if (!spare || !set[i].key[0] || (spare->key[0] && set[i].tokens > spare->tokens))
			spare = &set[i];
	}
	memcpy(spare->key, key, 17);
	spare->at_ms = now;
	spare->tokens = (uint64_t)p->burst * TOKEN;
	return spare;
}

unsigned peer_limit_take(struct peer_limit *p, const char *peer)
{
	unsigned char key[17];
	parse_key(peer ? peer : "", key);
	struct bucket *b = bucket_for(p, key, clock_mono_ms());
	if (b->tokens >= TOKEN) {
		b->tokens -= TOKEN;
		return 0;
	}
	uint64_t missing_ms = (TOKEN - b->tokens + p->per_minute - 1) / p->per_minute;
	return (unsigned)((missing_ms + 999) / 1000);
}
