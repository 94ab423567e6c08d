/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Formatted, empty disks, one a size, that sandboxes copy (a few blocks; the rest is holes). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int disk_master_path(uint64_t bytes, char *dst, size_t cap); /* "masters/SIZE" */
bool disk_master_exists(uint64_t bytes);
/* Remove what makers that were killed left. */
void disk_sweep_masters(void);
/* In a task: runs mkfs.ext4, renames when complete. 0 or -errno. */
int disk_master_make(uint64_t bytes);
/* A sparse copy; to must not exist. Safe between clone and exec. A descriptor for reading and
 * writing, or -errno. */
int disk_copy(const char *from, const char *to);
/* The data of one file, holes left out, into another of the same size. 0 or -errno. */
int disk_copy_data(int from, int to);
/* Make writes of a dying sandbox's disk fail at once, so that unmounting does not first copy what
 * nobody will read. fd is a directory of it. Nothing happens to a disk that holds little. */
void disk_abandon(int fd);
/* Do loop devices work here? */
bool disk_loop_works(void);
