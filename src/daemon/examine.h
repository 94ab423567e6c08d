/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* sandglassd doctor: what doctor/doctor.h does, for the machine and the configuration of a server.
 */

struct args;
struct config;

/* The exit status. */
int examine_command(const struct args *a, const struct config *c);
