/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Drivers: how a sandbox is made and ended. A driver is a const table; what it cannot do is absent
 * from its capability bits. Drivers do not know sandboxes, HTTP or the store; they talk to the
 * launcher.
 *
 * Every call that takes a callback answers exactly once, from a later loop turn.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

struct launcher;
struct loop;
struct template;
struct vmm;	 /* one driver, opened */
struct vmm_inst; /* one running sandbox of it */

#define VMM_CAP_PAUSE 1u      /* pause, resume */
#define VMM_CAP_SNAPSHOT 2u   /* snapshot, snapshot_remove, VMM_START_SNAPSHOT */
#define VMM_CAP_FORK 4u	      /* many instances of one snapshot may live at a time */
#define VMM_CAP_OWN_KERNEL 8u /* the kernel is not the host's */
#define VMM_CAP_HOST_BASE 16u /* template base "host" */
#define VMM_CAP_WARM 32u      /* warm, has_warm, is_warm: instances are clones of one that booted */

enum vmm_start {
	VMM_START_BEST,	    /* a clone of the template's warm snapshot if there is one, else cold */
	VMM_START_COLD,	    /* from the template's image; what warm() needs (VMM_CAP_WARM) */
	VMM_START_SNAPSHOT, /* from spec.snapshot (VMM_CAP_SNAPSHOT) */
};

struct vmm_spec {
	char id[ID_SANDBOX_LEN + 1];
	enum vmm_start start;
	char snapshot[ID_SANDBOX_LEN + 1]; /* VMM_START_SNAPSHOT: its id */
	const struct template *tmpl;	   /* outlives the instance */
	uint64_t memory_bytes;
	uint64_t disk_bytes;
	unsigned cpu_milli; /* 1000 = one core */
	unsigned max_pids;
	bool internet;
};

enum vmm_end {		/* why an instance ended or complained */
	VMM_END_KILLED, /* we destroyed it */
	VMM_END_EXITED, /* the agent (PID 1) exited or crashed: value = wait status */
	VMM_EVENT_OOM,	/* value = out-of-memory kills so far; the instance goes on */
	VMM_EVENT_PIDS, /* value = forks refused by the process limit so far; it goes on */
};

typedef void vmm_event_fn(struct vmm_inst *inst, enum vmm_end kind, int64_t value, void *arg);

struct vmm_sizes {
	uint64_t memory_bytes;
	uint64_t disk_bytes;
	unsigned cpu_milli;
};

/* Where the agent of an instance listens. */
enum vmm_channel_kind {
	VMM_CHANNEL_UNIX,   /* a unix socket of its own */
	VMM_CHANNEL_SERIAL, /* the host side of a virtio-serial port: one connection at a time, to
			     * be synchronised (guest/channel.h) */
	VMM_CHANNEL_VSOCK,  /* Firecracker's unix socket: CONNECT port */
};
struct vmm_channel {
	enum vmm_channel_kind kind;
	const char *path; /* of the unix socket; valid as long as the instance */
	uint32_t port;	  /* VMM_CHANNEL_VSOCK */
};

struct vmm_usage {
	uint64_t memory_bytes, memory_limit, cpu_usec, disk_bytes, disk_limit;
	unsigned pids;
};

struct vmm_driver {
	const char *name;	    /* "namespace" */
	const char *best_isolation; /* what it offers on a machine that has all it wants */
	unsigned caps;
	/* "namespace", "microvm" or "microvm-emulated": what it offers here, once probe has
	 * succeeded. */
	const char *(*isolation)(const struct vmm *v);
	int (*open)(struct loop *l, struct launcher *la, struct vmm **ret, struct err *reterr);
	struct vmm *(*close)(struct vmm *v);
	/* Prove by a real test start that the driver works on this machine. */
	void (*probe)(struct vmm *v, void (*done)(const struct err *err, void *arg), void *arg);
	/* Make what the template needs on disk; idempotent; may take seconds. */
	void (*prepare)(struct vmm *v, const struct template *t,
	    void (*done)(const struct err *err, void *arg), void *arg);
	/* err->code 0 and inst, or inst NULL and nothing left behind. */
	void (*create)(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
	    void *event_arg, void (*done)(const struct err *err, struct vmm_inst *inst, void *arg),
	    void *arg);
	/* Take over one that survived a restart of the daemon; -ENOENT when it is dead. */
	void (*adopt)(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event,
	    void *event_arg, void (*done)(const struct err *err, struct vmm_inst *inst, void *arg),
	    void *arg);
	/* Remove every instance whose id keep() does not claim. */
	void (*sweep)(struct vmm *v, bool (*keep)(const char *id, void *arg), void *keep_arg,
	    void (*done)(const struct err *err, unsigned removed, void *arg), void *arg);
	/* Kill and remove everything; works in every state and never fails for good: retried
	 * inside. inst is invalid once done is called. */
	void (*destroy)(
	    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg);
	/* Change the network policy of a pooled instance at hand-out (optional capability). */
	void (*set_internet)(struct vmm_inst *inst, bool on,
	    void (*done)(const struct err *err, void *arg), void *arg);
	/* Can an instance that lives be given other sizes? Else they need one of their own. Both
	 * are NULL where nothing can be changed. What the agent must do for a larger disk is asked
	 * of it by guest_init(). */
	bool (*can_resize)(const struct vmm_sizes *has, const struct vmm_sizes *to);
	void (*resize)(struct vmm_inst *inst, const struct vmm_sizes *to,
	    void (*done)(const struct err *err, void *arg), void *arg);
	void (*usage)(struct vmm_inst *inst,
	    void (*done)(const struct err *err, const struct vmm_usage *u, void *arg), void *arg);
	/* The agent's two channels. */
	struct vmm_channel (*control)(const struct vmm_inst *inst);
	struct vmm_channel (*data)(const struct vmm_inst *inst);

	/* ---- VMM_CAP_PAUSE: nothing of it runs until resume; both are idempotent. The channels
	 * stay connected. ---- */
	void (*pause)(
	    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg);
	void (*resume)(
	    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg);

	/* ---- VMM_CAP_WARM ---- */
	/* Is there a warm snapshot of this template that fits this machine and version? Known once
	 * prepare has succeeded. */
	bool (*has_warm)(struct vmm *v, const struct template *t);
	/* Make one of a VMM_START_COLD instance whose agent has been booted and quiesced and whose
	 * channels are closed. The instance is finished with it, success or not: destroy it. */
	void (*warm)(
	    struct vmm_inst *inst, void (*done)(const struct err *err, void *arg), void *arg);
	/* Was the agent booted already when the instance was made? It must be woken then. */
	bool (*is_warm)(const struct vmm_inst *inst);

	/* ---- VMM_CAP_SNAPSHOT ---- */
	/* Keep the state of a paused instance, which stays paused. snapshot is an id of
	 * id_sandbox(). All or nothing: a snapshot exists completely or not at all. */
	void (*snapshot)(struct vmm_inst *inst, const char *snapshot,
	    void (*done)(const struct err *err, void *arg), void *arg);
	/* Idempotent. Instances that were made of it go on, and it goes with the last of them. */
	void (*snapshot_remove)(struct vmm *v, const char *snapshot,
	    void (*done)(const struct err *err, void *arg), void *arg);
	/* Remove every snapshot whose id keep() does not claim. */
	void (*sweep_snapshots)(struct vmm *v, bool (*keep)(const char *id, void *arg),
	    void *keep_arg, void (*done)(const struct err *err, unsigned removed, void *arg),
	    void *arg);
};

extern const struct vmm_driver vmm_namespace_driver;
extern const struct vmm_driver vmm_qemu_driver;
extern const struct vmm_driver vmm_firecracker_driver;
/* All compiled-in drivers, strongest first, NULL at the end. */
extern const struct vmm_driver *const vmm_drivers[];
