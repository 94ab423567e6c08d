/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The tree behind image/yaml.h; for yaml*.c only. */
#include "image/yaml.h"

enum yaml_kind { YAML_KIND_TEXT, YAML_KIND_LIST, YAML_KIND_MAP };

struct yaml_node {
	const struct yaml_doc *doc;
	const struct yaml_node *parent;
	struct yaml_node *next; /* sibling */
	struct yaml_node *first, *last;
	struct yaml_node *made; /* all nodes of the document, to free them */
	enum yaml_kind kind;
	unsigned line;
	size_t index; /* among its siblings */
	size_t count; /* children */
	char *key;    /* owned; of a map's value */
	char *text;   /* owned; of a scalar */
	bool plain;   /* scalar without quotes */
};
