/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The sandglass command: one connection to a server, one file a subcommand. Calls are made one
 * after the other; each runs the loop until it is over.
 */
#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "wire/http.h"
#include "wire/rpcwire.h"

struct client_call_ops;
struct http_client;
struct loop;
struct tls_ctx;

struct ctl {
	struct loop *loop;
	struct tls_ctx *tls;
	struct http_client *http;
	char *authority;
	const char *api_key;
	const char *command; /* for messages */
	bool interrupted;    /* SIGINT came: the current call was cancelled */
};

/* url such as http://127.0.0.1:3000 or https://host. False after a message. */
bool ctl_open(struct ctl *c, const char *url, const char *api_key);
void ctl_close(struct ctl *c);

/* Messages on standard error: "sandglass: COMMAND: ...". Returns EXIT_FAILURE. */
int ctl_fail(const struct ctl *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "KEY=VALUE" arguments. */
bool ctl_split_pair(
    const struct ctl *c, const char *what, char *pair, char **ret_key, char **ret_value);

/* One call with one request. on_message for each answer (may be NULL). metadata is added to the
 * key. Returns the status; the text is printed when it is not RPC_OK and quiet is false. */
typedef void ctl_message_fn(const ProtobufCMessage *m, void *arg);
enum rpc_code ctl_call(struct ctl *c, const char *path, const ProtobufCMessage *request,
    const ProtobufCMessageDescriptor *response, const struct http_fields *metadata, bool quiet,
    ctl_message_fn *on_message, void *arg);

/* ---- subcommands: exit status; argv[0] is the subcommand's name ---- */
int ctl_create(struct ctl *c, int argc, char **argv);
int ctl_run(struct ctl *c, int argc, char **argv);
int ctl_ls(struct ctl *c, int argc, char **argv);
int ctl_kill(struct ctl *c, int argc, char **argv);
int ctl_pause(struct ctl *c, int argc, char **argv);
int ctl_resume(struct ctl *c, int argc, char **argv);
int ctl_template(struct ctl *c, int argc, char **argv);
/* Runs sandglassd with the same words. */
int ctl_server_machine(int argc, char **argv);

/* ---- shared by create and run ---- */
struct ctl_new {
	char *template_name; /* NULL = the server's default */
	uint32_t timeout_s;  /* 0 = the template's default */
	uint32_t cpu_milli;  /* and these: 0 = the template's */
	uint64_t memory_bytes, disk_bytes;
	bool no_internet;
	char *env[64], *metadata[64]; /* "KEY=VALUE", split in place by ctl_make() */
	unsigned n_env, n_metadata;
	const char *wrong; /* with an option that was refused; NULL = nothing to say */
};
struct ctl_made {
	char id[32];
	char token[128];
	char isolation[32];
};
#define CTL_WRONG "wrong arguments; see sandglass --help"
/* Options that describe a new sandbox, for getopt_long(). */
#define CTL_OPTION(name, has_argument, c)   \
	{                                   \
		name, has_argument, NULL, c \
	}
#define CTL_NEW_OPTIONS                                                                           \
	CTL_OPTION("template", 1, 't'), CTL_OPTION("timeout", 1, 'T'), CTL_OPTION("env", 1, 'e'), \
	    CTL_OPTION("metadata", 1, 'm'), CTL_OPTION("cpus", 1, 'C'),                           \
	    CTL_OPTION("memory", 1, 'M'), CTL_OPTION("disk", 1, 'D'),                             \
	    CTL_OPTION("no-internet", 0, 'N')
/* Takes one of them; false when opt is none of them. */
bool ctl_new_option(struct ctl_new *n, int opt, char *arg, bool *ret_bad);
bool ctl_make(struct ctl *c, struct ctl_new *n, struct ctl_made *ret);
bool ctl_kill_one(struct ctl *c, const char *id, bool quiet);
