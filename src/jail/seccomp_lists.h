/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The lists that roles are made of; each is NULL-terminated. */
extern const char *const seccomp_list_common[];	 /* memory, files, time, threads, waiting */
extern const char *const seccomp_list_network[]; /* sockets, except socket() itself */
extern const char *const seccomp_list_process[]; /* making, changing and tracing processes */
extern const char *const seccomp_list_machine[]; /* rarely used, wanted by language runtimes */
