"""sandglass doctor beside the running server: what it says is true, and it leaves nothing behind however it ends."""
import errno
import functools
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import pytest
from host import STATE, wait_until

BUILD = pathlib.Path(os.environ["SANDGLASS_TEST_BUILD"])
TOP = pathlib.Path(os.environ["SANDGLASS_TEST_PROTO"]).parent
DRIVER = os.environ["SANDGLASS_TEST_DRIVER"]
PLACES = (STATE.parent, pathlib.Path("/var/tmp"))
TESTS = ["sandboxes", "code", "clock of 1st", "clock of 2nd", "random", "files"]


def command(*args):
    return [BUILD / "sandglass", "doctor", "--state", STATE, "--templates", TOP / "templates",
            "--web", TOP / "contrib/web", *args]


def directories():
    return {path for place in PLACES for path in place.glob("sandglass-doctor-*")}


def with_mark(mark):
    """Processes that inherited the mark."""
    found = []
    for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:
            pass
    return found


def groups(tag):
    return [path for depth in ("*", "*/*") for path in pathlib.Path("/sys/fs/cgroup").glob(depth)
            if path.name == f"sandglass-{tag}"]


class Doctor:
    """One that runs, and what could be left of it."""

    def __init__(self, *args):
        self.mark, before = f"DOCTOR_MARK={uuid.uuid4()}", directories()
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **{name: value}))
        self.directory = wait_until(lambda: next(iter(directories() - before), None))
        self.tag = hashlib.sha256(str(self.directory / "state").encode()).hexdigest()[:4]

    def nothing_is_left(self):
        assert not self.directory.exists()
        assert with_mark(self.mark) == []
        assert groups(self.tag) == []
        assert f"sandglass_{self.tag}" not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
        assert not [p.name for p in pathlib.Path("/sys/class/net").iterdir() if p.name.startswith(f"sg{self.tag}-")]
        assert str(self.directory) not in pathlib.Path("/proc/self/mounts").read_text()


def snapshot():
    """What must not change: the server's process, its files, the machine's settings."""
    names = sorted(str(p) for p in STATE.glob("*")) + sorted(str(p) for p in (STATE / "launcher").glob("*"))
    return [(STATE / "sandglassd.pid").read_text(), names, pathlib.Path("/proc/sys/net/ipv4/ip_forward").read_text(),
            pathlib.Path("/proc/self/mounts").read_text()]


def test_what_it_tells_is_true_and_the_server_goes_on(sandbox):
    sandbox.run_code("kept = 41")
    before, ticks = snapshot(), []
    running = threading.Thread(target=lambda: sandbox.run_code(
        "import time, os\nwhile not os.path.exists('/tmp/enough'): print('tick', flush=True); time.sleep(0.2)",
        on_stdout=lambda message: ticks.append(time.monotonic()), timeout=1800))
    running.start()
    doctor = Doctor("--json")
    start = time.monotonic()
    out, err = doctor.process.communicate(timeout=1800)
    end = time.monotonic()
    sandbox.files.write("/tmp/enough", "")
    running.join(30)
    assert (doctor.process.returncode, err) == (0, ""), out
    told = json.loads(out)
    assert set(told) == {"checks", "drivers", "verdict"}

    drivers = {d["name"]: d for d in told["drivers"]}
    assert drivers["namespace"]["works"] and drivers["namespace"]["isolation"] == "namespace"
    assert [t["name"] for t in drivers["namespace"]["tests"]] == TESTS
    assert {t["status"] for t in drivers["namespace"]["tests"]} == {"ok"}, drivers["namespace"]["tests"]
    assert drivers[DRIVER]["works"] and drivers[DRIVER]["self_test"] == "ok", drivers[DRIVER]
    for d in drivers.values():
        assert bool(d["works"]) == bool(d["isolation"]) and (d["works"] or d["why"])
    first = next(d for d in told["drivers"] if d["works"])
    assert told["verdict"]["ok"] and told["verdict"]["min_isolation_met"]
    assert (told["verdict"]["driver"], told["verdict"]["isolation"]) == (first["name"], first["isolation"])

    checks = {c["name"]: c for c in told["checks"]}
    assert checks["kernel"]["detail"] == os.uname().release
    assert checks["server"]["detail"] == f"runs as process {before[0].strip()}"
    # /dev/kvm is good only when a test boot ran on it.
    on_kvm = any(d["isolation"] == "microvm" for d in drivers.values())
    assert (checks["kvm"]["status"] == "ok") == on_kvm, checks["kvm"]
    assert ("absent" in checks["kvm"]["detail"]) != os.path.exists("/dev/kvm")

    doctor.nothing_is_left()
    assert snapshot() == before
    during = [t for t in ticks if start < t < end]
    assert len(during) > 3 and max(b - a for a, b in zip(during, during[1:])) < 5
    assert sandbox.run_code("kept + 1").text == "42"


@pytest.mark.parametrize("moment, signo", [
    ("directory", signal.SIGINT), ("launcher/boxes/*/record", signal.SIGTERM), ("env", signal.SIGINT), ("env", signal.SIGHUP)])
def test_interrupted_it_leaves_nothing(moment, signo):
    doctor = Doctor()
    where = doctor.directory if moment == "env" else doctor.directory / "state"
    wait_until(lambda: moment == "directory" or list(where.glob(moment)), 300)
    doctor.process.send_signal(signo)
    out, _ = doctor.process.communicate(timeout=60)
    assert (doctor.process.returncode, out) == (128 + signo, "")
    doctor.nothing_is_left()


def removed(group):
    """A cgroup is busy for a moment after it shows none of its processes."""
    try:
        group.rmdir()
    except OSError as e:
        if e.errno != errno.EBUSY:
            raise
        return False
    return True


def test_killed_its_processes_end_with_it():
    doctor = Doctor()
    wait_until((doctor.directory / "env").exists, 600)
    assert len(with_mark(doctor.mark)) > 3
    doctor.process.kill()
    doctor.process.communicate()
    wait_until(lambda: with_mark(doctor.mark) == [])
    for group in groups(doctor.tag):
        wait_until(lambda: not any((p / "cgroup.procs").read_text() for p in (group, *group.glob("*/"))))
        for each in (*group.glob("*/"), group):
            wait_until(functools.partial(removed, each))
    subprocess.run(["rm", "-rf", "--one-file-system", doctor.directory], check=True)
    doctor.nothing_is_left()


def test_quick_text_and_verdict():
    done = subprocess.run(command("--quick"), capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0 and "Self-test" not in done.stdout
    assert re.search(r"^  ok    namespace +works, isolation namespace", done.stdout, re.M), done.stdout
    verdict = subprocess.run(command("--verdict"), capture_output=True, text=True, check=False, timeout=900)
    assert verdict.returncode == 0 and verdict.stdout.count("\n") == 1
    assert verdict.stdout.startswith("This machine runs sandboxes as ") and verdict.stdout == done.stdout.splitlines(True)[-1]


def test_min_isolation_that_no_driver_gives(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("driver: namespace\nmin_isolation: microvm\n")
    done = subprocess.run(command("--quick", "--json", "--config", config), capture_output=True, text=True, check=False, timeout=900)
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert not told["verdict"]["ok"] and not told["verdict"]["min_isolation_met"] and told["verdict"]["driver"] == ""
    namespace = next(d for d in told["drivers"] if d["name"] == "namespace")
    assert namespace["works"] and not namespace["allowed"] and "less than min_isolation microvm" in namespace["why"]
    assert namespace["self_test"] == "skipped"


def test_what_a_server_has_built_is_only_read():
    """A launcher removes at its start what no template names; doctor's has the server's before it, and must not."""
    def tree(top):
        return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_ctime_ns, p.is_file() and p.read_bytes())
                      for p in top.rglob("*"))

    with tempfile.TemporaryDirectory(dir=STATE.parent) as where:
        os.chmod(where, 0o755)
        launcher = pathlib.Path(where, "state/launcher")
        for path in ("images/" + 64 * "0" + "/root.img", "images/odd.new/root.img", "kernels/6.1.0-0/vmlinux",
                     "kernels/odd/vmlinux", "layers/" + 64 * "2" + "/file", "layers/odd/file", "warm/" + 64 * "1" + "/mem", "warm/odd.new/mem"):
            (launcher / path).parent.mkdir(parents=True)
            (launcher / path).write_bytes(os.urandom(100))
        before = tree(launcher)
        done = subprocess.run(command("--quick", "--json", "--state", launcher.parent), capture_output=True, text=True,
                              check=False, timeout=900)
        assert done.returncode == 0 and all(d["works"] or d["why"] for d in json.loads(done.stdout)["drivers"])
        assert tree(launcher) == before


def test_an_image_that_is_not_built_is_no_fault():
    with tempfile.TemporaryDirectory(dir=STATE.parent) as where:  # that the server's user can read
        os.chmod(where, 0o755)
        pathlib.Path(where, "unbuilt.yaml").write_text("name: unbuilt\nbase: debian:bookworm\nkernels: [python]\n")
        done = subprocess.run(command("--json", "--template", "unbuilt", "--templates", where),
                              capture_output=True, text=True, check=False, timeout=1800)
    namespace = next(d for d in json.loads(done.stdout)["drivers"] if d["name"] == "namespace")
    assert [(t["name"], t["status"], t["fix"]) for t in namespace["tests"]] == \
        [("sandboxes", "warn", "sandglass template build unbuilt")], namespace["tests"]
    assert done.returncode == 0


def test_a_busy_machine_is_no_fault(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("limits:\n  memory_reserve: 900GiB\n")
    done = subprocess.run(command("--json", "--config", config), capture_output=True, text=True, check=False, timeout=900)
    namespace = next(d for d in json.loads(done.stdout)["drivers"] if d["name"] == "namespace")
    assert [(t["name"], t["status"]) for t in namespace["tests"]] == [("sandboxes", "warn")], namespace["tests"]
    assert "less than 921600 MiB of memory left" in namespace["tests"][0]["detail"] and done.returncode == 0


def test_why_no_driver_works():
    """The launcher's own words, not that it was gone."""
    done = subprocess.run(command("--json", "--launcher", "/nonexistent/launcher"), capture_output=True, text=True, check=False,
                          timeout=900)
    told = json.loads(done.stdout)
    assert done.returncode == 1 and not told["verdict"]["ok"] and told["verdict"]["isolation"] == ""
    for d in told["drivers"]:
        assert (d["works"], d["isolation"], d["tests"]) == (False, "", [])
        assert d["why"] == "cannot run /nonexistent/launcher: No such file or directory"


def test_why_no_server_starts():
    """The cause, not what came to an end by it."""
    done = subprocess.run(command("--json", "--web", "/nonexistent/web"), capture_output=True, text=True, check=False,
                          timeout=900)
    tried = [d for d in json.loads(done.stdout)["drivers"] if d["works"] and d["tests"]]
    assert tried and all("cannot start: /nonexistent/web" in d["tests"][0]["detail"] for d in tried), tried


def test_only_root_can_ask():
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command()],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "") and "must run as root" in done.stderr
    wrong = subprocess.run(command("more"), capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "unexpected argument 'more'" in wrong.stderr
