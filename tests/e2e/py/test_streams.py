"""Streams of executions that something breaks: each ends with one reason, and loses nothing (contrib/docs/STREAMS.md)."""
import ctypes
import json
import os
import signal
import socket
import struct
import threading
import time

import grpc
import pytest
from host import DRIVER, agent_pid, agent_resident, all_of, inside, resident, wait_until
from test_hostile import PREFACE, frame
from test_recovery import child, eventually

CODE = "sandglass.v1.CodeInterpreter"
SO_ATTACH_FILTER = 26
DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # one instruction of BPF: return 0, keep nothing of any packet


def data(sandbox):
    return [("sandglass-sandbox-id", sandbox.sandbox_id), ("x-access-token", sandbox._envd_access_token)]


def text_of(events, stream="stdout"):
    return "".join(getattr(e, stream).text for e in events)


def numbered(events):
    return [e for e in events if e.seq]


def ends(events):
    return [e.end for e in events if e.HasField("end")]


def post(server, sandbox, path, body, content_type="application/json", headers=()):
    """A raw HTTP/1.1 request to port 49999; the socket, the head already read."""
    s = socket.create_connection(server[:2], timeout=60)
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {content_type}", f"Content-Length: {len(body)}",
             f"E2b-Sandbox-Id: {sandbox.sandbox_id}", "E2b-Sandbox-Port: 49999",
             f"X-Access-Token: {sandbox._envd_access_token}", *(f"{k}: {v}" for k, v in headers)]
    s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return s


def envelope(message):
    text = json.dumps(message).encode()
    return struct.pack(">BI", 0, len(text)) + text


def body_of(raw):
    """What of a chunked answer has come, wherever it was cut."""
    head, found, raw = raw.partition(b"\r\n\r\n")
    assert not found or head.startswith(b"HTTP/1.1 200"), head
    body = b""
    while raw:
        line, found, rest = raw.partition(b"\r\n")
        if not found:
            break
        n = int(line, 16)
        body += rest[:n]
        raw = rest[n + 2:]
    return body


def take(s, n=None):
    """n bytes of the answer (None: all), then gone."""
    got = b""
    while (n is None or len(got) < n) and not got.endswith(b"\r\n0\r\n\r\n"):
        chunk = s.recv(65536 if n is None else min(65536, n - len(got)))
        if not chunk:
            break
        got += chunk
    s.close()
    return got


def events_in(body):
    events = []
    while len(body) >= 5:
        flags, n = struct.unpack(">BI", body[:5])
        if len(body) < 5 + n or flags == 2:
            break
        events.append(json.loads(body[5:5 + n]))
        body = body[5 + n:]
    return [e for e in events if "seq" in e]


@pytest.fixture(scope="module")
def lines():
    return "import time\nfor i in range(60):\n    print(i, 'é' * (i * 37 % 150), flush=True)\n    if i % 20 == 0: time.sleep(.05)\n'last'"


def test_cut_anywhere_and_go_on(server, sandbox, client, lines):
    whole = numbered(client.method(f"{CODE}/Execute")(data(sandbox), code=lines))
    want = (text_of(whole), [e.result.data["text/plain"] for e in whole if e.HasField("result")])
    size = len(take(post(server, sandbox, f"/{CODE}/Execute", envelope({"code": lines}), "application/connect+json")))
    assert size > 10000
    for n in range(200, size, 797):
        head = events_in(body_of(take(post(
            server, sandbox, f"/{CODE}/Execute", envelope({"code": lines}), "application/connect+json"), n)))
        if not head:
            continue
        rest = numbered(client.method(f"{CODE}/Attach")(
            data(sandbox), execution_id=head[0]["started"]["executionId"], from_seq=len(head) + 1))
        got = "".join(e["stdout"]["text"] for e in head if "stdout" in e) + text_of(rest)
        assert got == want[0], f"cut after byte {n}"
        assert [int(e["seq"]) for e in head] + [e.seq for e in rest] == list(range(1, len(head) + len(rest) + 1))
        assert len(ends(rest)) == 1 - any("end" in e for e in head)


def test_a_stock_request_is_replayed_when_asked(server, sandbox, lines):
    """The SDKs have no way to add a header to runCode: any HTTP client has."""
    body = json.dumps({"code": lines}).encode()

    def ask(n=None, **more):
        names = {"id": "Sandglass-Execution-Id", "seq": "Sandglass-From-Seq"}
        headers = [(names[k], v) for k, v in more.items()]
        raw = body_of(take(post(server, sandbox, "/execute", body, headers=headers), n))
        return [json.loads(line) for line in raw.split(b"\n")[:-1]]

    def summary(answer):
        """Text comes in other pieces each time."""
        text = "".join(line["text"] for line in answer if line["type"] == "stdout")
        return text, [(line["type"], line.get("text")) for line in answer if line["type"] != "stdout"]

    want = summary(ask(id="whole"))
    assert want[1][-1] == ("end_of_execution", None) and len(want[0]) > 4000
    for i, n in enumerate((200, 1500, 4000, 9000)):
        head = ask(n, id=f"cut-{i}")
        seq = head[-1]["seq"] if head else 0
        rest = ask(id=f"cut-{i}", seq=seq + 1)
        assert summary(head + rest) == want
        assert [line["seq"] for line in head + rest] == sorted(line["seq"] for line in head + rest)
    before = sandbox.run_code("1").execution_count
    assert ask(id="whole") and sandbox.run_code("1").execution_count == before + 1  # not run again


def test_without_it_a_lost_client_interrupts(server, sandbox):
    with post(server, sandbox, "/execute", json.dumps({"code": "print(1)\nimport time; time.sleep(60)"}).encode()) as s:
        got = b""
        while b"stdout" not in got:
            got += s.recv(1000)
    began = time.monotonic()
    assert sandbox.run_code("7").text == "7"
    assert time.monotonic() - began < 15


def test_caps_and_ranges(sandbox, client):
    code = "print('head')\nfor i in range(20000): print('x' * 99)\nprint('tail')"
    events = list(client.method(f"{CODE}/Execute")(data(sandbox), code=code, max_bytes=2000))
    left_out = [e.omitted for e in events if e.HasField("omitted")][0]
    total = 5 + 20000 * 100 + 5
    text = text_of(events)
    assert text.startswith("head\n") and text.endswith("tail\n") and len(text) == 2000
    assert left_out.bytes == total - 2000
    execution = events[0].started.execution_id
    parts = list(client.method(f"{CODE}/ReadOutput")(
        data(sandbox), execution_id=execution, stream=1, offset=left_out.offset, limit=left_out.bytes))
    middle = b"".join(p.data for p in parts).decode()
    whole = text[:left_out.offset] + middle + text[left_out.offset:]
    assert whole == "head\n" + ("x" * 99 + "\n") * 20000 + "tail\n"
    outcome = client.method(f"{CODE}/GetExecution")(data(sandbox), execution_id=execution)
    assert (outcome.stdout_bytes, outcome.end.status, outcome.state) == (total, 1, 3)


STEPS = {  # what has come when the blow falls, and code that waits there
    "started": ("started", "import time; time.sleep(60)"),
    "busy": ("busy", "import time; time.sleep(60)"),
    "output": ("stdout", "print('out', flush=True)\nimport time; time.sleep(60)"),
    "result": ("result", "display(1)\nimport time; time.sleep(60)"),
    "error": ("stderr", "import sys; print('e', file=sys.stderr, flush=True)\nimport time; time.sleep(60)"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("blow", ["SIGKILL", "SIGSEGV"])
def test_kernel_dies_at_each_step(sandbox, client, step, blow):
    event, code = STEPS[step]
    kernel = inside(sandbox, "import os; os.getpid()")
    other = sandbox.create_code_context()
    call = client.method(f"{CODE}/Execute")(data(sandbox), code=code)
    seen = []
    for e in call:
        seen.append(e)
        if e.HasField(event) and not ends(seen):
            began = time.monotonic()
            sandbox.run_code(f"import os, signal; os.kill({kernel}, signal.{blow})", context=other)
            event = "end"
    assert [e.status for e in ends(seen)] == [4] and seen[-1].HasField("end")
    assert f"signal {int(getattr(signal, blow))} " in seen[-1].end.detail
    assert time.monotonic() - began < 5
    sandbox.remove_code_context(other)
    assert sandbox.run_code("1").text == "1"


@pytest.mark.parametrize("step", ["started", "output", "result"])
@pytest.mark.parametrize("victim", ["agent", "sandbox"])
def test_the_sandbox_goes_at_each_step(new_sandbox, client, step, victim):
    event, code = STEPS[step]
    sandbox = new_sandbox()
    agent = agent_pid(sandbox)
    seen = []
    with pytest.raises(grpc.RpcError) as e:
        for m in client.method(f"{CODE}/Execute")(data(sandbox), code=code):
            seen.append(m)
            if m.HasField(event):
                began = time.monotonic()
                if victim == "agent":
                    os.kill(agent, signal.SIGKILL)
                else:
                    sandbox.kill()
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE and e.value.details()
    assert not ends(seen)  # the status is the one terminal event
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("victim", ["agent", "sandbox"])
def test_the_sandbox_goes_before_an_answer_begins(new_sandbox, client, victim):
    sandbox = new_sandbox()
    agent = agent_pid(sandbox)
    execute = client.method(f"{CODE}/Execute")
    os.kill(agent, signal.SIGSTOP)
    call = execute(data(sandbox), code="1")
    threading.Timer(2, *((os.kill, (agent, signal.SIGKILL)) if victim == "agent" else (sandbox.kill,))).start()
    with pytest.raises(grpc.RpcError, match="The sandbox ") as e:
        list(call)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE


def test_the_server_is_killed_while_it_streams(new_sandbox, client):
    sandbox = new_sandbox()
    code = "import time\nfor i in range(60):\n    print(i, flush=True)\n    time.sleep(.1)"
    call = client.method(f"{CODE}/Execute")(data(sandbox), code=code)
    head = []
    with pytest.raises(grpc.RpcError) as e:
        for m in call:
            head += [m] * (m.seq > 0)
            if len(head) == 10:
                os.kill(child("sandglassd"), signal.SIGKILL)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
    rest = []

    def again():
        rest[:] = numbered(client.method(f"{CODE}/Attach")(
            data(sandbox), execution_id=head[0].started.execution_id, from_seq=len(head) + 1))
    eventually(again)
    assert text_of(head + rest) == "".join(f"{i}\n" for i in range(60))
    assert [m.seq for m in head + rest] == list(range(1, len(head + rest) + 1))
    assert [x.status for x in ends(rest)] == [1]


def test_a_stopped_kernel_is_told_and_left_alone(sandbox, client):
    kernel = inside(sandbox, "import os; os.getpid()")
    other = sandbox.create_code_context()
    call = client.method(f"{CODE}/Execute")(data(sandbox), code="import time; time.sleep(1); print('done')")
    seen = []
    for e in call:
        seen.append(e)
        if e.HasField("busy"):
            sandbox.run_code(f"import os; os.kill({kernel}, 19)", context=other)
            began = time.monotonic()
        if e.HasField("stall") and e.stall.stalled:
            assert time.monotonic() - began < 5
            sandbox.run_code(f"os.kill({kernel}, 18)", context=other)
    assert [e.stall.stalled for e in seen if e.HasField("stall")][0] is True
    assert text_of(seen) == "done\n" and [e.status for e in ends(seen)] == [1]
    sandbox.remove_code_context(other)


def test_a_sandbox_that_stands_still_loses_nothing(new_sandbox, client):
    """All of its processes are stopped: nothing comes, no heartbeat either, and when they go on nothing is missing."""
    sandbox = new_sandbox()
    everything = all_of(sandbox)
    code = "import time\nfor i in range(20):\n    print(i, flush=True)\n    time.sleep(.1 if i != 10 else 12)"

    def tell(signo):
        for pid in everything:
            os.kill(pid, signo)
    seen, came = [], []
    for e in client.method(f"{CODE}/Execute")(data(sandbox), code=code):
        seen.append(e)
        came.append(time.monotonic())
        if len(seen) == 6:
            tell(signal.SIGSTOP)
            stopped = time.monotonic()
            threading.Timer(17, tell, (signal.SIGCONT,)).start()
    assert not [t for t in came[7:] if stopped + 1 < t < stopped + 16], "something came of a sandbox that stands still"
    assert text_of(seen) == "".join(f"{i}\n" for i in range(20))
    assert [e.status for e in ends(seen)] == [1]
    assert [e for e in seen if e.HasField("heartbeat")]  # in its own long sleep


def test_a_full_disk_bounds_the_journal_by_memory(new_sandbox, client):
    sandbox = new_sandbox()
    sandbox.run_code("try:\n    with open('/tmp/big', 'wb') as f:\n        while True: f.write(bytes(1 << 20))\n"
                     "except OSError: pass\ntry:\n    with open('/tmp/more', 'wb', 0) as f:\n        while True: f.write(b'x')\n"
                     "except OSError: pass")
    call = client.method(f"{CODE}/Execute")(data(sandbox), timeout=60 if DRIVER == "namespace" else 240,
                                            code="for i in range(200_000): print(i, 'x' * 90)")
    got, n = [next(call)], 0
    time.sleep(3)  # nobody reads
    for e in call:
        if e.HasField("stdout"):
            n += len(e.stdout.text)
        got = [e]
    assert n == sum(len(f"{i} ") + 91 for i in range(200_000))
    assert got[0].end.status == 1 and "disk" in got[0].end.detail


def test_a_gigabyte_to_a_slow_reader(server, new_sandbox):
    """Read slowly, then fast: the memory of server and agent is a flat line."""
    sandbox = new_sandbox()
    agent, daemon = agent_pid(sandbox), child("sandglassd")
    rounds = 10_000 if DRIVER == "namespace" else 2_000  # an emulated machine takes its time
    code = f"import sys\nx = ('y' * 99 + '\\n') * 1000\nfor _ in range({rounds}): sys.stdout.write(x)"

    def held():
        return {"agent": agent_resident(sandbox, agent), "server": resident(daemon)}
    before = held()
    most, chunks = dict(before), 0
    got, tail, began = 0, b"", time.monotonic()
    with post(server, sandbox, "/execute", json.dumps({"code": code}).encode()) as s:
        while b"end_of_execution" not in tail:
            slow = time.monotonic() - began < 5
            chunk = s.recv(16384 if slow else 1 << 20)
            assert chunk, "the stream ended before its end"
            got += chunk.count(b"y")
            tail = (tail + chunk)[-100:]
            if slow:
                time.sleep(.05)
            chunks += 1
            if DRIVER == "namespace" or chunks % 200 == 0:  # asking a machine takes a request
                most = {k: max(most[k], n) for k, n in held().items()}
    assert got >= rounds * 99_000
    grown = {k: (most[k] - before[k]) >> 20 for k in most}
    print(grown, time.monotonic() - began)
    assert grown["agent"] < 48 and grown["server"] < 16, grown


def test_a_client_that_vanished_is_found(server, new_sandbox):
    """Its machine is gone, no FIN came: found within 45 seconds, and the cell is interrupted as on any disconnect."""
    sandbox = new_sandbox()
    s = post(server, sandbox, "/execute", json.dumps({"code": "print(1)\nimport time; time.sleep(600)"}).encode())
    s.recv(100)
    program = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))
    began = time.monotonic()
    assert sandbox.run_code("5", timeout=60).text == "5"
    assert 10 < time.monotonic() - began < 50
    s.close()


class Http2:
    """A client that opens the windows of its streams only when told to, over frames written by hand."""
    DATA, HEADERS, RESET, SETTINGS, PING, WINDOW = 0, 1, 3, 4, 6, 8
    END_STREAM, END_HEADERS, ACK = 1, 4, 1

    def __init__(self, server):
        self.socket = socket.create_connection(server[:2], timeout=30)
        self.received, self.next = b"", 1
        self.data, self.ended, self.reset = {}, set(), {}
        self.socket.sendall(PREFACE + frame(self.SETTINGS, 0, 0, struct.pack("!HI", 4, 0))  # windows of streams: none
                            + frame(self.WINDOW, 0, 0, struct.pack("!I", (1 << 31) - 1 - 65535)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def request(self, method, path, headers, body=b"", window=0):
        stream, self.next = self.next, self.next + 2
        fields = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path), *headers]
        block = b"".join(b"\0" + b"".join(bytes([len(t)]) + t.encode() for t in f) for f in fields)
        out = frame(self.HEADERS, self.END_HEADERS | (0 if body else self.END_STREAM), stream, block)
        if window:
            out += frame(self.WINDOW, 0, stream, struct.pack("!I", window))
        if body:
            out += frame(self.DATA, self.END_STREAM, stream, body)
        self.data[stream] = b""
        self.socket.sendall(out)
        return stream

    def open(self, stream, window):
        self.socket.sendall(frame(self.WINDOW, 0, stream, struct.pack("!I", window)))

    def step(self):
        while len(self.received) < 9 or len(self.received) < 9 + int.from_bytes(self.received[:3], "big"):
            chunk = self.socket.recv(1 << 20)
            assert chunk, "the connection ended"
            self.received += chunk
        n = int.from_bytes(self.received[:3], "big")
        kind, flags, stream = self.received[3], self.received[4], int.from_bytes(self.received[5:9], "big")
        payload, self.received = self.received[9:9 + n], self.received[9 + n:]
        if kind in (self.SETTINGS, self.PING) and not flags & self.ACK:
            self.socket.sendall(frame(kind, self.ACK, 0, payload if kind == self.PING else b""))
        elif kind == self.DATA:
            self.data[stream] += payload
        elif kind == self.RESET:
            self.reset[stream] = int.from_bytes(payload, "big")
        if kind in (self.DATA, self.HEADERS) and flags & self.END_STREAM:
            self.ended.add(stream)

    def whole(self, stream, limit=30):
        """The body, when the stream has ended; or that it was reset."""
        self.socket.settimeout(limit)
        while stream not in self.ended and stream not in self.reset:
            self.step()
        return self.data[stream]


def test_a_stream_whose_window_stays_closed(server, new_sandbox, client):
    """It costs a bounded queue in the server and the journal's cap in the sandbox; all else works beside it, also on its connection."""
    sandbox = new_sandbox()
    agent, daemon = agent_pid(sandbox), child("sandglassd")
    sandbox.files.write("/home/user/big", "b" * (12 << 20))
    before = agent_resident(sandbox, agent), resident(daemon)
    head = [("content-type", "application/connect+json"), ("e2b-sandbox-id", sandbox.sandbox_id), ("e2b-sandbox-port", "49999"),
            ("x-access-token", sandbox._envd_access_token)]

    def outcome():
        return client.method(f"{CODE}/GetExecution")(data(sandbox), execution_id="held")
    with Http2(server) as http:
        code = "x = 'y' * 99 + '\\n'\nimport sys\nwhile True: sys.stdout.write(x * 1000)"
        held = http.request("POST", f"/{CODE}/Execute", head, envelope({"code": code, "executionId": "held"}))
        written, last, end = 0, -1, time.monotonic() + 120
        while written != last and time.monotonic() < end:  # until the kernel waits for the reader
            time.sleep(2)
            last = written
            try:
                written = outcome().stdout_bytes
            except grpc.RpcError as e:
                assert e.code() == grpc.StatusCode.NOT_FOUND and written == 0
        assert written == last and 128 << 20 < written < 320 << 20
        assert agent_resident(sandbox, agent) - before[0] < 48 << 20 and resident(daemon) - before[1] < 16 << 20
        # On the same connection: a call, and a download longer than all windows of the connection.
        unary = http.request("POST", f"/{CODE}/ListContexts", [("content-type", "application/json"), *head[1:]], b"{}", 1 << 20)
        assert json.loads(http.whole(unary))["contexts"]
        files = [("e2b-sandbox-id", sandbox.sandbox_id), ("e2b-sandbox-port", "49983"), ("x-access-token", sandbox._envd_access_token)]
        big = http.request("GET", "/files?path=/home/user/big", files, window=1 << 30)
        assert http.whole(big) == b"b" * (12 << 20)
        assert http.data[held] == b""
        # Beside it: another reader, and an interrupt.
        other = client.method(f"{CODE}/Attach")(data(sandbox), execution_id="held", from_seq=outcome().first_seq)
        n = 0
        for e in other:
            n += len(e.stdout.text)
            if n > 4 << 20:
                break
        other.cancel()
        assert sandbox.run_code("6 * 7", context=sandbox.create_code_context()).text == "42"
        client.method(f"{CODE}/Interrupt")(data(sandbox), execution_id="held")
        wait_until(lambda: outcome().end.status == 3)
        assert sandbox.run_code("6 * 7").text == "42"
        # What is open is sent, and no more than that.
        http.open(held, 100_000)
        while len(http.data[held]) < 100_000:
            http.step()
        assert len(http.data[held]) == 100_000 and b'"seq":"1"' in http.data[held]
        # The end of the sandbox ends it.
        sandbox.kill()
        http.whole(held, 15)
        assert held in http.reset and len(http.data[held]) == 100_000
        health = http.request("GET", "/health", [], window=1000)
        assert http.whole(health) == b""
