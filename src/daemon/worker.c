/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: opens everything, gives up its rights, then runs the loop until it is told to stop.
 *
 *   start   choose-driver   open and prove by a test boot, strongest first
 *           recover         adopt the sandboxes that live, remove what nobody owns
 *           listen          requests are taken from here on; the supervisor is told
 *   stop    drain           no new requests; running ones get a moment
 *           sandboxes       kill them, or leave them to the next start
 *
 * What needs root (TLS keys) is read before rights are dropped; the filter is on before the first
 * thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/meminfo.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "daemon/config.h"
#include "daemon/keys.h"
#include "daemon/layout.h"
#include "daemon/roles.h"
#include "image/template.h"
#include "io/tls.h"
#include "jail/self.h"
#include "launcher/launcher.h"
#include "loop/loop.h"
#include "loop/op.h"
#include "proto/descriptors.h"
#include "rpc/http_server.h"
#include "sandbox/sandbox.h"
#include "service/auth.h"
#include "service/service.h"
#include "store/store.h"
#include "vmm/images.h"
#include "vmm/vmm.h"

#define MEMORY_OVERCOMMIT 4 /* few sandboxes use what they may */
#define MEMORY_RESERVE_MIN (256ull << 20)
#define PROBE_LIMIT_MS 60000
#define RECOVER_LIMIT_MS 60000
#define DRAIN_LIMIT_MS 5000
#define KILL_LIMIT_MS 20000

struct worker {
	const struct config *conf;
	const struct role_inherit *in;
	struct loop *loop;
	struct tls_ctx *tls;
	struct store *store;
	struct auth *auth;
	struct templates *templates;
	struct images *images;
	struct launcher *launcher;
	const struct vmm_driver *driver;
	struct vmm *vmm;
	struct sandboxes *sandboxes;
	struct service *service;
	struct http_server *http;
	struct op op; /* start, then stop */
	uint32_t slot;
	unsigned next_driver;
	struct loop_signal term, intr, hup;
	struct loop_io supervisor;
	char new_key[64];
	bool stopping;
	int status;
};

static struct worker *worker_of(struct op *op)
{
	return op->owner;
}

/* ---- choose a driver ---- */

static int isolation_rank(const char *isolation)
{
	if (str_eq(isolation, "microvm"))
		return CONFIG_ISOLATION_MICROVM;
	return str_eq(isolation, "microvm-emulated") ? CONFIG_ISOLATION_EMULATED
						     : CONFIG_ISOLATION_NAMESPACE;
}

static bool is_wanted(const struct config *c, const struct vmm_driver *d)
{
	return (c->driver == CONFIG_DRIVER_AUTO ||
		   str_eq(d->name, config_driver_name(c->driver))) &&
	       isolation_rank(d->best_isolation) >= c->min_isolation;
}

/* Emulation makes programs ten times slower: nobody gets it who did not ask for it. */
static bool is_good(const struct config *c, const char *isolation)
{
	int rank = isolation_rank(isolation);
	if (c->driver == CONFIG_DRIVER_AUTO && rank == CONFIG_ISOLATION_EMULATED)
		return (int)c->min_isolation == rank;
	return rank >= (int)c->min_isolation;
}

static int try_driver(struct worker *w);

static void on_probed(const struct err *err, void *arg)
{
	struct worker *w = arg;
	bool works = err->code == 0;
	if (works && is_good(w->conf, w->driver->isolation(w->vmm))) {
		op_wake(&w->op, w->slot, 0);
		return;
	}
	log_warn("driver %s %s: %s", w->driver->name,
	    works ? "is not chosen" : "does not work here",
	    works ? w->driver->isolation(w->vmm) : err_text(err));
	w->vmm = w->driver->close(w->vmm);
	int r = try_driver(w);
	if (r < 0)
		op_wake(&w->op, w->slot, r);
}

/* Open and probe the next one that is wanted. */
static int try_driver(struct worker *w)
{
	for (; vmm_drivers[w->next_driver]; w->next_driver++) {
		struct err err = ERR_INIT;
		w->driver = vmm_drivers[w->next_driver];
		if (!is_wanted(w->conf, w->driver))
			continue;
		w->next_driver++;
		if (w->driver->open(w->loop, w->launcher, &w->vmm, &err) == 0) {
			w->driver->probe(w->vmm, on_probed, w);
			return 0;
		}
		log_warn("driver %s: %s", w->driver->name, err_text(&err));
		return try_driver(w);
	}
	return op_fail(
	    &w->op, -ENOTSUP, "no driver that the configuration allows works on this machine");
}

static int choose_driver(struct op *op)
{
	struct worker *w = worker_of(op);
	w->slot = op_slot(op);
	int r = try_driver(w);
	return r < 0 ? r : OP_WAIT;
}

/* ---- recover ---- */

static void on_recovered(const struct err *err, void *arg)
{
	struct worker *w = arg;
	if (err->code)
		(void)op_fail(&w->op, err->code, "%s", err_text(err));
	op_wake(&w->op, w->slot, err->code);
}

/* What the configuration leaves open, from what the machine has. */
static void choose_memory(const struct config *c, struct sandboxes_conf *conf)
{
	struct meminfo m = { 0 };
	if (meminfo_read(&m) < 0)
		log_warn("/proc/meminfo cannot be read: no bounds on memory but those configured");
	else
		conf->read_memory = meminfo_read;
	uint64_t reserve = m.total / 20;
	if (reserve < MEMORY_RESERVE_MIN)
		reserve = MEMORY_RESERVE_MIN;
	conf->memory_budget = c->memory_budget ? c->memory_budget : m.total * MEMORY_OVERCOMMIT;
	conf->memory_reserve = c->memory_reserve ? c->memory_reserve : reserve;
}

static void on_image_changed(const char *name, void *arg)
{
	struct worker *w = arg;
	sandboxes_image_changed(w->sandboxes, name);
}

static int recover(struct op *op)
{
	struct worker *w = worker_of(op);
	struct sandboxes_conf conf = {
		.loop = w->loop,
		.store = w->store,
		.templates = w->templates,
		.driver = w->driver,
		.vmm = w->vmm,
		.max_sandboxes = w->conf->max_sandboxes,
		.pool = w->conf->pool,
	};
	choose_memory(w->conf, &conf);
	log_info("driver %s, isolation %s", w->driver->name, w->driver->isolation(w->vmm));
	w->sandboxes = sandboxes_new(&conf, &op->err);
	if (!w->sandboxes)
		return op->err.code;
	images_watch(w->images, on_image_changed, w);
	w->slot = op_slot(op);
	int r = sandboxes_recover(w->sandboxes, on_recovered, w);
	return r < 0 ? r : OP_WAIT;
}

/* ---- listen ---- */

static int add_listener(struct worker *w, int fd, struct tls_ctx *tls)
{
	if (fd < 0)
		return 0;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : http_server_listen(w->http, copy, tls);
}

static int listen_and_tell(struct op *op)
{
	struct worker *w = worker_of(op);
	struct service_conf sc = {
		.loop = w->loop,
		.sandboxes = w->sandboxes,
		.templates = w->templates,
		.auth = w->auth,
		.store = w->store,
		.descriptors = proto_descriptors,
		.n_descriptors = sizeof(proto_descriptors),
		.web_dir = w->conf->web_dir,
		.domain = str_empty(w->conf->domain) ? NULL : w->conf->domain,
		.images = w->images,
		.host_base = w->driver->caps & VMM_CAP_HOST_BASE,
		.driver = w->driver->name,
		.max_exchanges = w->conf->max_sandbox_connections,
	};
	w->service = service_new(&sc, &op->err);
	if (!w->service)
		return op->err.code;
	struct http_server_conf hc = { .on_request = service_on_request,
		.arg = w->service,
		.max_connections = w->conf->max_connections };
	w->http = http_server_new(w->loop, &hc);
	int r = w->http ? add_listener(w, w->in->listen_fd, NULL) : -ENOMEM;
	if (r == 0)
		r = add_listener(w, w->in->tls_listen_fd, w->tls);
	struct role_message m = { .kind = ROLE_READY };
	(void)str_copy(m.api_key, sizeof(m.api_key), w->new_key);
	ssize_t n = r < 0 ? r : fd_send_msg(w->in->supervisor_fd, &m, sizeof(m), NULL, 0);
	if (n == sizeof(m))
		log_info("serving; %zu templates, %zu keys", templates_count(w->templates),
		    auth_key_count(w->auth));
	return n < 0 ? (int)n : OP_NEXT;
}

static const struct op_step start_steps[] = {
	{ "choose-driver", choose_driver, NULL, NULL, PROBE_LIMIT_MS },
	{ "recover", recover, NULL, NULL, RECOVER_LIMIT_MS },
	{ "listen", listen_and_tell, NULL, NULL, 1000 },
};
static const struct op_table start_table = { "start", start_steps, 3 };

/* ---- stop ---- */

static const struct op_table drain_table;

/* May come after the limit, when the operation runs another table. */
static void on_drained(void *arg)
{
	struct worker *w = arg;
	if (w->op.table == &drain_table)
		op_wake(&w->op, w->slot, 0);
}

static int drain(struct op *op)
{
	struct worker *w = worker_of(op);
	w->slot = op_slot(op);
	service_drain(w->service);
	http_server_drain(w->http, on_drained, w);
	return OP_WAIT;
}

static void on_sandboxes_stopped(void *arg)
{
	struct worker *w = arg;
	op_wake(&w->op, w->slot, 0);
}

static int shut_sandboxes(struct op *op)
{
	struct worker *w = worker_of(op);
	w->slot = op_slot(op);
	sandboxes_shutdown(w->sandboxes, w->conf->kill_on_stop, on_sandboxes_stopped, w);
	return OP_WAIT;
}

static const struct op_step drain_steps[] = { { "drain", drain, NULL, NULL, DRAIN_LIMIT_MS } };
static const struct op_table drain_table = { "drain", drain_steps, 1 };
static const struct op_step stop_steps[] = { { "sandboxes", shut_sandboxes, NULL, NULL,
    KILL_LIMIT_MS } };
static const struct op_table stop_table = { "stop", stop_steps, 1 };

static void on_stopped(struct op *op)
{
	struct worker *w = worker_of(op);
	if (op->err.code) {
		log_error("%s", err_text(&op->err));
		w->status = EXIT_FAILURE;
	}
	loop_stop(w->loop);
}

/* Run another table with the same operation object. */
static void begin(struct worker *w, const struct op_table *table, void (*done)(struct op *op))
{
	op_fini(&w->op);
	op_init(&w->op, w->loop, table, w, done);
	op_start(&w->op);
}

/* Whatever is still running after its moment is cut when the server is freed. */
static void stop_sandboxes(struct op *op)
{
	begin(worker_of(op), &stop_table, on_stopped);
}

static void on_started(struct op *op)
{
	struct worker *w = worker_of(op);
	if (op->err.code == 0 && !w->stopping)
		return;
	if (op->err.code && op->err.code != -ECANCELED) {
		log_error("cannot start: %s", err_text(&op->err));
		w->status = EXIT_FAILURE;
	}
	if (w->http)
		begin(w, &drain_table, stop_sandboxes);
	else if (w->sandboxes)
		begin(w, &stop_table, on_stopped);
	else
		loop_stop(w->loop);
}

static void on_stop_signal(struct loop_signal *s, int signo, void *arg)
{
	struct worker *w = arg;
	if (w->stopping)
		return;
	w->stopping = true;
	log_info("stopping");
	if (w->op.at >= 0)
		op_cancel(&w->op); /* still starting: on_started goes on from there */
	else
		begin(w, &drain_table, stop_sandboxes);
}

static void on_keys_read(const struct err *err, void *arg)
{
	struct worker *w = arg;
	if (err->code)
		log_error("cannot read keys again: %s", err_text(err));
	else
		log_info("keys read again: %zu", auth_key_count(w->auth));
}

static void on_hup(struct loop_signal *s, int signo, void *arg)
{
	struct worker *w = arg;
	if (w->service)
		service_reload_keys(w->service, on_keys_read, w);
}

/* ---- supervisor and launcher ---- */

static void on_launcher_lost(void *arg)
{
	log_warn("the launcher is gone; waiting for another");
}

static void on_supervisor(struct loop_io *io, unsigned events, void *arg)
{
	struct worker *w = arg;
	struct role_message m;
	int fd = -1;
	size_t nfds = 0;
	ssize_t n = fd_recv_msg(io->fd, &m, sizeof(m), &fd, 1, &nfds);
	if (n == -EAGAIN)
		return;
	if (n != sizeof(m) || m.kind != ROLE_LAUNCHER || nfds != 1) {
		(void)fd_close(nfds ? fd : -1);
		(void)loop_io_want(io, 0);
		on_stop_signal(NULL, SIGTERM, w); /* the supervisor is gone */
		return;
	}
	int r = launcher_connect(w->launcher, fd);
	if (r < 0)
		log_error("cannot use the new launcher: %s", err_name(r));
}

/* ---- everything that is opened before the loop runs ---- */

static int make_keys(struct worker *w, struct err *reterr)
{
	bool made = false;
	bool force = w->in->want_key && !keys_is_valid(w->store, w->in->known_key);
	int r = keys_make_first(
	    w->store, w->conf, force, w->new_key, sizeof(w->new_key), &made, reterr);
	w->auth = r == 0 ? auth_new() : NULL;
	if (r == 0)
		r = w->auth ? auth_load(w->auth, w->store, reterr) : -ENOMEM;
	return r;
}

static int drop_rights(struct worker *w, struct err *reterr)
{
	struct layout l;
	int r = layout_identify(&l, w->conf, reterr);
	if (r == 0)
		r = self_drop(l.uid, l.gid, reterr);
	return r < 0 ? r : self_confine_daemon(reterr);
}

static int open_all(struct worker *w, struct err *reterr)
{
	char path[PATH_LEN_MAX];
	int r = 0;
	if (w->in->tls_listen_fd >= 0) {
		w->tls = tls_server_new(w->conf->tls_certificate, w->conf->tls_key, reterr);
		r = w->tls ? 0 : reterr->code;
	}
	if (r == 0)
		r = drop_rights(w, reterr);
	w->loop = r == 0 ? loop_new() : NULL;
	if (r == 0)
		r = w->loop ? keys_store_path(w->conf, path, sizeof(path)) : -ENOMEM;
	if (r == 0) {
		w->store = store_open(w->loop, path, reterr);
		r = w->store ? make_keys(w, reterr) : reterr->code;
	}
	if (r == 0) {
		w->templates = templates_load(w->conf->template_dir, reterr);
		r = w->templates ? 0 : reterr->code;
	}
	if (r == 0) {
		w->launcher = launcher_new(w->loop, w->in->launcher_fd, on_launcher_lost, w);
		w->images = w->launcher ? images_new(w->launcher) : NULL;
		r = w->images ? 0 : -ENOMEM;
	}
	return r;
}

static int watch(struct worker *w)
{
	int r = loop_signal_init(&w->term, w->loop, SIGTERM, on_stop_signal, w);
	if (r == 0)
		r = loop_signal_init(&w->intr, w->loop, SIGINT, on_stop_signal, w);
	if (r == 0)
		r = loop_signal_init(&w->hup, w->loop, SIGHUP, on_hup, w);
	if (r == 0)
		r = loop_io_init(&w->supervisor, w->loop, w->in->supervisor_fd, on_supervisor, w);
	if (r == 0)
		r = loop_io_want(&w->supervisor, LOOP_READ);
	return r;
}

/* Upper layers first; each accepts that it was never opened. */
static void close_all(struct worker *w)
{
	loop_io_fini(&w->supervisor);
	loop_signal_fini(&w->term);
	loop_signal_fini(&w->intr);
	loop_signal_fini(&w->hup);
	(void)http_server_free(w->http);
	(void)service_free(w->service);
	(void)sandboxes_free(w->sandboxes);
	if (w->vmm)
		(void)w->driver->close(w->vmm);
	(void)launcher_free(w->launcher);
	(void)images_free(w->images);
	(void)templates_free(w->templates);
	(void)auth_free(w->auth);
	(void)store_close(w->store);
	(void)loop_free(w->loop);
	(void)tls_free(w->tls);
}

int worker_run(const struct config *c, const struct role_inherit *in)
{
	struct worker w = { .conf = c, .in = in };
	struct err err = ERR_INIT;
	mem_keep_freed();
	int r = open_all(&w, &err);
	if (r == 0)
		r = watch(&w);
	if (r < 0) {
		log_error("cannot start: %s", err.code ? err_text(&err) : err_name(r));
		w.status = EXIT_FAILURE;
	} else {
		op_init(&w.op, w.loop, &start_table, &w, on_started);
		op_start(&w.op);
		(void)loop_run(w.loop);
		op_fini(&w.op);
	}
	close_all(&w);
	return w.status;
}
