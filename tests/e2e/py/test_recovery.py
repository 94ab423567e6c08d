"""The server's processes are killed at once (SIGKILL) one after the other: sandboxes and their state live on."""
import os
import pathlib
import signal
import time

import pytest
from e2b_code_interpreter import Sandbox


def supervisor():
    return int(pathlib.Path(os.environ["SANDGLASS_TEST_STATE"], "sandglassd.pid").read_text())


def child(name):
    """Process id of the supervisor's child of that name, once there is one."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
            try:
                parent = int(comm.with_name("stat").read_text().rpartition(")")[2].split()[1])
                if parent == supervisor() and comm.read_text().strip() == name[:15]:
                    return int(comm.parent.name)
            except (OSError, ValueError):
                pass
        time.sleep(0.1)
    raise AssertionError(f"no process {name}")


def eventually(call, seconds=30):
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@pytest.mark.parametrize("name", ["sandglassd", "sandglass-launcher"])
def test_kill_9_loses_no_sandbox(new_sandbox, name):
    sandbox = new_sandbox(metadata={"kept": name}, envs={"E": "1"})
    sandbox.run_code("kept = 41")
    before = sandbox.get_info()
    victim = child(name)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: child(name) != victim or 1 / 0)
    assert eventually(lambda: sandbox.run_code("kept + 1")).text == "42"
    after = eventually(sandbox.get_info)
    assert (after.metadata, after.end_at) == (before.metadata, before.end_at)
    fresh = eventually(lambda: Sandbox.create(timeout=60))
    assert fresh.run_code("1 + 1").text == "2"
    assert fresh.kill() and sandbox.kill()


def strike(name):
    """Kills the supervisor's child of that name; one that ends by itself meanwhile gives an error."""
    victim = child(name)
    os.kill(victim, signal.SIGKILL)
    return victim


def test_processes_that_are_killed_again_and_again_come_back(new_sandbox):
    sandbox = new_sandbox()
    sandbox.run_code("kept = 41")
    for _ in range(6):
        victims = [eventually(lambda: strike("sandglassd")), eventually(lambda: strike("sandglass-launcher"))]
        eventually(lambda: child("sandglassd") not in victims or 1 / 0)
        eventually(lambda: child("sandglass-launcher") not in victims or 1 / 0)
    assert eventually(lambda: sandbox.run_code("kept + 1")).text == "42"
    assert sandbox.kill()
