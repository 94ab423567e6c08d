/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"
#include "hostnet/hostnet.h"
#include "launcher/box.h"
#include "launcher/cpu.h"
#include "launcher/warm.h"

static int hash_host(struct server *s, const struct proto_create *want, char dst[65])
{
	CLEAN_BUF struct buf b = BUF_INIT;
	struct stat st = { 0 };
	const char *vmm = qemu_program();
	if (!vmm || stat(vmm, &st) < 0)
		return -ENOENT;
	/* The rate of the counter is rounded: two measurements differ by a few kHz. */
	int r = buf_printf(&b, "vmm %u %s %lld %lld.%09ld\nkvm %u\ntsc %llu MHz\n", want->kind, vmm,
	    (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, want->vm.kvm,
	    (unsigned long long)(vm_host_tsc_khz(&s->vm_host) + 500) / 1000);
	if (r == 0)
		r = cpu_identity(&b);
	return r < 0 ? r : hash_sha256_hex(buf_data(&b), buf_len(&b), dst);
}

static int hash_content(
    struct server *s, const struct proto_create *want, const struct vm_image *image, char dst[65])
{
	CLEAN_BUF struct buf b = BUF_INIT;
	int r = buf_printf(&b, "template %s %s\nimage %s %s\nkernel %s\nagent %s\nresolv %s\n",
	    want->vm.tmpl, want->vm.tmpl_hash, image->hash, image->fs, image->kernel, s->agent_hash,
	    s->net ? hostnet_resolv_conf(s->net) : "");
	return r < 0 ? r : hash_sha256_hex(buf_data(&b), buf_len(&b), dst);
}

int warm_key(struct server *s, const struct proto_create *want, const struct vm_image *image,
    struct vm_manifest *ret)
{
	CLEAN_BUF struct buf b = BUF_INIT;
	*ret = (struct vm_manifest){ .kvm = want->vm.kvm,
		.vcpus = want->vm.vcpus,
		.memory_bytes = want->memory_bytes,
		.disk_bytes = want->disk_bytes };
	(void)str_copy(ret->tmpl, sizeof(ret->tmpl), want->vm.tmpl);
	(void)str_copy(ret->image, sizeof(ret->image), image->hash);
	(void)str_copy(ret->fs, sizeof(ret->fs), image->fs);
	int r = hash_host(s, want, ret->host);
	if (r == 0)
		r = hash_content(s, want, image, ret->content);
	if (r == 0)
		r = buf_printf(&b, "host %s\ncontent %s\nvcpus %u\nmemory %llu\ndisk %llu\n",
		    ret->host, ret->content, ret->vcpus, (unsigned long long)ret->memory_bytes,
		    (unsigned long long)ret->disk_bytes);
	return r < 0 ? r : hash_sha256_hex(buf_data(&b), buf_len(&b), ret->key);
}
