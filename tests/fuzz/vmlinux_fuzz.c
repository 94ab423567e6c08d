/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a kernel's boot image: an ELF kernel of the stated size, or an error that says why.
 * The header's fixed part is put there, so that inputs begin with what varies. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/vmlinux.h"

#define PAYLOAD_AT 0x400u

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static uint8_t image[PAYLOAD_AT + 65536];
	struct err err = ERR_INIT;
	CLEAN_BUF struct buf elf = BUF_INIT;
	if (n > sizeof(image) - PAYLOAD_AT)
		return 0;
	memset(image, 0, PAYLOAD_AT);
	memcpy(image + 0x202, "HdrS\x0f\x02", 6);
	image[0x1f1] = 1;
	for (int i = 0; i < 4; i++)
		image[0x24c + i] = (uint8_t)(n >> (8 * i));
	if (n)
		memcpy(image + PAYLOAD_AT, p, n);
	int r = vmlinux_extract(image, PAYLOAD_AT + n, &elf, &err);
	assert((r == 0) == (err.code == 0) && (r == 0 || err.text[0]));
	assert(r < 0 || memcmp(buf_data(&elf), "\177ELF", 4) == 0);
	return 0;
}
