/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where private servers live, beside one that may serve:
 *
 *   DIR/state, DIR/run   a directory of their own, on the state directory's file system
 *   processes            a process id namespace: when its first process ends, the kernel ends all
 *                        that were started in it, sandboxes included, however doctor itself ended
 *   mounts               a mount table of their own, which goes with the last process. There, what
 *                        the server has built (images, kernels, warm snapshots) is seen through an
 *                        overlay: it can be read, but what a private server writes or removes lands
 *                        in DIR. Layers of images are seen through a read-only mount. A read-only
 * bind mount would keep the launcher from writing an initramfs for its agent. network the same:
 * interfaces, nftables and ip_forward are those of a new namespace, so addresses, ports and
 * settings of the machine are not touched instance             a tag whose control groups nobody
 * has and whose user ids are others than the server's
 */
#include <stdbool.h>

#include "base/path.h"

struct err;

struct scratch {
	char dir[PATH_LEN_MAX], state[PATH_LEN_MAX], run[PATH_LEN_MAX], log[PATH_LEN_MAX];
	char instance[9];
};

/* The directory and the tag: 0, or -errno and reterr with nothing left. The next child of the
 * calling process is the first of a new process id namespace. */
int scratch_make(struct scratch *s, const char *state_dir, struct err *reterr);
/* In that namespace: take up the others. 0, or -errno and reterr. */
int scratch_enter(const struct scratch *s, const char *state_dir, struct err *reterr);
/* All processes have ended: remove control groups and the directory. 0 or first -errno; idempotent.
 */
int scratch_remove(struct scratch *s);
