/* SPDX-License-Identifier: Apache-2.0 */
#include "hostnet/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <nftables/libnftables.h>

#include "base/buf.h"
#include "base/err.h"

/* RFC 6890 and its successors: what is not the public internet. TEST-NETs are left in: nobody is
 * there. */
#define PRIVATE                                                                              \
	"0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, " \
	"192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3"

int rules_run(const char *commands, struct err *reterr)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft)
		return err_set(reterr, -ENOMEM, "nftables: out of memory");
	int r = nft_ctx_buffer_error(nft) != 0 || nft_ctx_buffer_output(nft) != 0 ? -ENOMEM : 0;
	if (r == 0 && nft_run_cmd_from_buffer(nft, commands) != 0) {
		const char *text = nft_ctx_get_error_buffer(nft);
		r = err_set(reterr, -EIO, "nftables: %.200s", text ? text : "refused");
	}
	nft_ctx_free(nft);
	return r;
}

/* One server: "dnat ip to A". Several: spread over them at random. */
static int append_dns_target(struct buf *b, const char *const *dns)
{
	size_t n = 0;
	while (dns[n])
		n++;
	int r = n == 1 ? buf_printf(b, "dnat ip to %s\n", dns[0])
		       : buf_printf(b, "dnat ip to numgen random mod %zu map { ", n);
	for (size_t i = 0; r == 0 && n > 1 && i < n; i++)
		r = buf_printf(b, "%zu : %s%s", i, dns[i], i + 1 < n ? ", " : " }\n");
	return r;
}

static int append_dns(struct buf *b, const char *net, const char *const *dns)
{
	static const char *const protocols[] = { "udp", "tcp" };
	int r = 0;
	for (size_t i = 0; dns[0] && r == 0 && i < 2; i++) {
		r = buf_printf(b, "    iifname @links ip daddr %s %s dport 53 ", net, protocols[i]);
		if (r == 0)
			r = append_dns_target(b, dns);
	}
	return r;
}

/* "@links" stands for the instance's interfaces; expand_links() writes the wildcard out. TCP is
 * refused by resets: the kernel sends few ICMP errors to one address, then connects would wait. */
static int append_table(struct buf *b, const struct plan *p, const char *const *dns)
{
	char net[INET_ADDRSTRLEN], cidr[INET_ADDRSTRLEN + 4];
	(void)inet_ntop(AF_INET, &p->network, net, sizeof(net));
	(void)snprintf(cidr, sizeof(cidr), "%s/%u", net, p->prefix);
	int r = buf_printf(b,
	    "table inet sandglass_%s {}\n"
	    "delete table inet sandglass_%s\n"
	    "table inet sandglass_%s {\n"
	    "  chain prerouting {\n"
	    "    type nat hook prerouting priority dstnat; policy accept;\n",
	    p->instance, p->instance, p->instance);
	if (r == 0)
		r = append_dns(b, cidr, dns);
	if (r < 0)
		return r;
	return buf_printf(b,
	    "  }\n"
	    "  chain postrouting {\n"
	    "    type nat hook postrouting priority srcnat; policy accept;\n"
	    "    ip saddr %s oifname != @links masquerade\n"
	    "  }\n"
	    "  chain forward {\n"
	    "    type filter hook forward priority filter; policy accept;\n"
	    "    iifname @links goto leaving\n"
	    "    oifname @links ct state established,related accept\n"
	    "    oifname @links drop\n"
	    "  }\n"
	    "  chain leaving {\n"
	    "    meta nfproto != ipv4 drop\n"
	    "    ip saddr != %s drop\n"
	    "    oifname @links goto refuse\n"
	    "    ct state established,related accept\n"
	    "    ct status dnat meta l4proto { tcp, udp } th dport 53 accept\n"
	    "    ip daddr { " PRIVATE " } goto refuse\n"
	    "    ct state invalid drop\n"
	    "    accept\n"
	    "  }\n"
	    "  chain input {\n"
	    "    type filter hook input priority filter; policy accept;\n"
	    "    iifname @links goto arriving\n"
	    "  }\n"
	    "  chain arriving {\n"
	    "    ct status dnat meta l4proto { tcp, udp } th dport 53 accept\n"
	    "    meta nfproto ipv4 goto refuse\n"
	    "    drop\n"
	    "  }\n"
	    "  chain refuse {\n"
	    "    meta l4proto tcp reject with tcp reset\n"
	    "    reject with icmpx admin-prohibited\n"
	    "  }\n"
	    "}\n",
	    cidr, cidr);
}

/* Replace every "@links" by the instance's wildcard. */
static int expand_links(struct buf *dst, const char *text, const char *instance)
{
	int r = 0;
	for (const char *at; r == 0 && (at = strstr(text, "@links")); text = at + 6) {
		r = buf_append(dst, text, (size_t)(at - text));
		if (r == 0)
			r = buf_printf(dst, "\"sg%s-*\"", instance);
	}
	return r < 0 ? r : buf_append_str(dst, text);
}

int rules_install(const struct plan *p, const char *const *dns, struct err *reterr)
{
	CLEAN_BUF struct buf b = BUF_INIT, commands = BUF_INIT;
	int r = append_table(&b, p, dns);
	const char *text = r == 0 ? buf_cstr(&b) : NULL;
	if (text)
		r = expand_links(&commands, text, p->instance);
	text = r == 0 ? buf_cstr(&commands) : NULL;
	r = text ? rules_run(text, reterr) : err_set(reterr, -ENOMEM, "nftables: out of memory");
	return r;
}

int rules_remove(const struct plan *p, struct err *reterr)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = buf_printf(&b, "table inet sandglass_%s {}\ndelete table inet sandglass_%s\n",
	    p->instance, p->instance);
	return r < 0 || !buf_cstr(&b) ? err_set(reterr, -ENOMEM, "nftables: out of memory")
				      : rules_run(buf_cstr(&b), reterr);
}
