/* SPDX-License-Identifier: Apache-2.0 */
#include "image/build.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdutil.h"
#include "base/str.h"
#include "image/build_private.h"
#include "image/template.h"
#include "jail/mnt.h"
#include "jail/userns.h"

#define MIN_FREE_BYTES (1ull << 30)
#define LIMIT_S 3600u

/* Mounts of ours are seen by nobody else and go with us. */
static int open_stage(void)
{
	static const char *const dirs[] = { BUILD_ROOT, BUILD_STAGE "/up", BUILD_STAGE "/tools" };
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	int r = mnt_tmpfs(BUILD_STAGE, 1u << 20, 0700, MNT_DEV);
	for (size_t i = 0; r == 0 && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		r = mkdir(dirs[i], 0755) < 0 ? -errno : 0;
	return r;
}

static int prepare(struct build *b, struct err *reterr)
{
	int r = build_init_dirs();
	if (r == 0)
		r = build_check_space(b, reterr);
	if (r == 0)
		r = build_host_read(b, reterr); /* before the host's root is out of reach */
	if (r == 0)
		r = open_stage();
	if (r == 0) {
		b->userns_fd = userns_new(b->conf->uid_base);
		r = b->userns_fd < 0 ? b->userns_fd : 0;
	}
	if (r == 0)
		r = seccomp_prog_build(SECCOMP_SANDBOX, &b->filter, reterr);
	return r < 0 ? err_set(reterr, r, "cannot prepare the build: %s", err_name(r)) : 0;
}

static const struct template *find_template(
    const struct templates *ts, const char *name, struct err *reterr)
{
	for (size_t i = 0; i < templates_count(ts); i++)
		if (str_eq(templates_at(ts, i)->name, name))
			return templates_at(ts, i);
	(void)err_set(reterr, -ENOENT, "there is no template %s", name);
	return NULL;
}

static int build_all(struct build *b, struct err *reterr)
{
	b->base = template_base(b->t, false);
	if (!b->base)
		return err_set(reterr, -EINVAL,
		    "template %s has only base \"host\", of which no image is built", b->t->name);
	int r = prepare(b, reterr);
	if (r == 0)
		r = build_kernel_ensure(b, reterr);
	if (r == 0 && b->n_layers == 0)
		r = build_base_layer(b, b->base, reterr);
	if (r == 0)
		r = build_step_layers(b, reterr);
	return r < 0 ? r : build_image_make(b, reterr);
}

static void tell_end(const struct build *b, const struct err *err)
{
	struct build_event e = { .kind = BUILD_DONE,
		.level = err->code ? BUILD_ERROR : BUILD_INFO,
		.code = err->code,
		.time_real_ns = clock_real_ns() };
	(void)str_copy(e.step, sizeof(e.step), b->step);
	(void)str_copy(e.text, sizeof(e.text), err->code ? err_text(err) : "");
	(void)str_copy(e.hash, sizeof(e.hash), err->code ? "" : b->hash);
	(void)fd_send_msg(b->conf->event_fd, &e, sizeof(e), NULL, 0);
}

int build_run(const struct build_conf *given)
{
	struct build_conf c = *given;
	struct build b = { .conf = &c, .userns_fd = -1 };
	struct err err = ERR_INIT;
	c.min_free_bytes = c.min_free_bytes ? c.min_free_bytes : MIN_FREE_BYTES;
	c.limit_s = c.limit_s ? c.limit_s : LIMIT_S;
	b.deadline_ms = clock_mono_ms() + c.limit_s * 1000ull;
	(void)str_copy(b.step, sizeof(b.step), "template");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	struct templates *ts = templates_load(c.templates_dir, &err);
	b.t = ts ? find_template(ts, c.name, &err) : NULL;
	int r = b.t ? build_all(&b, &err) : err.code;
	tell_end(&b, &err);
	build_host_fini(&b.host);
	seccomp_prog_fini(&b.filter);
	(void)fd_close(b.userns_fd);
	(void)templates_free(ts);
	return r;
}
