/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm_image.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/json.h"
#include "base/path.h"
#include "base/str.h"
#include "launcher/proto.h"

#define MANIFEST_MAX 65536u
#define XEN_ELFNOTE_PHYS32_ENTRY 18 /* PVH: where to begin, in 32 bits */

static int take_name(const json_t *o, const char *key, char *dst, size_t cap, struct err *reterr)
{
	const char *s = NULL;
	if (json_get_str(o, key, cap - 1, &s, reterr) != 0 || str_empty(s) || strchr(s, '/') ||
	    s[0] == '.')
		return err_set(reterr, -EBADMSG, "%s: expected a name", key);
	(void)str_copy(dst, cap, s);
	return 0;
}

static int read_manifest(struct vm_image *m, struct err *reterr)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	CLEAN_JSON json_t *o = NULL;
	char path[VM_IMAGE_PATH_MAX];
	int r = path_printf(path, sizeof(path), "images/%s/manifest.json", m->hash);
	if (r == 0)
		r = fd_read_file(AT_FDCWD, path, MANIFEST_MAX, &text);
	if (r < 0)
		return r;
	o = json_parse_object(buf_data(&text), buf_len(&text), MANIFEST_MAX, false, reterr);
	if (!o)
		return -EBADMSG;
	r = take_name(o, "format", m->fs, sizeof(m->fs), reterr);
	return r < 0 ? r : take_name(o, "kernel", m->kernel, sizeof(m->kernel), reterr);
}

/* images/names/TEMPLATE is a link whose last component is the hash. */
static int read_name(const char *tmpl, char dst[VM_IMAGE_NAME_MAX + 1])
{
	char path[VM_IMAGE_PATH_MAX], target[VM_IMAGE_PATH_MAX];
	int r = path_printf(path, sizeof(path), "images/names/%s", tmpl);
	if (r < 0)
		return r;
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	const char *slash = strrchr(target, '/');
	const char *hash = slash ? slash + 1 : target;
	return str_only(hash, "0123456789abcdef") &&
		       str_copy(dst, VM_IMAGE_NAME_MAX + 1, hash) <= VM_IMAGE_NAME_MAX
		   ? 0
		   : -EBADMSG;
}

static int find_initrd(struct vm_image *m)
{
	char dir[VM_IMAGE_PATH_MAX];
	int r = path_printf(dir, sizeof(dir), "kernels/%s", m->kernel);
	if (r < 0)
		return r;
	DIR *d = opendir(dir);
	r = d ? -ENOENT : -errno;
	for (struct dirent *e; r == -ENOENT && d && (e = readdir(d)) != NULL;)
		if (str_after(e->d_name, "initrd") && str_ends(e->d_name, ".cpio"))
			r = path_printf(
			    m->initrd_path, sizeof(m->initrd_path), "%s/%s", dir, e->d_name);
	if (d)
		(void)closedir(d);
	return r;
}

static int read_image(struct vm_image *m, struct err *reterr)
{
	int r = read_manifest(m, reterr);
	if (r == 0)
		r = path_printf(m->root_path, sizeof(m->root_path), "images/%s/root.img", m->hash);
	if (r == 0)
		r = path_printf(
		    m->kernel_path, sizeof(m->kernel_path), "kernels/%s/vmlinux", m->kernel);
	if (r == 0)
		r = find_initrd(m);
	if (r == 0 && (access(m->root_path, R_OK) < 0 || access(m->kernel_path, R_OK) < 0))
		r = -errno;
	return r;
}

int vm_image_read(const char *hash, struct vm_image *ret, struct err *reterr)
{
	struct vm_image m = { 0 };
	struct err why = ERR_INIT;
	(void)str_copy(m.hash, sizeof(m.hash), hash);
	int r = read_image(&m, &why);
	if (r < 0)
		return err_set(
		    reterr, r, "image %s: %s", hash, why.code ? err_text(&why) : err_name(r));
	*ret = m;
	return 0;
}

int vm_image_find(const char *tmpl, struct vm_image *ret, struct err *reterr)
{
	char hash[VM_IMAGE_NAME_MAX + 1];
	struct err why = ERR_INIT;
	int r = read_name(tmpl, hash);
	if (r == -ENOENT)
		return err_set(reterr, r,
		    "template %s has no image yet: build it with \"sandglass template build %s\"",
		    tmpl, tmpl);
	r = r < 0 ? err_set(&why, r, "its name: %s", err_name(r)) : vm_image_read(hash, ret, &why);
	if (r < 0)
		return err_set(reterr, r,
		    "template %s: %s; build it again with \"sandglass template build %s\"", tmpl,
		    err_text(&why), tmpl);
	return 0;
}

/* ---- the guest that proves that guests run ---- */

/*
 * An ELF file of one segment with a PVH entry: it writes its text to the serial port, then makes a
 * fault that nothing handles, which resets the machine.
 */
#define PROBE_ADDRESS 0x100000u
#define PROBE_OFFSET 0x100u

static const unsigned char probe_code[] = {
	0xbe, 0, 0, 0, 0,	      /* mov esi, text; filled in */
	0x66, 0xba, 0xf8, 0x03,	      /* mov dx, 0x3f8 */
	0xac,			      /* next: lodsb */
	0x84, 0xc0,		      /* test al, al */
	0x74, 0x03,		      /* jz end */
	0xee,			      /* out dx, al */
	0xeb, 0xf8,		      /* jmp next */
	0x0f, 0x01, 0x1d, 0, 0, 0, 0, /* end: lidt [zeros]; filled in */
	0xcc,			      /* int3 */
	0xf4,			      /* hlt */
};
#define PROBE_TEXT_AT (PROBE_OFFSET + 64u)
#define PROBE_ZEROS_AT (PROBE_OFFSET + 128u)
#define PROBE_SIZE (PROBE_OFFSET + 192u)

static void put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static int write_probe(const char *file)
{
	static const char text[] = PROTO_PROBE_TEXT "\r\n";
	unsigned char f[PROBE_SIZE] = { 0 };
	struct {
		Elf32_Nhdr head;
		char name[4];
		uint32_t entry;
	} note = { { 4, 4, XEN_ELFNOTE_PHYS32_ENTRY }, "Xen", PROBE_ADDRESS + PROBE_OFFSET };
	Elf64_Ehdr *e = (void *)f;
	Elf64_Phdr *ph = (void *)(f + sizeof(*e));
	unsigned char *code = f + PROBE_OFFSET;
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_ident[EI_DATA] = ELFDATA2LSB;
	e->e_ident[EI_VERSION] = e->e_version = EV_CURRENT;
	e->e_type = ET_EXEC;
	e->e_machine = EM_X86_64;
	e->e_entry = PROBE_ADDRESS + PROBE_OFFSET;
	e->e_phoff = sizeof(*e);
	e->e_ehsize = sizeof(*e);
	e->e_phentsize = sizeof(*ph);
	e->e_phnum = 2;
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_vaddr = PROBE_ADDRESS,
		.p_paddr = PROBE_ADDRESS,
		.p_filesz = sizeof(f),
		.p_memsz = sizeof(f),
		.p_align = 4096 };
	ph[1] = (Elf64_Phdr){ .p_type = PT_NOTE,
		.p_offset = PROBE_ZEROS_AT + 16,
		.p_vaddr = PROBE_ADDRESS + PROBE_ZEROS_AT + 16,
		.p_paddr = PROBE_ADDRESS + PROBE_ZEROS_AT + 16,
		.p_filesz = sizeof(note),
		.p_memsz = sizeof(note),
		.p_align = 4 };
	memcpy(code, probe_code, sizeof(probe_code));
	put32(code + 1, PROBE_ADDRESS + PROBE_TEXT_AT);
	put32(code + 20, PROBE_ADDRESS + PROBE_ZEROS_AT);
	memcpy(f + PROBE_TEXT_AT, text, sizeof(text));
	memcpy(f + PROBE_ZEROS_AT + 16, &note, sizeof(note));
	CLEAN_FD int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd_write_all(fd, f, sizeof(f));
}

int vm_image_probe(const char *file, struct vm_image *ret)
{
	static const char kernel[] = "kernels/current/vmlinux";
	*ret = (struct vm_image){ .hash = "0", .fs = "none" };
	if (access(kernel, R_OK) == 0) {
		(void)str_copy(ret->kernel_path, sizeof(ret->kernel_path), kernel);
		return 0;
	}
	(void)str_copy(ret->kernel_path, sizeof(ret->kernel_path), file);
	return write_probe(file);
}
