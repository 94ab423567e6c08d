/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The blocking half of watching: adds inotify watches to a directory and those below it, and finds
 * what appeared or changed there before they were set. Runs in a thread with the user's rights.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct map;

#define SCAN_DIRECTORIES_MAX 65536 /* one watch may hold */
#define SCAN_ITEMS_MAX 100000	   /* of one scan; what is beyond is not told */

enum scan_change { SCAN_SAME, SCAN_CREATED, SCAN_WRITTEN };

struct scan_item {
	char *name; /* relative to the root of the watch, "" is the root */
	int wd;	    /* of a directory that is watched now, else -1 */
	bool is_dir;
	enum scan_change change;
};

struct scan {
	/* What to do. */
	int inotify;
	const char *root;  /* absolute */
	const char *start; /* directory to begin with, as the items' names */
	bool follow;	   /* the start may be a link */
	bool recursive;
	bool refuse_network; /* when the start is on a network file system */
	bool report;	     /* tell entries: as created when all_new or when known lacks their
				directory, else by the times of what changed since since_ns */
	bool all_new;
	int64_t since_ns;
	const struct map *known; /* names of directories; may be NULL */
	size_t max_directories;

	/* What was found, a directory before what is below it. */
	struct scan_item *items;
	size_t n_items;
	bool truncated; /* SCAN_ITEMS_MAX was reached */
};

/* 0; -errno of the start with reterr set; -ENOSPC when no more directories can be watched; -ENOMEM.
 * Directories below that cannot be watched are left out. Items are valid (and may hold watches)
 * also after a failure. */
int scan_run(struct scan *s, struct err *reterr);
void scan_fini(struct scan *s);
/* Files of this statfs() type may change elsewhere, which inotify does not see. */
bool scan_is_network(uint32_t type);
