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
from host import agent_pid, inside
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


def test_a_frozen_agent_loses_nothing(new_sandbox, client):
    sandbox = new_sandbox()
    agent = agent_pid(sandbox)
    code = "import time\nfor i in range(20):\n    print(i, flush=True)\n    time.sleep(.1)"
    seen = []
    for e in client.method(f"{CODE}/Execute")(data(sandbox), code=code):
        seen.append(e)
        if len(seen) == 6:
            os.kill(agent, signal.SIGSTOP)
            threading.Timer(7, os.kill, (agent, signal.SIGCONT)).start()
    assert text_of(seen) == "".join(f"{i}\n" for i in range(20))
    assert [e.status for e in ends(seen)] == [1]


def test_a_full_disk_bounds_the_journal_by_memory(new_sandbox, client):
    sandbox = new_sandbox()
    sandbox.run_code("try:\n    with open('/tmp/big', 'wb') as f:\n        while True: f.write(bytes(1 << 20))\n"
                     "except OSError: pass\ntry:\n    with open('/tmp/more', 'wb', 0) as f:\n        while True: f.write(b'x')\n"
                     "except OSError: pass")
    call = client.method(f"{CODE}/Execute")(data(sandbox), code="for i in range(200_000): print(i, 'x' * 90)")
    got, n = [next(call)], 0
    time.sleep(3)  # nobody reads
    for e in call:
        if e.HasField("stdout"):
            n += len(e.stdout.text)
        got = [e]
    assert n == sum(len(f"{i} ") + 91 for i in range(200_000))
    assert got[0].end.status == 1 and "disk" in got[0].end.detail


def resident(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * 4096


def test_a_gigabyte_to_a_slow_reader(server, new_sandbox):
    """Read slowly, then fast: the memory of server and agent is a flat line."""
    sandbox = new_sandbox()
    pids = {"agent": agent_pid(sandbox), "server": child("sandglassd")}
    code = "import sys\nx = ('y' * 99 + '\\n') * 1000\nfor _ in range(10_000): sys.stdout.write(x)"
    before = {k: resident(p) for k, p in pids.items()}
    most = dict(before)
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
            for k, p in pids.items():
                most[k] = max(most[k], resident(p))
    assert got >= 990_000_000
    grown = {k: (most[k] - before[k]) >> 20 for k in pids}
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
