/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandglass-agent: the process of the sandbox that the daemon talks to. It is process 1 of a
 * namespace sandbox, or an ordinary one in tests; whoever starts it hands over two listening
 * sockets and has mounted everything. In a virtual machine it is the init, which does that itself
 * (system/init.h), and is reached through devices (system/vm_channels.h). Two servers of their own
 * serve the two channels, so that nothing of the data channel can reach a control call.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#include "base/err.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "guest-kernel-agent/code/execution.h"
#include "guest-kernel-agent/code/interpreter.h"
#include "guest-kernel-agent/envd/envd.h"
#include "guest-kernel-agent/files/as_user.h"
#include "guest-kernel-agent/files/filesystem.h"
#include "guest-kernel-agent/files/files_http.h"
#include "guest-kernel-agent/jupyter/context.h"
#include "guest-kernel-agent/ports/gateway.h"
#include "guest-kernel-agent/ports/ports.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/process/service.h"
#include "guest-kernel-agent/system/control.h"
#include "guest-kernel-agent/system/identity.h"
#include "guest-kernel-agent/system/init.h"
#include "guest-kernel-agent/system/limits.h"
#include "guest-kernel-agent/system/machine.h"
#include "guest-kernel-agent/system/metrics.h"
#include "guest-kernel-agent/system/notices.h"
#include "guest-kernel-agent/system/reaper.h"
#include "guest-kernel-agent/system/vm_channels.h"
#include "loop/loop.h"
#include "rpc/http_server.h"

#define CONTROL_FD 3
#define DATA_FD 4
/* Others go first when memory runs out: the first of these that we may have. */
#define OOM_SCORE "-900"
#define OOM_SCORE_UNPRIVILEGED "0"
#define DESCRIPTORS 65536
#define FILE_THREADS 8 /* calls on files that run at once */
#define DRAIN_MS 3000  /* for requests that run when we are told to stop */

struct options {
	int control_fd, data_fd; /* not of a machine */
	enum vm_channel channel; /* of a machine */
	const char *run_dir;
	enum log_level level;
};

struct dirs {
	char marks[PATH_LEN_MAX], kernels[PATH_LEN_MAX], python[PATH_LEN_MAX];
};

struct agent {
	struct dirs dirs;
	struct loop *loop;
	struct reaper *reaper;
	struct identity *identity;
	struct metrics *metrics;
	struct notices notices;
	struct limits *limits;
	struct contexts *contexts;
	struct executions *executions;
	struct interpreter *interpreter;
	struct as_user *as_user;
	struct filesystem *filesystem;
	struct processes *processes;
	struct process_service *process_service;
	struct files_http files;
	struct envd *envd;
	struct ports *ports;
	struct control *control;
	struct gateway gateway;
	struct http_server *control_server, *data_server;
	const struct machine *machine; /* NULL: it is not ours */
	const char *disk;	       /* of a machine */
	struct vm_channels *channels;  /* of a machine */
	bool lost;		       /* their device */
	struct loop_signal term;
	struct loop_timer drain;
};

/* ---- the command line ---- */

static int parse_fd(const char *s)
{
	uint64_t fd;
	if (str_u64(s, 65535, &fd) == 0 && fcntl((int)fd, F_GETFD) >= 0)
		return (int)fd;
	(void)fprintf(stderr, "sandglass-agent: '%s' is not an open descriptor\n", s);
	exit(EXIT_FAILURE);
}

static void parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "control-fd", required_argument, NULL, 'c' },
		{ "data-fd", required_argument, NULL, 'd' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		switch (c) {
		case 'c':
			o->control_fd = parse_fd(optarg);
			break;
		case 'd':
			o->data_fd = parse_fd(optarg);
			break;
		case 'r':
			o->run_dir = optarg;
			break;
		case 'l':
			if (log_level_parse(optarg, &o->level))
				break;
			(void)fprintf(stderr, "sandglass-agent: no log level '%s'\n", optarg);
			exit(EXIT_FAILURE);
		case 'v':
			(void)printf("sandglass-agent %s\n", PACKAGE_VERSION);
			exit(EXIT_SUCCESS);
		default:
			(void)fprintf(stderr,
			    "usage: sandglass-agent [--control-fd N] [--data-fd N] [--run-dir DIR] "
			    "[--log-level error|warn|info|debug] [--version]\n");
			exit(EXIT_FAILURE);
		}
	}
}

/* ---- the process ---- */

/* Each connection to a port of the sandbox needs descriptors; the usual soft limit is 1024. */
static void raise_descriptor_limit(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= DESCRIPTORS)
		return;
	l.rlim_cur = l.rlim_max < DESCRIPTORS ? l.rlim_max : DESCRIPTORS;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

static int prepare_process(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	if (sigaction(SIGPIPE, &ignore, NULL) < 0)
		return -errno;
	(void)umask(022);
	raise_descriptor_limit();
	if (fd_write_file(AT_FDCWD, "/proc/self/oom_score_adj", OOM_SCORE, sizeof(OOM_SCORE) - 1) <
	    0)
		(void)fd_write_file(AT_FDCWD, "/proc/self/oom_score_adj", OOM_SCORE_UNPRIVILEGED,
		    sizeof(OOM_SCORE_UNPRIVILEGED) - 1);
	return 0;
}

/* ---- the servers ---- */

static int make_servers(struct agent *a)
{
	const struct http_server_conf cc = { .on_request = control_on_request, .arg = a->control };
	const struct http_server_conf dc = { .on_request = gateway_on_request, .arg = &a->gateway };
	a->control_server = http_server_new(a->loop, &cc);
	a->data_server = http_server_new(a->loop, &dc);
	return a->control_server && a->data_server ? 0 : -ENOMEM;
}

static int listen_at(struct http_server *s, int fd)
{
	int r = fd_set_cloexec(fd, 1);
	if (r == 0)
		r = fd_set_nonblock(fd);
	return r < 0 ? r : http_server_listen(s, fd, NULL);
}

static void on_lost(void *arg)
{
	struct agent *a = arg;
	a->lost = true;
	loop_stop(a->loop);
}

static int serve(struct agent *a, const struct options *o)
{
	struct err err = ERR_INIT;
	int r = make_servers(a);
	if (r < 0)
		return r;
	if (!a->machine) {
		r = listen_at(a->control_server, o->control_fd);
		return r < 0 ? r : listen_at(a->data_server, o->data_fd);
	}
	a->channels = vm_channels_open(
	    a->loop, o->channel, a->control_server, a->data_server, on_lost, a, &err);
	if (!a->channels)
		log_error("%s", err_text(&err));
	return err.code;
}

/* ---- the end ---- */

static void on_drained(void *arg)
{
	struct agent *a = arg;
	loop_stop(a->loop);
}

static void on_drain_limit(struct loop_timer *t, void *arg)
{
	struct agent *a = arg;
	loop_stop(a->loop);
}

static void on_term(struct loop_signal *s, int signo, void *arg)
{
	struct agent *a = arg;
	if (loop_timer_is_armed(&a->drain))
		return;
	loop_timer_set(&a->drain, DRAIN_MS);
	http_server_drain(a->data_server, on_drained, a);
}

/* ---- all parts ---- */

/* Streams end before what they use, contexts before the executions that they would tell of their
 * end. */
static void agent_fini(struct agent *a)
{
	loop_signal_fini(&a->term);
	loop_timer_fini(&a->drain);
	vm_channels_free(a->channels);
	http_server_free(a->data_server);
	http_server_free(a->control_server);
	ports_free(a->ports);
	envd_free(a->envd);
	process_service_free(a->process_service);
	processes_free(a->processes);
	filesystem_stop(a->filesystem);
	as_user_free(a->as_user);
	filesystem_free(a->filesystem);
	interpreter_free(a->interpreter);
	contexts_free(a->contexts);
	executions_free(a->executions);
	control_free(a->control);
	limits_free(a->limits);
	metrics_free(a->metrics);
	identity_free(a->identity);
	reaper_free(a->reaper);
	loop_free(a->loop);
}

static int make_code_parts(struct agent *a)
{
	a->contexts = contexts_new(a->loop);
	if (a->contexts && contexts_use_dirs(a->contexts, a->dirs.kernels, a->dirs.python) < 0)
		return -ENOMEM;
	if (!a->contexts)
		return -ENOMEM;
	struct executions_conf ec = { .loop = a->loop,
		.contexts = a->contexts,
		.notices = contexts_know_of_ooms(a->contexts) ? NULL : &a->notices };
	a->executions = executions_new(&ec);
	if (!a->executions)
		return -ENOMEM;
	a->interpreter = interpreter_new(a->loop, a->identity, a->contexts, a->executions);
	return a->interpreter ? 0 : -ENOMEM;
}

static int make_file_parts(struct agent *a)
{
	a->as_user = as_user_new(a->loop, FILE_THREADS);
	struct filesystem_conf c = {
		.loop = a->loop, .identity = a->identity, .as_user = a->as_user
	};
	a->filesystem = a->as_user ? filesystem_new(&c) : NULL;
	if (!a->filesystem)
		return -ENOMEM;
	a->files =
	    (struct files_http){ .loop = a->loop, .identity = a->identity, .as_user = a->as_user };
	int r = files_http_add(&a->files, a->envd);
	return r < 0 ? r : rpc_router_add(envd_router(a->envd), filesystem_service(a->filesystem));
}

static struct processes *make_processes(struct agent *a)
{
	struct processes_conf pc = { .loop = a->loop, .notices = &a->notices };
	return processes_new(&pc);
}

static int make_process_parts(struct agent *a)
{
	a->process_service =
	    process_service_new(a->loop, a->identity, a->processes, envd_router(a->envd));
	return a->process_service ? 0 : -ENOMEM;
}

static int make_dirs(struct dirs *d, const char *run_dir)
{
	int r = path_printf(d->marks, sizeof(d->marks), "%s/e2b", run_dir);
	if (r == 0)
		r = path_printf(d->kernels, sizeof(d->kernels), "%s/sandglass/kernels", run_dir);
	return r < 0 ? r
		     : path_printf(d->python, sizeof(d->python), "%s/sandglass/python", run_dir);
}

static void drop_data(void *arg)
{
	const struct agent *a = arg;
	http_server_reset(a->data_server);
}

static int make_parts(struct agent *a, const struct options *o)
{
	int r = make_dirs(&a->dirs, o->run_dir);
	if (r < 0)
		return r;
	a->loop = loop_new();
	a->reaper = a->loop ? reaper_new(a->loop) : NULL;
	a->identity = identity_new();
	a->metrics = metrics_new();
	a->processes = a->loop ? make_processes(a) : NULL;
	if (!a->reaper || !a->identity || !a->metrics || !a->processes || make_code_parts(a) < 0)
		return -ENOMEM;
	if (a->machine && !(a->limits = limits_new(a->loop, MACHINE_CGROUP)))
		return -ENOMEM;
	struct control_conf cc = { .loop = a->loop,
		.identity = a->identity,
		.contexts = a->contexts,
		.executions = a->executions,
		.processes = a->processes,
		.metrics = a->metrics,
		.notices = &a->notices,
		.machine = a->machine,
		.disk = a->disk,
		.limits = a->limits,
		.drop_data = drop_data,
		.arg = a,
		.mark_dir = a->dirs.marks,
		.python_dir = a->dirs.python };
	a->envd = envd_new(a->loop, a->identity, a->metrics);
	a->ports = ports_new(a->loop, a->identity);
	a->control = control_new(&cc);
	if (!a->envd || !a->ports || !a->control || make_file_parts(a) < 0 ||
	    make_process_parts(a) < 0)
		return -ENOMEM;
	a->gateway = (struct gateway){ .identity = a->identity,
		.envd = a->envd,
		.interpreter = a->interpreter,
		.ports = a->ports };
	loop_timer_init(&a->drain, a->loop, on_drain_limit, a);
	return loop_signal_init(&a->term, a->loop, SIGTERM, on_term, a);
}

static int run(struct agent *a, const struct options *o)
{
	mem_keep_freed();
	log_open("sandglass-agent", o->level);
	int r = prepare_process();
	if (r == 0)
		r = make_parts(a, o);
	if (r == 0)
		r = serve(a, o);
	if (r == 0)
		r = loop_run(a->loop);
	if (r == 0 && a->lost)
		r = -ENODEV;
	if (r < 0)
		log_error("%s", err_name(r));
	agent_fini(a);
	return r;
}

/* Whatever comes of it ends in a reset, which is what the host waits for. */
static _Noreturn void run_machine(struct options *o)
{
	static const struct machine machine = { "" };
	struct vm_conf conf;
	struct agent a = { .machine = &machine, .disk = conf.disk };
	init_machine(&conf);
	o->channel = conf.channel;
	(void)run(&a, o);
	init_reset();
}

int main(int argc, char **argv)
{
	struct options o = { CONTROL_FD, DATA_FD, VM_CHANNEL_SERIAL, "/run", LOG_LEVEL_INFO };
	struct agent a = { 0 };
	if (init_is_wanted(argv))
		run_machine(&o);
	parse_options(argc, argv, &o);
	return run(&a, &o) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
