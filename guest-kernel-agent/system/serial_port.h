/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Ports of a virtio-serial device, which have names. */
#include <stdbool.h>

#define SERIAL_PORT_CONTROL "sandglass.control"
#define SERIAL_PORT_DATA "sandglass.data"

bool serial_port_exists(const char *name);
/* Nonblocking: fd, -ENOENT or another -errno. */
int serial_port_open(const char *name);
