/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watchdog of a running execution: is the kernel busy, done or stopped? That it is dead a pidfd
 * says at once.
 *
 * A kernel takes the requests of its shell channel one after the other. A kernel_info_request that
 * is sent behind an execute_request is therefore answered when the execution is over, and not
 * before: its answer proves that the kernel is idle although the execution's own reply, and perhaps
 * its status, were lost. While there is no answer the kernel is busy, for however long.
 *
 * An interrupt may come between the interpreter's last look for signals and the system call in
 * which it then sleeps, which returns from another signal only. A second SIGINT would be a second
 * KeyboardInterrupt, perhaps in the midst of what the code does on account of the first; so until
 * the code has ended the process is nudged by SIGWINCH, which kernels of ours have a handler for
 * (and others ignore): the system call returns, the interpreter looks.
 *
 * A process that a signal has stopped neither runs nor dies. It is told of, and left alone: whoever
 * stopped it may let it go on.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdutil.h"
#include "base/log.h"
#include "base/path.h"
#include "guest-kernel-agent/jupyter/kernel_private.h"

#define WATCH_MS 2000
#define PROBE_AT_TICK 2
#define STAT_MAX 1024
#define NUDGE_MS 50 /* after an interrupt, then twice as long each time */

/* The state stands behind the command, which may contain anything. */
static bool is_stopped(pid_t pid)
{
	CLEAN_BUF struct buf text = BUF_INIT;
	char path[64];
	if (path_printf(path, sizeof(path), "/proc/%d/stat", (int)pid) < 0 ||
	    fd_read_file(AT_FDCWD, path, STAT_MAX, &text) < 0 || !buf_cstr(&text))
		return false;
	const char *end = strrchr(buf_cstr(&text), ')');
	return end && end[1] == ' ' && (end[2] == 'T' || end[2] == 't');
}

static void tell_stall(struct kernel *k, bool stalled)
{
	k->run.stalled = stalled;
	log_warn("kernel %d: %s", (int)k->pid, stalled ? "stopped by a signal" : "goes on");
	k->ops->on_stall(k, stalled, k->arg);
}

static void probe(struct kernel *k)
{
	if (!k->run.replied && !*k->run.probe &&
	    kernel_request(k, &k->shell, "kernel_info_request", NULL, k->run.probe) < 0)
		log_warn("no memory to ask a kernel whether it is idle");
}

static void on_watch(struct loop_timer *t, void *arg)
{
	struct kernel *k = arg;
	if (!k->run.active || k->ended || k->state != KERNEL_READY)
		return;
	loop_timer_set(&k->watch, WATCH_MS);
	bool stalled = is_stopped(k->pid);
	if (stalled != k->run.stalled)
		tell_stall(k, stalled);
	if (++k->run.ticks == PROBE_AT_TICK)
		probe(k);
}

static void on_nudge(struct loop_timer *t, void *arg)
{
	struct kernel *k = arg;
	if (!k->run.active || k->ended || k->state != KERNEL_READY)
		return;
	(void)syscall(SYS_pidfd_send_signal, k->child.pidfd, SIGWINCH, NULL, 0);
	k->run.nudge_ms *= 2;
	loop_timer_set(&k->nudge, k->run.nudge_ms);
}

/* It may cost the reply, too: what the probe finds is not waited for then. */
void kernel_watch_interrupt(struct kernel *k)
{
	probe(k);
	k->run.nudge_ms = NUDGE_MS;
	loop_timer_set(&k->nudge, k->run.nudge_ms);
}

void kernel_watch_end(struct kernel *k)
{
	loop_timer_cancel(&k->watch);
	loop_timer_cancel(&k->nudge);
}

void kernel_watch_fini(struct kernel *k)
{
	loop_timer_fini(&k->watch);
	loop_timer_fini(&k->nudge);
}

void kernel_watch_init(struct kernel *k)
{
	loop_timer_init(&k->watch, k->loop, on_watch, k);
	loop_timer_init(&k->nudge, k->loop, on_nudge, k);
}

void kernel_watch_run(struct kernel *k)
{
	loop_timer_set(&k->watch, WATCH_MS);
}
