/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Metadata that an upload's headers give its files: "X-Metadata-Name: value". */
#include <jansson.h>

struct err;
struct http_fields;

/* *ret is an object of names in lower case to values, NULL when there are none. 0, -ENOMEM, or
 * -EINVAL and reterr: over a limit of file_info.h, a name twice, or a value that is not ASCII text.
 */
int metadata_headers(const struct http_fields *f, json_t **ret, struct err *reterr);
