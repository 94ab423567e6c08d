# SPDX-License-Identifier: Apache-2.0
"""Output of a kernel that leaves at once, in order, whole, and no faster than its reader takes it.

ipykernel collects output for 0.2 s and drops it when its queue is full. Here:

- A line written after a moment of quiet is handed over before write() returns, so that it is out even when
  the next statement holds the interpreter for a minute. What follows within PAUSE is sent together. A line
  that is not yet whole has PARTIAL_PAUSE: print() writes its end separately, which on a busy machine may take.
- flush() hands over before it returns, but not more often than once in FLUSH_PAUSE.
- The socket blocks instead of dropping, and a writer waits when it is PENDING_MAX ahead: a slow reader slows
  the code down, and memory stays bounded.
- What subprocesses write to descriptors 1 and 2 is read in whole characters, and at the end of a cell
  before the cell's end is told.

All messages go out through one thread (IOPubThread) in the order in which they were given to it. A flush
that was queued takes the text of the moment when it runs, so whoever queues another message behind it, or
writes to the other stream, waits for it first.
"""

import codecs
import os
import select
import threading
import time

import zmq

PAUSE = 0.005
PARTIAL_PAUSE = 0.1
FLUSH_PAUSE = 0.001
PENDING_MAX = 256 * 1024  # characters
QUEUE_MAX = 32  # messages in the socket
READ_BYTES = 64 * 1024
READS_A_FLUSH = 4  # more than a pipe holds


def tune_socket(socket):
    """Before the publishing socket is bound."""
    if socket.socket_type in (zmq.PUB, zmq.XPUB):
        socket.setsockopt(zmq.SNDHWM, QUEUE_MAX)
        socket.setsockopt(zmq.XPUB_NODROP, 1)


streams = []


def make_stream(OutStream):
    class Stream(OutStream):
        """OutStream with another idea of when to send."""

        def __init__(self, session, pub_thread, name, *args, **kwargs):
            # The base class starts the thread that reads the descriptor.
            self._pending = 0  # characters written and not yet sent, about
            self._writes = self._sent_writes = 0  # equal: nothing is unsent
            self._count_lock = threading.Lock()
            self._leading = False  # who is writing sends by itself
            self._flush_queued = self._flushing = False
            self._last_sent = self._last_waited = 0.0
            self._timer_set = False
            self._partial_since = None  # when the line that has no end yet was begun
            self._fd_lock = threading.Lock()
            self._fd_reader = None  # thread that holds the lock
            self._fd_decoder = codecs.getincrementaldecoder("utf-8")("replace")
            super().__init__(session, pub_thread, name, *args, **kwargs)
            streams.append(self)

        def fileno(self):
            """What a subprocess is given: the descriptor that is read back."""
            if getattr(self, "_fid", None) is None:
                return super().fileno()
            return {"stdout": 1, "stderr": 2}[self.name]

        # ---- writing ----

        def write(self, string):
            if not isinstance(string, str):
                return super().write(string)  # which says what is wrong
            if len(string) <= PENDING_MAX:
                return self._write_piece(string)
            for start in range(0, len(string), PENDING_MAX):
                self._write_piece(string[start : start + PENDING_MAX])
            return len(string)

        def _write_piece(self, string):
            now = time.monotonic()
            quiet = now - self._last_sent >= PAUSE
            leading = self._leading = quiet and string.endswith("\n")
            if string.endswith("\n"):
                self._partial_since = None
            elif string and self._partial_since is None:
                self._partial_since = now
            for other in streams:
                if other is not self:
                    other.settle()
            try:
                written = super().write(string)
            finally:
                # After the text is in the buffer: a flush that takes it must not miss the count.
                with self._count_lock:
                    self._writes += 1
                    self._pending += len(string)
            if leading or self._pending > PENDING_MAX:
                self._wait_sent()
            return written

        def _schedule_flush(self):
            if self._leading or self._flush_pending:
                return
            self._flush_pending = True
            if not self._timer_set:
                self._timer_set = True
                self.pub_thread.schedule(self._set_timer)

        def _set_timer(self):
            self._io_loop.call_later(PAUSE, self._on_timer)

        def _on_timer(self):
            since = self._partial_since
            if self._flush_pending and since is not None and time.monotonic() - since < PARTIAL_PAUSE:
                self._set_timer()
                return
            self._timer_set = False  # before the look at what is pending: a writer looks the other way round
            if self._flush_pending:
                self._flush()

        # ---- sending ----

        def _in_kernel(self):
            """Not in a forked child, nor in the thread that sends."""
            thread = self.pub_thread and self.pub_thread.thread
            return thread and thread.is_alive() and thread is not threading.current_thread()

        def _wait_sent(self):
            if not self._in_kernel():
                super().flush()
                return
            sent = threading.Event()

            def flush_now():
                try:
                    self._flush()
                finally:
                    sent.set()

            self.pub_thread.schedule(flush_now)
            while not sent.wait(1) and self._in_kernel():
                pass
            self._last_waited = time.monotonic()

        def flush(self):
            if not self._in_kernel():
                super().flush()
                return
            self._read_descriptor(READS_A_FLUSH)
            if self._writes == self._sent_writes:
                return
            if time.monotonic() - self._last_waited >= FLUSH_PAUSE:
                self._wait_sent()
            elif not self._flush_queued:
                self._flush_queued = True
                self.pub_thread.schedule(self._flush)

        def settle(self):
            """Wait for a flush that is under way: what comes next must come behind it."""
            if (self._flush_queued or self._flushing) and self._in_kernel():
                self._wait_sent()

        def _flush(self):
            self._flushing = True
            try:
                # Marks first: what is written from here on needs a flush of its own.
                self._flush_queued = False
                self._pending = 0
                if self._sent_writes != self._writes:
                    self._sent_writes = self._writes
                    self._last_sent = time.monotonic()
                super()._flush()
            finally:
                self._flushing = False

        # ---- the descriptor ----

        def _watch_pipe_fd(self):
            os.set_blocking(self._fid, False)
            readable = select.poll()
            readable.register(self._fid, select.POLLIN)
            while self._should_watch:
                readable.poll()
                if not self._read_descriptor(1):
                    return

        def _read_descriptor(self, times):
            """Pass on what is there to be read; False at the end of the pipe."""
            if getattr(self, "_fid", None) is None or self._fd_reader == threading.get_ident():
                return True
            with self._fd_lock:
                self._fd_reader = threading.get_ident()
                try:
                    return self._read_locked(times)
                finally:
                    self._fd_reader = None

        def _read_locked(self, times):
            for _ in range(times):
                try:
                    data = os.read(self._fid, READ_BYTES)
                except BlockingIOError:
                    return True
                text = self._fd_decoder.decode(data)
                if text:
                    self.write(text)
                if not data:
                    return False
            return True

    return Stream


def make_packer(session):
    def pack(message):
        """JSON even when the code printed half of a surrogate pair, which UTF-8 has no form for."""
        try:
            return session.json_packer(message)
        except UnicodeEncodeError:
            text = session.json.dumps(message, default=session.json_default, ensure_ascii=False)
            return text.encode("utf-8", "surrogatepass")

    return pack


def keep_order(IOPubThread):
    """Text goes out before what was sent after it. The sending thread saves itself the queue when that is
    empty, but never overtakes what is in it."""
    queue = IOPubThread.send_multipart

    def send_multipart(self, *args, **kwargs):
        if threading.current_thread() is not self.thread:
            for stream in streams:
                stream.settle()
        elif not self._events:
            self._really_send(*args, **kwargs)
            return
        queue(self, *args, **kwargs)

    IOPubThread.send_multipart = send_multipart


def install():
    """Settings that make a kernel use this module."""
    global Stream, pack
    from ipykernel import iostream
    from jupyter_client import session

    settings = []
    if hasattr(session, "json_packer"):
        pack = make_packer(session)
        settings.append("--Session.packer=sandglass_output.pack")
    thread = iostream.IOPubThread
    stream = iostream.OutStream
    if hasattr(thread, "_really_send") and hasattr(stream, "_schedule_flush"):
        keep_order(thread)
        Stream = make_stream(stream)
        settings.append("--IPKernelApp.outstream_class=sandglass_output.Stream")
    return settings
