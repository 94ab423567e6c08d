"""Sandboxes seen from the machine that runs them; the tests are root there."""
import ast
import os
import pathlib
import re
import subprocess
import time
import urllib.request

DRIVER = os.environ["SANDGLASS_TEST_DRIVER"]
STATE = pathlib.Path(os.environ["SANDGLASS_TEST_STATE"])
PROC = pathlib.Path("/proc")


def inside(sandbox, code, **options):
    """The value of the code's last expression (a literal). In a list, because strings lose their quotes."""
    tree = ast.parse(code)
    tree.body[-1].value = ast.List([tree.body[-1].value], ast.Load())
    execution = sandbox.run_code(ast.unparse(tree), **options)
    assert execution.error is None, execution.error
    return ast.literal_eval(execution.text)[0]


def vmm_of(sandbox):
    """Process id of the sandbox's VMM: what is in its cgroup."""
    for group in pathlib.Path("/sys/fs/cgroup").glob(f"**/sandglass-*/{sandbox.sandbox_id}/cgroup.procs"):
        for pid in group.read_text().split():
            if (PROC / pid / "comm").read_text().startswith(DRIVER[:4]):
                return int(pid)
    raise LookupError(f"{sandbox.sandbox_id} has no VMM")


def agent_pid(sandbox):
    """Process 1 of the sandbox, by its number here; that of its VMM, where it is a microVM."""
    if DRIVER != "namespace":
        return vmm_of(sandbox)
    namespace = inside(sandbox, "import os; os.readlink('/proc/self/ns/pid')")
    for process in PROC.glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/pid") == namespace and status(process.name)["NSpid"].split()[-1] == "1":
                return int(process.name)
        except OSError:
            pass
    raise LookupError(f"{sandbox.sandbox_id} has no process 1")


def processes_in(namespace):
    """Processes of this machine in a sandbox's pid namespace."""
    assert namespace != os.readlink("/proc/self/ns/pid"), "that is this machine's own"
    found = []
    for process in PROC.glob("[0-9]*"):
        try:
            if os.readlink(process / "ns/pid") == namespace:
                found.append(int(process.name))
        except OSError:
            pass
    return found


def all_of(sandbox):
    """Everything that runs of a sandbox, as this machine sees it: its processes, or its VMM."""
    if DRIVER != "namespace":
        return [vmm_of(sandbox)]
    return processes_in(inside(sandbox, "import os; os.readlink('/proc/self/ns/pid')"))


def resident(pid):
    """Bytes of memory."""
    return int((PROC / str(pid) / "statm").read_text().split()[1]) * 4096


def agent_resident(sandbox, pid):
    """Of the agent with that number here; in a microVM as its kernel tells, whose memory is all of one process here."""
    if DRIVER == "namespace":
        return resident(pid)
    return int(sandbox.files.read("/proc/1/statm", user="root").split()[1]) * 4096


def status(pid):
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def first_id(pid):
    """User number here of root there; of a microVM the one of its VMM."""
    if DRIVER != "namespace":
        return int(status(pid)["Uid"].split()[0])
    inside_id, here, count = map(int, (PROC / str(pid) / "uid_map").read_text().split())
    assert inside_id == 0 and count == 65536
    return here


def alive(pid):
    return (PROC / str(pid)).exists()


def wait_until(true, seconds=20):
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
    return answer


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def pool_counter(name, template="code-interpreter-v1"):
    """What /metrics tells of a pool."""
    request = urllib.request.Request(os.environ["SANDGLASS_URL"] + "/metrics", headers={"X-API-Key": os.environ["E2B_API_KEY"]})
    with urllib.request.urlopen(request) as answer:
        text = answer.read().decode()
    return int(re.search(rf'^sandglass_pool_{name}{{template="{template}"}} (\d+)$', text, re.M)[1])
