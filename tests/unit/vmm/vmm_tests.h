/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <check.h>

void add_machine(Suite *s);
void add_fc_parts(Suite *s);  /* version, bodies, answers, exits, pipes */
void add_fc_api(Suite *s);    /* the client against a server that misbehaves */
void add_fc_fake(Suite *s);   /* the stand-ins for Firecracker and its jailer */
void add_fc_create(Suite *s); /* cold boot, clone, adopt, destroy */
void add_fc_power(Suite *s);  /* pause, resume, snapshots */
