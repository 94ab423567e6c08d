"""Connect, gRPC and gRPC-Web without a library: curl and nghttp, and what they show of the wire."""
import base64
import json
import os
import struct
import subprocess

import pytest

URL = os.environ["SANDGLASS_URL"]
SANDBOXES = "/sandglass.v1.SandboxService/"
CODE = "/sandglass.v1.CodeInterpreter/"
PROCESS = "/process.Process/"
VERSIONS = ["--http1.1", "--http2-prior-knowledge"]


def curl(path, body, version, **headers):
    """Status, header fields (trailers too) and body of a POST."""
    fields = [a for k, v in headers.items() for a in ("-H", f"{k.replace('_', '-')}: {v}")]
    out = subprocess.run(["curl", "-sS", "-m", "30", version, "-D", "/dev/stderr", *fields, "--data-binary", "@-", URL + path],
                         input=body if isinstance(body, bytes) else json.dumps(body).encode(), capture_output=True, check=True)
    lines = out.stderr.decode().replace("\r", "").split("\n")
    found = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
    *_, answer = (line for line in lines if line.startswith("HTTP/"))  # after a 100 (Continue)
    return int(answer.split()[1]), found, out.stdout


def envelope(message, flags=0):
    return struct.pack(">BI", flags, len(message)) + message


def envelopes(data):
    while data:
        flags, n = struct.unpack(">BI", data[:5])
        assert len(data) >= 5 + n
        yield flags, data[5:5 + n]
        data = data[5 + n:]


def connect_stream(data):
    """The messages and what the last envelope says."""
    *messages, last = envelopes(data)
    assert {f for f, _ in messages} <= {0} and last[0] == 2
    return [json.loads(m) for _, m in messages], json.loads(last[1])


@pytest.fixture(scope="module")
def key():
    return {"x_api_key": os.environ["E2B_API_KEY"]}


@pytest.fixture(scope="module")
def box(key):
    status, _, body = curl(SANDBOXES + "CreateSandbox", {"timeoutSeconds": 600}, VERSIONS[0],
                           content_type="application/json", **key)
    assert status == 200
    made = json.loads(body)
    box_id = made["sandbox"]["sandboxId"]
    yield {"sandglass_sandbox_id": box_id, "e2b_sandbox_id": box_id, "x_access_token": made["accessToken"]}
    curl(SANDBOXES + "KillSandbox", {"sandboxId": box_id}, VERSIONS[0], content_type="application/json", **key)


@pytest.fixture(scope="module")
def envd(box):
    return {**box, "e2b_sandbox_port": "49983"}


@pytest.mark.parametrize("version", VERSIONS)
def test_connect_unary(version, key, box):
    for content_type in ("application/json", "application/json; charset=utf-8"):
        status, head, body = curl(SANDBOXES + "GetSandbox", {"sandbox_id": box["e2b_sandbox_id"], "unknown": [1, {}]}, version,
                                  content_type=content_type, **key)
        assert status == 200 and head["content-type"] == "application/json"
        sandbox = json.loads(body)["sandbox"]
        assert sandbox["state"] == "SANDBOX_STATE_RUNNING" and int(sandbox["memoryBytes"]) > 1 << 28
        assert isinstance(sandbox["memoryBytes"], str) and sandbox["startedAt"].endswith("Z")
    for body, code, words in (({"sandboxId": 5}, "invalid_argument", "sandboxId: expected a string"),
                              ({"sandboxId": "inone"}, "not_found", "inone"), ({"sandboxId": "ä"}, "invalid_argument", "sandbox_id"),
                              (b"{", "invalid_argument", "line 1")):
        status, head, answer = curl(SANDBOXES + "GetSandbox", body, version, content_type="application/json", **key)
        answer = json.loads(answer)
        assert (status, answer["code"]) == ({"invalid_argument": 400, "not_found": 404}[code], code)
        assert words in answer["message"] and head["content-type"] == "application/json"


# Refused by their head alone: curl 7.88 takes a stream of HTTP/2 that is stopped after its whole answer for an error.
def test_what_is_no_rpc_is_refused_in_http(key):
    version = "--http1.1"
    for content_type, status in (("text/plain", 415), ("application/connect+json", 415), ("application/json; charset=latin1", 415)):
        got, head, _ = curl(SANDBOXES + "ListTemplates", {}, version, content_type=content_type, **key)
        assert got == status and "application/grpc" in head["accept-post"]
    got, _, body = curl(SANDBOXES + "Nope", {}, version, content_type="application/json", **key)
    assert got == 501 and json.loads(body)["code"] == "unimplemented"


@pytest.mark.parametrize("version", VERSIONS)
def test_connect_stream(version, box):
    def call(message, **more):
        status, head, data = curl(CODE + "Execute", message, version, content_type="application/connect+json", **box, **more)
        assert status == 200 and head["content-type"] == "application/connect+json"
        return connect_stream(data)

    messages, last = call(envelope(json.dumps({"code": "print('ä', flush=True)\n6*7"}).encode()))
    assert last == {}
    assert "".join(m["stdout"]["text"] for m in messages if "stdout" in m) == "ä\n"
    assert messages[-1]["end"]["status"] == "END_STATUS_OK"
    assert [m["seq"] for m in messages if "seq" in m] == [str(i + 1) for i in range(len(messages))]
    for body, more, code, words in (
            (envelope(b'{"code":3}'), {}, "invalid_argument", "code: expected a string"),
            (envelope(b"{}")[:4], {}, "invalid_argument", "ends inside"), (b"", {}, "unimplemented", "no request message"),
            (envelope(b"{}") * 2, {}, "unimplemented", "more than one"), (envelope(b"{}", 1), {}, "internal", "compressed"),
            (envelope(b"{}"), {"connect_timeout_ms": "soon"}, "invalid_argument", "soon"),
            (envelope(b"{}"), {"connect_content_encoding": "br"}, "unimplemented", "br"),
            (struct.pack(">BI", 0, 1 << 30), {}, "resource_exhausted", "4194304"),
            (envelope(b'{"code":"import time; time.sleep(9)"}'), {"connect_timeout_ms": "300"}, "deadline_exceeded", "deadline")):
        if version != "--http1.1" and words in ("soon", "br", "4194304"):
            continue  # refused early, as above
        messages, last = call(body, **more)
        assert last["error"]["code"] == code and words in last["error"]["message"], (body, last)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("text", [False, True])
def test_grpc_web(version, text, key):
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    message = envelope(b"\x08\x01" if not text else b"")
    body = base64.b64encode(message) if text else message
    status, head, data = curl(SANDBOXES + "ListTemplates", body, version, content_type=kind, **key)
    assert status == 200 and head["content-type"].startswith(kind.split("+")[0])
    if text:  # each piece may be padded on its own
        data = b"".join(base64.b64decode(data[i:i + 4]) for i in range(0, len(data), 4))
    (flags, answer), (last, trailers) = envelopes(data)
    assert (flags, last) == (0, 0x80) and b"code-interpreter-v1" in answer
    assert b"grpc-status: 0\r\n" in trailers
    status, _, data = curl(SANDBOXES + "GetSandbox", envelope(b"\x0a\x05inone"), version,
                           content_type="application/grpc-web", **key)
    (last, trailers), = envelopes(data)
    assert (status, last) == (200, 0x80) and b"grpc-status: 5\r\n" in trailers and b"inone" in trailers


def test_grpc_needs_http2_and_ends_in_trailers(key):
    status, _, _ = curl(SANDBOXES + "ListTemplates", envelope(b""), "--http1.1", content_type="application/grpc", **key)
    assert status == 505
    status, head, data = curl(SANDBOXES + "ListTemplates", envelope(b""), "--http2-prior-knowledge",
                              content_type="application/grpc", te="trailers", **key)
    assert status == 200 and head["grpc-status"] == "0" and b"code-interpreter-v1" in data
    status, head, data = curl(SANDBOXES + "GetSandbox", envelope(b"\x0a\x05inone"), "--http2-prior-knowledge",
                              content_type="application/grpc", te="trailers", **key)
    assert (status, head["grpc-status"], data) == (200, "5", b"")


def test_frames_of_a_grpc_call(key, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(envelope(b""))
    out = subprocess.run(["nghttp", "-nv", "-H:method: POST", "-H", "content-type: application/grpc", "-H",
                          "te: trailers", "-H", f"x-api-key: {key['x_api_key']}", "-d", body, URL + SANDBOXES + "ListTemplates"],
                         capture_output=True, text=True, timeout=30, check=True).stdout
    received = [line for line in out.splitlines() if " recv " in line]
    assert any(":status: 200" in line for line in received)
    frames = [line.split(" recv ")[1].split()[0] for line in received if " frame <" in line]
    assert frames.count("HEADERS") == 2 and frames.index("DATA") < len(frames) - frames[::-1].index("HEADERS")
    assert any("grpc-status: 0" in line for line in received) and "RST_STREAM" not in frames


@pytest.mark.parametrize("version", VERSIONS)
def test_a_process(version, envd):
    start = {"process": {"cmd": "/bin/sh", "args": ["-c", "printf 'a\\377'; exit 3"]}, "stdin": False}
    status, _, data = curl(PROCESS + "Start", envelope(json.dumps(start).encode()), version,
                           content_type="application/connect+json", connect_protocol_version="1", **envd)
    messages, last = connect_stream(data)
    events = [m["event"] for m in messages]
    assert status == 200 and last == {} and events[0]["start"]["pid"] > 0
    assert b"".join(base64.b64decode(e["data"]["stdout"]) for e in events if "data" in e) == b"a\xff"
    assert events[-1]["end"] == {"exitCode": 3, "exited": True, "status": "exit status 3", "error": "exit status 3"}
    status, head, body = curl(PROCESS + "SendSignal", {"process": {"pid": 999999}, "signal": "SIGNAL_SIGKILL"}, version,
                              content_type="application/json", **envd)
    assert status == 404 and json.loads(body) == {"code": "not_found", "message": "process with pid 999999 not found"}


@pytest.mark.parametrize("version", VERSIONS)
def test_refusals_while_the_body_is_still_coming(version, box):
    """The answer arrives, whole and without a word of failure, though the request was not read to its end."""
    path = "/files?path=/home/user/big"
    for length in (100_000, 1 << 20, 5 << 20):
        for _ in range(10):
            status, _, body = curl(path, bytes(length), version, content_type="application/octet-stream",
                                   e2b_sandbox_id=box["e2b_sandbox_id"], e2b_sandbox_port="49983", x_access_token="wrong")
            assert status == 401 and json.loads(body)["code"] == 401
            status, _, _ = curl(SANDBOXES + "CreateSandbox", bytes(length), version, content_type="text/plain")
            assert status == 415
            status, _, body = curl("/no/such/thing", bytes(length), version, content_type="application/json")
            assert status == 404 and json.loads(body)["code"] == 404
