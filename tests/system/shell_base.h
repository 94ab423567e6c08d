/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdio.h>

#include "image/modules.h"

/* A root file system in the directory "base" beneath %s: a shell and a few programs of this
 * machine, with their libraries. */
static const char shell_base_script[] =
    "set -e; cd '%s'; mkdir -p base/usr/bin base/usr/lib base/usr/lib64 base/etc base/tmp "
    "base/proc base/dev base/run\n"
    "for d in bin lib lib64; do ln -s usr/$d base/$d; done\n"
    "for p in sh cat mkdir rm ls chmod sleep touch id mv mount mknod chroot ln; do\n"
    "  f=$(command -v $p); cp -L $f base/usr/bin/$p\n"
    "  for l in $(ldd $f | grep -o '/[^ )]*'); do [ -e base$l ] || cp -L --parents $l base; done\n"
    "done\n"
    "printf 'root:x:0:0:root:/root:/bin/sh\\n' >base/etc/passwd\n"
    "printf 'root:x:0:\\nsome:x:77:\\n' >base/etc/group; chmod 4755 base/usr/bin/id\n"
    "chown 33:33 base/tmp; chmod 1777 base/tmp\n";

/* The name of a kernel that has the modules that guests want. */
static inline const char *shell_base_kernel(void)
{
	static char name[32];
	char id[MODULES_ID_LEN + 1] = "";
	(void)modules_id(id);
	(void)snprintf(name, sizeof(name), "6.0-test+%s", id);
	return name;
}
