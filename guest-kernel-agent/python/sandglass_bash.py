# SPDX-License-Identifier: Apache-2.0
"""A Jupyter kernel for bash, run as "python sandglass_bash.py -f CONNECTION_FILE".

One interactive bash without a terminal reads commands from a pipe. A cell is a file that it sources, so lines
run one by one as in a script, "return" and here-documents work, and an interrupt ends the cell but not the
shell. Its descriptors 1 and 2 are the kernel's, which are read back (sandglass_output): output leaves at once,
stdout and stderr apart. How a cell ended comes back through a descriptor that only the commands around the
cell see. A cell that ends bash ("exit", "set -e") gets a new one.
"""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time

import sandglass_kernel

QUIET = "PS1= PS2= PROMPT_COMMAND="  # prompts would go to stderr
STATUS_FD_MIN = 100  # scripts like to choose small numbers
INTERRUPTED = 128 + 2
INTERRUPT_AGAIN = 1  # seconds


class Bash:
    """One process and the pipes to it."""

    def __init__(self, cell_file):
        self.cell_file = cell_file
        self.cell = 0
        self.heard = b""
        self.interrupted = None  # when, during the current request
        self.status, write_end = os.pipe()
        self.readable = select.poll()
        self.readable.register(self.status, select.POLLIN)
        told = fcntl.fcntl(write_end, fcntl.F_DUPFD, STATUS_FD_MIN)
        out, err = (fcntl.fcntl(fd, fcntl.F_DUPFD, STATUS_FD_MIN) for fd in (1, 2))
        # Ignored between cells, which bash would hand on to what it starts; any handler becomes the default there.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            # What it says about a missing terminal, and what start-up files print, is nobody's output.
            self.process = subprocess.Popen(
                ["bash", "--noediting", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, pass_fds=[told, out, err], bufsize=0)
        finally:
            signal.signal(signal.SIGINT, handler)
            for fd in (write_end, told, out, err):
                os.close(fd)
        self.told = told
        self.command("%s; set +H +o history; exec 1>&%d 2>&%d %d>&- %d>&-" % (QUIET, out, err, out, err))
        self.tell("end")

    def command(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def tell(self, what, before=""):
        """Have it say what about the current cell; then no prompt is left of what the cell may have set."""
        self.command("%sprintf '%d %%s\\n' %s >&%d; %s" % (before, self.cell, what, self.told, QUIET))

    def read_line(self, again):
        """None when bash has ended. again: repeat an interrupt that had no effect."""
        while b"\n" not in self.heard:
            if not self.readable.poll(100):
                self.push(again)
                continue
            piece = os.read(self.status, 256)
            if not piece:
                return None
            self.heard += piece
        line, _, self.heard = self.heard.partition(b"\n")
        return line.decode()

    def push(self, again):
        """bash is in our process group and has heard the interrupt, too, but takes no notice when it came just
        before a command had started or just after it had ended, and may forget what it was to tell."""
        if self.interrupted and time.monotonic() - self.interrupted > INTERRUPT_AGAIN:
            self.interrupted = time.monotonic()
            if again:
                os.killpg(0, signal.SIGINT)
            self.tell("end")

    def wait(self, again=True):
        """The status of the cell that was begun last; None when bash has ended."""
        status = INTERRUPTED
        while (line := self.read_line(again)) is not None:
            cell, what = line.split()
            if int(cell) == self.cell and what == "end":
                return status
            if int(cell) == self.cell:
                status = int(what)
        return None

    def run(self, code):
        with open(self.cell_file, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(code + "\n")
        self.cell += 1
        if self.interrupted:
            return INTERRUPTED
        # The second line is read whatever an interrupt made of the first.
        self.tell("$?", ". %s </dev/null %d>&-; " % (self.cell_file, self.told))
        self.tell("end")
        status = self.wait()
        if self.interrupted and status is not None:
            # Whatever interrupts are still on their way must not meet the next cell.
            self.cell += 1
            self.tell("end")
            self.wait(again=False)
        return status

    def close(self):
        """How it ended, as a shell tells it."""
        self.process.stdin.close()
        os.close(self.status)
        code = self.process.wait()
        return code if code >= 0 else 128 - code


def make_kernel():
    from ipykernel.kernelbase import Kernel

    class BashKernel(Kernel):
        implementation = "sandglass-bash"
        implementation_version = "1"
        banner = "bash"
        language_info = {"name": "bash", "mimetype": "text/x-sh", "file_extension": ".sh"}
        bash = None

        def _start_bash(self):
            self.bash = Bash(os.path.join(os.path.dirname(self.parent.abs_connection_file), "cell"))
            self.bash.wait()

        def set_parent(self, ident, parent, channel="shell"):
            """What comes from the descriptors belongs to the request that runs."""
            super().set_parent(ident, parent, channel)
            if channel == "shell":
                sys.stdout.set_parent(parent)
                sys.stderr.set_parent(parent)

        def pre_handler_hook(self):
            """An interrupt raises nothing here: bash and what it runs hear it, and that ends the cell."""
            if self.bash:
                self.bash.interrupted = None
            self.saved_sigint_handler = signal.signal(signal.SIGINT, self._on_interrupt)

        def _on_interrupt(self, *args):
            if self.bash:
                self.bash.interrupted = time.monotonic()

        def do_execute(self, code, silent, *args, **kwargs):
            """Newer versions await what is returned, all of them take a plain value, too."""
            try:
                status = self._run(code)
            except (OSError, ValueError) as e:
                return self._error("BashError", str(e), silent)
            if status:
                return self._error("ExitStatus", str(status), silent)
            return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

        def _run(self, code):
            if self.bash is None:
                self._start_bash()
            try:
                status = self.bash.run(code)
            except BrokenPipeError:  # it ended between two cells
                status = None
            if status is None:
                bash, self.bash = self.bash, None
                status = bash.close()
                os.write(2, b"bash exited with status %d; the next cell gets a new one\n" % status)
            return status

        def _error(self, name, value, silent):
            error = {"ename": name, "evalue": value, "traceback": []}
            if not silent:
                self.send_response(self.iopub_socket, "error", error)
            return dict(error, status="error", execution_count=self.execution_count)

        def start(self):
            super().start()
            self._start_bash()

    return BashKernel


if __name__ == "__main__":
    sandglass_kernel.main(make_kernel)
