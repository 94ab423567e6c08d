/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is done with directory entries. Everything blocks and runs in a thread with the rights of
 * the user; paths are absolute. 0, or -errno with a sentence that names the path.
 */
#include <stddef.h>
#include <stdint.h>

struct err;
struct file_info;

#define TREE_ENTRIES_MAX 50000		  /* in one answer */
#define TREE_BYTES_MAX (32 * 1024 * 1024) /* about the size of one answer */
#define TREE_DEPTH_MAX 256		  /* levels that are looked into */

struct file_list {
	struct file_info *items;
	size_t n, cap;
	size_t bytes; /* about what they take */
};
void file_list_fini(struct file_list *l);
/* Takes over what f holds, also on failure. 0 or -ENOMEM. */
int file_list_add(struct file_list *l, struct file_info *f_consume);

/* The directories above path, 0755 where they are missing. */
int tree_make_parents(const char *path, struct err *reterr);
/* The directory and those above. -EEXIST: it was there; -ENOTDIR: something else is. */
int tree_make_dir(const char *path, struct err *reterr);
/* Rename; the directories above the destination are made. */
int tree_move(const char *source, const char *destination, struct err *reterr);
/* With all below; follows no link, crosses no mount point. A missing path is fine. */
int tree_remove(const char *path, struct err *reterr);
/* Entries below path, a link to a directory followed, down to depth levels (1 = its own): sorted by
 * name, a directory's entries right behind it. Directories below that may not be read have none. */
int tree_list(const char *path, uint32_t depth, struct file_list *ret, struct err *reterr);

/* Names in the open directory, sorted, without "." and ".."; takes over fd. At most max (-E2BIG).
 * Freed with tree_names_free(). */
int tree_names(int fd_consume, size_t max, char ***ret, size_t *ret_n);
void tree_names_free(char **names, size_t n);
