"""Bad input over real sockets: a clear error, the connection closed where it must be, and others served on."""
import json
import socket
import struct
import time
import urllib.error
import urllib.request

import pytest


def raw(server, data, limit=5.0):
    """Send bytes, return everything until the server closes or falls silent."""
    with socket.create_connection(server[:2], timeout=limit) as s:
        out = b""
        try:
            s.sendall(data)
            s.settimeout(1.5)
            while chunk := s.recv(65536):
                out += chunk
        except (TimeoutError, ConnectionError):
            pass
        return out


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def api(server, method, path, body=None, key=True):
    request = urllib.request.Request(f"http://{server[0]}:{server[1]}{path}", method=method, data=body)
    if key:
        request.add_header("X-API-KEY", server[2])
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


@pytest.fixture(autouse=True)
def still_serving(server):
    yield
    assert api(server, "GET", "/health", key=False)[0] == 204


SMUGGLING = {
    "length and chunked": b"POST /sandboxes HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /sandboxes HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "bad length": b"POST /sandboxes HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\nhello",
    "negative length": b"POST /sandboxes HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "space before colon": b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
    "folded header": b"GET /health HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "chunked not last": b"POST /sandboxes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    "bad chunk size": b"POST /sandboxes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "nul in header": b"GET /health HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n",
    "bad version": b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_malformed_http1(server, name):
    """Refused with a 4xx/5xx and closed: nothing behind it is read as a second request."""
    answer = raw(server, SMUGGLING[name] + b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") <= 1
    if answer:
        assert 400 <= status(answer) <= 505


def test_oversized_heads(server):
    assert status(raw(server, b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200_000 + b"\r\n\r\n")) == 431
    assert status(raw(server, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")) in (414, 431)
    many = b"".join(b"H%d: x\r\n" % i for i in range(1000))
    assert status(raw(server, b"GET /health HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")) == 431


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def flood(server, data, seconds=20):
    """Send until the server ends the connection; True when it did."""
    with socket.create_connection(server[:2], timeout=seconds) as s:
        s.sendall(PREFACE + SETTINGS)
        end = time.monotonic() + seconds
        s.settimeout(0.001)
        try:
            while time.monotonic() < end:
                try:
                    s.sendall(data)
                except TimeoutError:
                    pass
                try:
                    if s.recv(65536) == b"":
                        return True
                except TimeoutError:
                    pass
        except ConnectionError:
            return True
    return False


def head(path="/health"):
    """HPACK literals without indexing."""
    def field(name, value):
        return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
    return b"".join(field(*f) for f in ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", path.encode())))


def test_bad_preface(server):
    assert raw(server, b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + SETTINGS).find(b"HTTP/1.1 2") == -1


def test_settings_flood(server):
    assert flood(server, SETTINGS * 1000)


def test_ping_flood(server):
    assert flood(server, frame(6, 0, 0, b"12345678") * 1000)


def test_rapid_reset(server):
    block = head()
    next_stream = [1]

    def burst():
        out = b""
        for _ in range(200):
            out += frame(1, 5, next_stream[0], block) + frame(3, 0, next_stream[0], b"\0\0\0\x08")
            next_stream[0] += 2
        return out
    with socket.create_connection(server[:2], timeout=20) as s:
        s.sendall(PREFACE + SETTINGS)
        ended = False
        for _ in range(400):
            try:
                s.sendall(burst())
                s.settimeout(0.01)
                try:
                    ended = s.recv(65536) == b""
                except TimeoutError:
                    pass
                if ended:
                    break
            except ConnectionError:
                ended = True
                break
        assert ended


def test_continuation_flood(server):
    with socket.create_connection(server[:2], timeout=20) as s:
        s.sendall(PREFACE + SETTINGS + frame(1, 1, 1, head()))
        ended = False
        for _ in range(5000):
            try:
                s.sendall(frame(9, 0, 1, (b"\0\1a\x7f" + b"b" * 127) * 8))
                s.settimeout(0.001)
                try:
                    ended = s.recv(65536) == b""
                except TimeoutError:
                    pass
            except ConnectionError:
                ended = True
            if ended:
                break
        assert ended


def test_bad_json_and_bad_fields_name_what_was_expected(server):
    cases = [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"templateID": 5}', "templateID"),
        (b"{}", "templateID"),
        (b'{"templateID":"base","timeout":"x"}', "timeout"),
        (b'{"templateID":"base","timeout":-1}', "timeout"),
        (b'{"templateID":"base","metadata":{"a":1}}', "metadata.a"),
        (b'{"templateID":"base","envVars":[]}', "envVars"),
        (b'{"templateID":"base","secure":"yes"}', "secure"),
    ]
    for body, word in cases:
        code, answer = api(server, "POST", "/sandboxes", body)
        parsed = json.loads(answer)
        assert code == 400 and parsed["code"] == 400 and word in parsed["message"], (body, answer)


def test_too_large_and_deep_bodies(server):
    code, _ = api(server, "POST", "/sandboxes", b'{"templateID":"' + b"a" * 3_000_000 + b'"}')
    assert code in (400, 413)
    code, _ = api(server, "POST", "/sandboxes", b'{"a":' * 5000 + b"1" + b"}" * 5000)
    assert code == 400


def test_wrong_and_missing_keys(server):
    for key in (None, "", "e2b_" + "0" * 40, "e2b_x", "x" * 5000):
        request = b"GET /v2/sandboxes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        if key is not None:
            request += b"X-API-KEY: " + key.encode() + b"\r\n"
        assert status(raw(server, request + b"\r\n")) == 401


def test_foreign_sandbox_and_bad_routes(server):
    for path in ("/sandboxes/ifromsomebodyelse00000", "/sandboxes/../../etc", "/sandboxes/%00", "/sandboxes/a-b-c"):
        code, answer = api(server, "GET", path)
        assert code in (400, 404) and json.loads(answer)["code"] == code
    answer = raw(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\nE2b-Sandbox-Id: nosuch\r\nE2b-Sandbox-Port: 49983\r\nConnection: close\r\n\r\n")
    assert status(answer) == 502
    assert json.loads(answer.split(b"\r\n\r\n")[1]) == {"sandboxId": "nosuch", "message": "The sandbox was not found", "code": 502}


def test_bad_proto_and_frames(server):
    def post(body, kind):
        return raw(server, b"POST /sandglass.v1.SandboxService/ListSandboxes HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-KEY: "
                   + server[2].encode() + b"\r\nContent-Type: " + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert status(post(b"\xff\xff\xff", b"application/proto")) == 400
    assert status(post(b"{\"pageSize\": \"many\"}", b"application/json")) == 400
    assert b"pageSize" in post(b"{\"pageSize\": \"many\"}", b"application/json")
    assert status(post(b"", b"text/plain")) == 415
    web = post(b"\0\xff\xff\xff\xff", b"application/grpc-web")
    assert b"grpc-status" in web.lower()


def test_output_to_a_reader_that_stops(server, new_sandbox):
    """100 MB printed at a client that does not read: the server's memory stays bounded, others are served."""
    sandbox = new_sandbox()
    body = json.dumps({"code": "for i in range(100_000): print('x' * 1000)"}).encode()
    request = (b"POST /execute HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nE2b-Sandbox-Id: " + sandbox.sandbox_id.encode()
               + b"\r\nE2b-Sandbox-Port: 49999\r\nX-Access-Token: " + sandbox._envd_access_token.encode()
               + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    before = worker_memory()
    with socket.create_connection(server[:2]) as s:
        s.sendall(request)
        time.sleep(4)
        assert worker_memory() - before < 16 << 20
        assert sandbox.list_code_contexts()
        got = 0
        s.settimeout(60)
        tail = b""
        while b"end_of_execution" not in tail:
            chunk = s.recv(1 << 20)
            assert chunk, "the stream ended before its end"
            got += chunk.count(b"x")
            tail = (tail + chunk)[-100:]
        assert got >= 100_000_000


def worker_memory():
    """Resident bytes of the biggest sandglassd process."""
    import pathlib
    best = 0
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() == "sandglassd":
                rss = int(comm.with_name("statm").read_text().split()[1]) * 4096
                best = max(best, rss)
        except OSError:
            pass
    return best
