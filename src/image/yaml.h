/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strict reading of YAML files. A document is parsed into a tree with line numbers, then read into
 * a C structure by a table that names every key, its type and its range. What the table does not
 * name is an error. Anchors, aliases, tags, several documents, duplicate keys and NUL characters
 * are refused; size, depth and number of nodes are bounded.
 *
 * Every error reads "file:line: key.subkey: what was expected".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct yaml_doc;
struct yaml_node;

#define YAML_MAX_BYTES (256 * 1024) /* one file */
#define YAML_MAX_DEPTH 16
#define YAML_MAX_NODES 20000
#define YAML_MAX_TEXT 4096  /* a text whose key states no other limit */
#define YAML_MAX_ITEMS 1024 /* entries of a list or map whose key states no other limit */

/* ---- documents ---- */

/* name stands for the file in errors. NULL and reterr on failure. */
struct yaml_doc *yaml_doc_parse(const char *name, const void *p, size_t n, struct err *reterr);
struct yaml_doc *yaml_doc_load(const char *path, struct err *reterr);
struct yaml_doc *yaml_doc_free(struct yaml_doc *d);
/* Always a mapping; that of an empty file has no keys. */
const struct yaml_node *yaml_doc_root(const struct yaml_doc *d);

/* ---- nodes; valid as long as their document ---- */

/* Value of a key, or NULL. */
const struct yaml_node *yaml_node_get(const struct yaml_node *map, const char *key);
const struct yaml_node *yaml_node_first(const struct yaml_node *list_or_map);
const struct yaml_node *yaml_node_next(const struct yaml_node *v);
const char *yaml_node_key(const struct yaml_node *v);  /* NULL unless v is a value of a map */
const char *yaml_node_text(const struct yaml_node *v); /* NULL unless v is a scalar */
bool yaml_node_is_map(const struct yaml_node *v);
bool yaml_node_is_list(const struct yaml_node *v);
/* Fill reterr with "file:line: key: " and the text; returns -EINVAL. */
int yaml_node_error(const struct yaml_node *v, struct err *reterr, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- reading by table ---- */

enum yaml_type {    /* what lies at the key's offset in the target */
	YAML_STR,   /* char *: replaced by a copy; min to max bytes (max 0 = YAML_MAX_TEXT) */
	YAML_CHARS, /* char[max + 1]; min to max bytes */
	YAML_BOOL,  /* bool: true or false */
	YAML_UINT,  /* unsigned: decimal */
	YAML_MILLI, /* unsigned: decimal number with at most three decimals, times 1000; so is the
		       range */
	YAML_SIZE,  /* uint64_t bytes: 512MiB; units B KiB MiB GiB TiB; 0 needs none */
	YAML_DURATION, /* uint64_t milliseconds: 30s; units ms s m h d; 0 needs none */
	YAML_ENUM,     /* int: one of the choices */
	YAML_STR_LIST, /* char **, NULL at the end: replaced; min to max entries */
	YAML_STR_MAP,  /* char ** of "KEY=value", NULL at the end: replaced; min to max entries */
	YAML_MAP,      /* a mapping read by .keys into the target plus offset */
	YAML_CALL,     /* whatever .set makes of it */
};

struct yaml_choice {
	const char *name; /* NULL at the end */
	int value;
};

/* A table ends with a row whose key is NULL. Keys that are absent leave the target as it was. */
struct yaml_key {
	const char *key;
	enum yaml_type type;
	bool required;
	size_t offset;
	uint64_t min, max;
	/* Texts, list entries, and the keys of a YAML_STR_MAP must pass ok (may be NULL) ... */
	bool (*ok)(const char *s);
	/* ... which expected describes: "an absolute path" */
	const char *expected;
	const struct yaml_choice *choices;
	const struct yaml_key *keys;
	int (*set)(const struct yaml_node *v, void *target, struct err *reterr);
};

/* Read every key of a mapping. 0, -EINVAL or -ENOMEM with reterr; the target may be half filled
 * then. */
int yaml_read(
    const struct yaml_node *map, const struct yaml_key *keys, void *target, struct err *reterr);
/* Free what YAML_STR, YAML_STR_LIST and YAML_STR_MAP keys of the table own; they are NULL then. */
void yaml_read_fini(const struct yaml_key *keys, void *target);

/* NULL-terminated vectors of owned texts, as made for lists and maps. */
char **yaml_strv_free(char **v);
