/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <sys/types.h>

/*
 * A process that takes connections on a unix socket and passes them to another one. Clients may
 * vanish at any moment; towards the other side a connection is always closed in order: no more is
 * sent, and what comes is read to its end. vhost-device-vsock (0.3) dies of a client that is gone
 * while the guest still writes to it. It ends with the process that started it.
 */
pid_t relay_start(const char *path, const char *to);
