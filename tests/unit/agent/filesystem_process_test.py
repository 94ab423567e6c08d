#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""filesystem.Filesystem of the agent, in Connect's JSON, as the user who runs the tests."""
import base64
import json
import os
import pwd
import shutil
import stat
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
        self.assertEqual(self.rpc("Stat", {"path": "~"})["entry"]["path"], ME.pw_dir.rstrip("/") or "/")

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


if __name__ == "__main__":
    unittest.main()
