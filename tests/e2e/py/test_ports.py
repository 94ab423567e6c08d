"""Servers inside a sandbox, reached over the sandbox's own host names and over the routing headers."""
import base64
import http.client
import json
import os
import pathlib
import re
import socket
import struct
import threading
import time

import pytest
from host import DRIVER, STATE, agent_pid, status, wait_until

SOURCE = (pathlib.Path(__file__).parent.parent / "port_server.py").read_text()
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140", "Accept": "text/html,*/*"}
GIB = 1 << 30
MIB = 1 << 20


def serve(sandbox, address, port):
    """Starts the server in the sandbox and waits until it listens."""
    execution = sandbox.run_code(f"""
import pathlib, socket, subprocess, sys, time
pathlib.Path("/tmp/port_server.py").write_text({SOURCE!r})
subprocess.Popen([sys.executable, "/tmp/port_server.py", {address!r}, "{port}"])
for _ in range(200):
    try:
        socket.create_connection(({address!r}, {port})).close()
        break
    except OSError:
        time.sleep(0.05)
else:
    raise TimeoutError("it does not listen")
""")
    assert execution.error is None, execution.error


class Way:
    """How requests reach a port: by the host name that the SDK gives, or by headers."""

    def __init__(self, server, by_host):
        self.address, self.by_host = server[:2], by_host

    def fields(self, sandbox, port):
        if self.by_host:
            return {"Host": sandbox.get_host(port)}
        return {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": str(port)}

    def connect(self):
        return http.client.HTTPConnection(*self.address, timeout=60)

    def ask(self, sandbox, port, method, path, body=None, headers=(), connection=None, **options):
        c = connection or self.connect()
        c.request(method, path, body, dict(self.fields(sandbox, port), **dict(headers)), **options)
        return c.getresponse()

    def raw(self, sandbox, port, line, fields=(), timeout=60):
        s = socket.create_connection(self.address, timeout)
        all_fields = {"Host": "x"} | self.fields(sandbox, port) | dict(fields)
        s.sendall(f"{line} HTTP/1.1\r\n{''.join(f'{k}: {v}{chr(13)}{chr(10)}' for k, v in all_fields.items())}\r\n".encode())
        return s


@pytest.fixture(scope="module", params=[True, False], ids=["host", "headers"])
def way(server, request):
    return Way(server, request.param)


@pytest.fixture(scope="module")
def box(sandbox):
    serve(sandbox, "127.0.0.1", 8000)
    return sandbox


def read_all(s):
    data = b""
    while piece := s.recv(1 << 16):
        data += piece
    return data


def read_until(s, mark):
    data = b""
    while mark not in data:
        piece = s.recv(1 << 16)
        assert piece, f"it ended with {data[-200:]}"
        data += piece
    return data


# ---- messages ----


def test_answers_and_their_forms(way, box):
    c = way.connect()
    for method, path, code, body, length in (("GET", "/", 200, b"<!doctype", "57"), ("HEAD", "/", 200, b"", "57"),
                                             ("GET", "/status/204", 204, b"", None), ("GET", "/status/304", 304, b"", None),
                                             ("HEAD", "/status/404", 404, b"", "9"), ("GET", "/nothing", 404, b"no such", "12"),
                                             ("GET", "/status/503", 503, b"some body", "9")):
        r = way.ask(box, 8000, method, path, connection=c)
        data = r.read()
        assert (r.status, r.getheader("Content-Length")) == (code, length), path
        assert data.startswith(body) and (body or not data), path


def test_heads_pass_unchanged(way, box):
    seen = json.loads(way.ask(box, 8000, "GET", "/headers", headers={"X-Mine": "a,  b", "Cookie": "a=b"}).read())
    assert seen["x-mine"] == "a,  b" and seen["cookie"] == "a=b"
    if way.by_host:
        assert seen["host"] == box.get_host(8000)
    assert not [name for name in seen if name.startswith(("x-forwarded", "sandglass", "via"))]


def test_bodies(way, box):
    for body in b"", b"x", os.urandom(300_000):
        assert way.ask(box, 8000, "POST", "/echo", body).read() == body
    pieces = [os.urandom(n) for n in (1, 70_000, 3, 100_000)]
    r = way.ask(box, 8000, "POST", "/echo", iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert r.read() == b"".join(pieces)


def test_trailers(way, box):
    with way.raw(box, 8000, "GET /trailers", {"Connection": "close"}) as s:
        data = read_all(s)
    assert data.endswith(b"4\r\nbody\r\n0\r\nx-sum: abc\r\n\r\n"), data


def test_continue_comes_before_the_body(way, box):
    with way.raw(box, 8000, "POST /echo", {"Content-Length": "5", "Expect": "100-continue", "Connection": "close"}) as s:
        assert read_until(s, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"hello")
        assert read_all(s).endswith(b"\r\n\r\nhello")


def test_events_are_not_held_back(way, box):
    start = time.monotonic()
    r = way.ask(box, 8000, "GET", "/events/5")
    came = []
    for i in range(5):
        assert r.readline() == b"data: %d\n" % i and r.readline() == b"\n"
        came.append(time.monotonic() - start)
    assert r.read() == b""
    assert came[0] < 0.2 * 4 and came[4] - came[0] > 0.2 * 3, came


def test_half_closed_client_gets_its_answer(way, box):
    for path in "/late/0.5", "/events/3":
        with way.raw(box, 8000, f"GET {path}") as s:
            s.shutdown(socket.SHUT_WR)
            data = read_all(s)
        assert b"late" in data or data.endswith(b"0\r\n\r\n") and b"data: 2" in data, data


def peaks(sandbox):
    """Resident memory of the daemon's processes and of the sandbox's agent, in bytes; a VMM's is all of its guest's."""
    daemon = int((STATE / "sandglassd.pid").read_text())
    children = pathlib.Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    agent = [str(agent_pid(sandbox))] if DRIVER == "namespace" else []
    return {pid: int(status(pid)["VmRSS"].split()[0]) * 1024 for pid in [str(daemon), *children, *agent]}


def test_a_gigabyte_each_way_in_flat_memory(way, box):
    before, most = peaks(box), {}
    over = threading.Event()

    def watch():
        while not over.wait(0.1):
            for pid, n in peaks_of(before).items():
                most[pid] = max(most.get(pid, 0), n)

    def peaks_of(pids):
        return {pid: int(status(pid)["VmRSS"].split()[0]) * 1024 for pid in pids}

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        r = way.ask(box, 8000, "GET", f"/big/{GIB}")
        block, n = bytearray(MIB), 0
        while got := r.readinto(block):
            assert block[0] == n % 256 and block[got - 1] == (n + got - 1) % 256
            n += got
        assert n == GIB
        body = bytes(range(256)) * 4096
        r = way.ask(box, 8000, "POST", "/sink", (body for _ in range(GIB // len(body))),
                    headers={"Content-Length": str(GIB)})
        assert r.read().startswith(b"%d " % GIB)
    finally:
        over.set()
        watcher.join()
    assert all(most[pid] - before[pid] < 8 * MIB for pid in before), (before, most)


def test_other_loopback_addresses(way, box):
    serve(box, "::1", 8001)
    serve(box, "0.0.0.0", 8002)
    for port in 8001, 8002, 8001:
        assert way.ask(box, port, "POST", "/echo", b"first request with a body").read() == b"first request with a body"
        assert way.ask(box, port, "GET", "/").status == 200


# ---- WebSocket ----


def mask(opcode, data):
    n = len(data)
    length = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n) if n < 65536 else b"\xff" + struct.pack(">Q", n)
    return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + data


def unmasked(data):
    n = len(data)
    length = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
    return length + data


def open_socket(way, sandbox, **fields):
    key = base64.b64encode(os.urandom(16)).decode()
    s = way.raw(sandbox, 8000, "GET /ws", {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                                           "Sec-WebSocket-Key": key} | fields)
    head = read_until(s, b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-accept: " in head and b"upgrade: websocket" in head, head
    return s


def test_websocket(way, box):
    with open_socket(way, box) as s:
        for data in b"hello", b"x" * 70_000, os.urandom(MIB):
            s.sendall(mask(2, data))
            want = b"\x82" + unmasked(data)
            got = b""
            while len(got) < len(want):
                got += s.recv(1 << 16)
            assert got == want
        s.sendall(mask(8, b"\x03\xe8"))
        assert read_all(s) == b"\x88\x02\x03\xe8"


def test_a_declined_upgrade_is_an_answer(way, box):
    c = way.connect()
    r = way.ask(box, 8000, "GET", "/status/426", headers={"Connection": "Upgrade", "Upgrade": "websocket"}, connection=c)
    assert (r.status, r.read()) == (426, b"some body")
    assert way.ask(box, 8000, "GET", "/", connection=c).status == 200


def test_each_way_of_a_tunnel_ends_by_itself(way, box):
    with way.raw(box, 8000, "GET /raw", {"Connection": "Upgrade", "Upgrade": "raw"}) as s:
        read_until(s, b"\r\n\r\n")
        for _ in range(40):
            s.sendall(b"r" * 100_000)
        s.shutdown(socket.SHUT_WR)
        assert read_all(s) == b"4000000"


# ---- what is said instead ----


def problem(way, sandbox, port, path="/", headers=()):
    r = way.ask(sandbox, port, "GET", path, headers=headers)
    assert r.getheader("Content-Type") == "application/json; charset=utf-8"
    return r.status, json.loads(r.read())


def test_closed_port(way, box):
    want = {"sandboxId": box.sandbox_id, "message": "The sandbox is running but port is not open", "port": 3999, "code": 502}
    assert problem(way, box, 3999) == (502, want)
    assert problem(way, box, 3999, headers=BROWSER | {"Sec-Fetch-Mode": "cors"}) == (502, want)
    assert problem(way, box, 3999, headers=BROWSER | {"Accept": "application/json"}) == (502, want)
    r = way.ask(box, 3999, "GET", "/", headers=BROWSER | {"Sec-Fetch-Mode": "navigate"})
    page = r.read().decode()
    assert (r.status, r.getheader("Content-Type")) == (502, "text/html; charset=utf-8")
    assert "port is not open" in page and box.sandbox_id in page and "3999" in page
    if way.by_host:
        assert box.get_host(3999) in page


def test_hosts_that_are_none(server):
    way = Way(server, True)
    for host, text in (("8000-I_X.sandglass.localhost", "Invalid sandbox ID"), ("99999-iabc.sandglass.localhost", "Invalid sandbox port"),
                       ("x-iabc.sandglass.localhost", "Invalid sandbox port"), ("8000.sandglass.localhost", "Invalid host")):
        c = way.connect()
        c.request("GET", "/", headers={"Host": host})
        r = c.getresponse()
        assert (r.status, r.read().decode(), r.getheader("Content-Type")) == (400, text, "text/plain; charset=utf-8"), host
    c = way.connect()
    c.request("GET", "/", headers={"E2b-Sandbox-Id": "iabc"})
    r = c.getresponse()
    assert (r.status, r.read()) == (400, b"missing header")


def test_paths_of_the_control_plane(way, box):
    want = "This endpoint is reserved for the E2B control plane and is not reachable through the sandbox URL"
    for path in "/init", "/freeze", "/upgrade", "/%69nit":
        r = way.ask(box, 49983, "POST", path, b"{}")
        assert (r.status, json.loads(r.read())) == (404, {"message": want, "path": path, "code": 404})
    assert way.ask(box, 8000, "GET", "/init").read() == b"no such path"


def test_a_killed_sandbox_resets_what_is_open(way, new_sandbox):
    s = new_sandbox()
    serve(s, "127.0.0.1", 8000)
    socket_, hanging = open_socket(way, s), way.raw(s, 8000, "GET /hang")
    read_until(hanging, b"begun")
    s.kill()
    for open_ in socket_, hanging:
        with open_, pytest.raises(ConnectionResetError):
            read_all(open_)
    want = {"sandboxId": s.sandbox_id, "message": "The sandbox was not found", "code": 502}
    assert problem(way, s, 8000) == (502, want)
    r = way.ask(s, 8000, "GET", "/", headers=BROWSER)
    page = r.read().decode()
    assert (r.status, r.getheader("Content-Type")) == (502, "text/html; charset=utf-8")
    assert "The sandbox was not found" in page and s.sandbox_id in page


def test_a_program_that_dies_resets_what_is_open(way, box):
    serve(box, "127.0.0.1", 8010)
    hanging = way.raw(box, 8010, "GET /hang")
    read_until(hanging, b"begun")
    box.run_code("import subprocess; subprocess.run(['pkill', '-9', '-f', 'port_server.py 127.0.0.1 8010'])")
    with hanging, pytest.raises(ConnectionResetError):
        read_all(hanging)
    assert way.ask(box, 8010, "GET", "/").status == 502


# ---- options of a create ----


def test_masked_host(way, new_sandbox):
    s = new_sandbox(network={"mask_request_host": "app.internal:${PORT}"})
    serve(s, "127.0.0.1", 8000)
    seen = json.loads(way.ask(s, 8000, "GET", "/headers").read())
    assert seen["host"] == "app.internal:8000"
    assert seen["x-forwarded-host"] == (s.get_host(8000) if way.by_host else f"{way.address[0]}:{way.address[1]}")
    assert s.run_code("1 + 1").text == "2"


def test_traffic_token(way, new_sandbox):
    s = new_sandbox(network={"allow_public_traffic": False})
    token = s.traffic_access_token
    assert re.fullmatch(r"\S{20,}", token)
    serve(s, "127.0.0.1", 8000)  # the SDK sends the token
    said = "Sandbox is secured with traffic access token. "
    missing, wrong = "Token header '{0}' is missing", "Provided token in header '{0}' is invalid"
    for headers, text in ({}, missing), ({"E2B-Traffic-Access-Token": "x" * len(token)}, wrong):
        assert problem(way, s, 8000, headers=headers) == (
            403, {"sandboxId": s.sandbox_id, "message": said + text.format("e2b-traffic-access-token"), "code": 403})
    r = way.ask(s, 8000, "GET", "/", headers={"E2B-Traffic-Access-Token": token})
    assert r.status == 200 and b"from inside" in r.read()
    assert way.ask(s, 49983, "GET", "/health").status == 204
    with open_socket(way, s, **{"E2B-Traffic-Access-Token": token}):
        pass


# ---- many ----


def test_many_at_once(way, box):
    got = []
    threads = [threading.Thread(target=lambda: got.append(way.ask(box, 8000, "GET", "/big/100000").read())) for _ in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == 100 and set(map(len, got)) == {100_000}


def test_clients_that_go_leave_nothing(way, box):
    count = """import subprocess
subprocess.run("ss -Htn state established '( sport = :8000 )' | wc -l", shell=True, capture_output=True, text=True).stdout.strip()"""
    opened = [way.raw(box, 8000, "GET /events/1000") for _ in range(20)]
    for s in opened:
        read_until(s, b"data: 0")
        s.close()
    wait_until(lambda: int(box.run_code(count).text.strip("'")) < 5)
