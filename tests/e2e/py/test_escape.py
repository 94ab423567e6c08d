"""What code in a kernel, which is root of its sandbox, tries to do to the machine and to other sandboxes.

Each attempt must be refused with the error named here, or concern the sandbox alone; then the machine is looked at.
In a microVM it meets a kernel of the sandbox's own and may well succeed: then nothing here may have changed, and the
walls are those around its VMM.
"""
import errno
import os
import pathlib
import platform
import secrets
import socket
import subprocess
import time

import pytest
from e2b_code_interpreter import Sandbox
from host import DRIVER, PROC, STATE, agent_pid, alive, first_id, inside, output, status, wait_until

OWN_KERNEL = DRIVER != "namespace"

# System calls by number: x86_64, aarch64. "call" gives "done" or the name of the error.
PRELUDE = """
import ctypes, errno, fcntl, os, platform, resource, socket, struct, tempfile
libc = ctypes.CDLL(None, use_errno=True)
column = 0 if platform.machine() == "x86_64" else 1
numbers = {
    "add_key": (248, 217), "bpf": (321, 280), "chroot": (161, 51), "clone": (56, 220), "clone3": (435, 435),
    "clock_settime": (227, 112),
    "delete_module": (176, 106), "fanotify_init": (300, 262), "finit_module": (313, 273), "fsopen": (430, 430),
    "init_module": (175, 105), "io_uring_setup": (425, 425), "iopl": (172, 0), "kexec_load": (246, 104),
    "keyctl": (250, 219), "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "move_pages": (279, 239), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "pivot_root": (155, 41), "quotactl": (179, 60), "reboot": (169, 142),
    "request_key": (249, 218), "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268),
    "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "vhangup": (153, 58),
}

def outcome(f, *args):
    try:
        f(*args)
        return "done"
    except OSError as e:
        return errno.errorcode[e.errno]

def call(name, *args):
    args = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    r = libc.syscall(numbers[name][column], *args)
    return "done" if r >= 0 else errno.errorcode[ctypes.get_errno()]

def clone(flags):
    pid = libc.syscall(numbers["clone"][column], ctypes.c_long(flags | 17), *[ctypes.c_long(0)] * 4)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        os.waitpid(pid, 0)
    return "done" if pid > 0 else errno.errorcode[ctypes.get_errno()]

def opened(path, flags=os.O_RDONLY):
    return outcome(lambda: os.close(os.open(path, flags)))

def written(path, text="1"):
    def write():
        with open(path, "w") as f:
            f.write(text)
    return outcome(write)

def setns(path):
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError as e:
        return errno.errorcode[e.errno]
    return call("setns", fd, 0)

def own():
    fd, path = tempfile.mkstemp()
    os.close(fd)
    return path

def apart(f):
    # In a process of its own, which the attempt may spoil.
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        own = os.getpid()
        try:
            libc.unshare(0x20000)  # mounts of its own, too
            answer = f().encode()
            if os.getpid() == own:
                os.write(writer, answer)
        finally:
            os._exit(0)
    os.close(writer)
    answer = os.read(reader, 100).decode()
    os.close(reader)
    os.waitpid(pid, 0)
    return answer

def made_socket(family, kind, protocol=0):
    return outcome(lambda: socket.socket(family, kind, protocol).close())
None
"""

NEW = {"NEWTIME": 0x80, "NEWNS": 0x20000, "NEWCGROUP": 0x2000000, "NEWUTS": 0x4000000, "NEWIPC": 0x8000000,
       "NEWUSER": 0x10000000, "NEWPID": 0x20000000, "NEWNET": 0x40000000}

REFUSED = {
    # mounts
    "mount tmpfs": ("call('mount', b'none', b'/mnt', b'tmpfs', 0, 0)", "EPERM"),
    "mount proc": ("call('mount', b'none', b'/mnt', b'proc', 0, 0)", "EPERM"),
    "mount cgroup": ("call('mount', b'none', b'/mnt', b'cgroup2', 0, 0)", "EPERM"),
    "bind mount": ("call('mount', b'/', b'/mnt', 0, 4096, 0)", "EPERM"),
    "remount /proc/sys writable": ("call('mount', b'none', b'/proc/sys', 0, 4096 | 32, 0)", "EPERM"),
    "remount / with devices": ("call('mount', b'none', b'/', 0, 32, 0)", "EPERM"),
    "make mounts shared": ("call('mount', b'none', b'/', 0, 1 << 20 | 16384, 0)", "EPERM"),
    "uncover /proc/sys": ("call('umount2', b'/proc/sys', 2)", "EPERM"),
    "uncover /proc/kallsyms": ("call('umount2', b'/proc/kallsyms', 2)", "EPERM"),
    "unmount /": ("call('umount2', b'/', 2)", "EPERM"),
    "pivot_root": ("call('pivot_root', b'/', b'/mnt')", "EPERM"),
    "chroot": ("call('chroot', b'/tmp')", "EPERM"),
    "fsopen": ("call('fsopen', b'tmpfs', 0)", "EPERM"),
    "open_tree": ("call('open_tree', -100, b'/', 1)", "EPERM"),
    "move_mount": ("call('move_mount', -100, b'/tmp', -100, b'/mnt', 0)", "EPERM"),
    "mount_setattr": ("call('mount_setattr', -100, b'/', 0, bytes(32), 32)", "EPERM"),
    # interfaces of the machine's kernel
    "core_pattern": ("written('/proc/sys/kernel/core_pattern', '|/tmp/x')", "EROFS"),
    "modprobe": ("written('/proc/sys/kernel/modprobe', '/tmp/x')", "EROFS ENOENT"),
    "panic": ("written('/proc/sys/kernel/panic')", "EROFS"),
    "overcommit": ("written('/proc/sys/vm/overcommit_memory')", "EROFS"),
    "drop_caches": ("written('/proc/sys/vm/drop_caches')", "EROFS"),
    "ip_forward": ("written('/proc/sys/net/ipv4/ip_forward')", "EROFS"),
    "binfmt_misc": ("written('/proc/sys/fs/binfmt_misc/register', 'x')", "EROFS ENOENT EACCES"),
    "sysrq": ("written('/proc/sysrq-trigger', 'b')", "EROFS ENOENT"),
    "irq": ("written('/proc/irq/default_smp_affinity')", "EROFS"),
    "cpu": ("written('/sys/devices/system/cpu/cpu0/online', '0')", "EROFS ENOENT"),
    "new file in /sys": ("opened('/sys/x', os.O_CREAT | os.O_WRONLY)", "EROFS"),
    "new file in /proc": ("opened('/proc/x', os.O_CREAT | os.O_WRONLY)", "ENOENT EACCES"),
    "uevent_helper": ("written('/sys/kernel/uevent_helper', '/tmp/x')", "ENOENT"),
    "mtrr": ("written('/proc/mtrr', 'disable=0')", "EACCES ENOENT"),
    "own cgroup's memory limit": ("written('/sys/fs/cgroup/memory.max', 'max')", "EROFS EACCES ENOENT"),
    "own cgroup's memory limit, version 1": ("written('/sys/fs/cgroup/memory/memory.limit_in_bytes', '-1')",
                                             "EROFS EACCES ENOENT"),
    "leaving the cgroup": ("written('/sys/fs/cgroup/pids/../memory/cgroup.procs', '0')", "EROFS EACCES ENOENT"),
    "release_agent": ("written('/sys/fs/cgroup/memory/release_agent', '/tmp/x')", "EROFS EACCES ENOENT"),
    "own uid_map": ("written('/proc/self/uid_map', '0 0 1')", "EPERM"),
    # devices
    "make memory device": ("outcome(os.mknod, '/tmp/mem', 0o020600, os.makedev(1, 1))", "EPERM EACCES"),
    "make null device": ("outcome(os.mknod, '/tmp/null', 0o020600, os.makedev(1, 3))", "EPERM EACCES"),
    "make disk device": ("outcome(os.mknod, '/tmp/sda', 0o060600, os.makedev(8, 0))", "EPERM EACCES"),
    "make device in /dev": ("outcome(os.mknod, '/dev/vda', 0o060600, os.makedev(254, 0))", "EPERM EACCES"),
    "/dev/mem": ("opened('/dev/mem')", "ENOENT"),
    "/dev/kmem": ("opened('/dev/kmem')", "ENOENT"),
    "/dev/port": ("opened('/dev/port')", "ENOENT"),
    "/dev/kmsg": ("opened('/dev/kmsg')", "ENOENT"),
    "/dev/kvm": ("opened('/dev/kvm')", "ENOENT"),
    "/dev/fuse": ("opened('/dev/fuse')", "ENOENT"),
    "/dev/loop-control": ("opened('/dev/loop-control')", "ENOENT"),
    "/dev/loop0": ("opened('/dev/loop0')", "ENOENT"),
    "/dev/net/tun": ("opened('/dev/net/tun')", "ENOENT"),
    "/dev/vsock": ("opened('/dev/vsock')", "ENOENT"),
    "console": ("opened('/dev/console', os.O_WRONLY)", "ENOENT"),
    "new file in /dev": ("opened('/dev/x', os.O_CREAT | os.O_WRONLY)", "EACCES EROFS"),
    "other mode of /dev/null": ("outcome(os.chmod, '/dev/null', 0)", "EPERM EROFS"),
    "other owner of /dev/null": ("outcome(os.chown, '/dev/null', 0, 0)", "EPERM EROFS"),
    # namespaces
    **{f"unshare {name}": (f"call('unshare', {flag})", "EPERM") for name, flag in NEW.items()},
    **{f"clone {name}": (f"clone({flag})", "EPERM") for name, flag in NEW.items() if name != "NEWTIME"},
    **{f"setns {name}": (f"setns('/proc/1/ns/{name}')", "EPERM EACCES")
       for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts", "time")},
    "clone3": ("call('clone3', bytes(88), 88)", "ENOSYS"),
    # system calls that only widen the surface
    "io_uring": ("call('io_uring_setup', 8, ctypes.create_string_buffer(120))", "EPERM"),
    "bpf": ("call('bpf', 0, ctypes.create_string_buffer(128), 128)", "EPERM"),
    "add_key": ("call('add_key', b'user', b'a', b'b', 1, -3)", "EPERM"),
    "request_key": ("call('request_key', b'user', b'a', 0, -3)", "EPERM"),
    "keyctl": ("call('keyctl', 0, -3, 0)", "EPERM"),
    "userfaultfd": ("call('userfaultfd', 0)", "EPERM"),
    "perf_event_open": ("call('perf_event_open', bytes(128), 0, -1, -1, 0)", "EPERM"),
    "fanotify": ("call('fanotify_init', 0, 0)", "EPERM"),
    "move_pages": ("call('move_pages', 0, 0, 0, 0, 0, 0)", "EPERM"),
    "open_by_handle_at": ("call('open_by_handle_at', -100, struct.pack('IiQ', 8, 1, 2), 0)", "EPERM"),
    "init_module": ("call('init_module', bytes(64), 64, b'')", "EPERM"),
    "finit_module": ("call('finit_module', 0, b'', 0)", "EPERM"),
    "delete_module": ("call('delete_module', b'loop', 2048)", "EPERM"),
    "kexec_load": ("call('kexec_load', 0, 0, 0, 0)", "EPERM"),
    "reboot": ("call('reboot', 0xfee1dead, 672274793, 0x89abcdef, 0)", "EPERM"),
    "swapon": ("call('swapon', b'/tmp/x', 0)", "EPERM"),
    "syslog": ("call('syslog', 3, ctypes.create_string_buffer(99), 99)", "EPERM"),
    "sethostname": ("call('sethostname', b'evil', 4)", "EPERM"),
    "setdomainname": ("call('setdomainname', b'evil', 4)", "EPERM"),
    "clock_settime": ("call('clock_settime', 0, struct.pack('qq', 1, 0))", "EPERM"),
    "quotactl": ("call('quotactl', 0, 0, 0, 0)", "EPERM"),
    "vhangup": ("call('vhangup')", "EPERM"),
    # sockets
    "raw": ("made_socket(socket.AF_INET, socket.SOCK_RAW, 1)", "EPERM"),
    "raw, IPv6": ("made_socket(socket.AF_INET6, socket.SOCK_RAW, 58)", "EPERM"),
    "packet": ("made_socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)", "EAFNOSUPPORT EPERM"),
    "netfilter": ("made_socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)", "EPROTONOSUPPORT EPERM"),
    "kobject events": ("made_socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)", "EPROTONOSUPPORT EPERM"),
    "vsock": ("made_socket(40, socket.SOCK_STREAM)", "EAFNOSUPPORT EPERM"),
    "kernel crypto": ("made_socket(38, socket.SOCK_SEQPACKET)", "EAFNOSUPPORT EPERM"),
    "bluetooth": ("made_socket(31, socket.SOCK_RAW, 1)", "EAFNOSUPPORT EPERM"),
    "sctp": ("made_socket(socket.AF_INET, socket.SOCK_STREAM, 132)", "EPERM EPROTONOSUPPORT"),
    # limits and ids
    "ids beyond the range": ("outcome(os.setuid, 70000)", "EINVAL"),
    "give away beyond the range": ("outcome(os.chown, own(), 70000, 0)", "EINVAL"),
    "capabilities of a file": ("outcome(os.setxattr, own(), 'security.capability', struct.pack('<5I', 0x2000001, 1, 0, 0, 0))",
                               "EPERM"),
    "attributes of overlays": ("outcome(os.setxattr, own(), 'trusted.overlay.redirect', b'/etc/shadow')", "EPERM"),
    "immutable flag": ("outcome(fcntl.ioctl, open(own()), 0x40086602, struct.pack('l', 16))", "EPERM ENOTTY EOPNOTSUPP"),
    "link to the machine's file": ("outcome(os.link, '/usr/bin/id', '/tmp/linked')", "EXDEV"),
    "real-time scheduling": ("outcome(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))", "EPERM"),
    "priority": ("outcome(os.setpriority, os.PRIO_PROCESS, 0, -20)", "EPERM EACCES"),
    "out-of-memory score": ("written('/proc/self/oom_score_adj', '-1000')", "EACCES EPERM"),
}


@pytest.fixture(scope="module")
def prepared(sandbox):
    inside(sandbox, PRELUDE + "\n0")
    return sandbox


def facts():
    """What an attempt could have changed here."""
    files = ("kernel/core_pattern", "kernel/modprobe", "kernel/panic", "kernel/hostname", "kernel/domainname",
             "vm/overcommit_memory", "net/ipv4/ip_forward", "kernel/random/boot_id")
    values = {name: (PROC / "sys" / name).read_text() for name in files if (PROC / "sys" / name).exists()}
    values["mounts"] = (PROC / "self/mountinfo").read_text().count("\n")
    values["modules"] = sorted(os.listdir("/sys/module"))
    values["swaps"] = (PROC / "swaps").read_text()
    values["null"] = os.stat("/dev/null").st_mode
    values["clock"] = round(time.time() - time.monotonic(), -1)
    return values


# What ends the machine, and the sandbox with it: see test_a_machine_that_resets_itself().
OF_MACHINES = {"sysrq": "written('/proc/sysrq-trigger', 'h')"}


@pytest.mark.parametrize("attempt", REFUSED)
def test_refused(prepared, attempt):
    code, errors = REFUSED[attempt]
    if OWN_KERNEL:
        before = facts()
        answer = inside(prepared, f"apart(lambda: {OF_MACHINES.get(attempt, code)})")
        assert answer == "done" or answer in errno.errorcode.values()
        assert facts() == before
        return
    assert inside(prepared, code) in errors.split()


@pytest.mark.parametrize("name", ["kcore", "kmsg", "keys", "key-users", "kallsyms", "timer_list", "slabinfo", "vmallocinfo",
                                  "kpagecount"])
def test_masked_files_are_empty(prepared, name):
    """Not there, refused, or empty; in a machine those of its own kernel."""
    if OWN_KERNEL:
        word = f"sandglass-test-{secrets.token_hex(8)}"
        pathlib.Path("/dev/kmsg").write_text(word + "\n")
        code = f"""
answer = b""
try:
    file = os.open("/proc/{name}", os.O_RDONLY | os.O_NONBLOCK)
    while len(answer) < 1 << 18 and (part := os.read(file, 4096)):
        answer += part
except OSError:
    pass
{word!r}.encode() in answer"""
        assert word in output("dmesg") and inside(prepared, code) is False
        return
    code = f"""
try:
    answer = os.read(os.open("/proc/{name}", os.O_RDONLY | os.O_NONBLOCK), 100)
except OSError:
    answer = b""
answer"""
    assert inside(prepared, code) == b""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86_64 has such system calls")
def test_system_calls_of_other_architectures(prepared):
    """32-bit code meets no filter of its own, so it must not run at all."""
    code = """
import subprocess
def ran(text):
    code = "import ctypes, mmap, os\\nlibc = ctypes.CDLL(None, use_errno=True)\\n" + text
    done = subprocess.run(["python3", "-c", code], capture_output=True, text=True)
    return done.returncode, done.stdout
getpid32 = bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3])
page = f"m = mmap.mmap(-1, 4096, prot=7); m.write({getpid32}); at = ctypes.addressof(ctypes.c_char.from_buffer(m))"
(ran(page + "; print(ctypes.CFUNCTYPE(ctypes.c_long)(at)())"), ran("print(libc.syscall(ctypes.c_long(0x40000000 | 39)))"))"""
    old, x32 = inside(prepared, code)
    if OWN_KERNEL:  # runs what it was built for; the VMM's filter is what stands here
        assert status(agent_pid(prepared))["Seccomp"] == "2"
        return
    assert old == (-31, "")
    assert x32 in ((-31, ""), (0, "-1\n"))


def test_rights(prepared):
    if OWN_KERNEL:
        vmm = status(agent_pid(prepared))
        assert vmm["NoNewPrivs"] == "1" and vmm["Seccomp"] == "2"
        assert [int(vmm[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0] * 4
    own = inside(prepared, "dict(line.rstrip().split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)")
    assert own["Uid"] == "0\t0\t0\t0"
    if OWN_KERNEL:
        assert own["CapEff"] == own["CapBnd"] and int(own["CapBnd"], 16) >> 21 & 1  # its own machine's administrator
        return
    assert own["NoNewPrivs"] == "1" and own["Seccomp"] == "2"
    # chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service
    assert int(own["CapBnd"], 16) & ~0x5FB == 0 and int(own["CapEff"], 16) & ~0x5FB == 0


# ---- processes ----

def test_only_own_processes_are_seen(prepared):
    assert inside(prepared, "sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[0]") == 1
    code = "[p for p in os.listdir('/proc') if p.isdigit() and 'sandglassd' in open(f'/proc/{p}/cmdline').read()]"
    assert inside(prepared, code) == []


def test_processes_outside_are_not_there(prepared):
    """Signals, traces and memory of numbers that exist on the machine, none of which exists in the sandbox."""
    with subprocess.Popen(["sleep", "600"]) as victim:
        here = [victim.pid, os.getpid(), int((STATE / "sandglassd.pid").read_text())]
        code = f"""
found = []
for pid in {here}:
    if os.path.exists(f"/proc/{{pid}}"):
        continue  # a number that the sandbox uses, too
    found.append(outcome(os.kill, pid, 9))
    found.append("done" if libc.ptrace(16, ctypes.c_long(pid), 0, 0) == 0 else errno.errorcode[ctypes.get_errno()])
    found.append(outcome(os.pidfd_open, pid))
    found.append(opened(f"/proc/{{pid}}/mem", os.O_RDWR))
    found.append(outcome(os.setpriority, os.PRIO_PROCESS, pid, 19))
    found.append(outcome(os.sched_setaffinity, pid, [0]))
    found.append(outcome(os.getsid, pid))
sorted(set(found))"""
        assert set(inside(prepared, code)) <= {"ESRCH", "ENOENT", "EINVAL"}
        assert victim.poll() is None
        victim.kill()


def test_kill_everything(new_sandbox):
    """kill(-1) reaches the sandbox's own processes, the kernel that calls it among them at the most."""
    sandbox = new_sandbox()
    inside(sandbox, PRELUDE + "\n0")
    agent = agent_pid(sandbox)
    with subprocess.Popen(["sleep", "600"]) as victim:
        code = "import subprocess; subprocess.run(['python3', '-c', 'import os; os.kill(-1, 9)']).returncode"
        try:
            sandbox.run_code(code, timeout=30)
        except Exception:  # noqa: BLE001 (the kernel is among those killed)
            pass
        assert victim.poll() is None and alive(agent)
        victim.kill()
    assert sandbox.run_code("1 + 1").text == "2"


def test_the_machines_limits_stay(prepared):
    """A crash must not start the machine's handler of core files."""
    inside(prepared, "outcome(resource.setrlimit, resource.RLIMIT_CORE, (-1, -1))")
    if OWN_KERNEL:
        text = (PROC / str(agent_pid(prepared)) / "limits").read_text()
        assert all(n in ("0", "1") for n in text.split("Max core file size")[1].split()[:2])
        return
    limits = inside(prepared, "open('/proc/self/limits').read().split('Max core file size')[1].split()[:2]")
    assert all(n in ("0", "1") for n in limits)


# ---- files ----

SECRETS = ["/root/.ssh", "/root/.bashrc", "/root/.bash_history", "/etc/ssh", "/etc/machine-id", "/etc/sandglass", "/etc/sudoers",
           "/etc/gshadow", "/var/lib/sandglass", "/var/lib/docker", "/var/log/dpkg.log", "/run/systemd", "/run/dbus",
           "/run/docker.sock", "/run/sandglass/agents", "/boot/grub", "/lost+found", "/proc/1/root/etc/ssh",
           "/proc/1/cwd/../etc/ssh"]


# What the image of a machine has, too: not the files of this one.
OF_IMAGES = ("/root/.bashrc", "/etc/machine-id", "/etc/sudoers", "/etc/gshadow", "/var/log/dpkg.log")


@pytest.mark.parametrize("path", SECRETS)
def test_files_of_the_machine_are_not_there(prepared, path):
    if OWN_KERNEL and path in OF_IMAGES:
        here = pathlib.Path(path)
        there = inside(prepared, f"os.stat({path!r}).st_mtime_ns if os.path.lexists({path!r}) else 0")
        assert not here.exists() or here.stat().st_mtime_ns != there
        return
    assert inside(prepared, f"os.path.lexists({path!r})") is False


def test_files_of_the_server_are_not_there(prepared):
    private = (STATE, STATE.parent, STATE / "data/sandglass.db", STATE / "env", STATE / "run",
               pathlib.Path(os.environ["SANDGLASS_TEST_TLS_KEY"]))
    assert all(p.exists() for p in private)
    assert inside(prepared, f"[p for p in {[str(p) for p in private]} if os.path.lexists(p)]") == []
    key = os.environ["E2B_API_KEY"]
    code = f"[p for p in os.listdir('/proc') if p.isdigit() and {key!r} in open(f'/proc/{{p}}/environ').read()]"
    assert inside(prepared, code) == []


def test_accounts_of_the_machine_are_not_there(prepared):
    word = f"sandglass-{secrets.token_hex(4)}"
    mine = [pathlib.Path(folder) / word for folder in ("/root", "/home", "/var/tmp", "/tmp", "/run", "/etc", "/opt", "/srv")]
    try:
        for path in mine:
            path.write_text("secret")
        assert inside(prepared, f"[p for p in {[str(p) for p in mine]} if os.path.lexists(p)]") == []
    finally:
        for path in mine:
            path.unlink(missing_ok=True)
    assert inside(prepared, "sorted({line.split(':')[1] for line in open('/etc/shadow')})") == ["*"]
    assert inside(prepared, "os.listdir('/home')") == ["user"]


def test_descriptors_lead_nowhere(prepared):
    """Nothing open in the agent, which started outside, is a directory or a file of the machine."""
    targets = inside(prepared, "[os.readlink(f'/proc/1/fd/{n}') for n in os.listdir('/proc/1/fd')]")
    allowed = ("socket:", "pipe:", "anon_inode:", "/dev/", "/sys/fs/cgroup/", "/run/", "/tmp/", "/proc", "/memfd:")
    assert [t for t in targets if not t.startswith(allowed)] == []


def test_way_up_from_a_directory(prepared):
    """The classic: keep a directory open and climb. chroot is refused, so there is nothing to climb out of."""
    code = """
fd = os.open("/", os.O_RDONLY)
for _ in range(64):
    up = os.open("..", os.O_RDONLY, dir_fd=fd)
    os.close(fd)
    fd = up
(os.fstat(fd).st_ino == os.stat("/").st_ino, sorted(os.listdir(fd)) == sorted(os.listdir("/")))"""
    assert inside(prepared, code) == (True, True)


def test_the_machines_usr_stays_as_it_is(prepared):
    before = output("sha256sum", "/usr/bin/env", "/usr/lib/os-release")
    name = f"sandglass-{secrets.token_hex(4)}"
    code = f"""
open("/usr/bin/{name}", "w").write("x")
open("/usr/lib/os-release", "a").write("CHANGED=1")
os.rename("/usr/bin/env", "/usr/bin/env2")
os.chmod("/usr/bin/id", 0)
os.rename("/usr/bin/env2", "/usr/bin/env")
('CHANGED' in open('/etc/os-release').read(), os.path.exists('/usr/bin/{name}'))"""
    assert inside(prepared, code) == (True, True)
    assert not os.path.exists(f"/usr/bin/{name}")
    assert output("sha256sum", "/usr/bin/env", "/usr/lib/os-release") == before
    assert os.stat("/usr/bin/id").st_mode & 0o777 == 0o755


def test_ids_are_shifted(prepared):
    """Root inside is an ordinary number here that no account has; its files and processes belong to it."""
    agent = agent_pid(prepared)
    base = first_id(agent)
    assert base >= 100_000
    if OWN_KERNEL:
        assert status(agent)["Uid"].split() == status(agent)["Gid"].split() == [str(base)] * 4
        return
    assert inside(prepared, "open('/proc/self/uid_map').read()").split() == ["0", str(base), "65536"]
    assert status(agent)["Uid"].split() == [str(base)] * 4
    inside(prepared, "open('/tmp/root', 'w').close(); open('/tmp/user', 'w').close(); os.chown('/tmp/user', 1000, 1000)")
    for name, inner in (("root", 0), ("user", 1000)):
        made = os.lstat(f"/proc/{agent}/root/tmp/{name}")
        assert (made.st_uid, made.st_gid) == (base + inner, base + inner)


def test_set_user_id_has_no_effect(prepared):
    code = """
import shutil, subprocess
shutil.copy("/usr/bin/python3", "/tmp/suid")
os.chmod("/tmp/suid", 0o6755)
subprocess.run(["/tmp/suid", "-c", "import os; print(os.getresuid())"], user=1000, group=1000, extra_groups=[],
               capture_output=True, text=True).stdout
"""
    # in a machine of its own it has the effect that it has in every machine
    assert inside(prepared, code) == ("(1000, 0, 0)\n" if OWN_KERNEL else "(1000, 1000, 1000)\n")
    here = pathlib.Path(f"/proc/{agent_pid(prepared)}/root/tmp/suid")
    if OWN_KERNEL:
        assert not os.path.lexists(here)
        return
    assert os.lstat(here).st_uid == first_id(agent_pid(prepared))  # even if it were run here, not the machine's root


# ---- two sandboxes ----

@pytest.fixture(scope="module")
def neighbour():
    other = Sandbox.create(timeout=600)
    inside(other, PRELUDE + "\n0")
    yield other
    other.kill()


def test_neighbours_have_ranges_of_their_own(prepared, neighbour):
    a, b = (first_id(agent_pid(s)) for s in (prepared, neighbour))
    assert abs(a - b) >= (1 if OWN_KERNEL else 65536)


def test_neighbours_share_no_namespace(prepared, neighbour):
    code = "{n: os.readlink(f'/proc/self/ns/{n}') for n in ('cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts')}"
    a, b = inside(prepared, code), inside(neighbour, code)
    if OWN_KERNEL:  # each names its own alike: those of their VMMs are meant
        names = ("ipc", "mnt", "net", "pid", "uts")
        a, b = ({n: os.readlink(PROC / str(agent_pid(s)) / "ns" / n) for n in names} for s in (prepared, neighbour))
    for name in a:
        assert len({a[name], b[name], os.readlink(f"/proc/self/ns/{name}")}) == 3, name


def test_neighbours_do_not_see_each_others_files_and_processes(prepared, neighbour):
    word, seconds = secrets.token_hex(8), str(10_000 + secrets.randbelow(10**6))
    files = [f"{folder}/{word}" for folder in ("/tmp", "/run", "/dev/shm", "/var/tmp", "/home/user", "/usr/lib")]
    inside(neighbour, f"""
import subprocess
for path in {files}:
    open(path, "w").write("secret")
sleeper = subprocess.Popen(["sleep", "{seconds}"])
0""")
    seen = f"[p for p in os.listdir('/proc') if p.isdigit() and '{seconds}' in open(f'/proc/{{p}}/cmdline').read()]"
    assert len(inside(neighbour, seen)) == 1 and inside(prepared, seen) == []
    assert inside(prepared, f"[p for p in {files} if os.path.lexists(p)]") == []
    inside(neighbour, "sleeper.kill(); sleeper.wait()")


def test_neighbours_do_not_share_sockets_and_queues(prepared, neighbour):
    name = secrets.token_hex(8)
    inside(neighbour, f"""
abstract = socket.socket(socket.AF_UNIX); abstract.bind("\\x00{name}"); abstract.listen()
tcp = socket.socket(); tcp.bind(("127.0.0.1", 4567)); tcp.listen()
segment = libc.shmget(0x5a6d, 4096, 0o1666)
segment >= 0""")
    assert inside(prepared, f"outcome(socket.socket(socket.AF_UNIX).connect, '\\x00{name}')") == "ECONNREFUSED"
    assert inside(prepared, "outcome(socket.socket().connect, ('127.0.0.1', 4567))") == "ECONNREFUSED"
    assert inside(prepared, "libc.shmget(0x5a6d, 4096, 0o666)") == -1


def test_the_machines_sockets_are_not_there(prepared):
    name = secrets.token_hex(8)
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as tcp:
        abstract.bind("\0" + name)
        abstract.listen()
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        port = tcp.getsockname()[1]
        assert inside(prepared, f"outcome(socket.socket(socket.AF_UNIX).connect, '\\x00{name}')") == "ECONNREFUSED"
        assert inside(prepared, f"outcome(socket.socket().connect, ('127.0.0.1', {port}))") == "ECONNREFUSED"


if OWN_KERNEL:
    def test_a_machine_that_resets_itself(new_sandbox, neighbour):
        sandbox = new_sandbox()
        vmm = agent_pid(sandbox)
        with pytest.raises(Exception, match="killed while the request was in progress|peer closed|reset|not found"):
            sandbox.run_code("open('/proc/sysrq-trigger', 'w').write('b')", timeout=60)
        wait_until(lambda: not alive(vmm))
        assert inside(neighbour, "6 * 7") == 42


def test_the_sandbox_still_works(prepared):
    """After all that, too."""
    assert inside(prepared, "import subprocess; subprocess.check_output('echo $((6*7))', shell=True)") == b"42\n"
