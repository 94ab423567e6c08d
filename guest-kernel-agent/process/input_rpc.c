/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input is answered, and the next message of a stream is taken, when the process took all of it: a
 * process that does not read its input slows down who writes it.
 */
#include "guest-kernel-agent/process/input_rpc.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-kernel-agent/process/input.h"
#include "guest-kernel-agent/process/process.h"
#include "guest-kernel-agent/process/request.h"
#include "guest-kernel-agent/system/reply.h"
#include "process/process.pb-c.h"
#include "rpc/call.h"

struct writer {
	struct call *call;
	struct process *process; /* a reference */
	struct input_piece piece;
	void *copy; /* of a message that is valid in its callback only */
	bool streaming, writing;
};

static struct writer *writer_new(struct call *c, bool streaming)
{
	struct writer *w = mem_zalloc(sizeof(*w));
	if (!w) {
		reply_no_memory(c);
		return NULL;
	}
	w->call = c;
	w->streaming = streaming;
	call_set_user(c, w);
	return w;
}

void input_rpc_on_done(struct call *c, int err)
{
	struct writer *w = call_user(c);
	if (!w)
		return;
	if (w->writing)
		process_write_cancel(w->process, &w->piece);
	process_unref(w->process);
	mem_free(w->copy);
	mem_free(w);
}

static void on_written(struct input_piece *piece, int err)
{
	struct writer *w = container_of(piece, struct writer, piece);
	Process__SendInputResponse m = PROCESS__SEND_INPUT_RESPONSE__INIT;
	w->writing = false;
	w->copy = mem_free(w->copy);
	if (err < 0)
		call_finish(w->call, RPC_INTERNAL, "error writing to stdin: %s", err_name(err));
	else if (w->streaming)
		call_hold(w->call, false);
	else
		reply_message(w->call, &m.base);
}

/* Begin to write what a message says. */
static void write_input(struct writer *w, const Process__ProcessInput *input)
{
	bool pty = input && input->input_case == PROCESS__PROCESS_INPUT__INPUT_PTY;
	if (!pty && (!input || input->input_case != PROCESS__PROCESS_INPUT__INPUT_STDIN)) {
		call_finish(w->call, RPC_UNIMPLEMENTED, "input: expected stdin or pty");
		return;
	}
	const ProtobufCBinaryData *bytes = pty ? &input->pty : &input->stdin;
	w->piece = (struct input_piece){ .p = bytes->data, .n = bytes->len, .done = on_written };
	if (w->streaming) {
		w->copy = mem_alloc(bytes->len);
		if (!w->copy) {
			reply_no_memory(w->call);
			return;
		}
		if (bytes->len > 0)
			memcpy(w->copy, bytes->data, bytes->len);
		w->piece.p = w->copy;
	}
	int r = process_write(w->process, pty, &w->piece);
	w->writing = r == 0;
	if (r == PROCESS_E_TERMINAL)
		call_finish(w->call, RPC_INTERNAL, "%s",
		    pty ? "tty not assigned to process"
			: "error writing to stdin: the process has a terminal, send pty input");
	else if (r == PROCESS_E_NO_INPUT)
		call_finish(
		    w->call, RPC_INTERNAL, "error writing to stdin: stdin not enabled or closed");
	else if (r < 0)
		call_finish(w->call, RPC_RESOURCE_EXHAUSTED,
		    "more than %u bytes of input wait for this process", INPUT_QUEUE_MAX);
	else if (w->streaming)
		call_hold(w->call, true);
}

/* ---- SendInput ---- */

void input_rpc_on_send(struct call *c, const ProtobufCMessage *m)
{
	const Process__SendInputRequest *q = (const Process__SendInputRequest *)m;
	struct process *p = process_request_find(c, q->process, true);
	struct writer *w = p ? writer_new(c, false) : NULL;
	if (!w)
		return;
	w->process = process_ref(p);
	write_input(w, q->input);
}

/* ---- StreamInput ---- */

void input_rpc_on_stream(struct call *c, const ProtobufCMessage *m)
{
	const Process__StreamInputRequest *q = (const Process__StreamInputRequest *)m;
	struct writer *w = call_user(c) ? call_user(c) : writer_new(c, true);
	if (!w)
		return;
	switch (q->event_case) {
	case PROCESS__STREAM_INPUT_REQUEST__EVENT_START: {
		struct process *p = process_request_find(c, q->start->process, true);
		process_unref(w->process);
		w->process = p ? process_ref(p) : NULL;
		return;
	}
	case PROCESS__STREAM_INPUT_REQUEST__EVENT_DATA:
		if (w->process)
			write_input(w, q->data->input);
		else
			call_finish(c, RPC_INVALID_ARGUMENT, "event: expected start before data");
		return;
	case PROCESS__STREAM_INPUT_REQUEST__EVENT_KEEPALIVE:
		return;
	default:
		call_finish(c, RPC_UNIMPLEMENTED, "event: expected start, data or keepalive");
	}
}

void input_rpc_on_half_close(struct call *c)
{
	Process__StreamInputResponse m = PROCESS__STREAM_INPUT_RESPONSE__INIT;
	reply_message(c, &m.base);
}
