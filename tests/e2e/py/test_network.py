"""What a sandbox reaches over the network: the public internet (internet.py plays it), and nothing of the machine, of its
neighbours, or of private networks."""
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import threading
import zipfile

import pytest
from host import DRIVER, inside, wait_until

WEB = os.environ["SANDGLASS_TEST_WEB"]  # ADDRESS:PORT
WEB_ADDRESS, WEB_PORT = WEB.split(":")[0], int(WEB.split(":")[1])
FOLDER = pathlib.Path(os.environ["SANDGLASS_TEST_WEB_FOLDER"])
UPLINK = os.environ["SANDGLASS_TEST_UPLINK"]  # the machine's address towards it
INTERNET = os.environ["SANDGLASS_TEST_INTERNET"]  # number of a process in it
PRIVATE = os.environ["SANDGLASS_TEST_PRIVATE"].split()

PRELUDE = """
import errno, os, socket, time, urllib.request

def connected(host, port, limit=5, source=None):
    try:
        socket.create_connection((host, port), limit, source and (source, 0)).close()
        return "done"
    except TimeoutError:
        return "silence"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))

def outcome(f):
    try:
        f()
        return "done"
    except OSError as e:
        return errno.errorcode[e.errno]

def fetched(url):
    return urllib.request.urlopen(url, timeout=10).read().decode()

def own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.88.99.1", 9))
        return s.getsockname()[0]
0"""
REFUSED = ("EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "EACCES", "EPERM", "ENETDOWN")


def prepare(sandbox):
    inside(sandbox, PRELUDE)
    return sandbox


@pytest.fixture(scope="module")
def online(sandbox):
    return prepare(sandbox)


@pytest.fixture
def neighbour(new_sandbox):
    return prepare(new_sandbox())


@pytest.fixture
def offline(new_sandbox):
    return prepare(new_sandbox(allow_internet_access=False))


# ---- the public internet ----

def test_web_by_address(online):
    (FOLDER / "hello.txt").write_text("hello from outside")
    assert inside(online, f"fetched('http://{WEB}/hello.txt')") == "hello from outside"


def test_web_by_name(online):
    (FOLDER / "hello.txt").write_text("hello from outside")
    assert inside(online, "socket.gethostbyname('packages.sandglass.test')") == WEB_ADDRESS
    assert inside(online, f"fetched('http://www.sandglass.test:{WEB_PORT}/hello.txt')") == "hello from outside"


def test_unknown_names(online):
    error = online.run_code("socket.getaddrinfo('nobody.example', 80)").error
    assert error.name == "gaierror" and "not known" in error.value


def test_many_connections(online):
    (FOLDER / "hello.txt").write_text("hello from outside")
    code = f"""
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(20) as pool:
    got = list(pool.map(fetched, ["http://{WEB}/hello.txt"] * 100))
(len(got), set(got))"""
    assert inside(online, code) == (100, {"hello from outside"})


def test_large_transfer(online):
    block = os.urandom(1 << 20)
    (FOLDER / "large.bin").write_bytes(block * 64)
    code = f"""
import hashlib
h = hashlib.sha256()
with urllib.request.urlopen("http://{WEB}/large.bin", timeout=60) as answer:
    while chunk := answer.read(1 << 16):
        h.update(chunk)
h.hexdigest()"""
    try:
        assert inside(online, code) == hashlib.sha256(block * 64).hexdigest()
    finally:
        (FOLDER / "large.bin").unlink()


def wheel(folder, name, version, text):
    """The smallest wheel: one module."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    files = {f"{name}.py": text,
             f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
             f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{n},,\n" for n in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as z:
        for n, content in [*files.items(), (f"{info}/RECORD", record)]:
            z.writestr(n, content)
    return path


@pytest.fixture(scope="module")
def index():
    """A package index (PEP 503) with one project."""
    project = FOLDER / "simple" / "sandglass-hello"
    project.mkdir(parents=True, exist_ok=True)
    made = wheel(project, "sandglass_hello", "1.0", "def greet(name):\n    return f'hello, {name}'\n")
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    (project / "index.html").write_text(f'<!DOCTYPE html><a href="{made.name}#sha256={digest}">{made.name}</a>\n')
    (FOLDER / "simple" / "index.html").write_text('<!DOCTYPE html><a href="sandglass-hello/">sandglass-hello</a>\n')


@pytest.mark.parametrize("host", [WEB_ADDRESS, "packages.sandglass.test"])
def test_pip_install_in_a_cell(neighbour, index, host):
    """A cell installs a package, the next one uses it in the same kernel."""
    install = f"!pip install --index-url http://{host}:{WEB_PORT}/simple --trusted-host {host} sandglass-hello"
    execution = neighbour.run_code(install)
    printed = "".join(execution.logs.stdout)
    assert execution.error is None and "Successfully installed sandglass-hello-1.0" in printed, printed
    assert neighbour.run_code("import sandglass_hello\nsandglass_hello.greet('you')").text == "hello, you"
    assert not [p for p in pathlib.Path("/usr").rglob("sandglass_hello*")]


def test_pip_magic(neighbour, index):
    neighbour.run_code(f"%pip install --index-url http://{WEB}/simple --trusted-host {WEB_ADDRESS} sandglass-hello")
    assert neighbour.run_code("from sandglass_hello import greet; greet('me')").text == "hello, me"


# ---- what is not public ----

class Listener:
    """A server on every address of the machine that counts what reaches it."""

    def __init__(self):
        self.accepted = 0
        self.socket = socket.create_server(("0.0.0.0", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                self.socket.accept()[0].close()
                self.accepted += 1
        except OSError:
            pass  # closed

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()


def machine_addresses():
    links = json.loads(subprocess.run(["ip", "-j", "-4", "address"], check=True, capture_output=True, text=True).stdout)
    return {a["local"] for link in links for a in link["addr_info"] if not a["local"].startswith("127.")}


def test_the_machine_is_not_reached(online, listener):
    """Not under any of its addresses, the sandbox's own gateway among them."""
    routes = inside(online, "[line.split() for line in open('/proc/net/route').read().splitlines()[1:]]")
    gateway = next(socket.inet_ntoa(bytes.fromhex(r[2])[::-1]) for r in routes if r[1] == "00000000")
    addresses = machine_addresses()
    assert UPLINK in addresses and (DRIVER != "namespace" or gateway in addresses)
    for address in addresses | {gateway}:
        assert inside(online, f"connected('{address}', {listener.port})") in REFUSED, address
    assert listener.accepted == 0
    socket.create_connection((UPLINK, listener.port), 5).close()  # it would have answered
    wait_until(lambda: listener.accepted == 1)


def test_the_server_is_not_reached(online):
    port = int(os.environ["SANDGLASS_URL"].rpartition(":")[2])
    for address in ("127.0.0.1", UPLINK):
        assert inside(online, f"connected('{address}', {port})") in REFUSED


def test_datagrams_to_the_machine_are_lost(online):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("0.0.0.0", 0))
        s.settimeout(1)
        port = s.getsockname()[1]
        inside(online, f"""
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    for _ in range(3):
        try:
            s.sendto(b"x", ("{UPLINK}", {port}))
        except OSError:
            pass
0""")
        with pytest.raises(TimeoutError):
            s.recv(10)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_refused(online, address):
    """The machine reaches this address, its sandboxes do not."""
    socket.create_connection((address, WEB_PORT), 5).close()
    assert inside(online, f"connected('{address}', {WEB_PORT})") in REFUSED


@pytest.mark.parametrize("address", ["169.254.169.254", "169.254.170.2", "10.0.0.1", "172.17.0.1", "192.168.0.1",
                                     "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255", "0.0.0.1"])
def test_metadata_and_other_special_addresses_are_refused(online, address):
    assert inside(online, f"connected('{address}', 80)") in (*REFUSED, "EINVAL")


def test_refusals_come_at_once(online):
    """However many: a program that tries a list of addresses does not wait for each."""
    code = f"""
began = time.monotonic()
answers = {{connected("{PRIVATE[0]}", port) for port in range(1, 101)}}
(len(answers), time.monotonic() - began < 10)"""
    assert inside(online, code) == (1, True)


def test_other_protocols_leave_nothing(online):
    assert inside(online, "connected('2001:db8::1', 80)") in REFUSED  # no IPv6 outside
    assert inside(online, f"connected('::ffff:{UPLINK}', 22)") in REFUSED


def test_a_false_sender_goes_nowhere(online, neighbour):
    """Addresses of others cannot be taken: no rights over the interface, no raw sockets. Root of a microVM's own kernel
    has both; what it sends under another name is lost."""
    other = inside(neighbour, "own_address()")
    if DRIVER != "namespace":
        inside(neighbour, "import subprocess\nsubprocess.run('ip address add 203.0.113.77/32 dev eth0'.split(), check=True).returncode")
        answers = [inside(neighbour, f"connected('{WEB_ADDRESS}', {WEB_PORT}, source='{a}')") for a in (other, "203.0.113.77")]
        assert answers[0] == "done" and answers[1] in (*REFUSED, "silence")
        return
    commands = [f"ip address add {other}/32 dev eth0", "ip link set eth0 down", "ip route add 10.0.0.0/8 dev eth0",
                "ip link add x type dummy", "ip neighbour add 10.0.0.1 lladdr 0:0:0:0:0:1 dev eth0"]
    code = f"import subprocess\n[subprocess.run(c.split(), capture_output=True).returncode for c in {commands}]"
    assert 0 not in inside(online, code)
    assert inside(online, f"outcome(lambda: socket.socket().bind(('{other}', 0)))") == "EADDRNOTAVAIL"


def test_neighbours_do_not_reach_each_other(online, neighbour):
    inside(neighbour, "server = socket.create_server(('0.0.0.0', 7070)); 0")
    address = inside(neighbour, "own_address()")
    assert inside(neighbour, f"connected('{address}', 7070)") == "done"
    assert inside(online, f"connected('{address}', 7070)") in REFUSED


def test_sandboxes_are_not_reached_from_outside(neighbour):
    """Their ports are reached through the server, with its checks; the machine routes nothing to them."""
    inside(neighbour, "server = socket.create_server(('0.0.0.0', 7071)); 0")
    address = inside(neighbour, "own_address()")
    code = f"import socket; socket.create_connection(('{address}', 7071), 2)"
    outside = subprocess.run(["nsenter", "--net", "--target", INTERNET, "/usr/bin/python3", "-c", code],
                             capture_output=True, text=True, check=False)
    assert outside.returncode != 0 and "timed out" in outside.stderr


# ---- without internet ----

def test_no_internet_leaves_loopback_only(offline):
    """Everything else fails at once, so programs need not wait for it."""
    code = f"""
began = time.monotonic()
answers = [connected(host, 80) for host in ("{WEB_ADDRESS}", "{UPLINK}", "192.0.2.77", "169.254.169.254")]
(answers, time.monotonic() - began < 2)"""
    answers, at_once = inside(offline, code)
    assert set(answers) == {"ENETUNREACH"} and at_once
    code = """
began = time.monotonic()
try:
    socket.getaddrinfo("packages.sandglass.test", 80)
    found = True
except OSError:
    found = False
(found, time.monotonic() - began < 3)"""
    assert inside(offline, code) == (False, True)


def test_no_internet_for_pip(offline, index):
    execution = offline.run_code(f"!pip install --retries 0 --index-url http://{WEB}/simple sandglass-hello")
    printed = "".join(execution.logs.stdout)
    assert "ERROR" in printed and "Successfully" not in printed


@pytest.mark.parametrize("options", [{}, {"allow_internet_access": False}])
def test_services_on_loopback_work(new_sandbox, options):
    sandbox = prepare(new_sandbox(**options))
    code = """
import http.server, threading
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from inside")
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 80), Hello)
threading.Thread(target=server.serve_forever, daemon=True).start()
six = socket.create_server(("::1", 81), family=socket.AF_INET6)
(fetched("http://127.0.0.1/"), fetched("http://localhost/"), connected("::1", 81), connected("127.0.0.1", 82))"""
    assert inside(sandbox, code) == ("from inside", "from inside", "done", "ECONNREFUSED")
