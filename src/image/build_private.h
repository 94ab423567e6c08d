/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the builder share. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "image/build.h"
#include "jail/seccomp.h"

struct template;

#define BUILD_LAYERS_MAX 96
#define BUILD_NAME_LEN 40 /* 32 of the key, '-', 7 of the mark */
#define BUILD_UNFINISHED ".new"
#define BUILD_STAGE "stage"
#define BUILD_ROOT BUILD_STAGE "/root"
#define BUILD_HOST_DIR "/run/sandglass-build" /* inside: configuration of the host */
#define BUILD_PATH_ENV "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The host's ways to its package indexes, for programs of the build. */
struct build_host {
	char **env; /* "K=V", NULL at the end */
	size_t n_env;
	struct buf apt_conf, pip_conf, npmrc, ca, resolv_conf;
	char mirror[256], security_mirror[256]; /* of Debian */
};

struct build {
	const struct build_conf *conf;
	const struct template *t;
	const char *base;
	char step[BUILD_STEP_MAX + 1];
	int userns_fd;
	struct seccomp_prog filter;
	struct build_host host;
	uint64_t deadline_ms;
	unsigned lines;					   /* of this step */
	char layers[BUILD_LAYERS_MAX][BUILD_NAME_LEN + 1]; /* lowest first */
	size_t n_layers;
	char new_layer[96]; /* directory of the one in work */
	char kernel[64];
	char hash[BUILD_HASH_LEN + 1];
};

/* build_log.c: one line to whoever asked; control characters are replaced. */
void build_log(struct build *b, enum build_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void build_log_text(struct build *b, enum build_level level, const char *text, size_t n);
/* The sentence when the disk is nearly full, or 0. */
int build_check_space(const struct build *b, struct err *reterr);

/* build_host.c */
int build_host_read(struct build *b, struct err *reterr);
void build_host_fini(struct build_host *h);

/* ---- build_jail.c, build_exec.c: programs ---- */
enum jail_kind {
	JAIL_IMAGE, /* the root is the image in work */
	JAIL_TOOLS, /* the root has the host's programs, read-only; the image in work is /target */
};
struct jail_plan {
	enum jail_kind kind;
	const char *source;	 /* TOOLS: a directory or file of the host, read-only as /source */
	const char *const *argv; /* run this ... */
	const char *const *env;	 /* besides the host's and a few own; may be NULL */
	/* ... or this, in the jail; prints what it has to say. 0 or an exit status */
	int (*fn)(void *arg);
	void *arg;
	bool online;	    /* it may see how the host reaches package indexes */
	bool target_dev;    /* TOOLS: /target has a /dev, too */
	const char *out;    /* a directory of ours, writable as /out; may be NULL */
	struct buf *output; /* standard output goes here instead of the log; may be NULL */
};
/* From the new process to the program; only returns on failure, after a message on standard error.
 */
int build_jail_enter(const struct build *b, const struct jail_plan *p);
/* Run it to its end: 0, or -errno and reterr. */
int build_exec(struct build *b, const struct jail_plan *p, struct err *reterr);
/* A program of the host outside of any jail, for questions; output is bounded. */
int build_ask_host(const char *const *argv, size_t max, struct buf *dst);

/* ---- build_layers.c ---- */
typedef int build_step_fn(struct build *b, const void *arg, struct err *reterr);
/* The layer of this step upon those that there are: found, or made by fn in the mounted root. what
 * is all that shapes it. */
int build_layer(struct build *b, const char *step, const char *what, size_t what_len,
    build_step_fn *fn, const void *arg, struct err *reterr);
/* Mount all layers read-only on BUILD_ROOT, and unmount whatever is there. */
int build_mount_all(struct build *b, struct err *reterr);
void build_unmount(void);
/* The name becomes one that a sweep removes, then the tree goes: 0 or -errno. */
int build_remove(const char *path);
/* Remove layers that keep() does not claim and that were not used for idle_s seconds. */
int build_layers_sweep(bool (*keep)(const char *layer, void *arg), void *arg, unsigned idle_s);

/* ---- build_base.c, build_steps.c, build_image.c, build_kernel.c ---- */
int build_base_layer(struct build *b, const char *base, struct err *reterr);
int build_step_layers(struct build *b, struct err *reterr);
int build_image_make(struct build *b, struct err *reterr);
int build_kernel_ensure(struct build *b, struct err *reterr);
