# SPDX-License-Identifier: Apache-2.0
"""Clients of the benchmarks: as little code as possible between the clock and the socket."""
import hashlib
import hmac
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import uuid

import zmq


class Http:
    """One keep-alive HTTP/1.1 connection; yields body pieces as they arrive."""

    def __init__(self, host, port, headers=None):
        self.address = (host, port)
        self.fixed = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
        self.host = f"{host}:{port}"
        self.open()

    def open(self):
        self.sock = socket.create_connection(self.address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def reopen(self):
        self.close()
        self.open()

    def close(self):
        self.sock.close()

    def _line(self):
        while b"\r\n" not in self.buffer:
            piece = self.sock.recv(262144)
            if not piece:
                raise ConnectionError("closed inside an answer")
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _take(self, n):
        while n:
            if not self.buffer:
                self.buffer = self.sock.recv(262144)
                if not self.buffer:
                    raise ConnectionError("closed inside a body")
            piece, self.buffer = self.buffer[:n], self.buffer[n:]
            n -= len(piece)
            yield piece

    def request(self, method, path, body=b"", kind="application/json"):
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{self.fixed}Content-Type: {kind}\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.status = int(self._line().split()[1])
        length, chunked = 0, False
        while line := self._line():
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            chunked |= name == b"transfer-encoding"
        if not chunked:
            yield from self._take(length)
            return
        while size := int(self._line().split(b";")[0], 16):
            yield from self._take(size)
            self._line()
        while self._line():
            pass

    def whole(self, method, path, body=b""):
        return b"".join(self.request(method, path, body))


class Execute:
    """Runs code through POST /execute."""

    def __init__(self, http):
        self.http = http

    def run(self, code):
        """Seconds to the first output byte (or None) and to the end, and the bytes of the body."""
        begun, first, size = time.perf_counter(), None, 0
        for piece in self.http.request("POST", "/execute", json.dumps({"code": code}).encode()):
            size += len(piece)
            if first is None and (b'"stdout"' in piece):
                first = time.perf_counter() - begun
        if self.http.status != 200:
            raise RuntimeError(f"status {self.http.status}")
        return first, time.perf_counter() - begun, size

    def text(self, code, limit_s):
        """All that was printed, and whether the answer came to its end within the limit, which not every peer's does."""
        pieces, ended = [], True
        self.http.sock.settimeout(limit_s)
        try:
            for piece in self.http.request("POST", "/execute", json.dumps({"code": code}).encode()):
                pieces.append(piece)
            self.http.sock.settimeout(None)
        except TimeoutError:
            ended = False
            self.http.reopen()
        whole = b"".join(pieces).rpartition(b"\n")[0] if not ended else b"".join(pieces)
        items = [json.loads(line) for line in whole.splitlines() if line]
        return "".join(i["text"] for i in items if i["type"] == "stdout"), ended


class RawKernel:
    """A raw ZMQ client to one ipykernel over ipc, no server at all: the floor for any server in front of it."""

    def __init__(self, argv):
        self.dir = tempfile.TemporaryDirectory(prefix="sandglass-bench-")
        self.key = uuid.uuid4().hex
        base = os.path.join(self.dir.name, "k")
        info = {"transport": "ipc", "ip": base, "key": self.key, "signature_scheme": "hmac-sha256", "shell_port": 1,
                "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5, "kernel_name": "python3"}
        path = pathlib.Path(self.dir.name, "connection.json")
        path.write_text(json.dumps(info))
        self.process = subprocess.Popen([a.replace("{connection_file}", str(path)) for a in argv],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        context = zmq.Context.instance()
        self.shell, self.iopub = context.socket(zmq.DEALER), context.socket(zmq.SUB)
        self.iopub.setsockopt(zmq.RCVHWM, 0)
        self.iopub.setsockopt(zmq.SUBSCRIBE, b"")
        self.shell.connect(f"ipc://{base}-1")
        self.iopub.connect(f"ipc://{base}-2")
        self.session = uuid.uuid4().hex
        self.poller = zmq.Poller()
        self.poller.register(self.shell, zmq.POLLIN)
        self.poller.register(self.iopub, zmq.POLLIN)
        self._send("kernel_info_request", {})
        self.shell.recv_multipart()
        time.sleep(1)  # the subscription settles
        self.run("1")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.dir.cleanup()

    def _send(self, kind, content):
        message_id = uuid.uuid4().hex
        parts = [json.dumps(p).encode() for p in (
            {"msg_id": message_id, "session": self.session, "username": "u", "msg_type": kind, "version": "5.3"}, {}, {}, content)]
        mac = hmac.new(self.key.encode(), digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        self.shell.send_multipart([b"<IDS|MSG>", mac.hexdigest().encode(), *parts])
        return message_id.encode()

    def run(self, code):
        begun, first, size, idle, reply = time.perf_counter(), None, 0, False, False
        message_id = self._send("execute_request", {"code": code, "silent": False, "store_history": True,
                                                    "user_expressions": {}, "allow_stdin": False})
        while not (idle and reply):
            for sock, _ in self.poller.poll():
                parts = sock.recv_multipart()
                at = parts.index(b"<IDS|MSG>")
                header, parent, content = parts[at + 2], parts[at + 3], parts[at + 5]
                if message_id not in parent:
                    continue
                size += len(content)
                if sock is self.shell:
                    reply = True
                elif b'"stream"' in header and first is None:
                    first = time.perf_counter() - begun
                elif b'"status"' in header and b'"idle"' in content:
                    idle = True
        return first, time.perf_counter() - begun, size
