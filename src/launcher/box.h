/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One sandbox as the launcher sees it.
 *
 *   creating -> live -> dead      dead: process 1 is gone, the rest waits for a destroy
 *        \        \ \     \
 *         \        \ saving \       a VM: its state is being kept, then live or dead
 *          `--------`-------`----> removing -> (freed)
 *
 * Only box_set_state() moves it. Whatever a failed create has left is taken away by the same
 * removal that a destroy runs; every step of it accepts that there is nothing.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "jail/cgroup.h"
#include "jail/seccomp.h"
#include "launcher/builds.h"
#include "launcher/fc.h"
#include "launcher/proto.h"
#include "launcher/record.h"
#include "launcher/server.h"
#include "launcher/slots.h"
#include "launcher/task.h"
#include "launcher/vm.h"
#include "loop/loop.h"
#include "loop/op.h"

struct hostnet;
struct map;
struct outbox;

#define BOX_LOG_TAIL ERR_TEXT_MAX
#define SERVER_MASKS_MAX 16
#define SERVER_AGENTS_DIR_MAX 64 /* a unix socket's path has room for 107 bytes */

enum box_state { BOX_CREATING, BOX_LIVE, BOX_SAVING, BOX_DEAD, BOX_REMOVING, BOX_STATES };

struct box {
	struct server *srv;
	struct record rec; /* what survives us; rec.id is the name */
	enum box_state state;
	struct proto_create want; /* while creating */
	struct op op;		  /* the create or the removal */
	struct err create_err;	  /* first error, told after the removal */
	uint64_t create_seq;
	bool create_pending; /* the daemon waits for the answer of the create */
	struct link waiters; /* struct box_waiter: destroys to be answered */
	int oom_fd;	     /* version 1 eventfd, -1 */
	int wd_oom, wd_pids; /* inotify (version 2), -1 */
	int pids_fd;	     /* read now and then (version 1), -1 */
	uint64_t oom_told, pids_told;
	struct loop_io oom_io;
	struct loop_timer look; /* counts are read a moment after a notice */
	int disk_fd;		/* root of its disk, -1 */
	int netns_fd;		/* between taking a slot and the start of the child, -1 */
	struct loop_child child;
	bool child_running;
	uint32_t wait; /* number of the step's wait that is to be woken */
	int control_fd,
	    data_fd; /* listeners, between their making and the start of the child, -1 */
	struct vm vm;
	struct fc_box fc;
	int status_fd; /* socket to the child until it has become the agent, -1 */
	struct loop_io status_io;
	int log_fd; /* pipe from the agent's error output, -1 */
	struct loop_io log_io;
	struct loop_timer log_pause;
	char log_tail[BOX_LOG_TAIL]; /* last whole line */
	char log_line[BOX_LOG_TAIL]; /* line that is coming in */
	size_t log_len;
	uint64_t save_seq; /* request that is answered when it is saved */
	int end_status;	   /* of process 1, when it ended while being saved */
	struct task task;  /* making a disk master, removing large files */
	struct loop_timer again;
};

struct server {
	const struct server_conf *conf;
	struct loop *loop;
	struct outbox *outbox;
	struct map *boxes;
	struct cgroup_tree cgroups;
	struct slots slots;
	struct seccomp_prog filter;
	struct vm_host vm_host;
	struct fc_host fc;
	struct hostnet *net; /* NULL = loopback only */
	struct loop_io net_io;
	int agent_fd; /* sealed copy of the agent program */
	char agent_hash[PROTO_HASH_LEN + 1];
	struct link warms; /* snapshots whose memory is here */
	struct task vm_sweep;
	bool sweep_again;
	int inotify_fd;
	struct loop_io inotify_io;
	struct loop_timer poll; /* version 1: what tells nobody */
	bool can_loop;		/* loop devices work */
	bool landlock;
	const char *masks[SERVER_MASKS_MAX + 1];
	char agents_dir[SERVER_AGENTS_DIR_MAX];
	char host_base[PROTO_BASE_MAX +
		       1]; /* directory of base "host" beneath bases/, "" = none yet */
	struct task base_task, sweep_task;
	struct link base_waiters;
	char building[PROTO_BASE_MAX + 1];
	struct builds builds;
};

struct box_waiter {
	struct link link;
	uint64_t seq;
};

/* box.c */
struct box *box_new(
    struct server *s, const char *id); /* state creating; in s->boxes; NULL = -ENOMEM */
struct box *box_free(struct box *b);   /* only when removed or never started */
/* The launcher ends, the sandbox does not: drop what belongs to us, in whatever state. */
void box_abandon(struct box *b);
void box_set_state(struct box *b, enum box_state st);
int box_fault(const struct box *b, const char *step);			    /* the test hook */
int box_path(const struct box *b, const char *file, char *dst, size_t cap); /* boxes/ID/file */
int box_socket_dir(const struct box *b, char *dst, size_t cap);
int box_write_record(const struct box *b);
/* pidfd of process 1: watch for its end, which is told as EXITED. */
int box_watch_process(struct box *b, int pidfd_consume);
bool box_has_ended(const struct box *b); /* now, whether that is known or not */
/* File systems of it that are memory follow its limit. */
int box_resize_files(struct box *b, uint64_t memory_bytes, struct err *reterr);
/* Process 1 of a box has ended, which is dead now: EXITED. */
void box_tell_end(struct box *b, int status);
void box_usage(const struct box *b, struct proto_usage *ret);

/* box_create.c, box_remove.c: answer the request themselves. */
int box_create(struct server *s, uint64_t seq, const struct proto_create *c, struct err *reterr);
void box_remove(struct box *b); /* idempotent; the box is freed at the end */

/* box_watch.c */
int box_watch_limits(struct box *b);
void box_unwatch_limits(struct box *b);
void box_look(struct box *b); /* compare counts with those told, send what is new */
int box_watch_log(struct box *b, int fd_consume);
void box_drain_log(struct box *b);
void box_unwatch_log(struct box *b);
void server_on_poll(struct loop_timer *t, void *arg);
void server_on_inotify(struct loop_io *io, unsigned events, void *arg);

/* box_spawn.c: what a child of any kind is started with. It closes its ends itself. */
struct spawn {
	int status[2], log[2];
	struct cgroup_door door;
};
int spawn_open(struct box *b, struct spawn *sp);
/* run never returns. The record is written, the child is watched and let go. 0 or -errno. */
int spawn_run(struct box *b, struct spawn *sp, void (*run)(const void *plan), const void *plan);
/* Also the box's own descriptors that the child has now; after a failure, too. */
void spawn_close(struct box *b, struct spawn *sp);

/* Start the child of a box that has everything else; its end, or its becoming the
 * agent, wakes the create. */
int box_spawn(struct box *b, struct err *reterr);
void box_close_status(struct box *b);

/* bases.c */
int bases_find_current(struct server *s, struct err *reterr);
/* 0 = answered later, or -errno */
int bases_prepare(struct server *s, uint64_t seq, const char *base, struct err *reterr);
const char *bases_dir(struct server *s, const char *base); /* NULL = not prepared */
void bases_sweep(struct server *s);

/* recover.c: at start. */
int recover(struct server *s, struct err *reterr);

/* server.c */
void server_reply(struct server *s, uint64_t seq, const struct err *err, const struct box *b);
void server_item(struct server *s, uint64_t seq, const char *id); /* of a list */
void server_reply_vm(struct server *s, uint64_t seq, bool warm);
void server_reply_info(
    struct server *s, uint64_t seq, const struct err *err, const struct fc_host *h);
void server_event(struct server *s, const struct box *b, enum proto_event_kind kind, int64_t value);
