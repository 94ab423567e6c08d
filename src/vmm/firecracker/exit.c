/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firecracker/exit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const struct {
	int code;
	const char *text;
	bool suspicious;
} codes[] = {
	{ 0, "the guest shut down or rebooted", false },
	{ 1, "Firecracker failed", false },
	{ 2, "Firecracker failed unexpectedly", false },
	{ 148, "Firecracker made a system call that its filter forbids", true },
	{ 149, "Firecracker had a bus error (SIGBUS; memory or huge pages were missing)", true },
	{ 150, "Firecracker had a bad memory access (SIGSEGV)", true },
	{ 151, "Firecracker wrote a file that is larger than its limit (SIGXFSZ)", false },
	{ 152, "Firecracker did not accept its configuration file", false },
	{ 153, "Firecracker did not accept its command line", false },
	{ 154, "Firecracker used more processor time than its limit (SIGXCPU)", false },
	{ 155, "Firecracker wrote to a closed pipe (SIGPIPE)", false },
	{ 156, "Firecracker was hung up (SIGHUP)", false },
	{ 157, "Firecracker met an illegal instruction (SIGILL)", true },
};

void fc_exit_describe(int64_t status, char *dst, size_t cap)
{
	if (status == -1) {
		(void)snprintf(dst, cap, "Firecracker ended, nobody saw how");
		return;
	}
	if (WIFSIGNALED((int)status)) {
		int sig = WTERMSIG((int)status);
		(void)snprintf(dst, cap, "Firecracker was killed by signal %d (%s)%s", sig,
		    strsignal(sig), sig == SIGKILL ? ", by us or for want of memory" : "");
		return;
	}
	int code = WEXITSTATUS((int)status);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (codes[i].code == code) {
			(void)snprintf(dst, cap, "%s (exit code %d)", codes[i].text, code);
			return;
		}
	}
	(void)snprintf(dst, cap, "Firecracker exited with code %d", code);
}

bool fc_exit_is_suspicious(int64_t status)
{
	if (status == -1 || !WIFEXITED((int)status))
		return status != -1 && WIFSIGNALED((int)status) &&
		       (WTERMSIG((int)status) == SIGSEGV || WTERMSIG((int)status) == SIGSYS ||
			   WTERMSIG((int)status) == SIGBUS || WTERMSIG((int)status) == SIGILL);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == WEXITSTATUS((int)status))
			return codes[i].suspicious;
	return false;
}
