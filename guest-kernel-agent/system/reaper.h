/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Process 1 inherits processes whose parents ended: collects them when they end. */
struct loop;
struct reaper;

struct reaper *reaper_new(struct loop *l);
struct reaper *reaper_free(struct reaper *r);
