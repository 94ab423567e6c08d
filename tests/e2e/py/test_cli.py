"""The sandglass command, and API keys made and revoked by sandglassd beside a running server."""
import os
import pathlib
import signal
import subprocess
import time

import pytest
from e2b import AuthenticationException
from e2b_code_interpreter import Sandbox

BUILD = pathlib.Path(os.environ["SANDGLASS_TEST_BUILD"])
ISOLATION = "namespace" if os.environ["SANDGLASS_TEST_DRIVER"] == "namespace" else "microvm"


def sandglass(*args, code=None, **env):
    return subprocess.run([BUILD / "sandglass", *args], input=code, text=True, capture_output=True, timeout=60, check=False,
                          env=dict(os.environ, **env))


def keys(*args):
    return subprocess.run([BUILD / "sandglass", "keys", *args, "--state", os.environ["SANDGLASS_TEST_STATE"]],
                          text=True, capture_output=True, timeout=60, check=False)


def test_create_run_ls_kill():
    made = sandglass("create", "-m", "from=cli", "-e", "WHO=you", "--timeout", "120")
    sandbox = made.stdout.strip()
    assert made.returncode == 0 and len(sandbox) == 21
    first = sandglass("run", "-s", sandbox, code="import os; x = 20\nprint('hello', os.environ['WHO'])")
    assert (first.returncode, first.stdout) == (0, "hello you\n")
    assert sandglass("run", "-s", sandbox, code="x + 1").stdout == "21\n"
    row = [line for line in sandglass("ls").stdout.splitlines() if line.startswith(sandbox)]
    assert len(row) == 1 and "code-interpreter-v1" in row[0] and ISOLATION in row[0] and "from=cli" in row[0]
    assert sandglass("kill", sandbox).returncode == 0
    again = sandglass("kill", sandbox)
    assert again.returncode == 1 and "not_found" in again.stderr
    assert sandbox not in sandglass("ls").stdout


def test_sizes_are_those_asked_for():
    made = sandglass("create", "--cpus", "1.5", "--disk", "3GiB").stdout.strip()
    try:
        assert sandglass("run", "-s", made, code="import os; f = os.statvfs('/'); f.f_blocks * f.f_frsize >> 30").stdout == "2\n"
        assert Sandbox.get_info(made).memory_mb == 1024  # the template's
    finally:
        sandglass("kill", made)


def test_help_is_found_behind_a_command_too():
    whole = sandglass("--help")
    assert whole.returncode == 0 and "template build" in whole.stdout
    for words in (["ls", "--help"], ["template", "build", "--help"], ["doctor", "--help"], ["kill", "-h"]):
        asked = sandglass(*words, E2B_API_KEY="")
        assert (asked.returncode, asked.stdout) == (0, whole.stdout), words
    assert "--help" in sandglass("bogus").stderr


def test_run_from_a_file_streams_and_leaves_nothing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\n'value'")
    before = sandglass("ls").stdout.count("\n")
    done = sandglass("run", script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n'value'\n", "err\n")
    failed = sandglass("run", "-", code="1/0")
    assert failed.returncode == 1 and "ZeroDivisionError" in failed.stderr
    assert sandglass("ls").stdout.count("\n") == before


def test_ctrl_c_interrupts_the_code():
    process = subprocess.Popen([BUILD / "sandglass", "run", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write("import time\nprint('on', flush=True)\ntime.sleep(60)")
    process.stdin.close()
    assert process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


@pytest.mark.parametrize("args, status, words", [
    (("nonsense",), 2, "there is no command"),
    (("kill",), 2, "one sandbox id"),
    (("run", "-s", "inosuchsandbox"), 1, "not_found"),
    (("create", "-t", "nope"), 1, "nope"),
    (("create", "-e", "novalue"), 1, "expected KEY=VALUE"),
    (("create", "--memory", "512"), 2, "--memory: expected a size with a unit"),
    (("run", "--disk", "1GB"), 2, "--disk: expected a size with a unit"),
    (("create", "--cpus", "two"), 2, "--cpus: expected a number"),
    (("create", "--memory", "1MiB"), 1, "memory_bytes: expected a number from"),
    (("--url", "ftp://x", "ls"), 1, "expected a URL"),
    (("--url", "http://127.0.0.1:1", "ls"), 1, "unavailable"),
    (("--key", "e2b_0000000000000000000000000000000000000000", "ls"), 1, "unauthenticated"),
])
def test_errors_say_what_is_wrong(args, status, words):
    done = sandglass(*args, code="1")
    assert (done.returncode, done.stdout) == (status, "") and words in done.stderr, done


def test_keys_are_added_listed_and_revoked_while_serving():
    name = f"laptop {time.time()}"  # a server's state may have seen these tests before
    added = keys("add", "--name", name, "--team", "others")
    key = added.stdout.strip()
    assert added.returncode == 0 and key.startswith("e2b_") and len(key) == 44
    row = next(line for line in keys("list").stdout.splitlines() if name in line)
    assert "valid" in row and "others" in row and key not in row

    def works(wanted):
        for _ in range(50):
            try:
                Sandbox.list(api_key=key).next_items()
                found = True
            except AuthenticationException:
                found = False
            if found == wanted:
                return True
            time.sleep(0.1)
        return False
    assert works(True)
    mine = Sandbox.create(timeout=60)
    with pytest.raises(Exception, match="not found|doesn't exist"):
        Sandbox.get_info(mine.sandbox_id, api_key=key)  # of another team
    mine.kill()
    assert keys("revoke", row.split()[0]).returncode == 0
    assert works(False)
    assert keys("revoke", "nosuchkey").returncode == 1
