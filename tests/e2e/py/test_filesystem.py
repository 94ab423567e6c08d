"""files.* of the stock Python SDK that speak filesystem.Filesystem, sync and async: lists, directories, renames, removal,
watching by polling and by stream, and whose rights they have."""
import asyncio
import shlex
import time

import pytest
import pytest_asyncio
from e2b import (AsyncSandbox, AuthenticationException, FileNotFoundException, FilesystemEventType, FileType,
                 InvalidArgumentException, SandboxException)
from host import wait_until

HOME = "/home/user"
EVENT = FilesystemEventType


def run(sandbox, code):
    """Python in the sandbox, as its default user."""
    sandbox.commands.run(shlex.join(["python3", "-c", f"import os\n{code}"]))


@pytest.fixture
def at(sandbox):
    """A directory of the test's own below the home."""
    path = f"{HOME}/t{time.monotonic_ns()}"
    assert sandbox.files.make_dir(path)
    return path


@pytest_asyncio.fixture
async def asandbox(sandbox):
    return await AsyncSandbox.connect(sandbox.sandbox_id)


# ---- entries ----

def test_info(sandbox, at):
    run(sandbox, f"open('{at}/a.txt', 'w').write('hello'); os.chmod('{at}/a.txt', 0o640)\n"
                 f"os.symlink('a.txt', '{at}/link'); os.symlink('nowhere', '{at}/broken')")
    info = sandbox.files.get_info(f"{at}/a.txt")
    assert (info.name, info.path, info.type, info.size) == ("a.txt", f"{at}/a.txt", FileType.FILE, 5)
    assert (info.mode, info.permissions, info.owner, info.group) == (0o640, "-rw-r-----", "user", "user")
    assert abs(info.modified_time.timestamp() - time.time()) < 120
    assert info.symlink_target is None and not info.metadata
    link = sandbox.files.get_info(f"{at}/link")
    assert (link.type, link.mode, link.permissions) == (FileType.FILE, 0o640, "Lrwxrwxrwx")
    assert link.symlink_target == f"{at}/a.txt"
    assert sandbox.files.get_info(f"{at}/broken").type == FileType.SYMLINK
    assert sandbox.files.get_info(at).type == FileType.DIR
    # Relative to the working directory, which is the home here.
    assert sandbox.files.get_info(at.removeprefix(HOME + "/")).path == at
    assert sandbox.files.get_info("~").path == HOME
    with pytest.raises(FileNotFoundException, match="does not exist"):
        sandbox.files.get_info(f"{at}/missing")
    with pytest.raises(AuthenticationException, match="invalid username: 'nobody-knows'"):
        sandbox.files.get_info(at, user="nobody-knows")


def test_exists(sandbox, at):
    run(sandbox, f"open('{at}/f', 'w').close()")
    assert sandbox.files.exists(f"{at}/f")
    assert sandbox.files.exists(at)
    assert not sandbox.files.exists(f"{at}/g")
    assert not sandbox.files.exists(f"{at}/f/g")


def test_list(sandbox, at):
    run(sandbox, f"os.makedirs('{at}/b/c'); os.mkdir('{at}/a')\n"
                 f"for f in ('b/c/deep', 'a/1', 'z'): open('{at}/' + f, 'w').close()")
    names = [e.path.removeprefix(at + "/") for e in sandbox.files.list(at)]
    assert names == ["a", "b", "z"]
    entries = sandbox.files.list(at, depth=3)
    assert [e.path.removeprefix(at + "/") for e in entries] == ["a", "a/1", "b", "b/c", "b/c/deep", "z"]
    assert [e.type for e in entries] == [FileType.DIR, FileType.FILE, FileType.DIR, FileType.DIR, FileType.FILE,
                                         FileType.FILE]
    assert all(e.owner == "user" for e in entries)
    with pytest.raises(InvalidArgumentException, match="not a directory"):
        sandbox.files.list(f"{at}/z")
    with pytest.raises(FileNotFoundException):
        sandbox.files.list(f"{at}/missing")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.list(at, depth=0)


def test_make_dir(sandbox, at):
    assert sandbox.files.make_dir(f"{at}/x/y/z") is True
    assert sandbox.files.make_dir(f"{at}/x/y/z") is False
    for name in ("x", "x/y", "x/y/z"):
        info = sandbox.files.get_info(f"{at}/{name}")
        assert (info.type, info.permissions, info.owner) == (FileType.DIR, "drwxr-xr-x", "user")
    run(sandbox, f"open('{at}/f', 'w').close()")
    with pytest.raises(InvalidArgumentException, match="not a directory"):
        sandbox.files.make_dir(f"{at}/f")


def test_rename(sandbox, at):
    run(sandbox, f"open('{at}/f', 'w').write('1'); os.mkdir('{at}/d'); open('{at}/d/g', 'w').close()")
    info = sandbox.files.rename(f"{at}/f", f"{at}/new/f2")
    assert (info.name, info.path, info.size) == ("f2", f"{at}/new/f2", 1)
    assert not sandbox.files.exists(f"{at}/f")
    assert sandbox.files.rename(f"{at}/d", f"{at}/e").type == FileType.DIR
    assert sandbox.files.exists(f"{at}/e/g")
    with pytest.raises(FileNotFoundException):
        sandbox.files.rename(f"{at}/missing", f"{at}/x")


def test_rename_of_the_image(sandbox):
    """A directory of the image itself, which lies on a read-only layer."""
    sandbox.files.rename("/etc/alternatives", "/etc/alternatives.moved", user="root")
    assert len(sandbox.files.list("/etc/alternatives.moved")) > 0
    sandbox.files.rename("/etc/alternatives.moved", "/etc/alternatives", user="root")


def test_remove(sandbox, at):
    run(sandbox, f"os.makedirs('{at}/d/e'); open('{at}/d/e/f', 'w').close(); os.symlink('/etc', '{at}/d/etc')")
    sandbox.files.remove(f"{at}/d")
    assert not sandbox.files.exists(f"{at}/d")
    assert sandbox.files.exists("/etc/passwd")
    sandbox.files.remove(f"{at}/d")
    for path in ("/", ""):
        with pytest.raises(InvalidArgumentException):
            sandbox.files.remove(path)


def test_users(sandbox, at):
    """Links of 'user' lead to nothing that he could not reach himself; root may be chosen."""
    with pytest.raises(SandboxException, match="permission_denied|denied"):
        sandbox.files.list("/root")
    sandbox.files.make_dir("/root/secret", user="root")
    assert sandbox.files.get_info("/root/secret", user="root").owner == "root"
    run(sandbox, f"os.symlink('/root', '{at}/trap'); os.symlink('/proc/1/root/root', '{at}/proc')")
    for trap in ("trap", "proc"):
        for attempt in (lambda p: sandbox.files.list(p), lambda p: sandbox.files.get_info(p + "/secret"),
                        lambda p: sandbox.files.make_dir(p + "/mine"), lambda p: sandbox.files.remove(p + "/secret"),
                        lambda p: sandbox.files.rename(p + "/secret", f"{at}/stolen"),
                        lambda p: sandbox.files.watch_dir(p)):
            with pytest.raises(SandboxException, match="denied"):
                attempt(f"{at}/{trap}")
    assert sandbox.files.exists("/root/secret", user="root")
    # What root does is not undone by 'user'.
    sandbox.files.make_dir(f"{at}/roots", user="root")
    assert sandbox.files.get_info(f"{at}/roots").owner == "root"
    with pytest.raises(SandboxException, match="denied"):
        sandbox.files.make_dir(f"{at}/roots/mine")
    sandbox.files.remove("/root/secret", user="root")


# ---- watching by polling: the sync SDK ----

def poll(handle, wanted, count=1):
    events = []
    wait_until(lambda: events.extend(handle.get_new_events()) or
               sum((e.type, e.name) == wanted for e in events) >= count, 20)
    return [(e.type, e.name) for e in events]


def test_watch_polling(sandbox, at):
    handle = sandbox.files.watch_dir(at)
    assert handle.get_new_events() == []
    run(sandbox, f"""
f = open('{at}/a', 'w'); f.write('1'); f.close()
os.chmod('{at}/a', 0o600)
os.rename('{at}/a', '{at}/b')
os.remove('{at}/b')
os.mkdir('{at}/d')
open('{at}/d/unseen', 'w').close()
os.mkdir('{at}/end')""")
    assert poll(handle, (EVENT.CREATE, "end")) == [
        (EVENT.CREATE, "a"), (EVENT.WRITE, "a"), (EVENT.CHMOD, "a"), (EVENT.RENAME, "a"), (EVENT.CREATE, "b"),
        (EVENT.REMOVE, "b"), (EVENT.CREATE, "d"), (EVENT.CREATE, "end")]
    handle.stop()
    with pytest.raises(SandboxException):
        handle.get_new_events()
    with pytest.raises(FileNotFoundException):
        sandbox.files.watch_dir(f"{at}/missing")
    run(sandbox, f"open('{at}/file', 'w').close()")
    with pytest.raises(InvalidArgumentException, match="not a directory"):
        sandbox.files.watch_dir(f"{at}/file")


def test_watch_polling_recursive(sandbox, at):
    handle = sandbox.files.watch_dir(at, recursive=True, include_entry=True)
    # Told before the rename: what is found in a new directory only after it has the name of before.
    run(sandbox, f"os.makedirs('{at}/x/y/z'); open('{at}/x/y/z/f', 'w').write('abc')")
    events = poll(handle, (EVENT.CREATE, "x/y/z/f"))
    run(sandbox, f"os.rename('{at}/x', '{at}/w'); open('{at}/w/y/z/g', 'w').close(); os.mkdir('{at}/end')")
    events += poll(handle, (EVENT.CREATE, "end"))
    created = [name for kind, name in events if kind == EVENT.CREATE]
    assert sorted(created) == sorted(set(created))
    assert {"x", "w", "w/y/z/g", "end"} <= set(created)
    assert (EVENT.RENAME, "x") in events
    run(sandbox, f"open('{at}/w/entry', 'w').write('12345')")
    events = []
    wait_until(lambda: events.extend(handle.get_new_events()) or any(e.type == EVENT.WRITE for e in events), 20)
    entry = next(e.entry for e in events if e.type == EVENT.WRITE)
    assert (entry.path, entry.size, entry.owner) == (f"{at}/w/entry", 5, "user")
    handle.stop()


# ---- the async SDK, which watches by a stream ----

async def arrive(events, wanted):
    for _ in range(400):
        if wanted in events:
            return list(events)
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {wanted} among {events}")


@pytest.mark.asyncio
async def test_async_methods(asandbox, at):
    files = asandbox.files
    assert await files.make_dir(f"{at}/a/b") is True
    assert await files.make_dir(f"{at}/a/b") is False
    assert [e.path for e in await files.list(at, depth=2)] == [f"{at}/a", f"{at}/a/b"]
    assert (await files.rename(f"{at}/a/b", f"{at}/c")).path == f"{at}/c"
    assert await files.exists(f"{at}/c") and not await files.exists(f"{at}/a/b")
    assert (await files.get_info(f"{at}/c")).type == FileType.DIR
    await files.remove(f"{at}/c")
    await files.remove(f"{at}/c")
    with pytest.raises(FileNotFoundException):
        await files.get_info(f"{at}/c")
    with pytest.raises(InvalidArgumentException):
        await files.list("/etc/passwd")
    with pytest.raises(AuthenticationException):
        await files.list(at, user="nobody-knows")


@pytest.mark.asyncio
async def test_async_watch(asandbox, sandbox, at):
    events, ends = [], []
    handle = await asandbox.files.watch_dir(at, lambda e: events.append((e.type, e.name)), on_exit=ends.append,
                                            recursive=True)
    run(sandbox, f"""
os.mkdir('{at}/d')
f = open('{at}/d/a', 'w'); f.write('1'); f.close()
os.chmod('{at}/d/a', 0o600)
os.rename('{at}/d/a', '{at}/d/b')
os.remove('{at}/d/b')
os.mkdir('{at}/end')""")
    got = await arrive(events, (EVENT.CREATE, "end"))
    assert got[0] == (EVENT.CREATE, "d")
    # Between the directory and its watch, several changes may be seen as one.
    assert got[-1] == (EVENT.CREATE, "end")
    run(sandbox, f"""
f = open('{at}/d/a', 'w'); f.write('1'); f.close()
os.chmod('{at}/d/a', 0o600)
os.rename('{at}/d/a', '{at}/d/b')
os.remove('{at}/d/b')
os.mkdir('{at}/end2')""")
    got = (await arrive(events, (EVENT.CREATE, "end2")))[len(got):]
    assert got == [(EVENT.CREATE, "d/a"), (EVENT.WRITE, "d/a"), (EVENT.CHMOD, "d/a"), (EVENT.RENAME, "d/a"),
                   (EVENT.CREATE, "d/b"), (EVENT.REMOVE, "d/b"), (EVENT.CREATE, "end2")]
    await handle.stop()
    assert ends == [None]


@pytest.mark.asyncio
async def test_async_watch_ends(asandbox, sandbox, at):
    """The watched directory goes: its removal is told, then the stream ends with the reason."""
    events, ended = [], asyncio.get_running_loop().create_future()
    await asandbox.files.make_dir(f"{at}/d")
    await asandbox.files.watch_dir(f"{at}/d", lambda e: events.append((e.type, e.name)), on_exit=ended.set_result)
    run(sandbox, f"os.rmdir('{at}/d')")
    error = await asyncio.wait_for(ended, 20)
    assert events == [(EVENT.REMOVE, ".")]
    assert "does not exist" in str(error)
    with pytest.raises(FileNotFoundException):
        await asandbox.files.watch_dir(f"{at}/d", print)
