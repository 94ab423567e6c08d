"""gRPC with Python grpcio, calls built from reflection only."""
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

SANDBOXES = "sandglass.v1.SandboxService"
CODE = "sandglass.v1.CodeInterpreter"


@pytest.fixture(scope="module")
def box(client, key):
    made = client.method(f"{SANDBOXES}/CreateSandbox")(key, timeout_seconds=600)
    yield made
    client.method(f"{SANDBOXES}/KillSandbox")(key, sandbox_id=made.sandbox.sandbox_id)


def data(box):
    return [("sandglass-sandbox-id", box.sandbox.sandbox_id), ("x-access-token", box.access_token)]


def execute(client, box, **fields):
    return list(client.method(f"{CODE}/Execute")(data(box), **fields))


def test_reflection_lists_the_services(client):
    pool = client.pool
    assert {m.name for m in pool.FindServiceByName(CODE).methods} >= {"Execute", "Attach", "Interrupt"}
    assert pool.FindServiceByName("grpc.health.v1.Health")


def test_health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", SANDBOXES):
        assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == 1
    with pytest.raises(grpc.RpcError) as e:
        stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert e.value.code() == grpc.StatusCode.NOT_FOUND


def test_execute_streams_numbered_events(client, box):
    events = execute(client, box, code="print('a')\n40+2")
    assert [e.seq for e in events if e.seq] == list(range(1, len([e for e in events if e.seq]) + 1))
    kinds = [e.WhichOneof("event") for e in events]
    assert kinds[0] == "started" and kinds[-1] == "end" and kinds.count("end") == 1
    assert "".join(e.stdout.text for e in events) == "a\n"
    results = [e.result for e in events if e.HasField("result")]
    assert results[0].data["text/plain"] == "42" and results[0].is_main_result
    assert events[-1].end.status == 1


def test_attach_replays_exactly(client, box):
    events = execute(client, box, code="for i in range(50): print(i, flush=True)")
    execution = events[0].started.execution_id
    numbered = [e for e in events if e.seq]
    for start in (0, 1, 2, len(numbered) // 2, len(numbered)):
        again = [e for e in client.method(f"{CODE}/Attach")(data(box), execution_id=execution, from_seq=start) if e.seq]
        assert again == numbered[max(start, 1) - 1:]
    with pytest.raises(grpc.RpcError) as e:
        list(client.method(f"{CODE}/Attach")(data(box), execution_id=execution, from_seq=len(numbered) + 5))
    assert e.value.code() == grpc.StatusCode.OUT_OF_RANGE
    with pytest.raises(grpc.RpcError) as e:
        list(client.method(f"{CODE}/Attach")(data(box), execution_id="nope"))
    assert e.value.code() == grpc.StatusCode.NOT_FOUND


def test_an_execution_outlives_its_stream(client, box):
    call = client.method(f"{CODE}/Execute")(data(box), code="import time\nfor i in range(4): print(i); time.sleep(.3)\n'done'")
    first = next(call)
    execution = first.started.execution_id
    call.cancel()
    events = list(client.method(f"{CODE}/Attach")(data(box), execution_id=execution, from_seq=2))
    assert "".join(e.stdout.text for e in events) == "0\n1\n2\n3\n"
    assert events[-1].end.status == 1


def test_interrupt_keeps_state(client, box):
    execute(client, box, code="kept = 3")
    call = client.method(f"{CODE}/Execute")(data(box), code="print('on')\nimport time; time.sleep(60)")
    for event in call:
        if event.HasField("stdout"):
            assert client.method(f"{CODE}/Interrupt")(data(box)).was_busy
        last = event
    assert last.end.status == 3
    assert any(e.result.data.get("text/plain") == "3" for e in execute(client, box, code="kept"))


def test_deadline_interrupts(client, box):
    with pytest.raises(grpc.RpcError) as e:
        list(client.method(f"{CODE}/Execute")(data(box), timeout=1.5, code="import time; time.sleep(60)"))
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert execute(client, box, code="1")[-1].end.status == 1


def test_errors_have_codes_and_words(client, box, key):
    cases = [
        (f"{SANDBOXES}/GetSandbox", [], {"sandbox_id": "x"}, grpc.StatusCode.UNAUTHENTICATED),
        (f"{SANDBOXES}/GetSandbox", key, {"sandbox_id": "inosuchsandbox"}, grpc.StatusCode.NOT_FOUND),
        (f"{SANDBOXES}/CreateSandbox", key, {"template": "nope"}, grpc.StatusCode.NOT_FOUND),
        (f"{SANDBOXES}/ListSandboxes", key, {"page_size": 1000}, grpc.StatusCode.INVALID_ARGUMENT),
        (f"{SANDBOXES}/SetTimeout", key, {"sandbox_id": box.sandbox.sandbox_id}, grpc.StatusCode.INVALID_ARGUMENT),
        (f"{CODE}/DeleteContext", data(box), {"context_id": "nope"}, grpc.StatusCode.NOT_FOUND),
        (f"{CODE}/CreateContext", data(box), {"language": "cobol"}, grpc.StatusCode.FAILED_PRECONDITION),
        (f"{CODE}/ListContexts", data(box)[:1], {}, grpc.StatusCode.UNAUTHENTICATED),
    ]
    for path, metadata, fields, code in cases:
        with pytest.raises(grpc.RpcError) as e:
            client.method(path)(metadata, **fields)
        assert e.value.code() == code, (path, e.value.details())
        assert e.value.details()


def test_an_unknown_sandbox_is_a_grpc_error(client):
    with pytest.raises(grpc.RpcError) as e:
        client.method(f"{CODE}/ListContexts")([("sandglass-sandbox-id", "inosuchsandbox")])
    assert e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND)


def test_events_of_a_life(client, key):
    watch = client.method(f"{SANDBOXES}/WatchEvents")(key, timeout=120)
    made = client.method(f"{SANDBOXES}/CreateSandbox")(key, timeout_seconds=100)
    client.method(f"{SANDBOXES}/SetTimeout")(key, sandbox_id=made.sandbox.sandbox_id, timeout_seconds=50)
    client.method(f"{SANDBOXES}/KillSandbox")(key, sandbox_id=made.sandbox.sandbox_id)
    seen = []
    for event in watch:
        kind = event.WhichOneof("event")
        if event.sandbox.sandbox_id == made.sandbox.sandbox_id:
            seen.append(kind)
        if kind == "ended" and event.sandbox.sandbox_id == made.sandbox.sandbox_id:
            assert event.ended.reason == 1
            break
    watch.cancel()
    assert seen == ["created", "timeout_changed", "ended"]


def test_templates(client, key):
    names = {t.name for t in client.method(f"{SANDBOXES}/ListTemplates")(key).templates}
    assert {"base", "code-interpreter-v1"} <= names
