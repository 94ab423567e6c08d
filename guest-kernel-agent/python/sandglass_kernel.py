# SPDX-License-Identifier: Apache-2.0
"""Starts ipykernel, tuned for a caller who watches the output while it is produced.

Run as "python sandglass_kernel.py -f CONNECTION_FILE" in place of "python -m ipykernel_launcher". Nothing
of ipykernel is replaced that a setting or a subclass can change, and each change is left out when this
version of ipykernel has no place for it (6.17 to 7 are meant): a plain kernel is better than none.
"""

import os
import sys

EXTRA_PACKAGES = "/usr/local/lib/sandglass/python"
DISTRIBUTION = "/usr/lib/python3/dist-packages"

SETTINGS = [
    "--HistoryManager.enabled=False",  # a database write a cell, and a thread
    "--InteractiveShell.colors=NoColor",
    "--Kernel._execute_sleep=0",
    "--PlainTextFormatter.max_seq_length=0",
]


def report(what):
    """A change could not be made: said on the process' own stderr, which the agent keeps."""
    print("sandglass: %s: %s" % (what, sys.exc_info()[1]), file=sys.__stderr__)


def fix_path():
    """As with "python -m": the launcher's directory is not a place for the user's imports."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [p for p in sys.path if p != here]
    if os.path.isdir(EXTRA_PACKAGES):
        # Behind what was installed in the sandbox, before the distribution's, which may be too old for them.
        at = sys.path.index(DISTRIBUTION) if DISTRIBUTION in sys.path else len(sys.path)
        sys.path.insert(at, EXTRA_PACKAGES)


def import_ipykernel():
    """Import it without debugpy, which would cost a third of the start-up time and run as a thread."""
    absent = "debugpy" not in sys.modules
    if absent:
        sys.modules["debugpy"] = None
    try:
        from ipykernel import debugger, kernelapp  # noqa: F401 - 7 imports the former, which tries debugpy, later
    finally:
        if absent:
            del sys.modules["debugpy"]
    return kernelapp


def skip_control_flush():
    """Every request first wakes the control thread and then does not wait for it."""
    from ipykernel.kernelbase import Kernel

    async def nothing(self):
        return None

    if hasattr(Kernel, "_flush_control_queue"):
        Kernel._flush_control_queue = nothing


def wake_loop_on_signals():
    """An interrupt of a cell that awaits is a callback of the event loop, which may be asleep in a system call
    that Python resumes after the signal. With any handler of its own the loop is woken by all signals.
    The handler of this one also ends system calls that began just after an interrupt came: the agent sends it
    until the cell has ended."""
    import signal
    from tornado.ioloop import IOLoop

    IOLoop.current().asyncio_loop.add_signal_handler(signal.SIGWINCH, lambda: None)
    signal.siginterrupt(signal.SIGWINCH, True)


def make_app(kernelapp, make_kernel, along, output, startup):
    class KernelApp(kernelapp.IPKernelApp):
        """IPKernelApp with our sockets' options, our display hooks and our kernel."""

        def init_kernel(self):
            if make_kernel:
                self.kernel_class = make_kernel()
            else:
                try:
                    self.kernel_class = along.kernel_class()
                except Exception:
                    report("variables along with code")
            super().init_kernel()

        def _bind_socket(self, socket, port):
            try:
                output.tune_socket(socket)
            except Exception:
                report("socket options")
            return super()._bind_socket(socket, port)

        def init_shell(self):
            super().init_shell()
            if self.shell is not None:
                startup.install(self.shell, report)

        def start(self):
            try:
                wake_loop_on_signals()
            except Exception:
                report("interrupts")
            super().start()

    return KernelApp


def main(make_kernel=None):
    """make_kernel() makes the class of another kernel than IPython's."""
    import sandglass_along as along
    import sandglass_output as output
    import sandglass_startup as startup

    fix_path()
    kernelapp = import_ipykernel()
    try:
        skip_control_flush()
        SETTINGS.extend(output.install())
    except Exception:
        report("output")
    make_app(kernelapp, make_kernel, along, output, startup).launch_instance(SETTINGS + sys.argv[1:])


if __name__ == "__main__":
    main()
