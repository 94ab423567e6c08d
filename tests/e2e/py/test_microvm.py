"""What only microVMs have: clones that share nothing, pauses to the disk, guests that fall over."""
import concurrent.futures
import datetime
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

import pytest
from e2b import SandboxException
from e2b_code_interpreter import Sandbox
from host import inside, output, pool_counter, vmm_of, wait_until
from test_recovery import child, eventually

BUILD = pathlib.Path(os.environ["SANDGLASS_TEST_BUILD"])
STATE = pathlib.Path(os.environ["SANDGLASS_TEST_STATE"])
CLONES = 20

IDENTITY = """
import os, random, socket, sys, time, uuid
preloaded = "numpy" in sys.modules
import numpy
def read(path):
    with open(path) as f:
        return f.read().strip()
(os.getrandom(16).hex(), random.random(), str(uuid.uuid4()), read("/etc/machine-id"),
 read("/proc/sys/kernel/random/boot_id"), numpy.random.random(), time.time(), preloaded)
"""


def state_of(sandbox):
    return sandbox.get_info().state.value


def left_of(sandbox_id):
    """Everything on this machine that is named after the sandbox."""
    left = [str(p) for base in (STATE / "launcher/boxes", STATE / "launcher/snapshots") if base.exists()
            for p in base.iterdir() if p.name == sandbox_id]
    left += output("find", "/sys/fs/cgroup", "-name", sandbox_id).split()
    left += [m for m in pathlib.Path("/proc/self/mounts").read_text().splitlines() if sandbox_id in m]
    return left


def gone_without_a_trace(sandbox_id):
    wait_until(lambda: not left_of(sandbox_id))


def test_isolation_is_told(sandbox):
    info = subprocess.run([BUILD / "sandglass", "ls"], text=True,
                          capture_output=True, check=True).stdout
    row = next(line for line in info.splitlines() if line.startswith(sandbox.sandbox_id))
    assert re.search(r"\bmicrovm(-emulated)?\b", row)
    assert inside(sandbox, "import os; os.uname().release") != os.uname().release


def test_memory_stays_shared(sandbox):
    """A guest left alone must not copy its memory together into huge pages."""
    assert "[madvise]" in inside(sandbox, "open('/sys/kernel/mm/transparent_hugepage/enabled').read()")


@pytest.fixture(scope="module")
def clones():
    def one(_):
        sandbox = Sandbox.create(timeout=900)
        before = time.time()
        identity = inside(sandbox, IDENTITY)
        return sandbox, identity, before, time.time()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        made = list(pool.map(one, range(CLONES)))
    yield made
    for sandbox, *_ in made:
        sandbox.kill()


def test_clones_share_nothing(clones):
    for field, name in enumerate(("getrandom", "random", "uuid", "machine-id", "boot_id", "numpy")):
        values = {identity[field] for _, identity, _, _ in clones}
        assert len(values) == CLONES, name
    assert all(identity[7] for _, identity, _, _ in clones)  # else numpy would have been seeded just now
    tokens = {sandbox._envd_access_token for sandbox, *_ in clones}  # pylint: disable=protected-access
    assert len(tokens) == CLONES and None not in tokens


def test_clocks_are_right(clones):
    for _, identity, before, after in clones:
        assert before - 0.05 <= identity[6] <= after + 0.05


def test_a_certificate_of_after_the_snapshot_is_accepted(clones):
    """Valid from this minute on: a clock of the snapshot's time would refuse it."""
    sandbox = clones[0][0]
    with subprocess.Popen(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-days", "1", "-subj", "/CN=clock.test", "-addext", "subjectAltName=DNS:clock.test",
                           "-keyout", "-", "-out", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as openssl:
        pem = openssl.stdout.read().decode()
    sandbox.files.write("/tmp/both.pem", pem)
    assert inside(sandbox, """
import ssl
server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
server.load_cert_chain("/tmp/both.pem")
client.load_verify_locations("/tmp/both.pem")
a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
c = client.wrap_bio(a, b, server_hostname="clock.test")
s = server.wrap_bio(b, a, server_side=True)
for _ in range(4):
    for end in (c, s):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
c.version()
""") == "TLSv1.3"


def test_burst():
    """More at once than any pool has."""
    before = available()

    def one(_):
        begun = time.monotonic()
        sandbox = Sandbox.create(timeout=600)
        assert sandbox.run_code("6 * 7").text == "42"
        return sandbox, time.monotonic() - begun

    lowest = before
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(one, i) for i in range(20)]
        while not all(f.done() for f in futures):
            lowest = min(lowest, available())
            time.sleep(0.2)
        made = [f.result() for f in futures]
    times = sorted(t for _, t in made)
    print(f"\nburst of 20: p50 {statistics.median(times):.1f} s, p99 {times[-1]:.1f} s, "
          f"{(before - lowest) >> 20} MiB of the machine at most")
    assert lowest > 256 << 20
    for sandbox, _ in made:
        sandbox.kill()
    for sandbox, _ in made:
        gone_without_a_trace(sandbox.sandbox_id)


def available():
    return 1024 * int(re.search(r"^MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])


# ---- pause ----

def test_pause_and_go_on(new_sandbox):
    sandbox = new_sandbox()
    sandbox.run_code("kept = [1, 2, 3]\nimport os\npid = os.getpid()")
    sandbox.files.write("/home/user/note.txt", "before")
    counting = sandbox.commands.run("i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 0.1; done", background=True)
    for turn in range(3):
        assert sandbox.pause() in (True, None)
        assert state_of(sandbox) == "paused"
        with pytest.raises(LookupError):
            vmm_of(sandbox)
        time.sleep(1)
        sandbox.connect(timeout=300)
        assert state_of(sandbox) == "running"
        assert inside(sandbox, "kept.append(len(kept)); (len(kept), os.getpid() == pid)") == (4 + turn, True)
        assert sandbox.files.read("/home/user/note.txt") == "before"
        begun = time.time()
        there = inside(sandbox, "import time; time.time()")
        assert begun - 0.05 <= there <= time.time() + 0.05
        count = int(sandbox.files.read("/tmp/count"))
        wait_until(lambda c=count: int(sandbox.files.read("/tmp/count")) > c)
    counting.kill()


def test_paused_ones_are_listed_and_can_be_killed(new_sandbox):
    sandbox = new_sandbox(metadata={"m": "paused"})
    sandbox.pause()
    rows = subprocess.run([BUILD / "sandglass", "ls"], text=True,
                          capture_output=True, check=True).stdout
    assert any(r.startswith(sandbox.sandbox_id) and "paused" in r for r in rows.splitlines())
    with pytest.raises(Exception, match="paused|not running|sandbox"):
        sandbox.run_code("1")
    assert (STATE / "launcher/snapshots" / sandbox.sandbox_id).exists()
    assert sandbox.kill()
    gone_without_a_trace(sandbox.sandbox_id)


def test_a_restart_finds_paused_ones(new_sandbox):
    sandbox = new_sandbox()
    sandbox.run_code("kept = 41")
    sandbox.pause()
    for name in ("sandglassd", "sandglass-launcher"):
        victim = child(name)
        os.kill(victim, signal.SIGKILL)
        eventually(lambda n=name, v=victim: child(n) != v or 1 / 0)
    eventually(lambda: sandbox.connect(timeout=120), 60)
    assert eventually(lambda: sandbox.run_code("kept + 1")).text == "42"


def test_two_pauses_of_one_template_do_not_mix(new_sandbox):
    a, b = new_sandbox(), new_sandbox()
    a.run_code("me = 'a' * 100000")
    b.run_code("me = 'b' * 100000")
    a.pause()
    b.pause()
    b.connect(timeout=120)
    a.connect(timeout=120)
    assert inside(a, "set(me)") == {"a"} and inside(b, "set(me)") == {"b"}


def test_a_snapshot_that_was_cut_off_is_told(new_sandbox):
    sandbox = new_sandbox()
    sandbox.run_code("x = bytearray(20_000_000)")
    sandbox.pause()
    where = STATE / "launcher/snapshots" / sandbox.sandbox_id
    largest = max((p for p in where.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    with pytest.raises(SandboxException, match="snapshot"):
        sandbox.connect(timeout=60)
    assert state_of(sandbox) == "paused"
    assert sandbox.kill()
    gone_without_a_trace(sandbox.sandbox_id)


# ---- guests that fall over ----

def ended(sandbox):
    wait_until(lambda: not sandbox.is_running(), 30)
    gone_without_a_trace(sandbox.sandbox_id)


def pool_recovers():
    fresh = Sandbox.create(timeout=60)
    assert fresh.run_code("1 + 1").text == "2"
    fresh.kill()


@pytest.mark.parametrize("how", [
    "echo c >/proc/sysrq-trigger",          # panics
    "echo o >/proc/sysrq-trigger",          # powers off
    "echo b >/proc/sysrq-trigger",          # resets
])
def test_guest_that_ends_itself(new_sandbox, how):
    sandbox = new_sandbox()
    with pytest.raises(Exception):
        sandbox.commands.run(f"echo 1 >/proc/sys/kernel/sysrq; {how}; sleep 30", user="root", timeout=40)
    ended(sandbox)
    pool_recovers()


def test_vmm_is_killed(new_sandbox):
    sandbox = new_sandbox()
    assert sandbox.run_code("1").text == "1"
    os.kill(vmm_of(sandbox), signal.SIGKILL)
    ended(sandbox)
    pool_recovers()


def test_a_full_disk_hurts_nobody_else(new_sandbox):
    sandbox = new_sandbox()
    limit = sandbox.commands.run("df -B1 --output=size / | tail -1").stdout
    before = os.statvfs(STATE)
    with pytest.raises(Exception, match="exit"):
        sandbox.commands.run("head -c 8G /dev/zero >/home/user/big", timeout=300)
    used = (before.f_bavail - os.statvfs(STATE).f_bavail) * before.f_frsize
    assert used < int(limit) * 1.2 + (64 << 20)
    assert sandbox.run_code("open('/home/user/big', 'rb').read(3)").text == repr(b"\0\0\0")
    sandbox.commands.run("rm /home/user/big")
    assert sandbox.files.write("/home/user/small", "fits")
    assert sandbox.kill()
    gone_without_a_trace(sandbox.sandbox_id)


def test_memory_of_the_guest_is_its_own(new_sandbox):
    sandbox = new_sandbox()
    execution = sandbox.run_code("x = bytearray(8 << 30)")
    assert execution.error is not None
    pool_recovers()


def test_time_is_stepped_for_timers_too(new_sandbox):
    """A sleep that spans a pause ends after what was left of it, and dates are of today."""
    sandbox = new_sandbox()
    started = sandbox.commands.run("sleep 3; date +%s >/tmp/date; mv /tmp/date /tmp/woke", background=True)
    sandbox.pause()
    time.sleep(4)
    sandbox.connect(timeout=120)
    wait_until(lambda: sandbox.files.exists("/tmp/woke"), 30)
    woke = int(sandbox.files.read("/tmp/woke"))
    assert abs(woke - datetime.datetime.now().timestamp()) < 30
    started.kill()


def test_a_new_image_is_what_sandboxes_are_made_of(new_sandbox):
    """Of the next ones, the one that waits in the pool too, and nobody need start the server again for that; what is
    paused goes on as it was."""
    def build(*options):
        subprocess.run([BUILD / "sandglass", "template", "build", "--quiet", *options, "renewed"], check=True)

    def built_at():
        sandbox = Sandbox.create("renewed", timeout=120)
        try:
            return int(sandbox.files.read("/etc/built"))
        finally:
            sandbox.kill()

    build()
    first = built_at()
    kept = new_sandbox(template="renewed")
    kept.pause()
    wait_until(lambda: pool_counter("idle", "renewed") == 1, 120)
    build("--force")
    assert {built_at() for _ in range(3)} == {second := built_at()} and second > first
    wait_until(lambda: pool_counter("idle", "renewed") == 1, 120)
    assert built_at() == second
    kept.connect(timeout=120)
    assert int(kept.files.read("/etc/built")) == first


def test_clones_share_no_numbers_in_any_language():
    """Kernels that ran before the snapshot go on with generators of their own."""
    draws = {"bash": "echo $RANDOM $RANDOM $RANDOM", "javascript": "console.log(Math.random())",
             "python": "import random\nprint(random.random())"}
    made = [Sandbox.create("all-kernels", timeout=900) for _ in range(2)]
    try:
        for language, code in draws.items():
            drawn = ["".join(s.run_code(code, language=language, timeout=120).logs.stdout) for s in made]
            assert all(len(text.split()) >= 1 for text in drawn) and drawn[0] != drawn[1], (language, drawn)
    finally:
        for sandbox in made:
            sandbox.kill()
