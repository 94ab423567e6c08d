/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a machine.
 *
 *   cold                                clone (of a warm snapshot, or of a sandbox's)
 *   versions  of the programs           the same
 *   launch    jail, process             the same; undo: everything is taken away
 *   connect   to the API                the same
 *   logger, metrics, serial             the same: no snapshot keeps them
 *   machine, boot, root, disk, net,     load: devices and memory, paused; rates of devices
 *     vsock, entropy, balloon
 *   open      the socket is ours        the same, before the guest can do anything
 *   start                               resume
 *   check     that it lives             the same
 *
 * A process whose load or start failed is spent. It is tried once more in a new jail; one that
 * refused the template's warm snapshot then boots the template instead.
 */
#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/path.h"
#include "base/str.h"
#include "image/template.h"
#include "vmm/firecracker/body.h"
#include "vmm/firecracker/firecracker.h"
#include "vmm/machine.h"

#define CONNECT_LIMIT_MS 5000
#define CONNECT_AGAIN_MS 1
#define LAUNCH_LIMIT_MS 120000 /* a first start formats a disk */
#define DESTROY_LIMIT_MS 60000
#define CALL_LIMIT_MS (FC_LIMIT_CONFIG_MS + 1000) /* the call's own ends first */
#define ASK_LIMIT_MS 10000
#define TRIES 2
#define VSOCK "vm/v.sock"

/* What a sandbox may do to others through devices that all share. */
#define CONSOLE_BYTES_PER_S 65536u
#define ENTROPY_BYTES_PER_S 65536u
#define DISK_BYTES_PER_S (512ull << 20)
#define DISK_OPS_PER_S 20000u
#define NET_BYTES_PER_S (256ull << 20)
static const struct fc_rate disk_rate = { DISK_BYTES_PER_S, DISK_OPS_PER_S };
static const struct fc_rate net_rate = { NET_BYTES_PER_S, 0 };

/* ---- launch ---- */

static int take_box(struct vmm_inst *inst, const struct proto_reply *reply, struct err *reterr)
{
	inst->warm = inst->start == PROTO_START_CLONE;
	inst->pid = reply->box.pid;
	inst->uid = reply->box.uid_base;
	inst->network = reply->box.network;
	inst->stopped = inst->paused = reply->box.stopped;
	(void)str_copy(inst->dir, sizeof(inst->dir), reply->box.socket_dir);
	(void)str_copy(inst->cmdline, sizeof(inst->cmdline), reply->box.cmdline);
	return path_join(inst->sock, sizeof(inst->sock), inst->dir, "v.sock");
}

int fc_step_launch(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct proto_create c;
	int r = fc_create_of(&inst->spec, inst->start, &c, &op->err);
	if (r < 0)
		return r;
	struct fc_ask *ask = fc_ask_new(inst, take_box);
	if (!ask)
		return -ENOMEM;
	return fc_asked(ask, launcher_create(inst->vmm->launcher, &c, fc_ask_done, ask));
}

/* ---- connect ---- */

static int try_connect(struct vmm_inst *inst)
{
	char path[PROTO_SOCKET_DIR + 16];
	int r = path_join(path, sizeof(path), inst->dir, "api.sock");
	if (r == 0)
		r = fc_api_open(&inst->api, inst->vmm->loop, path);
	/* Is it the process that the launcher has started, with the user that it was given? */
	if (r == 0 && !fc_api_is_by(&inst->api, inst->pid, inst->uid)) {
		fc_api_close(&inst->api);
		r = -EPERM;
	}
	return r;
}

static bool is_too_early(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -EAGAIN;
}

/* The launcher waits for the socket, too, so this rarely runs. */
static void on_connect_again(struct loop_timer *t, void *arg)
{
	struct vmm_inst *inst = arg;
	int r = try_connect(inst);
	if (is_too_early(r)) {
		loop_timer_set(t, CONNECT_AGAIN_MS);
		return;
	}
	if (r < 0)
		(void)op_fail(&inst->op, r, "cannot connect to Firecracker: %s", err_name(r));
	op_wake(&inst->op, inst->slot, r);
}

static int open_pipe(struct vmm_inst *inst, struct tail *t, const char *name)
{
	char path[PROTO_SOCKET_DIR + 16];
	int r = path_join(path, sizeof(path), inst->dir, name);
	return r < 0 ? r : tail_open(t, inst->vmm->loop, path);
}

int fc_step_connect(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	int r = open_pipe(inst, &inst->console, "console");
	if (r == 0)
		r = open_pipe(inst, &inst->log, "log");
	if (r == 0)
		r = open_pipe(inst, &inst->metrics, "metrics");
	if (r < 0)
		return op_fail(op, r, "cannot open its pipes: %s", err_name(r));
	r = try_connect(inst);
	if (r == 0)
		return OP_NEXT;
	if (!is_too_early(r))
		return op_fail(op, r, "cannot connect to Firecracker: %s", err_name(r));
	fc_step_waits(op);
	loop_timer_fini(&inst->connect);
	loop_timer_init(&inst->connect, inst->vmm->loop, on_connect_again, inst);
	loop_timer_set(&inst->connect, CONNECT_AGAIN_MS);
	return OP_WAIT;
}

void fc_step_cancel_connect(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	loop_timer_fini(&inst->connect);
}

/* ---- what no snapshot keeps ---- */

static int begin_logger(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_logger(&b, "vm/log");
	return fc_step_call(op, "PUT", "/logger", &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_metrics(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct buf b = BUF_INIT;
	int r = fc_body_metrics(&b, "vm/metrics", inst->watch.id, inst->vmm->caps);
	return fc_step_call(op, "PUT", "/metrics", &b, r, FC_LIMIT_CONFIG_MS);
}

int fc_step_serial(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct buf b = BUF_INIT;
	int r = fc_body_serial(&b, "vm/console", CONSOLE_BYTES_PER_S, inst->vmm->caps);
	return fc_step_call(op, "PUT", "/serial", &b, r, FC_LIMIT_CONFIG_MS);
}

/* ---- cold ---- */

int fc_step_machine(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	const struct fc_machine m = { vmm_vcpus(inst->spec.cpu_milli), inst->spec.memory_bytes };
	struct buf b = BUF_INIT;
	int r = fc_body_machine(&b, &m);
	return fc_step_call(op, "PUT", "/machine-config", &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_boot(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	struct buf b = BUF_INIT;
	int r = fc_body_boot(&b, "kernel", "initrd", inst->cmdline);
	return fc_step_call(op, "PUT", "/boot-source", &b, r, FC_LIMIT_CONFIG_MS);
}

/* Devices appear in the order in which they are put: vda, vdb. */
static int begin_root(struct op *op)
{
	const struct fc_drive d = {
		.id = "rootfs", .path = "rootfs", .read_only = true, .rate = disk_rate
	};
	struct buf b = BUF_INIT;
	int r = fc_body_drive(&b, &d);
	return fc_step_call(op, "PUT", "/drives/rootfs", &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_disk(struct op *op)
{
	const struct fc_drive d = { .id = FC_DISK, .path = FC_DISK, .rate = disk_rate };
	struct buf b = BUF_INIT;
	int r = fc_body_drive(&b, &d);
	return fc_step_call(op, "PUT", "/drives/" FC_DISK, &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_net(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	const struct fc_net n = {
		.id = FC_NET_ID, .tap = FC_TAP, .mac = FC_GUEST_MAC, .mtu = FC_MTU, .rate = net_rate
	};
	struct buf b = BUF_INIT;
	if (!inst->network)
		return OP_NEXT;
	int r = fc_body_net(&b, &n, inst->vmm->caps);
	return fc_step_call(op, "PUT", "/network-interfaces/" FC_NET_ID, &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_vsock(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_vsock(&b, FC_GUEST_CID, VSOCK);
	return fc_step_call(op, "PUT", "/vsock", &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_entropy(struct op *op)
{
	const struct fc_rate rate = { ENTROPY_BYTES_PER_S, 0 };
	struct buf b = BUF_INIT;
	int r = fc_body_entropy(&b, &rate);
	return fc_step_call(op, "PUT", "/entropy", &b, r, FC_LIMIT_CONFIG_MS);
}

/*
 * What processes in it have freed goes back to the host, in clones as well: they have the devices
 * of their snapshot. A clone's balloon can do no harm to the others here: Firecracker opens the
 * memory file for reading, maps it privately, and puts anonymous memory in the place of pages that
 * a guest gives away. (QEMU would punch holes into the file; there no machine has one.)
 */
static int begin_balloon(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_balloon(&b);
	return fc_step_call(op, "PUT", "/balloon", &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_open(struct op *op)
{
	return fc_step_do(op, PROTO_VM_OPEN);
}

int fc_step_start(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_action(&b, "InstanceStart");
	return fc_step_call(op, "PUT", "/actions", &b, r, FC_LIMIT_START_MS);
}

static const struct op_step cold_steps[] = {
	{ "versions", fc_step_versions, NULL, NULL, ASK_LIMIT_MS },
	{ "launch", fc_step_launch, fc_step_destroy, NULL, LAUNCH_LIMIT_MS },
	{ "connect", fc_step_connect, NULL, fc_step_cancel_connect, CONNECT_LIMIT_MS },
	{ "logger", begin_logger, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "metrics", begin_metrics, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "serial", fc_step_serial, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "machine", fc_step_machine, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "boot", begin_boot, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "root", begin_root, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "disk", begin_disk, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "net", begin_net, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "vsock", begin_vsock, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "entropy", begin_entropy, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "balloon", begin_balloon, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "open", begin_open, NULL, NULL, ASK_LIMIT_MS },
	{ "start", fc_step_start, NULL, fc_step_cancel, FC_LIMIT_START_MS + 1000 },
	{ "check", fc_step_check, NULL, NULL, 1 },
};
static const struct op_table cold = { "boot", cold_steps,
	sizeof(cold_steps) / sizeof(*cold_steps) };

/* ---- clone ---- */

static int begin_load(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	/* Names of now, whatever they were when it was taken. */
	const struct fc_load l = { .state = "snap/state",
		.memory = "snap/mem",
		.net_id = FC_NET_ID,
		.tap = inst->network ? FC_TAP : NULL,
		.vsock = VSOCK };
	struct buf b = BUF_INIT;
	int r = fc_body_load(&b, &l, inst->vmm->caps);
	return fc_step_call(op, "PUT", "/snapshot/load", &b, r, FC_LIMIT_LOAD_MS);
}

/* Limits are those of now, too. */
static int begin_root_rate(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_drive_rate(&b, "rootfs", &disk_rate);
	return fc_step_call(op, "PATCH", "/drives/rootfs", &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_disk_rate(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_drive_rate(&b, FC_DISK, &disk_rate);
	return fc_step_call(op, "PATCH", "/drives/" FC_DISK, &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_net_rate(struct op *op)
{
	const struct vmm_inst *inst = op->owner;
	struct buf b = BUF_INIT;
	if (!inst->network)
		return OP_NEXT;
	int r = fc_body_net_rate(&b, FC_NET_ID, &net_rate);
	return fc_step_call(
	    op, "PATCH", "/network-interfaces/" FC_NET_ID, &b, r, FC_LIMIT_CONFIG_MS);
}

static int begin_resume(struct op *op)
{
	struct buf b = BUF_INIT;
	int r = fc_body_state(&b, "Resumed");
	return fc_step_call(op, "PATCH", "/vm", &b, r, FC_LIMIT_PAUSE_MS);
}

static const struct op_step clone_steps[] = {
	{ "versions", fc_step_versions, NULL, NULL, ASK_LIMIT_MS },
	{ "launch", fc_step_launch, fc_step_destroy, NULL, LAUNCH_LIMIT_MS },
	{ "connect", fc_step_connect, NULL, fc_step_cancel_connect, CONNECT_LIMIT_MS },
	{ "logger", begin_logger, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "metrics", begin_metrics, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "serial", fc_step_serial, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "load", begin_load, NULL, fc_step_cancel, FC_LIMIT_LOAD_MS + 1000 },
	{ "root rate", begin_root_rate, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "disk rate", begin_disk_rate, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "net rate", begin_net_rate, NULL, fc_step_cancel, CALL_LIMIT_MS },
	{ "open", begin_open, NULL, NULL, ASK_LIMIT_MS },
	{ "resume", begin_resume, NULL, fc_step_cancel, FC_LIMIT_PAUSE_MS + 1000 },
	{ "check", fc_step_check, NULL, NULL, 1 },
};
static const struct op_table clone = { "clone", clone_steps,
	sizeof(clone_steps) / sizeof(*clone_steps) };

/* ---- the whole ---- */

static void on_made(struct op *op);

static void begin_try(struct vmm_inst *inst)
{
	const struct op_table *t = inst->start == PROTO_START_COLD ? &cold : &clone;
	inst->tries++;
	inst->at = "";
	(void)fc_inst_run(inst, t, inst->answer, on_made);
}

/* Is it worth another jail? What failed before there was one fails again. */
static bool try_again(struct vmm_inst *inst, const struct err *err)
{
	bool refused = err->code == -EREMOTEIO && str_eq(inst->at, "load");
	if (inst->tries == TRIES || str_empty(inst->at) || str_eq(inst->at, "versions") ||
	    str_eq(inst->at, "launch"))
		return false;
	log_warn("%s: %s; trying once more", inst->watch.id, err_text(err));
	if (refused && inst->spec.start == VMM_START_BEST) {
		(void)map_remove(inst->vmm->warm, inst->spec.tmpl->name);
		inst->start = PROTO_START_COLD;
	}
	return true;
}

static void on_made(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct err err = op->err;
	struct vmm_answer to = inst->answer;
	fc_inst_end(inst);
	if (err.code && try_again(inst, &err)) {
		begin_try(inst);
		return;
	}
	if (err.code == 0) {
		inst->live = true;
		to.inst(&err, inst, to.arg);
		return;
	}
	if (inst->start == PROTO_START_CLONE && vmm_warm_is_lost(err.code))
		(void)map_remove(inst->vmm->warm, inst->spec.tmpl->name);
	fc_inst_unref(inst);
	vmm_tell(&to, &err);
}

static enum proto_start first_start(const struct vmm *v, const struct vmm_spec *spec)
{
	if (spec->start == VMM_START_SNAPSHOT)
		return PROTO_START_SNAPSHOT;
	bool clone_it = spec->start == VMM_START_BEST && map_get(v->warm, spec->tmpl->name);
	return clone_it ? PROTO_START_CLONE : PROTO_START_COLD;
}

void fc_create(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event, void *event_arg,
    vmm_inst_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .inst = done, .arg = arg };
	struct vmm_inst *inst = fc_inst_new(v, spec, on_event, event_arg, to);
	if (!inst) {
		vmm_fail_later(&v->late, to, -ENOMEM, "create sandbox");
		return;
	}
	inst->start = first_start(v, spec);
	begin_try(inst);
}

/* ---- adopt ---- */

static int begin_take(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	struct fc_ask *ask = fc_ask_new(inst, take_box);
	if (!ask)
		return -ENOMEM;
	return fc_asked(ask, launcher_adopt(inst->vmm->launcher, inst->watch.id, fc_ask_done, ask));
}

/* GET / of a process that does not stand still. */
static void on_state(const struct err *err, struct buf *body, void *arg)
{
	struct vmm_inst *inst = arg;
	struct err why = *err;
	const char *state = "";
	CLEAN_JSON json_t *o = NULL;
	if (why.code == 0) {
		o = json_parse_object(buf_data(body), buf_len(body), FC_HTTP_BODY_MAX, false, &why);
		state = o ? json_string_value(json_object_get(o, "state")) : NULL;
	}
	inst->paused = state && str_eq(state, "Paused");
	if (why.code == 0 && (!state || (!inst->paused && !str_eq(state, "Running"))))
		(void)err_set(&why, -ENOENT, "it never got to run");
	if (why.code)
		(void)op_fail(&inst->op, why.code, "%s", err_text(&why));
	op_wake(&inst->op, inst->slot, why.code);
}

static int begin_ask_state(struct op *op)
{
	struct vmm_inst *inst = op->owner;
	if (inst->stopped)
		return OP_NEXT;
	fc_step_waits(op);
	fc_api_call(&inst->api, "GET", "/", NULL, FC_LIMIT_CONFIG_MS, on_state, inst);
	return OP_WAIT;
}

static const struct op_step adopt_steps[] = {
	{ "versions", fc_step_versions, NULL, NULL, ASK_LIMIT_MS },
	{ "take", begin_take, NULL, NULL, ASK_LIMIT_MS },
	{ "connect", fc_step_connect, NULL, fc_step_cancel_connect, CONNECT_LIMIT_MS },
	{ "state", begin_ask_state, NULL, fc_step_cancel, CALL_LIMIT_MS },
};
static const struct op_table adopt_table = { "adopt", adopt_steps,
	sizeof(adopt_steps) / sizeof(*adopt_steps) };

void fc_adopt(struct vmm *v, const struct vmm_spec *spec, vmm_event_fn *on_event, void *event_arg,
    vmm_inst_done_fn *done, void *arg)
{
	const struct vmm_answer to = { .inst = done, .arg = arg };
	struct vmm_inst *inst = fc_inst_new(v, spec, on_event, event_arg, to);
	if (!inst) {
		vmm_fail_later(&v->late, to, -ENOMEM, "adopt sandbox");
		return;
	}
	inst->tries = TRIES;
	(void)fc_inst_run(inst, &adopt_table, to, on_made);
}
