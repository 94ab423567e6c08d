/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * launcher.h without root, for tests of the Firecracker driver: no jail, but the same files in a
 * directory a sandbox, and the stand-in for Firecracker (fake_firecracker/) as a real process in
 * it. Stands in for liblauncher.a.
 */
#include <stdbool.h>

#include "launcher/launcher.h"

/* Its directory and all processes go with fake_launcher_free(), which checks that none is left. */
struct launcher *fake_launcher_new(struct loop *l);
void fake_launcher_free(struct launcher *la);
/* The script of the programs that are started from now on. */
void fake_launcher_script(struct launcher *la, const char *text);
/* What --version of the jailer prints; "" = not installed. */
void fake_launcher_set_jailer(struct launcher *la, const char *text);
void fake_launcher_set_vmm(struct launcher *la, const char *text);
/* Requests of this kind (and, of VM_DO, this verb) fail with code, count times. */
void fake_launcher_fail(
    struct launcher *la, enum proto_kind kind, unsigned verb, int code, unsigned count);
/* Requests of this kind are not answered until the next call with false. */
void fake_launcher_hold(struct launcher *la, enum proto_kind kind, bool hold);
/* The initrd of boxes from now on: a copy of this file; NULL = none that matters. */
void fake_launcher_initrd(struct launcher *la, const char *path);
/* The user that boxes are said to have. */
void fake_launcher_set_uid(struct launcher *la, uid_t uid);
void fake_launcher_set_network(struct launcher *la, bool on);

unsigned fake_launcher_boxes(const struct launcher *la); /* that exist, dead ones too */
unsigned fake_launcher_alive(const struct launcher *la); /* processes */
unsigned fake_launcher_creates(const struct launcher *la);
unsigned fake_launcher_verbs(const struct launcher *la, enum proto_vm_verb verb);
/* Of the newest: its directory; the process. */
const char *fake_launcher_dir(const struct launcher *la);
pid_t fake_launcher_pid(const struct launcher *la);
/* Path of a file of the template's warm snapshot, or of a snapshot. */
void fake_launcher_kept(
    const struct launcher *la, const char *name, const char *file, char dst[160]);
/* Boxes go on, the daemon's side is new: its watches are forgotten. */
void fake_launcher_forget_watches(struct launcher *la);
