"""Processes with Python grpcio, calls built from reflection only: process.Process, sandglass.v1.ProcessService."""
import base64
import collections
import concurrent.futures
import os

import grpc
import pytest
from host import DRIVER, PROC, processes_in

NATIVE = "sandglass.v1.ProcessService"
STOCK = "process.Process"


@pytest.fixture(scope="module")
def box(client, key):
    made = client.method("sandglass.v1.SandboxService/CreateSandbox")(key, template="base", timeout_seconds=600)
    yield made
    client.method("sandglass.v1.SandboxService/KillSandbox")(key, sandbox_id=made.sandbox.sandbox_id)


@pytest.fixture
def call(client, box):
    metadata = [("sandglass-sandbox-id", box.sandbox.sandbox_id), ("x-access-token", box.access_token)]

    def invoke(path, more=(), **fields):
        return client.method(path)([*metadata, *more], **fields)

    return invoke


def shell(script):
    return {"cmd": "/bin/bash", "args": ["-c", script]}


def joined(events, name):
    return b"".join(getattr(e, name).data for e in events if e.HasField(name))


def test_events_and_outcome(call):
    events = list(call(f"{NATIVE}/Start", process=shell("id -un; echo bad >&2; exit 3"), tag="one"))
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    kinds = [e.WhichOneof("event") for e in events]
    assert kinds[0] == "started" and kinds[-1] == "end" and kinds.count("end") == 1
    assert (joined(events, "stdout"), joined(events, "stderr")) == (b"user\n", b"bad\n")
    end = events[-1].end
    assert (end.reason, end.exit_code, end.status) == (1, 3, "exit status 3")
    outcome = call(f"{NATIVE}/GetProcess", process={"tag": "one"})
    assert outcome.end == end and outcome.stdout_bytes == 5 and outcome.process_id == events[0].started.process_id
    again = list(call(f"{NATIVE}/Attach", process={"pid": outcome.pid}, from_seq=2))
    assert [e.seq for e in again] == [e.seq for e in events[1:]]


def test_capped_output_and_ranges(call):
    events = list(call(f"{NATIVE}/Start", process=shell("seq 100000"), max_bytes=4096, tag="long"))
    out = joined(events, "stdout")
    assert len(out) <= 4096 and out.startswith(b"1\n2\n") and out.endswith(b"\n100000\n")
    omitted = next(e.omitted for e in events if e.HasField("omitted"))
    assert omitted.bytes + len(out) == 588895
    parts = call(f"{NATIVE}/ReadOutput", process={"tag": "long"}, stream=1, offset=omitted.offset, limit=omitted.bytes)
    middle = b"".join(p.data for p in parts)
    head = out[:omitted.offset]
    assert head + middle + out[len(head):] == b"".join(b"%d\n" % i for i in range(1, 100001))


def test_cut_and_attach(call):
    stream = call(f"{NATIVE}/Start", process=shell("for i in $(seq 40); do echo $i; sleep 0.02; done"))
    seen = [next(stream) for _ in range(5)]
    stream.cancel()
    rest = list(call(f"{NATIVE}/Attach", process={"pid": seen[0].started.pid}, from_seq=seen[-1].seq + 1))
    assert [e.seq for e in seen + rest] == list(range(1, len(seen + rest) + 1))
    assert joined(seen + rest, "stdout") == b"".join(b"%d\n" % i for i in range(1, 41))


def test_stock_service(call):
    root = ("authorization", "Basic " + base64.b64encode(b"root:").decode())
    stream = call(f"{STOCK}/Start", [root], process=shell("id -un; read x; echo $x"), tag="stock")
    pid = next(stream).event.start.pid
    assert next(stream).event.data.stdout == b"root\n"
    assert [p.pid for p in call(f"{STOCK}/List").processes] == [pid]
    call(f"{STOCK}/SendInput", process={"tag": "stock"}, input={"stdin": b"hello\n"})
    rest = [e.event for e in stream]
    assert rest[0].data.stdout == b"hello\n"
    assert (rest[-1].end.exit_code, rest[-1].end.exited, rest[-1].end.status) == (0, True, "exit status 0")
    # All of it again, although it has ended.
    replay = [e.event for e in call(f"{STOCK}/Connect", [("sandglass-from-seq", "1")], process={"pid": pid})]
    assert b"".join(e.data.stdout for e in replay if e.HasField("data")) == b"root\nhello\n"
    assert replay[-1].end == rest[-1].end


def test_errors(call):
    for path, fields, code in ((f"{NATIVE}/GetProcess", {"process": {"pid": 999999}}, grpc.StatusCode.NOT_FOUND),
                               (f"{STOCK}/SendSignal", {"process": {"tag": "x"}, "signal": 9}, grpc.StatusCode.NOT_FOUND)):
        with pytest.raises(grpc.RpcError) as e:
            call(path, **fields)
        assert e.value.code() == code
    for fields, code in (({"process": {"cmd": "true", "cwd": "/no/such"}}, grpc.StatusCode.INVALID_ARGUMENT),
                         ({}, grpc.StatusCode.INVALID_ARGUMENT)):
        with pytest.raises(grpc.RpcError) as e:
            list(call(f"{NATIVE}/Start", **fields))
        assert e.value.code() == code


def test_ten_thousand_processes(call):
    """Through the whole server, a few at a time: each is told its own end, and none of them leaves anything."""
    def run(n):
        events = list(call(f"{NATIVE}/Start", process={"cmd": ("/bin/true", "/bin/false")[n % 2]}))
        return events[-1].end.exit_code - n % 2

    def held():
        if DRIVER != "namespace":
            counts = shell("ls /proc/1/fd | wc -l; wc -l < /sys/fs/cgroup/sandbox/cgroup.procs")
            return tuple(map(int, joined(call(f"{NATIVE}/Start", process=counts), "stdout").split()))
        return len(os.listdir(PROC / str(agent) / "fd")), len(processes_in(namespace))
    if DRIVER == "namespace":
        namespace = joined(call(f"{NATIVE}/Start", process=shell("readlink /proc/self/ns/pid")), "stdout").decode().strip()
        agent = min(processes_in(namespace))  # it began all others
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert collections.Counter(pool.map(run, range(500))) == {0: 500}
        before = held()
        assert collections.Counter(pool.map(run, range(9500))) == {0: 9500}
    fds, processes = held()
    assert fds <= before[0] + 8 and processes <= before[1] + 2
