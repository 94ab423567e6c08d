/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"

uint64_t fake_now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void fake_log(struct fake *f, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	if (f->log_fd < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)dprintf(f->log_fd, "[%s:main] %s\n", f->args.id, text);
}

void fake_exit(struct fake *f, int code)
{
	if (f->verbose)
		fake_log(f, "Firecracker exiting with exit code %d", code);
	fake_guest_kill(f);
	_exit(code);
}

/* ---- command line ---- */

static void usage_error(const char *fmt, const char *what) __attribute__((noreturn));
static void usage_error(const char *fmt, const char *what)
{
	char text[256];
	(void)snprintf(text, sizeof(text), fmt, what);
	(void)fprintf(
	    stderr, "Arguments parsing error: %s\n\nFor more information try --help.\n", text);
	exit(EXIT_CODE_ARGS);
}

static const char *const flags_with_value[] = { "--api-sock", "--id", "--config-file",
	"--seccomp-filter", "--metadata", "--log-path", "--level", "--module", "--metrics-path",
	"--http-api-max-payload-size", "--mmds-size-limit", "--describe-snapshot",
	"--start-time-us", "--start-time-cpu-us", "--parent-cpu-time-us", NULL };
static const char *const flags_alone[] = { "--no-api", "--no-seccomp", "--show-level",
	"--show-log-origin", "--boot-timer", "--enable-pci", "--version", "--snapshot-version",
	"--help", NULL };

static bool is_in(const char *const *list, const char *s)
{
	for (; *list; list++)
		if (strcmp(*list, s) == 0)
			return true;
	return false;
}

static void check_id(const char *id)
{
	size_t n = strlen(id);
	bool good = n >= 1 && n <= 64;
	for (const char *p = id; *p; p++)
		good = good && (isalnum((unsigned char)*p) || *p == '-');
	if (!good)
		usage_error("Invalid instance ID: %s", id);
}

static void take_value(struct fake_args *a, const char *flag, const char *value)
{
	if (strcmp(flag, "--api-sock") == 0)
		a->api_sock = value;
	else if (strcmp(flag, "--id") == 0)
		a->id = value;
	else if (strcmp(flag, "--config-file") == 0)
		a->config_file = value;
	else if (strcmp(flag, "--http-api-max-payload-size") == 0)
		a->body_max = strtoul(value, NULL, 10);
}

static void print_and_leave(const struct fake_script *s, const char *flag)
{
	if (strcmp(flag, "--version") == 0)
		(void)printf("Firecracker v%s\n\n", s->version);
	else if (strcmp(flag, "--snapshot-version") == 0)
		(void)printf("v%s\n", s->snapshot_version);
	else if (strcmp(flag, "--help") == 0)
		(void)printf("Firecracker v%s\n\noptional arguments:\n  --api-sock <api-sock>\n",
		    s->version);
	else
		return;
	exit(0);
}

static void parse_args(struct fake *f, int argc, char **argv)
{
	struct fake_args *a = &f->args;
	*a = (struct fake_args){ .api_sock = "/run/firecracker.socket",
		.id = "anonymous-instance",
		.body_max = FAKE_BODY_MAX };
	for (int i = 1; i < argc; i++) {
		for (int k = 1; k < i; k++)
			if (strcmp(argv[k], argv[i]) == 0 && argv[i][0] == '-')
				usage_error(
				    "The argument '%s' was provided more than once.", argv[i]);
		if (is_in(flags_alone, argv[i])) {
			print_and_leave(&f->script, argv[i]);
			a->no_api |= strcmp(argv[i], "--no-api") == 0;
			a->pci |= strcmp(argv[i], "--enable-pci") == 0;
		} else if (is_in(flags_with_value, argv[i])) {
			if (i + 1 == argc || argv[i + 1][0] == '-')
				usage_error("The argument '%s' requires a value, but none was "
					    "supplied.",
				    argv[i]);
			take_value(a, argv[i], argv[i + 1]);
			i++;
		} else {
			usage_error("Found argument '%s' which wasn't expected, or isn't valid in "
				    "this context.",
			    argv[i]);
		}
	}
	check_id(a->id);
	if (a->no_api && !a->config_file)
		usage_error("Argument '%s' required, but not found.", "--config-file");
}

/* ---- --config-file ---- */

static void config_failed(const char *what) __attribute__((noreturn));
static void config_failed(const char *what)
{
	(void)fprintf(stderr, "Configuration for VMM from one single json failed: %s\n", what);
	exit(EXIT_CODE_CONFIG);
}

static void configure(struct fake *f, const char *method, const char *path, json_t *o)
{
	char *body = json_dumps(o, 0);
	struct fake_answer a = fake_api_handle(f, method, path, body, strlen(body));
	free(body);
	if (a.status != 204)
		config_failed(json_string_value(json_object_get(a.body, "fault_message")));
}

static void apply_config(struct fake *f)
{
	json_error_t err;
	json_t *all = json_load_file(f->args.config_file, 0, &err), *v, *m;
	const char *key;
	char path[96];
	size_t i;
	if (!json_is_object(all))
		config_failed(err.text);
	json_object_foreach(all, key, v)
	{
		bool net = strcmp(key, "network-interfaces") == 0;
		if (!net && strcmp(key, "drives") != 0) {
			(void)snprintf(path, sizeof(path), "/%s", key);
			configure(f, "PUT", path, v);
			continue;
		}
		json_array_foreach(v, i, m)
		{
			const char *id =
			    json_string_value(json_object_get(m, net ? "iface_id" : "drive_id"));
			(void)snprintf(path, sizeof(path), "/%s/%s", key, id ? id : "");
			configure(f, "PUT", path, m);
		}
	}
	json_decref(all);
	json_t *start = json_pack("{s:s}", "action_type", "InstanceStart");
	configure(f, "PUT", "/actions", start);
	json_decref(start);
}

/* ---- the loop ---- */

static void open_api(struct fake *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(f->args.api_sock) >= sizeof(a.sun_path))
		usage_error("API socket path too long: %s", f->args.api_sock);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->args.api_sock);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(f->listener, 16) < 0) {
		(void)fprintf(stderr,
		    "RunWithApiError error: Failed to bind and run the HTTP server: IO error: %s "
		    "(os error %d)\n",
		    strerror(errno), errno);
		exit(1);
	}
}

/* A guest that ended has rebooted; so ends the machine. */
static void look_at_guest(struct fake *f)
{
	int status;
	if (f->guest > 0 && f->state == FAKE_RUNNING && f->script.guest_exit &&
	    fake_now_ms() >= f->guest_since + f->script.guest_exit)
		fake_guest_kill(f);
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		if (pid == f->guest)
			fake_exit(f, 0);
}

static nfds_t collect(struct fake *f, struct pollfd *p)
{
	nfds_t n = 0;
	p[n++] = (struct pollfd){ f->listener, POLLIN, 0 };
	for (size_t i = 0; i < FAKE_API_CONNS; i++)
		p[n++] = (struct pollfd){ f->conns[i].fd, POLLIN, 0 };
	if (f->frozen)
		return n;
	p[n++] = (struct pollfd){ f->vsock_fd, POLLIN, 0 };
	for (size_t i = 0; i < FAKE_VSOCK_CONNS; i++) {
		const struct fake_vsock_conn *c = &f->vsock[i];
		p[n++] = (struct pollfd){ c->fd, POLLIN, 0 };
		p[n++] = (struct pollfd){ c->guest, POLLIN, 0 };
	}
	return n;
}

static void serve_api(struct fake *f, const struct pollfd *p)
{
	for (size_t i = 0; i < FAKE_API_CONNS; i++)
		if (f->conns[i].fd >= 0 && f->conns[i].fd == p[1 + i].fd && p[1 + i].revents)
			fake_api_read(f, &f->conns[i]);
	if (p[0].revents)
		fake_api_accept(f);
}

static void serve_vsock(struct fake *f, const struct pollfd *p)
{
	for (size_t i = 0; i < FAKE_VSOCK_CONNS; i++) {
		short host = p[1 + 2 * i].revents, guest = p[2 + 2 * i].revents;
		if (f->vsock[i].fd >= 0 && (host || guest))
			fake_vsock_pump(f, &f->vsock[i], host, guest);
	}
	if (p[0].revents)
		fake_vsock_accept(f);
	fake_vsock_tick(f);
}

static void run(struct fake *f) __attribute__((noreturn));
static void run(struct fake *f)
{
	struct pollfd p[2 + FAKE_API_CONNS + 2 * FAKE_VSOCK_CONNS];
	for (;;) {
		bool frozen = f->frozen;
		nfds_t n = collect(f, p);
		if (poll(p, n, 10) < 0 && errno != EINTR)
			fake_exit(f, 2);
		look_at_guest(f);
		if (!frozen)
			serve_vsock(f, p + 1 + FAKE_API_CONNS);
		serve_api(f, p);
	}
}

int main(int argc, char **argv)
{
	static struct fake f;
	f = (struct fake){ .log_fd = -1,
		.metrics_fd = -1,
		.serial_fd = -1,
		.listener = -1,
		.vsock_fd = -1,
		.exit_after = -1,
		.next_port = 1u << 30 };
	for (size_t i = 0; i < FAKE_API_CONNS; i++)
		f.conns[i].fd = -1;
	for (size_t i = 0; i < FAKE_VSOCK_CONNS; i++)
		f.vsock[i].fd = f.vsock[i].guest = -1;
	fake_script_load(&f.script, argv[0]);
	(void)signal(SIGPIPE, SIG_IGN);
	parse_args(&f, argc, argv);
	f.config = json_object();
	if (f.script.start_exit >= 0) {
		(void)fprintf(stderr, "RunWithApiError error: the script wants it\n");
		exit(f.script.start_exit);
	}
	(void)poll(NULL, 0, (int)f.script.start_delay);
	if (f.args.config_file)
		apply_config(&f);
	if (!f.args.no_api)
		open_api(&f);
	run(&f);
}
