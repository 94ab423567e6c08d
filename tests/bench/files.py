# SPDX-License-Identifier: Apache-2.0
"""P12: files up and down, against a plain socket (socat) and against envd-like servers without any isolation."""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import threading
import time

GB = 1_000_000_000
BUFFER = 262144


def anonymous_memory(names):
    """Bytes that processes of these names have for themselves; the page cache is nobody's."""
    total = 0
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() in names:
                status = comm.with_name("status").read_text()
                total += int(status.split("RssAnon:")[1].split()[0]) * 1024
        except (OSError, IndexError):
            pass
    return total


class Peak:
    """Most memory seen while the block runs, beyond what there was before."""

    def __init__(self, *names):
        self.names = set(names)

    def __enter__(self):
        self.before = self.most = anonymous_memory(self.names)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.stop.wait(0.1):
            self.most = max(self.most, anonymous_memory(self.names))

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def grown(self):
        return self.most - self.before


def connect(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise RuntimeError(f"nobody listens on port {port}")


def send_file(sock, path):
    with open(path, "rb") as f:
        sent = 0
        while n := os.sendfile(sock.fileno(), f.fileno(), sent, 1 << 20):
            sent += n


def receive(sock, n):
    """n bytes, dropped; -1: to the end."""
    space, got = bytearray(BUFFER), 0
    while got != n and (k := sock.recv_into(space)):
        got += k
    return got


class HttpFiles:
    """Any server of /files; one connection a transfer."""

    def __init__(self, port, path, headers=None):
        self.port, self.path = port, path
        self.head = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())

    def request(self, sock, method, more=""):
        sock.sendall(f"{method} /files?path={self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{self.head}{more}"
                     "\r\n".encode())

    @staticmethod
    def answer(sock):
        """Head, and the bytes behind it that came along."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = sock.recv(BUFFER)
            if not piece:
                raise RuntimeError(f"closed inside a head: {got!r}")
            got += piece
        head, _, rest = got.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(got.decode(errors="replace"))
        return head, rest

    def upload(self, source):
        with connect(self.port) as sock:
            self.request(sock, "POST", "Content-Type: application/octet-stream\r\n"
                         f"Content-Length: {os.path.getsize(source)}\r\n")
            send_file(sock, source)
            self.answer(sock)

    def download(self):
        with connect(self.port) as sock:
            self.request(sock, "GET")
            head, rest = self.answer(sock)
            length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))[15:])
            return len(rest) + receive(sock, length - len(rest))


class Socat:
    def __init__(self, port, path):
        self.port, self.path = port, path

    def upload(self, source):
        p = subprocess.Popen(["socat", "-u", "-b", str(BUFFER), f"TCP-LISTEN:{self.port},bind=127.0.0.1,reuseaddr",
                              f"OPEN:{self.path},creat,trunc,wronly"])
        with connect(self.port) as sock:
            send_file(sock, source)
            sock.shutdown(socket.SHUT_WR)
            receive(sock, -1)
        if p.wait():
            raise RuntimeError("socat failed")

    def download(self):
        p = subprocess.Popen(["socat", "-u", "-b", str(BUFFER), f"OPEN:{self.path},rdonly",
                              f"TCP-LISTEN:{self.port},bind=127.0.0.1,reuseaddr"])
        with connect(self.port) as sock:
            got = receive(sock, -1)
        if p.wait():
            raise RuntimeError("socat failed")
        return got


class Inside:
    """The limit of the sandbox's own disk and memory: a program in it writes and reads the same file, no network."""

    def __init__(self, new_executor):
        self.new_executor = new_executor

    def run(self, code):
        http = self.new_executor().http  # the one before may have idled too long meanwhile
        answer = http.whole("POST", "/execute", json.dumps({"code": code}).encode())
        http.close()
        if b'"error"' in answer or b"end_of_execution" not in answer:
            raise RuntimeError(answer[:500])

    def upload(self, source):
        self.run(f"""
import os
block = os.urandom(1000000)
with open('/home/user/inside.new', 'wb', 0) as f:
    for _ in range({GB} // 1000000): f.write(block)
os.rename('/home/user/inside.new', '/home/user/inside.bin')""")

    def download(self):
        self.run("""
space = bytearray(262144)
with open('/home/user/inside.bin', 'rb', 0) as f:
    while f.readinto(space): pass""")
        return GB


def peers(world, free_port, wait_port):
    """Reference servers, on the machine's own disk."""
    here = pathlib.Path(__file__).resolve().parent
    made = {"socat": Socat(free_port(), world.dir / "socat.bin")}
    port = free_port()
    wait_port(port, world.start("/usr/bin/python3", "-m", "uvicorn", "--port", port, "--log-level", "error", "files:app",
                                env={"PYTHONPATH": str(here / "peer")}, cwd=world.dir))
    made["python"] = HttpFiles(port, world.dir / "python.bin")
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if not go:
        print("  no go compiler: the reference in Go is left out")
        return made
    program, port = world.dir / "files-go", free_port()
    subprocess.run([go, "build", "-o", program, here / "peer/files.go"], check=True,
                   env=dict(os.environ, GOCACHE=str(world.dir / "go-cache"), GO111MODULE="off"))
    wait_port(port, world.start(program, f"127.0.0.1:{port}"))
    made["go"] = HttpFiles(port, world.dir / "go.bin")
    return made


def p12(world, report, rounds, free_port, wait_port):
    source = world.dir / "source.bin"
    with open(source, "wb") as f:
        block = os.urandom(1_000_000)
        for _ in range(GB // len(block)):
            f.write(block)
    made = world.create()
    contenders = {"sandglass": HttpFiles(world.port, "/home/user/bench.bin", {
        "E2b-Sandbox-Id": made["sandboxID"], "E2b-Sandbox-Port": "49983", "X-Access-Token": made["envdAccessToken"]})}
    other = world.create()
    contenders["inside"] = Inside(lambda: world.executor(other))
    contenders |= peers(world, free_port, wait_port)
    up, down, grown = ({name: [] for name in contenders} for _ in range(3))
    for _ in range(max(3, rounds // 5)):
        for name, c in contenders.items():
            os.sync()  # what the one before left to write is not this one's
            with Peak("sandglassd", "sandglass-agent") as peak:
                begun = time.perf_counter()
                c.upload(source)
                up[name].append(GB / 1e6 / (time.perf_counter() - begun))
                begun = time.perf_counter()
                if c.download() != GB:
                    raise RuntimeError(f"{name}: the download is not whole")
                down[name].append(GB / 1e6 / (time.perf_counter() - begun))
            grown[name].append(peak.grown() / 1e6)
    world.kill(made)
    world.kill(other)
    report.add("P12", "upload of 1 GB", "MB/s", up, better="higher", targets=(("socat", 0.7),))
    report.add("P12", "download of 1 GB", "MB/s", down, better="higher", targets=(("socat", 0.7),))
    report.absolute(statistics.median(grown["sandglass"]), 8, "memory of daemon and agents beyond before, MB")
