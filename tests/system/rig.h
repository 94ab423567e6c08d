/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A real launcher over a state directory of its own, with the probe (probe_init.c) as agent. Calls
 * block until answered. Everything that goes wrong on the way fails the test.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "launcher/launcher.h"
#include "loop/loop.h"

#define RIG_MEMORY (128ull << 20)
#define RIG_DISK (64ull << 20)
#define RIG_IMAGE "0123456789abcdef0123456789abcdef"
#define RIG_PIDS 64u

struct rig_box {
	struct launcher_watch watch;
	int exits, ooms, pids; /* events seen */
	int64_t exit_status, oom_kills, refused;
	bool exit_oom;
	char text[ERR_TEXT_MAX];
	pid_t pid;
	uint32_t uid_base;
};

struct rig {
	char dir[64];
	char instance[9]; /* of its own: several runs do not disturb each other */
	char group[32];	  /* name of its cgroups' parent */
	struct loop *loop;
	struct launcher *la;
	pid_t pid; /* of the launcher */
	const char *script;
	bool lost, network, own_fs, firecracker;
	struct rig_fault *fault; /* shared with an in-process launcher; NULL = the real program */
};

/* faults: run the launcher's code in a fork of the test, so that steps can be made to fail. */
void rig_open(struct rig *r, bool faults);
/* The real program, with a network for sandboxes. */
void rig_open_network(struct rig *r);
/* The real program, its state on a file system of its own. */
void rig_open_own_fs(struct rig *r);
/* With the stand-ins for Firecracker and its jailer, a network, and a template "py" whose image and
 * kernel are files that mean nothing. faults as above. */
void rig_open_firecracker(struct rig *r, bool faults, const char *script);
void rig_script(struct rig *r, const char *script); /* of what is started from now on */
/* Of the image's kernel. */
void rig_initrd_path(const struct rig *r, char dst[4096]);
void rig_jailer(struct rig *r, const char *version);
/* Everything is destroyed; asserts that nothing is left on the machine. */
void rig_close(struct rig *r);
void rig_stop_launcher(struct rig *r, int signo); /* and wait until the client noticed */
void rig_start_launcher(struct rig *r);
/* A daemon that dies and is started again, its launcher with it; sandboxes go on. */
void rig_replace_client(struct rig *r);
/* Let the step of this name fail with -EIO from now on; NULL = none. */
void rig_set_fault(struct rig *r, const char *step);

/* 0 or the code of the failure, its sentence in reterr when not NULL. */
int rig_create(struct rig *r, struct rig_box *b, const char *id, struct err *reterr);
int rig_create_as(
    struct rig *r, struct rig_box *b, const struct proto_create *c, struct err *reterr);
void rig_create_default(struct proto_create *c, const char *id);
int rig_destroy(struct rig *r, struct rig_box *b);
int rig_adopt(struct rig *r, const char *id);
int rig_usage(struct rig *r, const char *id, struct proto_usage *ret);
int rig_resize(struct rig *r, const char *id, uint64_t memory_bytes, unsigned cpu_milli);
void rig_renew_image(struct rig *r); /* as another build of it leaves them */
int rig_grow_disk(struct rig *r, const char *id, uint64_t bytes);
unsigned rig_count(struct rig *r); /* sandboxes that the launcher lists */

/* Run a command in the sandbox; status as of the shell (124 = took longer than limit_s), what it
 * printed in out. */
int rig_run(struct rig *r, struct rig_box *b, unsigned uid, const char *command, char *out,
    size_t cap, unsigned limit_s);
/* The command's output, all of it; the status must be 0. */
#define RIG_OUT 4096
const char *rig_out(struct rig *r, struct rig_box *b, const char *command);
/* Does the control socket answer? */
bool rig_answers(struct rig *r, struct rig_box *b);
/* Turn the loop until *v is not 0, at most limit_ms. */
bool rig_wait(struct rig *r, const int *v, unsigned limit_ms);
void rig_pause(struct rig *r, unsigned ms);

/* What this machine has of ours: processes, mounts, groups, loop devices, files. */
struct rig_ledger {
	unsigned mounts, loops, cgroups, files, sockets, processes;
};
void rig_take_ledger(const struct rig *r, struct rig_ledger *ret);
