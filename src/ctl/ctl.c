/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ctl.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/tls.h"
#include "loop/loop.h"
#include "rpc/client_call.h"
#include "rpc/http_client.h"

#define CALL_LIMIT_MS (24ull * 3600 * 1000)

int ctl_fail(const struct ctl *c, const char *fmt, ...)
{
	va_list ap;
	(void)fprintf(stderr, "sandglass: %s: ", c->command);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	return EXIT_FAILURE;
}

bool ctl_split_pair(
    const struct ctl *c, const char *what, char *pair, char **ret_key, char **ret_value)
{
	char *eq = strchr(pair, '=');
	if (!eq || eq == pair) {
		(void)ctl_fail(c, "%s: expected KEY=VALUE, got '%s'", what, pair);
		return false;
	}
	*eq = '\0';
	*ret_key = pair;
	*ret_value = eq + 1;
	return true;
}

/* ---- connection ---- */

struct url {
	bool tls;
	char host[256];
	char port[6];
};

static bool parse_url(const char *s, struct url *u)
{
	const char *rest = str_after(s, "https://");
	u->tls = rest != NULL;
	if (!rest)
		rest = str_after(s, "http://");
	if (!rest)
		return false;
	size_t n = strcspn(rest, "/");
	if (n == 0 || n >= sizeof(u->host) || (rest[n] && rest[n + 1]))
		return false; /* a path means nothing here */
	memcpy(u->host, rest, n);
	u->host[n] = '\0';
	(void)str_copy(u->port, sizeof(u->port), u->tls ? "443" : "80");
	char *end = u->host[0] == '[' ? strchr(u->host, ']') : NULL;
	char *colon = strrchr(end ? end : u->host, ':');
	uint64_t port;
	if (colon) {
		*colon = '\0';
		if (str_u64(colon + 1, 65535, &port) < 0 || port == 0)
			return false;
		(void)str_copy(u->port, sizeof(u->port), colon + 1);
	}
	if (end) { /* [::1] -> ::1 */
		*end = '\0';
		memmove(u->host, u->host + 1, strlen(u->host));
	}
	return u->host[0] != '\0';
}

/* The first address, as text; a command may wait for DNS. */
static bool resolve(const struct ctl *c, const struct url *u, char *dst, size_t cap)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int r = getaddrinfo(u->host, u->port, &hints, &list);
	if (r == 0)
		r = getnameinfo(
		    list->ai_addr, list->ai_addrlen, dst, (socklen_t)cap, NULL, 0, NI_NUMERICHOST);
	if (list)
		freeaddrinfo(list);
	if (r != 0)
		(void)ctl_fail(c, "%s: %s", u->host, gai_strerror(r));
	return r == 0;
}

bool ctl_open(struct ctl *c, const char *url, const char *api_key)
{
	struct err err = ERR_INIT;
	struct url u;
	char address[NI_MAXHOST];
	uint64_t port = 0;
	if (!parse_url(url, &u)) {
		(void)ctl_fail(c, "%s: expected a URL such as http://127.0.0.1:3000", url);
		return false;
	}
	if (!resolve(c, &u, address, sizeof(address)))
		return false;
	c->api_key = api_key;
	c->loop = loop_new();
	c->authority = mem_printf(strchr(u.host, ':') ? "[%s]:%s" : "%s:%s", u.host, u.port);
	if (u.tls)
		c->tls = tls_client_new(getenv("SSL_CERT_FILE"), &err);
	(void)str_u64(u.port, 65535, &port);
	struct http_client_conf conf = { .host = address,
		.port = (unsigned)port,
		.tls = c->tls,
		.tls_host = u.host,
		.version = 2 };
	if (c->loop && c->authority && (!u.tls || c->tls))
		c->http = http_client_new(c->loop, &conf);
	if (!c->http)
		(void)ctl_fail(c, "%s", err.code ? err_text(&err) : err_name(-ENOMEM));
	return c->http != NULL;
}

void ctl_close(struct ctl *c)
{
	(void)http_client_free(c->http);
	(void)tls_free(c->tls);
	(void)loop_free(c->loop);
	(void)mem_free(c->authority);
}

/* ---- calls ---- */

struct running {
	struct ctl *ctl;
	ctl_message_fn *on_message;
	void *arg;
	enum rpc_code code;
	char text[512];
	bool done;
	struct client_call *call;
};

static void on_message(struct client_call *call, const ProtobufCMessage *m, void *arg)
{
	struct running *r = arg;
	if (r->on_message)
		r->on_message(m, r->arg);
}

static void on_done(struct client_call *call, enum rpc_code code, const char *text, void *arg)
{
	struct running *r = arg;
	r->code = code;
	r->done = true;
	(void)str_copy(r->text, sizeof(r->text), text);
	loop_stop(r->ctl->loop);
}

static void on_interrupt(struct loop_signal *s, int signo, void *arg)
{
	struct running *r = arg;
	r->ctl->interrupted = true;
	if (!r->done)
		client_call_cancel(r->call);
}

static int add_metadata(struct http_fields *f, const struct ctl *c, const struct http_fields *more)
{
	int r = c->api_key ? http_fields_add(f, "x-api-key", c->api_key) : 0;
	for (size_t i = 0; r == 0 && more && i < more->n; i++)
		r = http_fields_add(f, more->v[i].name, more->v[i].value);
	return r;
}

enum rpc_code ctl_call(struct ctl *c, const char *path, const ProtobufCMessage *request,
    const ProtobufCMessageDescriptor *response, const struct http_fields *metadata, bool quiet,
    ctl_message_fn *message, void *arg)
{
	static const struct client_call_ops ops = { on_message, on_done };
	struct running r = { .ctl = c, .on_message = message, .arg = arg, .code = RPC_INTERNAL };
	struct http_fields fields = { 0 };
	struct loop_signal sig = { 0 };
	(void)str_copy(r.text, sizeof(r.text), "out of memory");
	if (add_metadata(&fields, c, metadata) == 0)
		r.call = client_call_start(
		    c->http, c->authority, path, response, &fields, CALL_LIMIT_MS, &ops, &r);
	http_fields_fini(&fields);
	if (r.call && loop_signal_init(&sig, c->loop, SIGINT, on_interrupt, &r) == 0) {
		if (client_call_send(r.call, request) < 0)
			client_call_cancel(r.call);
		else
			client_call_half_close(r.call);
		while (!r.done && loop_run(c->loop) == 0)
			continue;
	}
	loop_signal_fini(&sig);
	if (r.code != RPC_OK && !quiet && !c->interrupted)
		(void)ctl_fail(c, "%s (%s)", r.text[0] ? r.text : "failed", rpc_code_name(r.code));
	return r.code;
}
