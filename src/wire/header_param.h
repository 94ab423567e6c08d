/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Parameters of a field value: Content-Type, Content-Disposition (RFC 9110 5.6.6, RFC 8187). */
#include <stdbool.h>

/* The value before the first parameter, letter case ignored. */
bool header_value_is(const char *value, const char *wanted);
/* Copy of the parameter's text, quotes and \" and \\ undone; a backslash before anything else
 * stands for itself. *ret stays NULL when there is none. 0, -ENOMEM, or -EINVAL: a parameter that
 * is malformed, or this one twice. */
int header_param(const char *value, const char *name, char **ret);
/* The same, with "name*" (RFC 8187, charset UTF-8) preferred over "name". The text is valid UTF-8,
 * or -EINVAL. */
int header_param_utf8(const char *value, const char *name, char **ret);
