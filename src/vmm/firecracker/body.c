/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firecracker/body.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "vmm/firecracker/version.h"

#define MIB (1ull << 20)
#define REFILL_MS 1000

/* NULL when memory ran out: the setters below carry that on. */
static int emit(struct buf *b, json_t *o_consume, bool good)
{
	struct buf text = BUF_INIT;
	int r = o_consume && good ? json_write(&text, o_consume, false) : -ENOMEM;
	json_decref(o_consume);
	if (r == 0)
		r = buf_len(&text) <= FC_BODY_MAX ? buf_append(b, buf_data(&text), buf_len(&text))
						  : -E2BIG;
	buf_fini(&text);
	return r;
}

static bool put(json_t *o, const char *key, json_t *v_consume)
{
	return json_object_set_new(o, key, v_consume) == 0;
}

static bool put_bucket(json_t *o, const char *key, uint64_t per_s)
{
	if (per_s == 0)
		return true;
	return put(
	    o, key, json_pack("{s:I,s:i}", "size", (json_int_t)per_s, "refill_time", REFILL_MS));
}

/* An object with what is limited; a PATCH needs no more, since an absent bucket stays as it is. */
static bool put_rate(json_t *o, const char *key, const struct fc_rate *r)
{
	if (r->bytes_per_s == 0 && r->ops_per_s == 0)
		return true;
	json_t *l = json_object();
	if (l && put_bucket(l, "bandwidth", r->bytes_per_s) && put_bucket(l, "ops", r->ops_per_s))
		return put(o, key, l);
	json_decref(l);
	return false;
}

int fc_body_logger(struct buf *b, const char *path)
{
	return emit(b,
	    json_pack("{s:s,s:s,s:b,s:b}", "log_path", path, "level", "Warning", "show_level", 1,
		"show_log_origin", 0),
	    true);
}

int fc_body_metrics(struct buf *b, const char *path, const char *id, unsigned caps)
{
	json_t *o = json_pack("{s:s}", "metrics_path", path);
	bool good = o != NULL;
	if (good && (caps & FC_CAP_METRICS_ID))
		good = put(o, "properties", json_pack("{s:s}", "sandbox", id));
	return emit(b, o, good);
}

int fc_body_serial(struct buf *b, const char *path, uint64_t limit, unsigned caps)
{
	json_t *o = json_pack("{s:s}", "serial_out_path", path);
	bool good = o != NULL;
	if (good && (caps & FC_CAP_SERIAL_LIMIT))
		good = put(o, "rate_limiter",
		    json_pack("{s:I,s:I,s:i}", "size", (json_int_t)limit, "one_time_burst",
			(json_int_t)(16 * limit), "refill_time", REFILL_MS));
	return emit(b, o, good);
}

int fc_body_machine(struct buf *b, const struct fc_machine *m)
{
	return emit(b,
	    json_pack("{s:I,s:I,s:b,s:b,s:s}", "vcpu_count", (json_int_t)m->vcpus, "mem_size_mib",
		(json_int_t)(m->memory_bytes / MIB), "smt", 0, "track_dirty_pages", 0, "huge_pages",
		"None"),
	    true);
}

int fc_body_boot(struct buf *b, const char *kernel, const char *initrd, const char *cmdline)
{
	if (strlen(cmdline) > FC_CMDLINE_MAX)
		return -E2BIG;
	json_t *o = json_pack("{s:s,s:s}", "kernel_image_path", kernel, "boot_args", cmdline);
	return emit(b, o, o && (!initrd || put(o, "initrd_path", json_string(initrd))));
}

int fc_body_drive(struct buf *b, const struct fc_drive *d)
{
	/* Not a root device: then nothing is added to the command line, our init mounts. */
	json_t *o = json_pack("{s:s,s:s,s:b,s:b,s:s,s:s}", "drive_id", d->id, "path_on_host",
	    d->path, "is_root_device", 0, "is_read_only", d->read_only, "cache_type",
	    d->sync ? "Writeback" : "Unsafe", "io_engine", "Sync");
	return emit(b, o, o && put_rate(o, "rate_limiter", &d->rate));
}

int fc_body_net(struct buf *b, const struct fc_net *n, unsigned caps)
{
	json_t *o = json_pack(
	    "{s:s,s:s,s:s}", "iface_id", n->id, "host_dev_name", n->tap, "guest_mac", n->mac);
	bool good = o && put_rate(o, "rx_rate_limiter", &n->rate) &&
		    put_rate(o, "tx_rate_limiter", &n->rate);
	if (good && n->mtu && (caps & FC_CAP_MTU))
		good = put(o, "mtu", json_integer((json_int_t)n->mtu));
	return emit(b, o, good);
}

int fc_body_net_rate(struct buf *b, const char *id, const struct fc_rate *r)
{
	json_t *o = json_pack("{s:s}", "iface_id", id);
	return emit(
	    b, o, o && put_rate(o, "rx_rate_limiter", r) && put_rate(o, "tx_rate_limiter", r));
}

int fc_body_drive_rate(struct buf *b, const char *id, const struct fc_rate *r)
{
	json_t *o = json_pack("{s:s}", "drive_id", id);
	return emit(b, o, o && put_rate(o, "rate_limiter", r));
}

int fc_body_drive_file(struct buf *b, const char *id, const char *path)
{
	return emit(b, json_pack("{s:s,s:s}", "drive_id", id, "path_on_host", path), true);
}

int fc_body_vsock(struct buf *b, unsigned cid, const char *path)
{
	return emit(
	    b, json_pack("{s:I,s:s}", "guest_cid", (json_int_t)cid, "uds_path", path), true);
}

int fc_body_entropy(struct buf *b, const struct fc_rate *r)
{
	json_t *o = json_object();
	return emit(b, o, o && put_rate(o, "rate_limiter", r));
}

int fc_body_balloon(struct buf *b)
{
	return emit(b,
	    json_pack("{s:i,s:b,s:i,s:b}", "amount_mib", 0, "deflate_on_oom", 1,
		"stats_polling_interval_s", 0, "free_page_reporting", 1),
	    true);
}

int fc_body_action(struct buf *b, const char *action)
{
	return emit(b, json_pack("{s:s}", "action_type", action), true);
}

int fc_body_state(struct buf *b, const char *state)
{
	return emit(b, json_pack("{s:s}", "state", state), true);
}

int fc_body_create(struct buf *b, const char *state, const char *memory)
{
	return emit(b,
	    json_pack("{s:s,s:s,s:s}", "snapshot_type", "Full", "snapshot_path", state,
		"mem_file_path", memory),
	    true);
}

int fc_body_load(struct buf *b, const struct fc_load *l, unsigned caps)
{
	json_t *o = json_pack("{s:s,s:{s:s,s:s},s:b}", "snapshot_path", l->state, "mem_backend",
	    "backend_type", "File", "backend_path", l->memory, "resume_vm", l->resume);
	bool good = o != NULL;
	if (good && l->tap)
		good = put(o, "network_overrides",
		    json_pack("[{s:s,s:s}]", "iface_id", l->net_id, "host_dev_name", l->tap));
	if (good && l->vsock && (caps & FC_CAP_VSOCK_OVERRIDE))
		good = put(o, "vsock_override", json_pack("{s:s}", "uds_path", l->vsock));
	return emit(b, o, good);
}
