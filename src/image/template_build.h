/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The part of a template that says what its image is built of; template.h describes the keys. */
#include <stdbool.h>

#include "image/yaml.h"

struct buf;
struct template_build;

/* For the key "base": a text or a list of texts; target is a struct template_build. */
int template_build_read_base(const struct yaml_node *v, void *target, struct err *reterr);
/* For the key "files". */
int template_build_read_files(const struct yaml_node *v, void *target, struct err *reterr);
/* Rows of the key "packages" and checks of its neighbours. */
extern const struct yaml_key template_package_keys[];
bool template_run_valid(const char *s);

/* What only holds between keys. */
int template_build_check(
    const struct template_build *b, const struct yaml_node *root, struct err *reterr);
/* What template_build_read_* made; the tables free the rest. */
void template_build_fini(struct template_build *b);
/* Append everything with lengths, so that no two contents give the same text. 0 or -ENOMEM. */
int template_build_describe(const struct template_build *b, struct buf *dst);
