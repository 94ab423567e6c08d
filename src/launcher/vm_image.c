/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/vm_image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fdutil.h"
#include "base/path.h"
#include "base/str.h"
#include "image/build.h"
#include "launcher/builds.h"
#include "launcher/proto.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18 /* PVH: where to begin, in 32 bits */

/* Each kernel has one initial file system for each agent. */
static int set_paths(struct vm_image *m, const char *agent_hash)
{
	int r = path_printf(m->root_path, sizeof(m->root_path), "images/%s/root.img", m->hash);
	if (r == 0)
		r = path_printf(
		    m->kernel_path, sizeof(m->kernel_path), "kernels/%s/vmlinux", m->kernel);
	if (r == 0)
		r = path_printf(m->initrd_path, sizeof(m->initrd_path), "kernels/%s/" IMAGES_INITRD,
		    m->kernel, IMAGES_AGENT_LEN, agent_hash);
	return r;
}

static int check_files(const struct vm_image *m, struct err *reterr)
{
	const char *const paths[] = { m->root_path, m->kernel_path, m->initrd_path };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], R_OK) < 0)
			return err_set(reterr, -errno, "%s: %s", paths[i], err_name(-errno));
	return 0;
}

int vm_image_read(
    const char *hash, const char *agent_hash, struct vm_image *ret, struct err *reterr)
{
	struct vm_image m = { 0 };
	struct build_image i;
	int r = build_image_read(hash, &i);
	if (r == 0) {
		(void)str_copy(m.hash, sizeof(m.hash), i.hash);
		(void)str_copy(m.fs, sizeof(m.fs), i.format);
		(void)str_copy(m.kernel, sizeof(m.kernel), i.kernel);
		r = set_paths(&m, agent_hash);
	}
	if (r < 0)
		return err_set(reterr, r, "image %s: %s", hash, err_name(r));
	r = check_files(&m, reterr);
	if (r == 0)
		*ret = m;
	return r;
}

int vm_image_find(
    const char *tmpl, const char *agent_hash, struct vm_image *ret, struct err *reterr)
{
	struct build_image i;
	struct err why = ERR_INIT;
	int r = build_image_find(tmpl, &i);
	if (r == -ENOENT)
		return err_set(reterr, r,
		    "template %s has no image yet: build it with \"sandglass template build %s\"",
		    tmpl, tmpl);
	r = r < 0 ? err_set(&why, r, "its manifest: %s", err_name(r))
		  : vm_image_read(i.hash, agent_hash, ret, &why);
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
