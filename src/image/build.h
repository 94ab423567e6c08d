/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Building the image of a template. Everything happens beneath the working directory, which is the
 * launcher's (root, 0700):
 *
 *   layers/NAME/fs        what one step changed, as the upper directory of an overlay
 *   images/HASH/root.img  the finished root file system (erofs); beside it manifest.json
 *   images/names/T        a link to the image that template T has now
 *   kernels/KERNEL/       vmlinux, modules/ (order, *.ko)
 *   kernels/current       a link to the newest one
 *   stage/                an empty directory to mount on, in the builder's own mount namespace
 *
 * NAME is drawn from the layer below, the step, and a random mark, so whatever is above a layer
 * that was built again is built again, too. KERNEL is its version and a sign for the choice of
 * modules (6.1.0-40-cloud-amd64+1b5e6a90): an image made with another choice keeps its kernel.
 *
 * Whatever is incomplete ends in ".new" and is removed by build_sweep(); it becomes complete by a
 * rename. A builder that is killed takes all of its processes and mounts along.
 *
 * Programs of the image (package scripts, run steps) see nothing but the image: own mount, process,
 * IPC and host name namespaces, an own range of user ids, no capability that counts outside, a
 * system call filter. They share the host's network, to download. What they need to do that
 * (proxies, certificates, package indexes' configuration of the host) is in memory only and in no
 * layer.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define BUILD_HASH_LEN 32
#define BUILD_STEP_MAX 31
#define BUILD_FORMAT "erofs"

enum build_event_kind { BUILD_LOG = 1, BUILD_DONE };
enum build_level { BUILD_DEBUG, BUILD_INFO, BUILD_WARN, BUILD_ERROR };

/* What a builder tells, one packet each: any number of lines, then one BUILD_DONE. */
struct build_event {
	uint32_t kind, level;
	int32_t code; /* DONE: 0 or -errno */
	char step[BUILD_STEP_MAX + 1];
	char text[ERR_TEXT_MAX]; /* DONE: why it failed */
	char hash[BUILD_HASH_LEN + 1];
	int64_t time_real_ns;
};

struct build_conf {
	const char *templates_dir; /* the template is read from here */
	const char *name;	   /* of the template */
	bool force;		   /* use no layer that was built before */
	uint32_t uid_base;	   /* 65536 ids of the host that nobody else uses */
	int event_fd;		   /* seqpacket socket for struct build_event */
	uint64_t min_free_bytes;   /* give up when the disk has less; 0 = a default */
	unsigned limit_s;	   /* for all of it; 0 = a default */
	const char *kernel; /* one that is in kernels/; NULL = the newest, fetched if need be */
};

/* In a process of its own, which has one thread: it changes namespaces. 0 or -errno, which
 * BUILD_DONE has told already. */
int build_run(const struct build_conf *c);

/* Make the directories. 0 or -errno. */
int build_init_dirs(void);
/* Remove what is incomplete, images that no template names and that in_use(hash) does not claim,
 * and layers of no image that were not used for idle_s seconds. Not while a build runs. 0 or first
 * -errno. */
#define BUILD_IDLE_S 86400u /* a failed build that is repaired by then need not begin anew */
int build_sweep(bool (*in_use)(const char *hash, void *arg), void *arg, unsigned idle_s);
/* Forget a template's image: sweeping removes it when nothing uses it. Also 0 when there is none.
 */
int build_unname(const char *name);

/* The image that a template has now. */
struct build_image {
	char hash[BUILD_HASH_LEN + 1];
	char format[8];
	char kernel[64];
	char inputs[65]; /* hash of what it was made of */
	uint64_t bytes;
	int64_t created_real_ns;
};
/* 0, -ENOENT or -errno. */
int build_image_find(const char *name, struct build_image *ret);
int build_image_read(const char *hash, struct build_image *ret);
/* The layers of an image, topmost first, as "layers/NAME/fs:layers/NAME/fs"; for overlayfs's
 * lowerdir. 0, -ENOENT, -ENAMETOOLONG or -errno. */
int build_image_lowers(const char *hash, char *dst, size_t cap);

struct template;
/* Hash of all that an image of the template is made of here and now (also of files beside it). 0 or
 * -errno and reterr. */
int build_inputs(
    const struct template *t, const char *templates_dir, char dst[65], struct err *reterr);
