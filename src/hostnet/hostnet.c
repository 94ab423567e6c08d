/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots by state: FREE (nothing exists), MAKING (asked of the maker), READY (waits), TAKEN (a
 * sandbox has it), DROPPING (asked of the maker). One setter keeps the counts. The maker's answers
 * arrive through hostnet_dispatch(); hostnet_take() waits for one only when no slot is ready.
 */
#include "hostnet/hostnet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "hostnet/maker.h"
#include "hostnet/netlink.h"
#include "hostnet/plan.h"
#include "hostnet/rules.h"

#define MAKE_LIMIT_MS 5000
#define RESOLV_MAX (64 * 1024)

enum slot_state { SLOT_FREE, SLOT_MAKING, SLOT_READY, SLOT_TAKEN, SLOT_DROPPING, SLOT_STATES };

struct slot {
	enum slot_state state;
	int netns_fd; /* while READY or TAKEN; -1 for an adopted one */
};

struct hostnet {
	struct plan plan;
	char dns[HOSTNET_DNS_MAX][HOSTNET_ADDR_LEN];
	unsigned n_dns, want_ready;
	unsigned count[SLOT_STATES];
	unsigned hint; /* where to look for a free slot next */
	bool settled;
	int nl, maker_fd, maker_pid;
	char resolv[256];
	struct slot slots[];
};

static void set_state(struct hostnet *h, unsigned index, enum slot_state state)
{
	h->count[h->slots[index].state]--;
	h->slots[index].state = state;
	h->count[state]++;
}

static int ask(struct hostnet *h, enum maker_kind kind, unsigned index)
{
	struct maker_packet p = { .kind = kind, .index = index };
	ssize_t n = fd_send_msg(h->maker_fd, &p, sizeof(p), NULL, 0);
	return n < 0 ? (int)n : 0;
}

/* Index of a slot in a state, or -1. */
static int find(struct hostnet *h, enum slot_state state)
{
	if (h->count[state] == 0)
		return -1;
	for (unsigned i = 0; i < h->plan.n_slots; i++) {
		unsigned index = (h->hint + i) % h->plan.n_slots;
		if (h->slots[index].state == state)
			return (int)index;
	}
	return -1;
}

static void refill(struct hostnet *h)
{
	while (h->settled && h->count[SLOT_READY] + h->count[SLOT_MAKING] < h->want_ready) {
		int index = find(h, SLOT_FREE);
		if (index < 0 || ask(h, MAKER_MAKE, (unsigned)index) < 0)
			return;
		h->hint = (unsigned)index + 1;
		set_state(h, (unsigned)index, SLOT_MAKING);
	}
}

static void on_answer(struct hostnet *h, const struct maker_packet *p, int fd)
{
	struct slot *s = p->index < h->plan.n_slots ? &h->slots[p->index] : NULL;
	if (s && s->state == SLOT_MAKING && p->code == 0 && fd >= 0) {
		s->netns_fd = fd;
		set_state(h, p->index, SLOT_READY);
		return;
	}
	(void)fd_close(fd);
	if (p->code < 0)
		log_warn("%s", p->text);
	if (s && (s->state == SLOT_MAKING || s->state == SLOT_DROPPING))
		set_state(h, p->index, SLOT_FREE);
}

/* One answer: 1, 0 when there is none now, -errno when the maker is gone. */
static int receive(struct hostnet *h)
{
	struct maker_packet p;
	int fd = -1;
	size_t nfds = 0;
	ssize_t n = fd_recv_msg(h->maker_fd, &p, sizeof(p), &fd, 1, &nfds);
	if (n == -EAGAIN)
		return 0;
	if (n != sizeof(p)) {
		(void)fd_close(nfds ? fd : -1);
		return n < 0 ? (int)n : -EPIPE;
	}
	p.text[sizeof(p.text) - 1] = '\0';
	on_answer(h, &p, nfds ? fd : -1);
	return 1;
}

void hostnet_dispatch(struct hostnet *h)
{
	while (receive(h) > 0)
		continue;
	refill(h);
}

int hostnet_fd(const struct hostnet *h)
{
	return h->maker_fd;
}

/* ---- name servers ---- */

static int add_dns(struct hostnet *h, const char *s)
{
	struct in_addr a;
	if (h->n_dns == HOSTNET_DNS_MAX || inet_pton(AF_INET, s, &a) != 1)
		return -EINVAL;
	(void)str_copy(h->dns[h->n_dns++], HOSTNET_ADDR_LEN, s);
	return 0;
}

/* IPv4 name servers of the host; a host that has none leaves sandboxes without DNS. */
static void read_host_dns(struct hostnet *h)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	CLEAN_FD int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_all(fd, RESOLV_MAX, &b) < 0)
		return;
	char *save = NULL, *text = buf_cstr(&b);
	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char address[HOSTNET_ADDR_LEN];
		if (sscanf(line, " nameserver %45s", address) == 1)
			(void)add_dns(h, address);
	}
}

static int choose_dns(struct hostnet *h, const char *const *dns, struct err *reterr)
{
	if (!dns) {
		read_host_dns(h);
		return 0;
	}
	for (; *dns; dns++)
		if (add_dns(h, *dns) < 0)
			return err_set(reterr, -EINVAL,
			    "network.dns: expected at most %d IPv4 addresses, got '%s'",
			    HOSTNET_DNS_MAX, *dns);
	return 0;
}

static bool dns_is_local(const struct hostnet *h)
{
	for (unsigned i = 0; i < h->n_dns; i++)
		if (str_after(h->dns[i], "127."))
			return true;
	return false;
}

const char *hostnet_resolv_conf(const struct hostnet *h)
{
	return h->resolv;
}

/* ---- life ---- */

static int install(struct hostnet *h, struct err *reterr)
{
	const char *dns[HOSTNET_DNS_MAX + 1] = { NULL };
	for (unsigned i = 0; i < h->n_dns; i++)
		dns[i] = h->dns[i];
	/* Any address of the network is some slot's gateway or is not routed: one line serves all.
	 */
	char gateway[INET_ADDRSTRLEN];
	struct in_addr first = h->plan.network;
	first.s_addr = htonl(ntohl(first.s_addr) + 1);
	(void)inet_ntop(AF_INET, &first, gateway, sizeof(gateway));
	if (h->n_dns > 0)
		(void)snprintf(
		    h->resolv, sizeof(h->resolv), "nameserver %s\noptions timeout:3\n", gateway);
	int r = fd_write_file(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1", 1);
	if (r < 0)
		return err_set(
		    reterr, r, "network: cannot enable IPv4 forwarding: %s", err_name(r));
	return rules_install(&h->plan, dns, reterr);
}

struct hostnet *hostnet_open(const struct hostnet_conf *c, struct err *reterr)
{
	struct plan plan;
	if (plan_init(&plan, c->instance, c->cidr, reterr) < 0)
		return NULL;
	struct hostnet *h = mem_zalloc(sizeof(*h) + plan.n_slots * sizeof(struct slot));
	if (!h) {
		(void)err_set(reterr, -ENOMEM, "network: out of memory");
		return NULL;
	}
	h->plan = plan;
	h->want_ready = c->ready;
	h->maker_fd = -1;
	h->count[SLOT_FREE] = plan.n_slots;
	for (unsigned i = 0; i < plan.n_slots; i++)
		h->slots[i].netns_fd = -1;
	h->nl = netlink_open();
	int r = h->nl < 0 ? h->nl : choose_dns(h, c->dns, reterr);
	if (r == 0)
		r = install(h, reterr);
	if (r == 0)
		r = maker_start(&h->plan, dns_is_local(h), &h->maker_fd, &h->maker_pid);
	if (r < 0) {
		(void)err_set(reterr, r, "network: %s", err_name(r));
		return hostnet_close(h);
	}
	return h;
}

/* It finishes what it is making, then sees the closed socket. */
static void stop_maker(struct hostnet *h)
{
	h->maker_fd = fd_close(h->maker_fd);
	if (h->maker_pid > 0)
		(void)waitpid(h->maker_pid, NULL, 0);
	h->maker_pid = 0;
}

struct hostnet *hostnet_close(struct hostnet *h)
{
	if (!h)
		return NULL;
	stop_maker(h);
	for (unsigned i = 0; i < h->plan.n_slots; i++)
		(void)fd_close(h->slots[i].netns_fd);
	(void)fd_close(h->nl);
	return mem_free(h);
}

/* Delete every interface of the instance whose slot is not in use. */
static int remove_strays(struct hostnet *h)
{
	int first = 0;
	struct if_nameindex *list = if_nameindex();
	if (!list)
		return -errno;
	for (const struct if_nameindex *i = list; i->if_index; i++) {
		int index = plan_link_index(&h->plan, i->if_name);
		if (index < 0 ||
		    ((unsigned)index < h->plan.n_slots && h->slots[index].state == SLOT_TAKEN))
			continue;
		int r = netlink_del_link(h->nl, i->if_name);
		if (r < 0 && r != -ENODEV && first == 0)
			first = r;
	}
	if_freenameindex(list);
	return first;
}

int hostnet_teardown(struct hostnet *h, struct err *reterr)
{
	h->settled = false;
	stop_maker(h); /* or it would make more behind our back */
	for (unsigned i = 0; i < h->plan.n_slots; i++) {
		h->slots[i].netns_fd = fd_close(h->slots[i].netns_fd);
		set_state(h, i, SLOT_FREE);
	}
	int r = remove_strays(h), r2 = rules_remove(&h->plan, reterr);
	if (r < 0)
		return err_set(reterr, r, "network: cannot remove interfaces: %s", err_name(r));
	return r2;
}

int hostnet_adopt(struct hostnet *h, unsigned index, struct err *reterr)
{
	char name[IFNAMSIZ];
	if (index >= h->plan.n_slots)
		return err_set(reterr, -ENOENT, "network slot %u: beyond the network", index);
	plan_link_name(&h->plan, index, name);
	if (if_nametoindex(name) == 0)
		return err_set(reterr, -ENOENT, "network slot %u: its interface is gone", index);
	if (h->slots[index].state == SLOT_FREE)
		set_state(h, index, SLOT_TAKEN);
	return 0;
}

void hostnet_settle(struct hostnet *h)
{
	int r = remove_strays(h);
	if (r < 0)
		log_warn("network: cannot remove old interfaces: %s", err_name(r));
	h->settled = true;
	refill(h);
}

/* ---- use ---- */

/* A ready slot, made now if there is none. */
static int get_ready(struct hostnet *h, struct err *reterr)
{
	uint64_t by = clock_mono_ms() + MAKE_LIMIT_MS;
	hostnet_dispatch(h);
	while (h->count[SLOT_READY] == 0) {
		int index = h->count[SLOT_MAKING] ? 0 : find(h, SLOT_FREE);
		if (index < 0)
			return err_set(reterr, -ENOSPC, "network: no free address");
		if (h->count[SLOT_MAKING] == 0) {
			int r = ask(h, MAKER_MAKE, (unsigned)index);
			if (r < 0)
				return err_set(reterr, r, "network: %s", err_name(r));
			set_state(h, (unsigned)index, SLOT_MAKING);
		}
		uint64_t now = clock_mono_ms();
		struct pollfd p = { h->maker_fd, POLLIN, 0 };
		if (now >= by || poll(&p, 1, (int)(by - now)) <= 0)
			return err_set(reterr, -ETIMEDOUT, "network: making a slot took too long");
		int r = receive(h);
		if (r < 0 || (r > 0 && h->count[SLOT_READY] == 0 && h->count[SLOT_MAKING] == 0))
			return err_set(reterr, r < 0 ? r : -EIO, "network: cannot make a slot");
	}
	return find(h, SLOT_READY);
}

int hostnet_take(struct hostnet *h, struct hostnet_slot *ret, struct err *reterr)
{
	int index = get_ready(h, reterr);
	if (index < 0)
		return index;
	struct slot *s = &h->slots[index];
	int fd = fcntl(s->netns_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_set(reterr, -errno, "network: %s", err_name(-errno));
	struct in_addr address = plan_address(&h->plan, (unsigned)index);
	struct in_addr gateway = plan_gateway(&h->plan, (unsigned)index);
	*ret = (struct hostnet_slot){ .index = (unsigned)index, .netns_fd = fd };
	(void)inet_ntop(AF_INET, &address, ret->address, sizeof(ret->address));
	(void)inet_ntop(AF_INET, &gateway, ret->gateway, sizeof(ret->gateway));
	set_state(h, (unsigned)index, SLOT_TAKEN);
	refill(h);
	return 0;
}

void hostnet_return(struct hostnet *h, unsigned index)
{
	if (index >= h->plan.n_slots || h->slots[index].state != SLOT_TAKEN)
		return;
	h->slots[index].netns_fd = fd_close(h->slots[index].netns_fd);
	set_state(h, index, ask(h, MAKER_DROP, index) < 0 ? SLOT_FREE : SLOT_DROPPING);
}

/*
 * The host's end decides; the inside follows so that programs get "network is unreachable" at once
 * instead of waiting. An adopted slot has no namespace descriptor here and does without the second.
 */
int hostnet_set_internet(struct hostnet *h, unsigned index, bool on, struct err *reterr)
{
	char name[IFNAMSIZ];
	if (index >= h->plan.n_slots || h->slots[index].state != SLOT_TAKEN)
		return err_set(reterr, -ENOENT, "network slot %u: not in use", index);
	plan_link_name(&h->plan, index, name);
	int r = netlink_set_link(h->nl, name, on);
	if (r == 0 && h->slots[index].netns_fd >= 0)
		r = maker_set_inside(h->slots[index].netns_fd, on, plan_gateway(&h->plan, index));
	if (r < 0)
		return err_set(reterr, r, "network slot %u: %s", index, err_name(r));
	return 0;
}
