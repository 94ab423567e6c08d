/* SPDX-License-Identifier: Apache-2.0 */
#include "guest-kernel-agent/process/event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/str.h"
#include "guest-kernel-agent/journal/journal.h"

struct end_form {
	int32_t how, wait_status;
};

static int append(struct journal *j, enum process_event_type type, const void *head, size_t n_head,
    const void *p, size_t n)
{
	struct iovec iov[] = { { (void *)head, n_head }, { (void *)p, n } };
	return journal_append(j, type, clock_real_ns(), iov, 2);
}

int process_event_add_started(struct journal *j, uint32_t pid)
{
	return append(j, PROCESS_EVENT_STARTED, &pid, sizeof(pid), NULL, 0);
}

int process_event_add_output(
    struct journal *j, enum process_event_type type, uint64_t offset, const void *p, size_t n)
{
	return append(j, type, &offset, sizeof(offset), p, n);
}

int process_event_add_end(struct journal *j, enum process_end how, int wait_status)
{
	struct end_form f = { (int32_t)how, wait_status };
	return append(j, PROCESS_EVENT_END, &f, sizeof(f), NULL, 0);
}

int process_event_decode(const struct journal_record *rec, struct process_event *ret)
{
	struct end_form f;
	ret->type = (enum process_event_type)rec->type;
	ret->seq = rec->seq;
	ret->time_ns = rec->time_ns;
	switch (ret->type) {
	case PROCESS_EVENT_STARTED:
		if (rec->n != sizeof(ret->pid))
			return -EINVAL;
		memcpy(&ret->pid, rec->data, sizeof(ret->pid));
		return 0;
	case PROCESS_EVENT_STDOUT:
	case PROCESS_EVENT_STDERR:
	case PROCESS_EVENT_PTY:
		if (rec->n < sizeof(ret->output.offset))
			return -EINVAL;
		memcpy(&ret->output.offset, rec->data, sizeof(ret->output.offset));
		ret->output.p = (const char *)rec->data + sizeof(ret->output.offset);
		ret->output.n = rec->n - sizeof(ret->output.offset);
		return 0;
	case PROCESS_EVENT_END:
		if (rec->n != sizeof(f))
			return -EINVAL;
		memcpy(&f, rec->data, sizeof(f));
		ret->end.how = (enum process_end)f.how;
		ret->end.wait_status = f.wait_status;
		return 0;
	}
	return -EINVAL;
}

/* ---- words ---- */

static const char *signal_words(int signo)
{
	static const char *const words[] = { "", "hangup", "interrupt", "quit",
		"illegal instruction", "trace/breakpoint trap", "aborted", "bus error",
		"floating point exception", "killed", "user defined signal 1", "segmentation fault",
		"user defined signal 2", "broken pipe", "alarm clock", "terminated" };
	return signo > 0 && signo < (int)(sizeof(words) / sizeof(words[0])) ? words[signo] : NULL;
}

char *process_status_text(int wait_status, char dst[PROCESS_STATUS_TEXT_MAX])
{
	if (!WIFSIGNALED(wait_status)) {
		(void)snprintf(
		    dst, PROCESS_STATUS_TEXT_MAX, "exit status %d", process_exit_code(wait_status));
		return dst;
	}
	int signo = WTERMSIG(wait_status);
	const char *words = signal_words(signo),
		   *core = WCOREDUMP(wait_status) ? " (core dumped)" : "";
	if (words)
		(void)snprintf(dst, PROCESS_STATUS_TEXT_MAX, "signal: %s%s", words, core);
	else
		(void)snprintf(dst, PROCESS_STATUS_TEXT_MAX, "signal: signal %d%s", signo, core);
	return dst;
}

int process_exit_code(int wait_status)
{
	return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}
