/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which key was meant, for yaml_read.c. */

/* Edits that turn a into b; larger than limit as soon as that is certain. */
unsigned yaml_typo_distance(const char *a, const char *b, unsigned limit);
