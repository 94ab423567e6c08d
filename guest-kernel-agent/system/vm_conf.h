/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the host tells a virtual machine on its kernel's command line:
 *
 *   sandglass.root=/dev/vda        the root image, read-only
 *   sandglass.rootfs=erofs         its file system: erofs, squashfs or ext4
 *   sandglass.disk=/dev/vdb        the sandbox's own ext4 disk, above the image
 *   sandglass.channel=serial       how the host reaches the agent: serial or vsock
 *   sandglass.net=ADDRESS/PREFIX,GATEWAY,GATEWAY_MAC     without it there is no network
 *   sandglass.dns=ADDRESS[,ADDRESS]
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

struct err;

#define VM_CONF_TEXT 64
#define VM_CONF_DNS_MAX 3 /* what resolvers use */

enum vm_channel { VM_CHANNEL_SERIAL, VM_CHANNEL_VSOCK };

struct vm_net {
	struct in_addr address, mask, gateway;
	unsigned char gateway_mac[6];
};

struct vm_conf {
	char root[VM_CONF_TEXT], rootfs[VM_CONF_TEXT], disk[VM_CONF_TEXT];
	enum vm_channel channel;
	bool has_net;
	struct vm_net net;
	char dns[VM_CONF_DNS_MAX][INET6_ADDRSTRLEN];
	size_t n_dns;
};

/* A command line that is meant for us. */
bool vm_conf_is_given(const char *cmdline);
/* 0, or -EINVAL with the parameter named. */
int vm_conf_parse(struct vm_conf *c, const char *cmdline, struct err *reterr);
