# SPDX-License-Identifier: Apache-2.0
"""Memory of a process per idle HTTP/2 connection: opens them, makes one request on each, waits."""
import re
import socket
import time

SETTINGS, HEADERS, ACK, END_STREAM_HEADERS = 4, 1, 1, 5


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value, indexed=False):
    return (b"\x40" if indexed else b"\0") + bytes([len(name)]) + name + bytes([len(value)]) + value


REQUEST = frame(HEADERS, END_STREAM_HEADERS, 1, b"".join((
    literal(b":method", b"GET"), literal(b":scheme", b"http"), literal(b":path", b"/health"), literal(b":authority", b"127.0.0.1"),
    literal(b"user-agent", b"a client of some length/1.0", True), literal(b"accept", b"*/*", True))))
ENDED = re.compile(rb"[\x00\x01]\x01\x00\x00\x00\x01|[\x00\x01]\x05\x00\x00\x00\x01", re.S)  # END_STREAM on stream 1


def dirty(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return int(re.search(r"Private_Dirty:\s+(\d+)", f.read()).group(1)) * 1024


def connect(port, n):
    opened = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", port), 20)
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + REQUEST)
        opened.append(s)
    for s in opened:
        got = b""
        while not ENDED.search(got):
            piece = s.recv(65536)
            if not piece:
                raise ConnectionError("closed before its answer")
            got += piece
        s.sendall(frame(SETTINGS, ACK, 0))
    return opened


def measure(port, pid, n=1000, seconds=11):
    """Bytes a connection: after its request, and after some seconds of silence."""
    for s in connect(port, 50):  # what the first ones cost once
        s.close()
    time.sleep(1)
    before = dirty(pid)
    opened = connect(port, n)
    time.sleep(0.5)
    fresh = dirty(pid)
    time.sleep(seconds)
    idle = dirty(pid)
    for s in opened:
        s.close()
    return (fresh - before) / n, (idle - before) / n
