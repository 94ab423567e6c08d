/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Configuration of sandglassd: /etc/sandglass/sandglass.yaml. Every key has a default, an unknown
 * key is an error that names its line. sandglass.yaml(5) in contrib/docs describes each key.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct err;

enum config_driver {
	CONFIG_DRIVER_AUTO,
	CONFIG_DRIVER_FIRECRACKER,
	CONFIG_DRIVER_QEMU,
	CONFIG_DRIVER_NAMESPACE
};
enum config_isolation {
	CONFIG_ISOLATION_NAMESPACE,
	CONFIG_ISOLATION_EMULATED,
	CONFIG_ISOLATION_MICROVM
};

struct config {
	char *listen;			 /* cleartext ADDR:PORT; "" = none */
	char *tls_listen;		 /* TLS ADDR:PORT; "" = none */
	char *tls_certificate, *tls_key; /* PEM files */
	char *state_dir, *runtime_dir;
	char *template_dir, *web_dir;
	char *agent, *launcher; /* programs; "" = beside ours */
	char *user;		/* runs as this user when started as root */
	char *domain;		/* "" = sandboxes are named by headers only */
	int driver;		/* enum config_driver */
	int min_isolation;	/* enum config_isolation */
	char *firecracker_binary, *firecracker_jailer; /* programs; "" = in the usual places */
	unsigned max_sandboxes, max_per_team, max_connections;
	unsigned max_sandbox_connections; /* requests in progress for one sandbox */
	uint64_t memory_budget; /* promised to sandboxes, bytes; 0 = four times what there is */
	uint64_t
	    memory_reserve; /* must be left when one starts; 0 = a twentieth, 256 MiB or more */
	bool pool;
	bool kill_on_stop;
	char *network_cidr; /* "" = chosen */
	char **network_dns; /* NULL = the host's */
	int log_level;	    /* enum log_level */
};

/* path NULL = all defaults. 0 or -errno with reterr. c is zeroed memory; config_fini() is safe
 * either way. */
int config_load(struct config *c, const char *path, struct err *reterr);
/* The same from a text; name is for messages. */
int config_parse(struct config *c, const char *name, const void *p, size_t n, struct err *reterr);
/* After command line overrides: checks what only holds together. */
int config_check(const struct config *c, struct err *reterr);
/* Names as in the file: "auto", "microvm-emulated". */
const char *config_driver_name(int driver);
bool config_driver_parse(const char *name, int *ret);
const char *config_isolation_name(int isolation);
void config_fini(struct config *c);
