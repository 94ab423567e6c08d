# SPDX-License-Identifier: Apache-2.0
"""P7: microVMs of QEMU through the API, against the bare recipe: the same program with the same arguments, memory, device
state and disk, started from here without daemon, launcher, jail or network, and an HTTP/2 client of a few lines."""
import base64
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time

import h2.config
import h2.connection
import h2.events

F_ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x8
FLUSH, TAIL, HEAD = 8 + 16384 + 1, b"\xa5", struct.Struct(">II")
HELLO, HELLO_ACK, DATA = 1, 2, 3
CELL = json.dumps({"code": "1+1"}).encode()
IDLE_S = 60


class Link:
    """HTTP/2 with the agent over one of its serial ports (src/wire/serial_link.h)."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(path))
        self.session, nonce = int.from_bytes(os.urandom(4), "big"), os.urandom(16)
        self.sock.sendall(bytes(FLUSH) + self.frame(HELLO, nonce))
        ack, self.rest = self.frame(HELLO_ACK, nonce), b""
        while ack not in self.rest:
            self.rest += self.more()
        self.rest = self.rest.partition(ack)[2]
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def frame(self, kind, payload):
        return HEAD.pack(kind << 24 | len(payload), self.session) + payload + TAIL

    def more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise ConnectionError("the port was closed")
        return piece

    def flush(self):
        data = self.h2.data_to_send()
        for at in range(0, len(data), 16384):
            self.sock.sendall(self.frame(DATA, data[at:at + 16384]))

    def payload(self):
        while True:
            self.rest = self.rest.lstrip(b"\0")
            if len(self.rest) >= 8:
                head = HEAD.unpack(self.rest[:8])[0]
                size = 8 + (head & 0xffffff) + 1
                if len(self.rest) >= size:
                    data, self.rest = self.rest[8:size - 1], self.rest[size:]
                    return data
            self.rest += self.more()

    def call(self, method, path, body=b"", headers=()):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(":method", method), (":scheme", "http"), (":authority", "guest"), (":path", path),
                                      ("content-type", "application/json"), *headers], end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        status, answer = 0, b""
        while True:
            for event in self.h2.receive_data(self.payload()):
                if isinstance(event, h2.events.ResponseReceived):
                    status = int(dict(event.headers)[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    answer += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self.flush()
                    return status, answer
            self.flush()

    def close(self):
        self.sock.close()


class Recipe:
    """Clones of the warm snapshot that the server has made, by the command line of one of its own."""

    def __init__(self, state, image):
        warm = next(p.parent for p in (state / "launcher/warm").glob("*/manifest") if "code-interpreter-v1" in p.read_text())
        self.warm, self.dir = warm, pathlib.Path(tempfile.mkdtemp(prefix="sandglass-recipe-", dir=state))
        self.argv = self.command_line(re.search(r"^memory (\d+)", (warm / "manifest").read_text(), re.M)[1])
        self.memory = os.memfd_create("recipe", os.MFD_ALLOW_SEALING)
        subprocess.run(["cp", "--sparse=always", warm / "mem", f"/proc/self/fd/{self.memory}"], check=True,
                       pass_fds=(self.memory,))
        fcntl.fcntl(self.memory, F_ADD_SEALS, SEALS)
        self.image, self.n = image, 0

    @staticmethod
    def command_line(memory):
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")[:-1]
                size = f"size={int(memory) >> 20}M"
                if words and "qemu" in words[0] and "-incoming" in words and any(size in word for word in words):
                    break
            except OSError:
                pass
        else:
            raise LookupError("the server runs no clone")
        return [re.sub(r"^tap,id=n0,.*", "hubport,id=n0,hubid=0", word) for word in words]

    def start(self):
        self.n += 1
        where = self.dir / str(self.n)
        where.mkdir()
        # The numbers are those of the command line: control, data, monitor, root, disk, memory, state out and in.
        fds = []
        for name in ("control", "data", "monitor"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(where / name))
            listener.listen(4)
            fds.append(listener.detach())
        subprocess.run(["cp", "--sparse=always", self.warm / "disk", where / "disk"], check=True)
        fds += [os.open(self.image, os.O_RDONLY), os.open(where / "disk", os.O_RDWR), os.dup(self.memory),
                os.open(where / "out", os.O_RDWR | os.O_CREAT), os.open(self.warm / "state", os.O_RDONLY)]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]

        def arrange():
            for number, fd in enumerate(high, 3):
                os.dup2(fd, number)

        process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=arrange, pass_fds=(*range(3, 11), *high))
        for fd in fds + high:
            os.close(fd)
        return Clone(process, where)

    def close(self):
        os.close(self.memory)
        shutil.rmtree(self.dir, ignore_errors=True)


class Clone:
    def __init__(self, process, where):
        self.process, self.where = process, where
        monitor = socket.socket(socket.AF_UNIX)
        monitor.settimeout(60)
        monitor.connect(str(where / "monitor"))
        self.monitor = monitor.makefile("rw")
        self.monitor.readline()
        self.ask("qmp_capabilities")
        self.ask("migrate-incoming", uri="fd:10")
        while self.ask("query-migrate").get("status") != "completed":
            time.sleep(0.0005)
        self.ask("cont")
        self.control, self.data = Link(where / "control"), None

    def ask(self, command, **arguments):
        self.monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while True:
            answer = json.loads(self.monitor.readline())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError(answer)

    def post(self, path, **body):
        body |= {"timestamp": time.time_ns(), "entropy": base64.b64encode(os.urandom(32)).decode()}
        status, said = self.control.call("POST", path, json.dumps(body).encode())
        if status != 204:
            raise RuntimeError(f"{path}: {status} {said}")

    def wake(self, warm_up):
        self.post("/wake", warmUp=warm_up)
        if self.control.call("GET", "/ready?wait=60000")[0] != 200:
            raise RuntimeError("not ready")

    def init(self):
        self.post("/init", sandboxId="recipe", templateId="recipe", envVars={}, user="user", workdir="/home/user")

    def run(self):
        self.data = self.data or Link(self.where / "data")  # /wake drops connections of before
        status, said = self.data.call("POST", "/execute", CELL, [("sandglass-port", "49999")])
        if status != 200 or b'"2"' not in said:
            raise RuntimeError(f"{status} {said}")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.control.close()
        if self.data:
            self.data.close()
        shutil.rmtree(self.where)


def ms(call):
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def private_memory(pid):
    """Bytes that only this process has: anonymous, and its page tables."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    tables = re.search(r"VmPTE:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
    return 1024 * (int(re.search(r"^Anonymous:\s+(\d+)", text, re.M)[1]) + int(tables[1]))


def vmm_of(sandbox_id):
    for procs in pathlib.Path("/sys/fs/cgroup").glob(f"**/sandglass-*/{sandbox_id}/cgroup.procs"):
        for pid in procs.read_text().split():
            return int(pid)
    raise LookupError(sandbox_id)


def wait_for_pool(world, n=2):
    while True:
        text = world.get("/metrics").decode()
        if int(re.search(r'pool_idle{template="code-interpreter-v1"} (\d+)', text)[1]) >= n:
            time.sleep(0.3)
            return
        time.sleep(0.2)


def memory_when_idle(world):
    """What a guest does by itself, such as putting pages together, costs memory that its copies shared."""
    wait_for_pool(world)
    held = [world.create_once()[0] for _ in range(2)]
    time.sleep(IDLE_S)
    used = [private_memory(vmm_of(made["sandboxID"])) / 1e6 for made in held]
    for made in held:
        world.kill(made)
    return used


def p7(world, report, rounds):
    state = world.state
    image = next((state / "launcher/images/names").glob("code-interpreter-v1")).resolve() / "root.img"
    wait_for_pool(world)
    recipe = Recipe(state, image)
    hit = {"sandglass": [], "recipe": []}
    restore = {"sandglass": [], "recipe": []}
    pause, resume, memory = [], [], []

    def clone_now():
        clone = recipe.start()
        clone.wake(False)
        clone.init()
        clone.run()
        clones.append(clone)

    for _ in range(rounds):
        wait_for_pool(world)
        made, seconds = world.create_once()
        hit["sandglass"].append(seconds)
        memory.append(private_memory(vmm_of(made["sandboxID"])) / 1e6)
        pause.append(ms(lambda m=made: world.post(f"/sandboxes/{m['sandboxID']}/pause", b"{}")))
        executor = world.executor(made)

        def go_on(m=made, e=executor):
            world.post(f"/sandboxes/{m['sandboxID']}/connect", b'{"timeout":300}')
            e.run("1+1")
        resume.append(ms(go_on))
        world.kill(made)

        clone = recipe.start()
        clone.wake(True)
        clone.ask("stop")

        def hand_out(c=clone):
            c.ask("cont")
            c.init()
            c.run()
        hit["recipe"].append(ms(hand_out))
        clone.end()

        clones = []
        restore["recipe"].append(ms(clone_now))
        clones.pop().end()
        wait_for_pool(world)
        held = [world.create() for _ in range(2)]  # empties the pool
        made, seconds = world.create_once()
        restore["sandglass"].append(seconds)
        for each in (*held, made):
            world.kill(each)
    report.add("P7", "microVM, create to first result of 1+1, from the pool", "ms", hit, targets=(("recipe", 1.15),))
    report.add("P7", "the same with the pool empty", "ms", restore, targets=(("recipe", 1.15),))
    report.add("P7", "pause to the disk", "ms", {"sandglass": pause})
    report.add("P7", "resume to first result", "ms", {"sandglass": resume})
    report.add("P9", "private memory of a clone after one cell", "MB", {"sandglass": memory})
    idle = memory_when_idle(world)
    report.add("P9", f"the same {IDLE_S} s later", "MB", {"sandglass": idle})
    report.absolute(statistics.median(idle), 40, "MB an idle microVM clone, what the emulator translated included")
    recipe.close()
