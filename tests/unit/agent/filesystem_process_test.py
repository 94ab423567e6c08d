#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""filesystem.Filesystem of the agent, in Connect's JSON, as the user who runs the tests."""
import base64
import json
import os
import pwd
import shutil
import signal
import stat
import struct
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True  # the tree may be read-only
from agent_process_test import INIT, TOKEN, Agent  # noqa: E402

ME = pwd.getpwuid(os.geteuid())
ROOT = os.geteuid() == 0


def basic(name):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:".encode()).decode()}


class FilesystemCase(unittest.TestCase):
    """One agent a class, one directory a test, whose default user is whoever runs the test."""

    @classmethod
    def setUpClass(cls):
        cls.agent = Agent()
        cls.addClassCleanup(cls.agent.stop)
        home = tempfile.mkdtemp(prefix="sandglass-work-")
        cls.addClassCleanup(shutil.rmtree, home)
        cls.workdir = home
        for path, body in (("/boot", {"user": ME.pw_name, "workdir": home}),
                           ("/init", {**INIT, "user": ME.pw_name, "workdir": home})):
            r, data = cls.agent.call("control", "POST", path, body)
            assert r.status == 204, data

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="sandglass-files-")
        self.addCleanup(shutil.rmtree, self.dir)

    def at(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text=""):
        with open(self.at(name), "w") as f:
            f.write(text)
        return self.at(name)

    def rpc(self, method, request, status=200, **headers):
        h = {"sandglass-port": "49983", "X-Access-Token": TOKEN, "Content-Type": "application/json",
             "Connect-Protocol-Version": "1", **headers}
        r, data = self.agent.call("data", "POST", "/filesystem.Filesystem/" + method, request, h)
        self.assertEqual((r.status, data) if r.status != status else status, status)
        return json.loads(data)

    def fails(self, method, request, code, text="", **headers):
        status = {"not_found": 404, "invalid_argument": 400, "already_exists": 409, "permission_denied": 403,
                  "unauthenticated": 401, "resource_exhausted": 429}[code]
        answer = self.rpc(method, request, status, **headers)
        self.assertEqual(answer["code"], code)
        self.assertIn(text, answer["message"])


class StatTest(FilesystemCase):
    def test_kinds(self):
        path = self.write("a.txt", "hello")
        os.chmod(path, 0o640)
        e = self.rpc("Stat", {"path": path})["entry"]
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(os.stat(path).st_mtime))
        self.assertTrue(e.pop("modifiedTime").startswith(seconds))
        group = e.pop("group")
        self.assertEqual(e, {"name": "a.txt", "type": "FILE_TYPE_FILE", "path": path, "size": "5", "mode": 0o640,
                             "permissions": "-rw-r-----", "owner": ME.pw_name})
        self.assertTrue(group)
        e = self.rpc("Stat", {"path": self.dir + "//./"})["entry"]
        self.assertEqual((e["type"], e["path"], e["permissions"]),
                         ("FILE_TYPE_DIRECTORY", self.dir, "drwx------"))
        os.symlink(path, self.at("link"))
        e = self.rpc("Stat", {"path": self.at("link")})["entry"]
        self.assertEqual((e["name"], e["type"], e["mode"], e["permissions"], e["symlinkTarget"]),
                         ("link", "FILE_TYPE_FILE", 0o640, "Lrwxrwxrwx", path))
        os.symlink("nowhere", self.at("broken"))
        e = self.rpc("Stat", {"path": self.at("broken")})["entry"]
        self.assertEqual((e["type"], e["symlinkTarget"]), ("FILE_TYPE_SYMLINK", "nowhere"))
        os.mkfifo(self.at("pipe"))
        self.assertNotIn("type", self.rpc("Stat", {"path": self.at("pipe")})["entry"])

    def test_failures(self):
        path = self.write("file")
        self.fails("Stat", {"path": self.at("missing")}, "not_found", f"path '{self.at('missing')}' does not exist")
        self.fails("Stat", {"path": path + "/below"}, "not_found")
        self.fails("Stat", {"path": "~nobody/x"}, "invalid_argument", "~")
        self.fails("Stat", {"path": "x" * 300}, "invalid_argument", "too long")
        self.fails("Stat", {"path": "/" + "x/" * 3000}, "invalid_argument", "path: longer")
        os.symlink("loop", self.at("loop"))
        self.fails("ListDir", {"path": self.at("loop")}, "invalid_argument", "symbolic links")

    def test_paths(self):
        with open(os.path.join(self.workdir, "relative"), "w"):
            pass
        self.assertEqual(self.rpc("Stat", {"path": "relative"})["entry"]["path"], self.workdir + "/relative")
        self.assertEqual(self.rpc("Stat", {})["entry"]["path"], self.workdir)
        home = ME.pw_dir.rstrip("/") or "/"
        if os.path.isdir(home):
            self.assertEqual(self.rpc("Stat", {"path": "~"})["entry"]["path"], home)
        else:
            self.fails("Stat", {"path": "~"}, "not_found", home)

    def test_metadata(self):
        path = self.write("tagged")
        try:
            os.setxattr(path, "user.e2b.tag", "v1".encode())
        except OSError as e:
            self.skipTest(f"extended attributes: {e}")
        self.assertEqual(self.rpc("Stat", {"path": path})["entry"]["metadata"], {"tag": "v1"})

    def test_users(self):
        self.rpc("Stat", {"path": self.dir}, **basic(ME.pw_name))
        self.fails("Stat", {"path": self.dir}, "unauthenticated", "invalid username: 'nobody-knows'",
                   **basic("nobody-knows"))
        self.fails("Stat", {"path": self.dir}, "unauthenticated", "authorization",
                   Authorization="Basic dXNlcg==")
        r, data = self.agent.call("data", "POST", "/filesystem.Filesystem/Stat", {"path": "/"},
                                  {"sandglass-port": "49983", "Content-Type": "application/json"})
        self.assertEqual((r.status, json.loads(data)["code"]), (401, "unauthenticated"))


class MakeMoveRemoveTest(FilesystemCase):
    def test_make_dir(self):
        e = self.rpc("MakeDir", {"path": self.at("a/b/c")})["entry"]
        self.assertEqual((e["path"], e["type"], e["mode"]), (self.at("a/b/c"), "FILE_TYPE_DIRECTORY", 0o755))
        self.assertEqual(stat.S_IMODE(os.stat(self.at("a")).st_mode), 0o755)
        self.fails("MakeDir", {"path": self.at("a/b/c")}, "already_exists", "already exists")
        self.fails("MakeDir", {"path": self.at("a/b/c/")}, "already_exists")
        self.write("file")
        self.fails("MakeDir", {"path": self.at("file")}, "invalid_argument", "not a directory")
        self.fails("MakeDir", {"path": self.at("file/below")}, "invalid_argument", "not a directory")
        os.symlink("nowhere", self.at("broken"))
        self.fails("MakeDir", {"path": self.at("broken")}, "invalid_argument", "not a directory")

    def test_move(self):
        self.write("a", "1")
        e = self.rpc("Move", {"source": self.at("a"), "destination": self.at("new/dir/b")})["entry"]
        self.assertEqual((e["name"], e["path"], e["size"]), ("b", self.at("new/dir/b"), "1"))
        self.assertFalse(os.path.exists(self.at("a")))
        self.write("c", "22")
        self.rpc("Move", {"source": self.at("c"), "destination": self.at("new/dir/b")})
        self.assertEqual(os.stat(self.at("new/dir/b")).st_size, 2)
        self.fails("Move", {"source": self.at("a"), "destination": self.at("never/b")}, "not_found", self.at("a"))
        self.assertFalse(os.path.exists(self.at("never")))
        self.fails("Move", {"source": self.at("new"), "destination": self.at("new/dir/b")}, "invalid_argument")
        self.fails("Move", {"source": self.at("new")}, "invalid_argument", "destination: expected")
        self.fails("Move", {"destination": self.at("new")}, "invalid_argument", "source: expected")

    def test_remove(self):
        os.makedirs(self.at("tree/a/b"))
        os.makedirs(self.at("kept"))
        self.write("kept/file")
        self.write("tree/a/b/file")
        os.symlink(self.at("kept"), self.at("tree/a/link"))
        self.assertEqual(self.rpc("Remove", {"path": self.at("tree")}), {})
        self.assertFalse(os.path.exists(self.at("tree")))
        self.assertTrue(os.path.exists(self.at("kept/file")))
        self.assertEqual(self.rpc("Remove", {"path": self.at("tree")}), {})
        os.symlink("kept", self.at("link"))
        self.rpc("Remove", {"path": self.at("link")})
        self.assertEqual(os.listdir(self.dir), ["kept"])
        self.assertEqual(self.rpc("Remove", {"path": self.at("kept/file/below")}), {})
        for path in ("/", self.at("kept/.."), "//."):
            self.fails("Remove", {"path": path}, "invalid_argument", "cannot be removed")
        self.fails("Remove", {}, "invalid_argument", "path: expected")
        self.assertTrue(os.path.exists(self.at("kept/file")))


class ListTest(FilesystemCase):
    def names(self, path, depth=None, **headers):
        request = {"path": path, **({} if depth is None else {"depth": depth})}
        entries = self.rpc("ListDir", request, **headers).get("entries", [])
        return [e["path"][len(path) + 1:] for e in entries]

    def test_order_and_depth(self):
        for d in ("b/x/y", "a", "b.d"):
            os.makedirs(self.at(d))
        for f in ("b/x/y/deep", "b/z", "a/1", "c", ".hidden"):
            self.write(f)
        one = [".hidden", "a", "b", "b.d", "c"]
        self.assertEqual(self.names(self.dir), one)
        self.assertEqual(self.names(self.dir, 0), one)
        self.assertEqual(self.names(self.dir, 1), one)
        self.assertEqual(self.names(self.dir, 2), [".hidden", "a", "a/1", "b", "b/x", "b/z", "b.d", "c"])
        self.assertEqual(self.names(self.dir, 4000000000), [".hidden", "a", "a/1", "b", "b/x", "b/x/y", "b/x/y/deep",
                                                            "b/z", "b.d", "c"])
        os.mkdir(self.at("empty"))
        self.assertEqual(self.rpc("ListDir", {"path": self.at("empty")}), {})

    def test_links(self):
        os.makedirs(self.at("real/sub"))
        self.write("real/sub/file")
        os.symlink("real", self.at("root"))
        os.symlink("sub", self.at("real/inner"))
        # The root may be a link, and paths go on from it; links below are shown, not entered.
        self.assertEqual(self.names(self.at("root"), 9), ["inner", "sub", "sub/file"])

    def test_foreign_names(self):
        with open(os.path.join(os.fsencode(self.dir), b"bad\xff\xfename"), "w"):
            pass
        self.write("good \u00e4\n")
        entries = self.rpc("ListDir", {"path": self.dir})["entries"]
        self.assertEqual([e["name"] for e in entries], ["bad\ufffd\ufffdname", "good \u00e4\n"])

    def test_failures(self):
        self.write("file")
        self.fails("ListDir", {"path": self.at("file")}, "invalid_argument", "is not a directory")
        self.fails("ListDir", {"path": self.at("missing")}, "not_found")

    def test_many(self):
        for i in range(3000):
            self.write(f"f{i:05}")
        self.assertEqual(self.names(self.dir), [f"f{i:05}" for i in range(3000)])


@unittest.skipUnless(ROOT, "acting as other users needs root")
class OtherUserTest(FilesystemCase):
    """Root's files through links that 'nobody' made."""

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        os.mkdir(self.at("secret"), 0o700)
        self.write("secret/key", "k")
        os.mkdir(self.at("open"))
        os.chmod(self.at("open"), 0o777)
        for name, target in (("dir", "../secret"), ("file", "../secret/key"), ("self", "/proc/self/fd")):
            os.symlink(target, self.at("open/" + name))

    def test_traps(self):
        h = basic("nobody")
        self.fails("Stat", {"path": self.at("open/dir/key")}, "permission_denied", **h)
        self.fails("ListDir", {"path": self.at("open/dir")}, "permission_denied", **h)
        self.fails("MakeDir", {"path": self.at("open/dir/new")}, "permission_denied", **h)
        self.fails("Remove", {"path": self.at("open/dir/key")}, "permission_denied", **h)
        self.fails("Move", {"source": self.at("open/dir/key"), "destination": self.at("open/mine")},
                   "permission_denied", **h)
        e = self.rpc("Stat", {"path": self.at("open/file")}, **h)["entry"]
        self.assertEqual((e["type"], e["symlinkTarget"]), ("FILE_TYPE_SYMLINK", "../secret/key"))
        self.assertEqual(self.rpc("Stat", {"path": self.at("open/dir/key")}, **basic("root"))["entry"]["size"], "1")
        self.assertEqual(os.listdir(self.at("secret")), ["key"])

    def test_ownership(self):
        self.rpc("MakeDir", {"path": self.at("open/a/b")}, **basic("nobody"))
        for name in ("a", "a/b"):
            self.assertEqual(os.stat(self.at("open/" + name)).st_uid, pwd.getpwnam("nobody").pw_uid)
        self.fails("MakeDir", {"path": self.at("denied")}, "permission_denied", **basic("nobody"))

    def test_unreadable_below(self):
        entries = self.rpc("ListDir", {"path": self.dir, "depth": 3}, **basic("nobody"))["entries"]
        self.assertEqual([e["name"] for e in entries], ["open", "dir", "file", "self", "secret"])


class Stream:
    """A method that streams, WatchDir unless another is named, in Connect's JSON."""

    def __init__(self, agent, request, headers, method="filesystem.Filesystem/WatchDir"):
        body = json.dumps(request).encode()
        self.connection, self.answer = agent.request(
            "data", "POST", "/" + method, struct.pack(">BI", 0, len(body)) + body,
            {"sandglass-port": "49983", "X-Access-Token": TOKEN, "Content-Type": "application/connect+json",
             **headers})

    def frame(self):
        flags, n = struct.unpack(">BI", self.answer.read(5))
        return flags, json.loads(self.answer.read(n))

    def close(self):
        self.connection.close()


class ReflectionTest(FilesystemCase):
    def test_services(self):
        s = Stream(self.agent, {"listServices": ""}, {}, "grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        self.addCleanup(s.close)
        names = [e["name"] for e in s.frame()[1]["listServicesResponse"]["service"]]
        self.assertIn("filesystem.Filesystem", names)


class WatchTest(FilesystemCase):
    def stream(self, status_name="start", headers=None, **request):
        s = Stream(self.agent, {"path": self.dir, **request}, headers or {})
        self.addCleanup(s.close)
        self.assertEqual(s.answer.status, 200)
        if status_name:
            self.assertEqual(s.frame(), (0, {status_name: {}}))
        return s

    def events(self, s, until):
        """(change, name) up to the one that is wanted, which must come."""
        got = []
        while not got or got[-1] != until:
            flags, m = s.frame()
            self.assertEqual(flags, 0, (m, got))
            e = m["filesystem"]
            got.append((e.get("type", "EVENT_TYPE_UNSPECIFIED")[11:].lower(), e["name"]))
        return got

    def fence(self, s):
        """All events so far, by an entry of our own at the end."""
        os.mkdir(self.at("fence"))
        events = self.events(s, ("create", "fence"))
        os.rmdir(self.at("fence"))
        self.events(s, ("remove", "fence"))
        return events[:-1]

    def test_order(self):
        s = self.stream()
        with open(self.at("a"), "w") as f:
            f.write("1")
        os.chmod(self.at("a"), 0o600)
        os.rename(self.at("a"), self.at("b"))
        os.remove(self.at("b"))
        os.mkdir(self.at("d"))
        self.write("d/below")
        self.assertEqual(self.fence(s), [
            ("create", "a"), ("write", "a"), ("chmod", "a"), ("rename", "a"), ("create", "b"), ("remove", "b"),
            ("create", "d")])

    def test_recursive(self):
        os.makedirs(self.at("old/deep"))
        s = self.stream(recursive=True)
        self.write("old/deep/f")
        os.makedirs(self.at("new/x/y"))
        self.write("new/x/y/f", "1")
        events = self.fence(s)
        self.assertEqual(events[0], ("create", "old/deep/f"))
        self.assertEqual(sorted(set(e for e in events if e[0] == "create")), [
            ("create", "new"), ("create", "new/x"), ("create", "new/x/y"), ("create", "new/x/y/f"),
            ("create", "old/deep/f")])
        self.assertEqual(len([e for e in events if e[0] == "create"]), 5, events)  # each once
        os.rename(self.at("new"), self.at("moved"))
        self.write("moved/x/y/g")
        self.assertEqual(self.fence(s), [("rename", "new"), ("create", "moved"), ("create", "moved/x/y/g")])
        shutil.rmtree(self.at("moved"))
        events = self.fence(s)
        self.assertEqual(set(events), {("remove", "moved" + below) for below in ("", "/x", "/x/y", "/x/y/f", "/x/y/g")})
        os.mkdir(self.at("moved"))
        self.write("moved/again")
        self.assertEqual(self.fence(s), [("create", "moved"), ("create", "moved/again")])

    def test_moved_in_and_out(self):
        outside = tempfile.mkdtemp(prefix="sandglass-outside-")
        self.addCleanup(shutil.rmtree, outside)
        os.makedirs(f"{outside}/in/sub")
        open(f"{outside}/in/sub/f", "w").close()
        s = self.stream(recursive=True)
        os.rename(f"{outside}/in", self.at("in"))
        self.assertEqual(self.fence(s), [("create", "in"), ("create", "in/sub"), ("create", "in/sub/f")])
        os.rename(self.at("in"), f"{outside}/out")
        time.sleep(0.2)
        open(f"{outside}/out/sub/g", "w").close()
        self.assertEqual(self.fence(s), [("rename", "in")])

    def test_moved_before_it_was_scanned(self):
        """A directory appears in one that has another name by the time it is looked at: nothing below is lost."""
        s = self.stream(recursive=True)
        os.mkdir(self.at("x"))
        self.fence(s)
        self.agent.process.send_signal(signal.SIGSTOP)
        os.makedirs(self.at("x/y/z"))
        os.rename(self.at("x"), self.at("w"))
        self.write("w/y/z/g")
        self.agent.process.send_signal(signal.SIGCONT)
        self.assertEqual(self.fence(s), [("create", "x/y"), ("rename", "x"), ("create", "w"), ("create", "w/y"),
                                         ("create", "w/y/z"), ("create", "w/y/z/g")])
        self.write("w/y/z/h")
        os.rename(self.at("w"), self.at("v"))
        self.write("v/y/z/i")
        self.assertEqual(self.fence(s), [("create", "w/y/z/h"), ("rename", "w"), ("create", "v"), ("create", "v/y/z/i")])

    def test_busy_tree(self):
        """Directories and files that appear faster than watches can be set: each is told once."""
        s = self.stream(recursive=True)
        wanted = set()
        for i in range(60):
            d = f"d{i}"
            for below in ("", "/e", "/e/f"):
                os.mkdir(self.at(d + below))
                self.write(f"{d}{below}/file")
                wanted |= {("create", d + below), ("create", f"{d}{below}/file")}
        events = self.fence(s)
        self.assertEqual(sorted(events), sorted(wanted))
        for event in events:  # a directory before what is in it
            above = os.path.dirname(event[1])
            self.assertTrue(not above or events.index(("create", above)) < events.index(event))

    def test_entries(self):
        s = self.stream(includeEntry=True)
        self.write("f", "abc")
        flags, m = s.frame()
        e = m["filesystem"]
        self.assertEqual((e["type"], e["name"]), ("EVENT_TYPE_CREATE", "f"))
        self.assertEqual((e["entry"]["path"], e["entry"]["owner"]), (self.at("f"), ME.pw_name))
        self.events(s, ("write", "f"))
        os.remove(self.at("f"))
        flags, m = s.frame()
        self.assertEqual(m["filesystem"], {"type": "EVENT_TYPE_REMOVE", "name": "f"})

    def test_foreign_names(self):
        s = self.stream()
        open(os.path.join(os.fsencode(self.dir), b"\xff"), "w").close()
        self.assertEqual(self.fence(s), [("create", "\ufffd")])

    def test_directory_goes(self):
        os.mkdir(self.at("d"))
        s = Stream(self.agent, {"path": self.at("d")}, {})
        self.addCleanup(s.close)
        self.assertEqual(s.frame(), (0, {"start": {}}))
        os.rename(self.at("d"), self.at("e"))
        os.chmod(self.at("e"), 0o700)
        os.rmdir(self.at("e"))
        self.assertEqual(self.events(s, ("remove", ".")), [("rename", "."), ("chmod", "."), ("remove", ".")])
        flags, end = s.frame()
        self.assertEqual((flags, end["error"]["code"]), (2, "not_found"))

    def test_keepalive_and_deadline(self):
        s = self.stream(headers={"Keepalive-Ping-Interval": "1", "Connect-Timeout-Ms": "2500"})
        self.assertEqual(s.frame(), (0, {"keepalive": {}}))
        flags, m = s.frame()
        while flags == 0:
            self.assertEqual(m, {"keepalive": {}})
            flags, m = s.frame()
        self.assertEqual((flags, m["error"]["code"]), (2, "deadline_exceeded"))

    def test_refusals(self):
        self.write("file")
        for request, code in (({"path": self.at("file")}, "invalid_argument"),
                              ({"path": self.at("missing")}, "not_found")):
            s = Stream(self.agent, request, {})
            self.addCleanup(s.close)
            flags, end = s.frame()
            self.assertEqual((flags, end["error"]["code"]), (2, code))
            self.fails("CreateWatcher", request, code)
        s = Stream(self.agent, {"path": self.dir}, basic("nobody-knows"))
        self.addCleanup(s.close)
        self.assertEqual(s.frame()[1]["error"]["code"], "unauthenticated")

    def test_two_watch_the_same(self):
        one, two = self.stream(), self.stream(recursive=True)
        os.mkdir(self.at("d"))
        self.write("d/f")
        self.assertEqual(self.fence(one), [("create", "d")])
        self.assertEqual(self.events(two, ("create", "fence")),
                         [("create", "d"), ("create", "d/f"), ("create", "fence")])
        two.close()
        self.write("g")
        self.assertEqual(self.fence(one), [("create", "g")])

    @unittest.skipUnless(ROOT, "acting as other users needs root")
    def test_other_user(self):
        os.chmod(self.dir, 0o755)
        os.mkdir(self.at("secret"), 0o700)
        s = self.stream(recursive=True, headers=basic("nobody"))
        self.write("secret/key")
        self.write("open")
        self.assertEqual(self.fence(s), [("create", "open")])
        s = Stream(self.agent, {"path": self.at("secret")}, basic("nobody"))
        self.addCleanup(s.close)
        self.assertEqual(s.frame()[1]["error"]["code"], "permission_denied")


class WatcherTest(FilesystemCase):
    def events(self, watcher, count):
        got, limit = [], time.monotonic() + 20
        while len(got) < count and time.monotonic() < limit:
            got += self.rpc("GetWatcherEvents", {"watcherId": watcher}).get("events", [])
            time.sleep(0.02)
        return [(e["type"][11:].lower(), e["name"]) for e in got]

    def test_polling(self):
        watcher = self.rpc("CreateWatcher", {"path": self.dir, "recursive": True})["watcherId"]
        self.assertRegex(watcher, "^w[a-z0-9]{20}$")
        self.assertEqual(self.rpc("GetWatcherEvents", {"watcherId": watcher}), {})
        os.mkdir(self.at("d"))
        self.write("d/f", "1")
        self.assertEqual(self.events(watcher, 3)[:2], [("create", "d"), ("create", "d/f")])
        self.assertEqual(self.rpc("RemoveWatcher", {"watcherId": watcher}), {})
        for method in ("GetWatcherEvents", "RemoveWatcher"):
            self.fails(method, {"watcherId": watcher}, "not_found", f"watcher with id {watcher} not found")

    def test_entries(self):
        watcher = self.rpc("CreateWatcher", {"path": self.dir, "includeEntry": True})["watcherId"]
        self.write("f")
        for _ in range(500):
            events = self.rpc("GetWatcherEvents", {"watcherId": watcher}).get("events", [])
            if events:
                break
            time.sleep(0.02)
        self.assertEqual((events[0]["name"], events[0]["entry"]["path"]), ("f", self.at("f")))
        self.rpc("RemoveWatcher", {"watcherId": watcher})

    def test_limit(self):
        """As many as are allowed, then a clear error; the next one after one has gone."""
        watchers = [self.rpc("CreateWatcher", {"path": self.dir})["watcherId"] for _ in range(128)]
        self.fails("CreateWatcher", {"path": self.dir}, "resource_exhausted", "128 directories")
        self.rpc("RemoveWatcher", {"watcherId": watchers.pop()})
        watchers.append(self.rpc("CreateWatcher", {"path": self.dir})["watcherId"])
        self.write("f")
        self.assertEqual(self.events(watchers[0], 1), [("create", "f")])
        self.assertEqual(self.events(watchers[127], 1), [("create", "f")])
        for w in watchers:
            self.rpc("RemoveWatcher", {"watcherId": w})


if __name__ == "__main__":
    unittest.main()
