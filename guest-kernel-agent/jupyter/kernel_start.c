/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a kernelspec to a running process: a private directory with the connection file in it, the
 * environment, the process, and channels that connect as soon as it listens.
 *
 * The directory and the file are given to the user only after they are complete, and before the
 * process exists, so root never follows a name that the user could have changed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-kernel-agent/jupyter/kernel_private.h"
#include "guest-kernel-agent/jupyter/kernelspec.h"
#include "guest-kernel-agent/system/environ.h"
#include "guest-kernel-agent/system/spawn.h"
#include "guest-kernel-agent/system/users.h"

#define DIR_NAME_LEN 12
#define SOCKET_NAME "k" /* sockets are DIR/k-1 ... */

/* Below the range that the kernel takes ports for outgoing connections from: a connect() to a port
 * that nobody listens on yet could otherwise meet itself. */
#define PORT_MIN 10000
#define PORT_MAX 32000
#define PORT_TRIES 1000

#define OOM_ADJ "300" /* goes before the agent */

enum { PORT_SHELL, PORT_IOPUB, PORT_STDIN, PORT_CONTROL, PORT_HB, PORTS };

static const char *const port_names[PORTS] = { "shell_port", "iopub_port", "stdin_port",
	"control_port", "hb_port" };

struct endpoint {
	bool tcp;
	uint16_t ports[PORTS];
};

/* ---- where the kernel listens ---- */

static bool port_is_free(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	CLEAN_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
}

static int choose_ports(struct endpoint *e, struct err *reterr)
{
	size_t n = 0;

	for (int try = 0; try < PORT_TRIES && n < PORTS; try++) {
		uint16_t port;
		bool taken = false;

		id_random(&port, sizeof(port));
		port = (uint16_t)(PORT_MIN + port % (PORT_MAX - PORT_MIN));
		for (size_t i = 0; i < n; i++)
			taken = taken || e->ports[i] == port;
		if (!taken && port_is_free(port))
			e->ports[n++] = port;
	}
	return n == PORTS ? 0 : err_set(reterr, -EADDRINUSE, "no free ports for a kernel");
}

static int choose_endpoint(struct endpoint *e, bool tcp, struct err *reterr)
{
	*e = (struct endpoint){ .tcp = tcp };
	if (tcp)
		return choose_ports(e, reterr);
	for (size_t i = 0; i < PORTS; i++)
		e->ports[i] = (uint16_t)(i + 1);
	return 0;
}

static int connect_channel(struct kernel *k, struct channel *c, enum zmtp_role role,
    const struct endpoint *e, int port, const struct channel_ops *ops)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(e->ports[port]),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (e->tcp)
		return channel_init(c, k->loop, role, (struct sockaddr *)&in, sizeof(in), ops, k);
	int r = path_printf(
	    un.sun_path, sizeof(un.sun_path), "%s/" SOCKET_NAME "-%u", k->dir, e->ports[port]);
	return r < 0 ? r
		     : channel_init(c, k->loop, role, (struct sockaddr *)&un, sizeof(un), ops, k);
}

/* ---- the connection file ---- */

static json_t *connection_info(const struct kernel *k, const struct endpoint *e)
{
	CLEAN_FREE char *ip =
	    e->tcp ? mem_strdup("127.0.0.1") : mem_printf("%s/" SOCKET_NAME, k->dir);
	json_t *o = !ip ? NULL
			: json_pack("{s:s, s:s, s:s, s:s}", "transport", e->tcp ? "tcp" : "ipc",
			      "ip", ip, "key", k->session.key, "signature_scheme", "hmac-sha256");

	for (size_t i = 0; i < PORTS; i++)
		if (json_object_set_new(o, port_names[i], json_integer(e->ports[i])) < 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

/* Root gives a new file or directory to the user. */
static int give_to(const struct user *u, int fd)
{
	if (geteuid() != 0)
		return 0;
	return fchown(fd, u->uid, u->gid) < 0 ? -errno : 0;
}

static int write_connection_file(
    const struct kernel *k, const struct endpoint *e, int dirfd, const struct user *user)
{
	CLEAN_JSON json_t *info = connection_info(k, e);
	CLEAN_BUF struct buf text = BUF_INIT;
	CLEAN_FD int fd = -1;
	int r = info ? json_write(&text, info, true) : -ENOMEM;

	if (r < 0)
		return r;
	fd = openat(dirfd, "connection.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, buf_data(&text), buf_len(&text));
	return r < 0 ? r : give_to(user, fd);
}

static int make_dir(struct kernel *k, const struct kernel_config *config, const struct endpoint *e,
    struct err *reterr)
{
	char name[DIR_NAME_LEN + 1];
	CLEAN_FD int fd = -1;
	int r = path_mkdir_p(config->run_dir, 0711);

	id_random_text(name, DIR_NAME_LEN);
	if (r == 0)
		r = path_join(k->dir, sizeof(k->dir), config->run_dir, name);
	if (r == 0 && mkdir(k->dir, 0700) < 0)
		r = -errno;
	if (r == 0) {
		fd = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		r = fd < 0 ? -errno : write_connection_file(k, e, fd, config->user);
	}
	if (r == 0)
		r = give_to(config->user, fd);
	return r < 0 ? err_set(reterr, r, "cannot make a kernel's directory in %s: %s",
			   config->run_dir, err_name(r))
		     : 0;
}

/* ---- the environment ---- */

static void merge(json_t *into, const json_t *from)
{
	if (from)
		(void)json_object_update(into, (json_t *)from);
}

/* Lowest first: what every process of the user has, the kernelspec's, the sandbox's. */
static json_t *environment(const struct kernel_config *config)
{
	CLEAN_JSON json_t *more = json_pack("{s:s, s:s, s:s}", "PYTHONUNBUFFERED", "1", "TERM",
	    "dumb", "SHELL", config->user->shell);
	json_t *env = more ? environ_of_user(config->user) : NULL;

	if (env)
		merge(env, more);
	if (env)
		merge(env, config->spec->env);
	if (env)
		merge(env, config->env);
	return env;
}

/* ---- the process ---- */

static void on_output(struct loop_io *io, unsigned events, void *arg)
{
	struct kernel *k = arg;
	char chunk[16 * 1024];
	ssize_t n = read(k->output, chunk, sizeof(chunk));
	size_t keep, old;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_io_fini(&k->output_io);
		return;
	}
	keep = (size_t)n < sizeof(k->diagnostics) ? (size_t)n : sizeof(k->diagnostics);
	old = sizeof(k->diagnostics) - keep;
	old = k->n_diagnostics < old ? k->n_diagnostics : old;
	memmove(k->diagnostics, k->diagnostics + k->n_diagnostics - old, old);
	memcpy(k->diagnostics + old, chunk + n - keep, keep);
	k->n_diagnostics = old + keep;
}

static int spawn_kernel(
    struct kernel *k, const struct kernel_config *config, int *ret_pidfd, struct err *reterr)
{
	char connection_file[PATH_LEN_MAX];
	CLEAN_FD int read_end = -1, write_end = -1;
	int fds[2], r;

	if (path_join(connection_file, sizeof(connection_file), k->dir, "connection.json") < 0)
		return err_set(reterr, -ENAMETOOLONG, "the kernel's directory name is too long");
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(reterr, -errno, "cannot make a pipe for a kernel");
	read_end = fds[0];
	write_end = fds[1];
	char **argv = kernelspec_argv(config->spec, connection_file);
	CLEAN_JSON json_t *env = environment(config);
	char **envp = env ? environ_list(env) : NULL;
	struct spawn s = { .argv = (const char *const *)argv,
		.envp = (const char *const *)envp,
		.cwd = config->cwd,
		.user = config->user,
		.input = -1,
		.output = write_end,
		.error = write_end,
		.oom_adj = OOM_ADJ,
		.status = -1 };
	r = argv && envp && fd_set_nonblock(read_end) == 0
		? spawn_check_program(&s, reterr)
		: err_set(reterr, -ENOMEM, "no memory to start a kernel");
	if (r == 0)
		r = spawn_process(&s, &k->pid, ret_pidfd, reterr);
	argv = environ_free(argv);
	envp = environ_free(envp);
	if (r == 0)
		k->output = TAKE_FD(read_end);
	return r;
}

int kernel_launch(struct kernel *k, const struct kernel_config *config, struct err *reterr)
{
	struct endpoint e;
	int pidfd, r = choose_endpoint(&e, config->spec->tcp, reterr);

	if (r == 0 && session_init(&k->session) < 0)
		r = err_set(reterr, -ENOMEM, "no memory for a kernel's session");
	if (r == 0)
		r = make_dir(k, config, &e, reterr);
	if (r == 0)
		r = spawn_kernel(k, config, &pidfd, reterr);
	if (r < 0)
		return r;
	r = kernel_watch(k, pidfd);
	if (r == 0 && (r = loop_io_init(&k->output_io, k->loop, k->output, on_output, k)) == 0)
		r = loop_io_want(&k->output_io, LOOP_READ);
	if (r == 0)
		r = connect_channel(k, &k->shell, ZMTP_DEALER, &e, PORT_SHELL, &kernel_shell_ops);
	if (r == 0)
		r = connect_channel(
		    k, &k->control, ZMTP_DEALER, &e, PORT_CONTROL, &kernel_control_ops);
	if (r == 0)
		r = connect_channel(k, &k->iopub, ZMTP_SUB, &e, PORT_IOPUB, &kernel_iopub_ops);
	return r < 0 ? err_set(reterr, r, "cannot watch a kernel: %s", err_name(r)) : 0;
}
