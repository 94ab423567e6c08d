/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/instance.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/path.h"
#include "base/str.h"

int instance_tag(const char *state_dir, char dst[INSTANCE_LEN + 1])
{
	char real[PATH_LEN_MAX], hex[2 * HASH_SHA256_LEN + 1];
	if (!realpath(state_dir, real))
		return -errno;
	int r = hash_sha256_hex(real, strlen(real), hex);
	if (r == 0)
		(void)str_copy(dst, INSTANCE_LEN + 1, hex);
	return r;
}
