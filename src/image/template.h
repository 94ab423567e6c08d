/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Templates: what a sandbox contains, read from templates/NAME.yaml (strict: an unknown key, a
 * wrong type or a value out of range is an error "file:line: key: what was expected").
 *
 *   name: code-interpreter-v1      ^[a-z0-9][a-z0-9-_]{0,62}$, required
 *   aliases: [code-interpreter]
 *   description: text
 *   base: [host, debian:bookworm]  in order of preference, or one text: the first that the driver
 *                                  can use. host = the host's own /usr read-only; the others are
 *                                  built: debian:SUITE, oci:REFERENCE, oci:dir:/PATH[:TAG],
 *                                  dir:/PATH, tar:/PATH
 *   packages: {apt: [], pip: [], npm: []}       these three are for built bases and run in this
 *   files: [{path: /etc/x, content: text, mode: 0644, owner: root}]     order, run steps as root;
 *   run: [commands]                             source instead of content: beside the template
 *   user: user                     default user of processes and files
 *   workdir: /home/user
 *   env: {KEY: value}
 *   kernels: [python]              languages whose kernel is started ahead; the first is the
 * default resources: {cpus: 2, memory: 1GiB, disk: 2GiB, pids: 512} network: {internet: true} pool:
 * {size: 2, max: 20}       idle sandboxes kept ready; most that may exist while refilling timeout:
 * {default: 300, max: 86400}   seconds
 *   history: {seconds: 3600, count: 64, size: 512MiB}   how long, how many of and with how much
 *                                 output the executions and processes that have ended are
 *                                 kept to be read; the number is that of executions
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define TEMPLATE_NAME_MAX 63

struct template_file {
	char *path;
	char *content, *source; /* one of them; source is relative to the template's directory */
	char *owner;		/* USER[:GROUP], names or numbers */
	unsigned mode;
};

struct template_build {
	char **bases;			 /* at least one, NULL at the end */
	char **apt, **pip, **npm, **run; /* NULL at the end; may be NULL themselves */
	struct template_file *files;
	size_t n_files;
};

struct template
{
	char name[TEMPLATE_NAME_MAX + 1];
	char id[21];   /* stable: 20 characters of [a-z0-9] derived from the name */
	char hash[65]; /* hex SHA-256 of the normalised content */
	char *description;
	char **aliases; /* NULL at the end; may be NULL itself */
	struct template_build build;
	char *user, *workdir;
	char **env;	/* "K=V", NULL at the end; never NULL itself */
	char **kernels; /* NULL at the end; never NULL itself */
	unsigned cpu_milli, max_pids;
	uint64_t memory_bytes, disk_bytes;
	bool internet;
	unsigned pool_size, pool_max;
	unsigned timeout_default_s, timeout_max_s;
	unsigned history_s, history_count; /* ended executions are kept so long, so many */
	uint64_t history_bytes;
	int64_t loaded_real_ns;
};

struct templates;
struct yaml_node;

/* One template from the root of its document; NULL and reterr. */
struct template *template_read(const struct yaml_node *root, struct err *reterr);
struct template *template_free(struct template *t);
/* The first base that fits; "host" only where the driver can show it (VMM_CAP_HOST_BASE). NULL when
 * there is none. */
const char *template_base(const struct template *t, bool can_host);
/* Absolute, no empty, "." or ".." component. */
bool template_path_clean(const char *s);

/* Every *.yaml of the directory; names and aliases must be unique. NULL and reterr on the first
 * error. */
struct templates *templates_load(const char *dir, struct err *reterr);
struct templates *templates_free(struct templates *ts);
/* By name, alias or id; "ns/name" and "name:default" are accepted as in E2B. NULL when unknown. */
const struct template *templates_find(const struct templates *ts, const char *ref);
size_t templates_count(const struct templates *ts);
const struct template *templates_at(const struct templates *ts, size_t i);
