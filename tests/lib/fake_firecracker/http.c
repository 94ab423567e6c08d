/* SPDX-License-Identifier: Apache-2.0 */
/* The API socket: a small HTTP/1.1 server that answers one request after the other. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"

void fake_api_accept(struct fake *f)
{
	int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	for (size_t i = 0; i < FAKE_API_CONNS; i++) {
		struct fake_api_conn *c = &f->conns[i];
		if (c->fd >= 0)
			continue;
		*c = (struct fake_api_conn){ .fd = fd,
			.in = malloc(FAKE_HEAD_MAX + f->args.body_max + 1) };
		if (!c->in)
			abort();
		return;
	}
	(void)close(fd);
}

void fake_api_close(struct fake_api_conn *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->in);
	*c = (struct fake_api_conn){ .fd = -1 };
}

static void send_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

static void answer(struct fake_api_conn *c, const struct fake_answer *a)
{
	char head[512];
	char *body = a->body ? json_dumps(a->body, JSON_COMPACT) : NULL;
	int n = snprintf(head, sizeof(head),
	    "HTTP/1.1 %d \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n%s", a->status,
	    a->deprecated ? "Deprecation: true\r\n" : "");
	if (body)
		n += snprintf(head + n, sizeof(head) - (size_t)n,
		    "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	send_all(c->fd, head, (size_t)n);
	if (body)
		send_all(c->fd, body, strlen(body));
	free(body);
}

/* ---- what shall go wrong ---- */

static struct fake_fault *find_fault(
    struct fake *f, const char *method, const char *path, const char *body)
{
	for (size_t i = 0; i < f->script.n_faults; i++) {
		struct fake_fault *x = &f->script.faults[i];
		if (strcmp(x->method, method) == 0 && strcmp(x->path, path) == 0 &&
		    (!x->word[0] || strstr(body, x->word)))
			return x;
	}
	return NULL;
}

static void never_answer(void) __attribute__((noreturn));
static void never_answer(void)
{
	for (;;)
		(void)pause();
}

static void answer_endlessly(struct fake_api_conn *c)
{
	static const char head[] = "HTTP/1.1 200 \r\nContent-Length: 99999999999\r\n\r\n";
	char fill[4096];
	memset(fill, 'x', sizeof(fill));
	send_all(c->fd, head, sizeof(head) - 1);
	for (int i = 0; i < 4096; i++)
		send_all(c->fd, fill, sizeof(fill));
	fake_api_close(c);
}

/* True when the request was dealt with. */
static bool play_fault(struct fake *f, struct fake_api_conn *c, const struct fake_fault *x)
{
	int arg = atoi(x->arg);
	if (strcmp(x->kind, "refuse") == 0 || strcmp(x->kind, "dead-loop") == 0) {
		struct fake_answer a = fake_refuse("%s", x->arg);
		f->frozen |= x->kind[0] == 'd';
		answer(c, &a);
		json_decref(a.body);
		return true;
	}
	if (strcmp(x->kind, "exit") == 0)
		fake_exit(f, arg);
	if (strcmp(x->kind, "kill") == 0) {
		fake_guest_kill(f);
		(void)kill(getpid(), SIGKILL);
		_exit(1); /* process 1 of a namespace is not killed by itself */
	}
	if (strcmp(x->kind, "hang") == 0)
		never_answer();
	if (strcmp(x->kind, "delay") == 0)
		(void)poll(NULL, 0, arg);
	else if (strcmp(x->kind, "after") == 0)
		f->exit_after = arg;
	else if (strcmp(x->kind, "close") == 0)
		fake_api_close(c);
	else if (strcmp(x->kind, "garbage") == 0)
		send_all(c->fd, "\x16\x03\x01 this is no HTTP", 19);
	else if (strcmp(x->kind, "endless") == 0)
		answer_endlessly(c);
	return strcmp(x->kind, "delay") != 0 && strcmp(x->kind, "after") != 0;
}

/* ---- requests ---- */

static const char *header(const char *head, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
		if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':')
			return p + 3 + n;
	return NULL;
}

static void refuse(struct fake_api_conn *c, const char *why)
{
	struct fake_answer a = fake_refuse("%s", why);
	answer(c, &a);
	json_decref(a.body);
	fake_api_close(c);
}

static void serve(struct fake *f, struct fake_api_conn *c, char *head, char *body, size_t n)
{
	char method[8] = "", path[192] = "", version[16] = "";
	if (sscanf(head, "%7s %191s %15s", method, path, version) != 3 ||
	    strcmp(version, "HTTP/1.1") != 0) {
		refuse(c, "Invalid HTTP version.");
		return;
	}
	struct fake_fault *x = find_fault(f, method, path, body);
	if (x && play_fault(f, c, x))
		return;
	if (f->verbose)
		fake_log(f, "The API server received a %s request on \"%s\".", method, path);
	struct fake_answer a = fake_api_handle(f, method, path, body, n);
	if (a.status >= 400)
		fake_log(f, "Received Error. Status code: %d. Message: %s", a.status,
		    json_string_value(json_object_get(a.body, "fault_message")));
	answer(c, &a);
	json_decref(a.body);
	if (f->exit_after >= 0)
		fake_exit(f, f->exit_after);
}

/* One request that is there completely. False: wait for more. */
static bool take(struct fake *f, struct fake_api_conn *c)
{
	c->in[c->n] = '\0';
	char *end = memmem(c->in, c->n, "\r\n\r\n", 4);
	if (!end) {
		if (c->n >= FAKE_HEAD_MAX)
			refuse(c, "The request head is too long.");
		return false;
	}
	*end = '\0';
	const char *length = header(c->in, "Content-Length");
	unsigned long n = length ? strtoul(length, NULL, 10) : 0;
	if (header(c->in, "Transfer-Encoding") || header(c->in, "Expect")) {
		refuse(c, "Unsupported header.");
		return false;
	}
	if (n > f->args.body_max) {
		refuse(c, "Payload too large.");
		return false;
	}
	size_t whole = (size_t)(end + 4 - c->in) + n;
	if (c->n < whole) {
		*end = '\r';
		return false;
	}
	char *body = malloc(n + 1);
	if (!body)
		abort();
	memcpy(body, end + 4, n);
	body[n] = '\0';
	char *head = strdup(c->in);
	memmove(c->in, c->in + whole, c->n - whole);
	c->n -= whole;
	serve(f, c, head, body, n);
	free(head);
	free(body);
	return c->fd >= 0 && c->n > 0;
}

void fake_api_read(struct fake *f, struct fake_api_conn *c)
{
	size_t room = FAKE_HEAD_MAX + f->args.body_max - c->n;
	ssize_t n = read(c->fd, c->in + c->n, room);
	if (n <= 0) {
		fake_api_close(c);
		return;
	}
	c->n += (size_t)n;
	while (take(f, c))
		;
}
