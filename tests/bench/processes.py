# SPDX-License-Identifier: Apache-2.0
"""P13: a process by process.Process of the sandbox, against one started by bubblewrap and read through a pipe."""
import base64
import json
import struct
import subprocess
import time

from clients import Http

PATH = "/usr/local/bin:/usr/bin:/bin"
BASH = ["/bin/bash", "-l", "-c"]
BWRAP = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]


class Sandbox:
    """Connect with JSON over kept connections: one for streams, one for input while a stream runs."""

    def __init__(self, port, made):
        headers = {"E2b-Sandbox-Id": made["sandboxID"], "E2b-Sandbox-Port": "49983", "X-Access-Token": made["envdAccessToken"],
                   "Connect-Protocol-Version": "1"}
        self.port, self.headers = port, headers
        self.streams = Http("127.0.0.1", port, headers)

    def start(self, cmd, args=(), stdin=False):
        """Events as they come."""
        message = json.dumps({"process": {"cmd": cmd, "args": list(args)}, "stdin": stdin}).encode()
        data = b""
        for piece in self.streams.request("POST", "/process.Process/Start", struct.pack(">BI", 0, len(message)) + message,
                                          "application/connect+json"):
            data += piece
            while len(data) >= 5 and len(data) >= 5 + (n := struct.unpack(">I", data[1:5])[0]):
                end, message, data = data[0] == 2, json.loads(data[5:5 + n]), data[5 + n:]
                if "error" in message:
                    raise RuntimeError(message)
                if not end:
                    yield message["event"]

    def first_byte(self, script):
        begun, first = time.perf_counter(), None
        for event in self.start(BASH[0], [*BASH[1:], script]):
            if first is None and "data" in event:
                first = time.perf_counter() - begun
        return first

    def echoes(self, n):
        """Seconds from SendInput to its bytes on the stream of a cat, n times."""
        events, calls = self.start("/bin/cat", stdin=True), Http("127.0.0.1", self.port, self.headers)
        pid = next(events)["start"]["pid"]
        body = json.dumps({"process": {"pid": pid}, "input": {"stdin": base64.b64encode(b"ping\n").decode()}}).encode()
        taken = []
        for _ in range(n):
            begun = time.perf_counter()
            calls.whole("POST", "/process.Process/SendInput", body)
            said = base64.b64decode(next(events)["data"]["stdout"])
            taken.append(time.perf_counter() - begun)
            if calls.status != 200 or said != b"ping\n":
                raise RuntimeError(f"status {calls.status}, {said}")
        calls.whole("POST", "/process.Process/CloseStdin", json.dumps({"process": {"pid": pid}}).encode())
        for _ in events:
            pass
        calls.close()
        return taken

    def close(self):
        self.streams.close()


class Direct:
    """The same behind a prefix of a command line: bubblewrap, or nothing."""

    def __init__(self, prefix):
        self.prefix = prefix

    def _spawn(self, *argv):
        # Without closing descriptors Python forks the quick way. The home is that of a new user: a login shell reads
        # its profile, and whose it is must not decide.
        return subprocess.Popen([*self.prefix, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                close_fds=False, cwd="/", env={"PATH": PATH, "HOME": "/etc/skel"})

    def first_byte(self, script):
        begun = time.perf_counter()
        with self._spawn(*BASH, script) as process:
            if not process.stdout.read(1):
                raise RuntimeError(f"{process.args} wrote nothing")
            return time.perf_counter() - begun

    def echoes(self, n):
        taken = []
        with self._spawn("/bin/cat") as process:
            for _ in range(n):
                begun = time.perf_counter()
                process.stdin.write(b"ping\n")
                if process.stdout.read(100) != b"ping\n":
                    raise RuntimeError("cat wrote something else")
                taken.append(time.perf_counter() - begun)
        return taken

    def close(self):
        pass
