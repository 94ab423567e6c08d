"""commands and pty of the stock e2b package (PyPI): every method, synchronous and asynchronous, over one server."""
import asyncio
import inspect
import re
import time

import pytest
from e2b import (AsyncSandbox, AuthenticationException, CommandExitException, InvalidArgumentException, NotFoundException,
                 PtySize, Sandbox, SandboxException, TimeoutException)


async def do(value):
    """What a method of either kind returns."""
    return await value if inspect.isawaitable(value) else value


async def stream_input(box, module, pid, chunks):
    """Over one stream of messages: an iterable, or a handle to send with."""
    if isinstance(box, AsyncSandbox):
        stream = module.stream_input(pid)
        for chunk in chunks:
            await stream.send(chunk)
        await stream.close()
    else:
        module.stream_input(pid, chunks)


@pytest.fixture(scope="module")
def base():
    s = Sandbox.create("base", timeout=600, envs={"GREETING": "hello"})
    yield s
    s.kill()


@pytest.fixture(params=["sync", "async"])
def drive(request, base):
    """Runs a coroutine function with a sandbox object of the kind."""
    def run(scenario):
        async def main():
            box = base if request.param == "sync" else await AsyncSandbox.connect(base.sandbox_id)
            await scenario(box)
        asyncio.run(main())
    return run


def test_run(drive):
    async def scenario(box):
        out, err = [], []
        result = await do(box.commands.run("echo $GREETING $X; echo bad >&2; pwd; id -un; echo ü", envs={"X": "1"}, cwd="/tmp",
                                           on_stdout=out.append, on_stderr=err.append))
        assert (result.stdout, result.stderr, result.exit_code) == ("hello 1\n/tmp\nuser\nü\n", "bad\n", 0)
        assert ("".join(out), "".join(err)) == (result.stdout, result.stderr)
        assert (await do(box.commands.run("pwd"))).stdout == "/home/user\n"
        assert (await do(box.commands.run("pwd; id -u; echo $HOME", user="root"))).stdout == "/home/user\n0\n/root\n"
    drive(scenario)


def test_output_arrives_while_the_command_runs(drive):
    async def scenario(box):
        seen = []
        await do(box.commands.run("for i in 1 2 3; do echo $i; sleep 0.5; done",
                                  on_stdout=lambda text: seen.append((text, time.monotonic()))))
        assert "".join(t for t, _ in seen) == "1\n2\n3\n"
        assert seen[1][1] - seen[0][1] > 0.25 and seen[2][1] - seen[1][1] > 0.25
    drive(scenario)


def test_errors_of_run(drive):
    async def scenario(box):
        with pytest.raises(CommandExitException) as e:
            await do(box.commands.run("echo out; echo err >&2; exit 7"))
        assert (e.value.exit_code, e.value.stdout, e.value.stderr) == (7, "out\n", "err\n")
        assert e.value.error == "exit status 7"
        with pytest.raises(CommandExitException) as e:
            await do(box.commands.run("no-such-command"))
        assert e.value.exit_code == 127
        with pytest.raises(CommandExitException) as e:
            await do(box.commands.run("kill -9 $$"))
        assert (e.value.exit_code, e.value.error) == (-1, "signal: killed")
        with pytest.raises(InvalidArgumentException, match="cwd '/no/such' does not exist"):
            await do(box.commands.run("true", cwd="/no/such"))
        with pytest.raises(AuthenticationException, match="invalid username: 'nobody-here'"):
            await do(box.commands.run("true", user="nobody-here"))
        # A line whose ids are no numbers makes no user.
        await do(box.commands.run("echo broken:x:none:1::/:/bin/sh >>/etc/passwd", user="root"))
        with pytest.raises(AuthenticationException, match="invalid username: 'broken'"):
            await do(box.commands.run("true", user="broken", timeout=5))
    drive(scenario)


def test_timeout_kills(drive):
    async def scenario(box):
        with pytest.raises(TimeoutException):
            await do(box.commands.run("sleep 471 & sleep 472", timeout=1))
        for _ in range(50):
            left = (await do(box.commands.run("ps -eo args | grep -c '^sleep 47[12]' || true"))).stdout
            if left == "0\n":
                break
        assert left == "0\n"
    drive(scenario)


def test_background(drive):
    async def scenario(box):
        handle = await do(box.commands.run("echo begun; read x; echo got $x; exit 3", background=True, stdin=True))
        listed = {p.pid: p for p in await do(box.commands.list())}
        assert listed[handle.pid].cmd == "/bin/bash"
        assert listed[handle.pid].args == ["-l", "-c", "echo begun; read x; echo got $x; exit 3"]
        await do(box.commands.send_stdin(handle.pid, "it ü\n"))
        with pytest.raises(CommandExitException) as e:
            await do(handle.wait())
        assert (e.value.exit_code, e.value.stdout) == (3, "begun\ngot it ü\n")
        assert handle.pid not in [p.pid for p in await do(box.commands.list())]
    drive(scenario)


def test_stdin_to_its_end(drive):
    async def scenario(box):
        handle = await do(box.commands.run("wc -c", background=True, stdin=True))
        await do(handle.send_stdin("x" * 300000))
        await stream_input(box, box.commands, handle.pid, [b"y" * 100000, "z"])
        await do(handle.close_stdin())
        assert (await do(handle.wait())).stdout.strip() == "400001"
        handle = await do(box.commands.run("cat; echo end; sleep 30", background=True))
        with pytest.raises(SandboxException, match="stdin not enabled or closed"):
            await do(box.commands.send_stdin(handle.pid, "x"))
        await do(box.commands.close_stdin(handle.pid))
        assert await do(handle.kill()) is True
        with pytest.raises(NotFoundException):
            await do(box.commands.send_stdin(handle.pid, "x"))
        with pytest.raises(NotFoundException):
            await do(box.commands.close_stdin(handle.pid))
    drive(scenario)


def test_kill(drive):
    async def scenario(box):
        handle = await do(box.commands.run("setsid sleep 481 & sleep 482", background=True))
        assert await do(box.commands.kill(handle.pid)) is True
        assert (await do(box.commands.run("ps -eo args | grep -c '^sleep 48[12]' || true"))).stdout == "0\n"
        with pytest.raises(CommandExitException) as e:
            await do(handle.wait())
        assert (e.value.exit_code, e.value.error) == (-1, "signal: killed")
        assert await do(box.commands.kill(handle.pid)) is False
        assert await do(box.commands.kill(999999)) is False
    drive(scenario)


def test_connect(drive):
    async def scenario(box):
        handle = await do(box.commands.run("echo early; read x; echo late; exit 4", background=True, stdin=True))
        if isinstance(box, AsyncSandbox):
            while not handle.stdout:
                await asyncio.sleep(0.02)
        else:
            assert next(iter(handle))[0] == "early\n"
        follower = await do(box.commands.connect(handle.pid))
        assert follower.pid == handle.pid
        await do(handle.disconnect())
        await do(box.commands.send_stdin(handle.pid, "\n"))
        with pytest.raises(CommandExitException) as e:
            await do(follower.wait())
        assert (e.value.exit_code, e.value.stdout) == (4, "late\n")
        # The outcome can be asked for later.
        with pytest.raises(CommandExitException) as e:
            await do((await do(box.commands.connect(handle.pid))).wait())
        assert e.value.exit_code == 4
        with pytest.raises(NotFoundException):
            await do(box.commands.connect(999999))
    drive(scenario)


def test_disconnect_leaves_the_command(drive):
    async def scenario(box):
        handle = await do(box.commands.run("sleep 1; touch /tmp/went-on-$$; echo $$", background=True))
        await do(handle.disconnect())
        result = await do((await do(box.commands.connect(handle.pid))).wait())
        assert (await do(box.commands.run(f"ls /tmp/went-on-{result.stdout.strip()}"))).exit_code == 0
    drive(scenario)


async def read_until(handle, seen, pattern):
    """Of a terminal that a background task (async) or the iteration (sync) fills."""
    end = time.monotonic() + 30
    while not re.search(pattern, bytes(seen)):
        assert time.monotonic() < end, bytes(seen)
        if inspect.iscoroutinefunction(handle.wait):
            await asyncio.sleep(0.02)
        else:
            _, _, data = next(iter(handle))
            seen.extend(data or b"")


async def new_terminal(box, seen, **options):
    size = PtySize(rows=21, cols=93)
    if isinstance(box, AsyncSandbox):
        return await box.pty.create(size, on_data=seen.extend, **options)
    return box.pty.create(size, **options)


def test_terminal(drive):
    async def scenario(box):
        seen = bytearray()
        handle = await new_terminal(box, seen, envs={"FROM": "here"}, cwd="/tmp")
        await do(box.pty.send_stdin(handle.pid, b"stty size; echo $FROM $TERM $PWD; tty\n"))
        await read_until(handle, seen, rb"21 93\r\nhere xterm-256color /tmp\r\n/dev/pts/\d")
        await do(box.pty.resize(handle.pid, PtySize(rows=7, cols=44)))
        await stream_input(box, box.pty, handle.pid, ["stty", " size\n"])
        await read_until(handle, seen, rb"7 44\r\n")
        with pytest.raises(SandboxException):
            await do(box.commands.send_stdin(handle.pid, "x"))
        await do(box.pty.send_stdin(handle.pid, b"exit 5\n"))
        with pytest.raises(CommandExitException) as e:
            await do(handle.wait())
        assert e.value.exit_code == 5
    drive(scenario)


def test_terminal_connect_and_kill(drive):
    async def scenario(box):
        seen, more = bytearray(), bytearray()
        handle = await new_terminal(box, seen)
        if isinstance(box, AsyncSandbox):
            follower = await box.pty.connect(handle.pid, on_data=more.extend)
        else:
            follower = box.pty.connect(handle.pid)
        await do(box.pty.send_stdin(handle.pid, b"echo $((6*7))\n"))
        await read_until(follower, more, rb"42\r\n")
        assert await do(box.pty.kill(handle.pid)) is True
        with pytest.raises(CommandExitException) as e:
            await do(follower.wait())
        assert e.value.error == "signal: killed"
        assert await do(box.pty.kill(handle.pid)) is False
        with pytest.raises(NotFoundException):
            await do(box.pty.resize(handle.pid, PtySize(rows=7, cols=44)))
    drive(scenario)


def test_not_a_terminal(drive):
    async def scenario(box):
        handle = await do(box.commands.run("sleep 30", background=True))
        with pytest.raises(SandboxException, match="tty not assigned to process"):
            await do(box.pty.resize(handle.pid, PtySize(rows=7, cols=44)))
        with pytest.raises(SandboxException):
            await do(box.pty.send_stdin(handle.pid, b"x"))
        assert await do(handle.kill()) is True
    drive(scenario)


def agent_state(box):
    """Descriptors of the agent, and zombies in the sandbox."""
    text = box.commands.run("ls /proc/1/fd | wc -l; ps -eo stat= | grep -c ^Z || true", user="root").stdout.split()
    return int(text[0]), int(text[1])


def test_two_hundred_at_once(base):
    before = agent_state(base)[0]

    async def main():
        box = await AsyncSandbox.connect(base.sandbox_id)
        handles = await asyncio.gather(*(box.commands.run(f"read x; echo {i}", background=True, stdin=True, timeout=120)
                                         for i in range(200)))
        assert len({h.pid for h in handles}) == 200
        # The asynchronous client has no more than 200 connections, and all are taken.
        assert {h.pid for h in handles} <= {p.pid for p in base.commands.list()}
        for h in handles:
            base.commands.send_stdin(h.pid, "\n")
        results = await asyncio.gather(*(h.wait() for h in handles))
        assert [r.stdout for r in results] == [f"{i}\n" for i in range(200)]
    asyncio.run(main())
    end = time.monotonic() + 10
    while agent_state(base)[0] > before and time.monotonic() < end:
        time.sleep(0.1)
    descriptors, zombies = agent_state(base)
    assert descriptors <= before and zombies == 0


def test_hundreds_in_a_row(base):
    before = agent_state(base)[0]
    for i in range(200):
        assert base.commands.run(f"echo {i}").stdout == f"{i}\n"
    descriptors, zombies = agent_state(base)
    assert descriptors <= before and zombies == 0
