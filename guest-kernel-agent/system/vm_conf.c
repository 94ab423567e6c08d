/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/system/vm_conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

#define PREFIX "sandglass."
#define NET_PARTS 3
#define NAME_SET "abcdefghijklmnopqrstuvwxyz0123456789"

/* Copies the value of a parameter: 0, -ENOENT, or -ENAMETOOLONG. The last one counts. */
static int find(const char *cmdline, const char *name, char *dst, size_t cap)
{
	int r = -ENOENT;
	for (const char *p = cmdline; *p;) {
		size_t n = strcspn(p, " \t\n");
		const char *value = str_after(p, name);
		if (value && *value == '=' && value < p + n) {
			size_t len = (size_t)(p + n - ++value);
			r = len < cap ? 0 : -ENAMETOOLONG;
			(void)snprintf(dst, cap, "%.*s", (int)len, value);
		}
		p += n;
		p += strspn(p, " \t\n");
	}
	return r;
}

bool vm_conf_is_given(const char *cmdline)
{
	char value[VM_CONF_TEXT];
	return find(cmdline, PREFIX "root", value, sizeof(value)) != -ENOENT;
}

/* ---- parameters ---- */

static int parse_device(
    const char *cmdline, const char *name, char dst[VM_CONF_TEXT], struct err *reterr)
{
	const char *device =
	    find(cmdline, name, dst, VM_CONF_TEXT) == 0 ? str_after(dst, "/dev/") : NULL;
	if (!str_empty(device) && str_only(device, NAME_SET))
		return 0;
	return err_set(reterr, -EINVAL, "%s: expected a device such as /dev/vda", name);
}

static int parse_rootfs(struct vm_conf *c, const char *cmdline, struct err *reterr)
{
	static const char *const known[] = { "erofs", "squashfs", "ext4" };
	int r = find(cmdline, PREFIX "rootfs", c->rootfs, sizeof(c->rootfs));
	for (size_t i = 0; r == 0 && i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq(c->rootfs, known[i]))
			return 0;
	return err_set(reterr, -EINVAL, PREFIX "rootfs: expected erofs, squashfs or ext4");
}

static int parse_channel(struct vm_conf *c, const char *cmdline, struct err *reterr)
{
	char value[VM_CONF_TEXT] = "";
	(void)find(cmdline, PREFIX "channel", value, sizeof(value));
	c->channel = str_eq(value, "vsock") ? VM_CHANNEL_VSOCK : VM_CHANNEL_SERIAL;
	if (c->channel == VM_CHANNEL_VSOCK || str_eq(value, "serial"))
		return 0;
	return err_set(reterr, -EINVAL, PREFIX "channel: expected serial or vsock");
}

/* Splits at commas, in place; how many parts there are, of which at most max are kept. */
static size_t split(char *s, char **parts, size_t max)
{
	size_t n = 0;
	for (char *p; (p = strsep(&s, ","));)
		if (n++ < max)
			parts[n - 1] = p;
	return n;
}

static bool parse_mac(const char *s, unsigned char mac[6])
{
	for (size_t i = 0; i < 6; i++, s += 3) {
		char digits[3] = { s[0], s[0] ? s[1] : '\0' };
		if (str_unhex(digits, &mac[i], 1) < 0 || s[2] != (i < 5 ? ':' : '\0'))
			return false;
	}
	return true;
}

static bool parse_address(char *s, struct vm_net *net)
{
	char *slash = strchr(s, '/');
	uint64_t bits;
	if (!slash)
		return false;
	*slash = '\0';
	if (inet_pton(AF_INET, s, &net->address) != 1 || str_u64(slash + 1, 30, &bits) < 0 ||
	    bits == 0)
		return false;
	net->mask.s_addr = htonl(~(UINT32_MAX >> bits));
	return true;
}

static int parse_net(struct vm_conf *c, const char *cmdline, struct err *reterr)
{
	char value[VM_CONF_TEXT];
	char *parts[NET_PARTS];
	int r = find(cmdline, PREFIX "net", value, sizeof(value));
	if (r == -ENOENT)
		return 0;
	c->has_net = true;
	if (r == 0 && split(value, parts, NET_PARTS) == NET_PARTS &&
	    parse_address(parts[0], &c->net) &&
	    inet_pton(AF_INET, parts[1], &c->net.gateway) == 1 &&
	    parse_mac(parts[2], c->net.gateway_mac))
		return 0;
	return err_set(reterr, -EINVAL, PREFIX "net: expected ADDRESS/PREFIX,GATEWAY,GATEWAY_MAC");
}

static bool is_address(const char *s)
{
	struct in6_addr any;
	return inet_pton(AF_INET, s, &any) == 1 || inet_pton(AF_INET6, s, &any) == 1;
}

static int parse_dns(struct vm_conf *c, const char *cmdline, struct err *reterr)
{
	char value[VM_CONF_DNS_MAX * INET6_ADDRSTRLEN];
	char *parts[VM_CONF_DNS_MAX];
	int r = find(cmdline, PREFIX "dns", value, sizeof(value));
	if (r == -ENOENT)
		return 0;
	size_t n = r == 0 ? split(value, parts, VM_CONF_DNS_MAX) : 0;
	if (n == 0 || n > VM_CONF_DNS_MAX)
		return err_set(
		    reterr, -EINVAL, PREFIX "dns: expected one to %d addresses", VM_CONF_DNS_MAX);
	for (; c->n_dns < n; c->n_dns++) {
		if (!is_address(parts[c->n_dns]))
			return err_set(
			    reterr, -EINVAL, PREFIX "dns: '%s' is no address", parts[c->n_dns]);
		(void)str_copy(c->dns[c->n_dns], INET6_ADDRSTRLEN, parts[c->n_dns]);
	}
	return 0;
}

int vm_conf_parse(struct vm_conf *c, const char *cmdline, struct err *reterr)
{
	*c = (struct vm_conf){ 0 };
	int r = parse_device(cmdline, PREFIX "root", c->root, reterr);
	if (r == 0)
		r = parse_rootfs(c, cmdline, reterr);
	if (r == 0)
		r = parse_device(cmdline, PREFIX "disk", c->disk, reterr);
	if (r == 0)
		r = parse_channel(c, cmdline, reterr);
	if (r == 0)
		r = parse_net(c, cmdline, reterr);
	return r < 0 ? r : parse_dns(c, cmdline, reterr);
}
