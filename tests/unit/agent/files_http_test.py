#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives /files of the agent (over fake contexts) through its data socket."""
import base64
import getpass
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.dont_write_bytecode = True
from agent_process_test import INIT, TOKEN, Agent, AgentCase, UnixConnection  # noqa: E402

# A build with AddressSanitizer keeps freed memory, which would hide what is looked at here.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=1:thread_local_quarantine_size_kb=64")
USER = getpass.getuser()
FORM = "multipart/form-data; boundary=XX"
MIB = 1 << 20


def part(name, data, field="file"):
    return b'--XX\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n' % (
        field.encode(), name.encode(), data)


def form(*files):
    return b"".join(part(*f) for f in files) + b"--XX--\r\n"


def sign(path, operation, username="", expires=None):
    text = f"{path}:{operation}:{username}:{TOKEN}" + ("" if expires is None else f":{expires}")
    return "v1_" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


class FilesCase(AgentCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sandglass-files-")).resolve()
        self.addCleanup(shutil.rmtree, self.dir)
        self.agent = self.start()
        self.addCleanup(self.agent.stop)
        self.control("POST", "/boot", {"templateId": "base", "kernels": [], "user": USER,
                                       "workdir": str(self.dir)}, 204)
        self.control("POST", "/init", {**INIT, "user": USER, "workdir": str(self.dir)}, 204)

    def start(self):
        return Agent()

    def files(self, method, query, body=None, headers=None, token=TOKEN, path="/files"):
        return self.data(method, path + "?" + urllib.parse.urlencode(query), body, headers, port=49983, token=token)

    def get(self, path, headers=None, **query):
        return self.files("GET", {"path": str(path), **query}, headers=headers)

    def put(self, path, body, headers=None, **query):
        return self.files("POST", {"path": str(path), **query}, body,
                          {"Content-Type": "application/octet-stream", **(headers or {})})

    def post(self, body, headers=None, **query):
        return self.files("POST", query, body, {"Content-Type": FORM, **(headers or {})})

    def assert_error(self, answer, status, word=""):
        r, data = answer
        self.assertEqual(r.status, status, data)
        error = json.loads(data)
        self.assertEqual(error["code"], status)
        self.assertIn(word, error["message"])

    def assert_ok(self, answer, status=200):
        r, data = answer
        self.assertEqual(r.status, status, data)
        return json.loads(data) if r.getheader("content-type") == "application/json" else data

    def entries(self):
        return sorted(str(p.relative_to(self.dir)) for p in self.dir.rglob("*"))

    def wait_for(self, condition):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def rss(self):
        status = pathlib.Path(f"/proc/{self.agent.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024


class UploadTest(FilesCase):
    def test_multipart(self):
        got = self.assert_ok(self.post(form(("a/b c/é.txt", b"one"), ("x", b""), (f"{self.dir}/./abs", b"two\r\n"))))
        self.assertEqual(got, [
            {"name": "é.txt", "path": f"{self.dir}/a/b c/é.txt", "type": "file"},
            {"name": "x", "path": f"{self.dir}/x", "type": "file"},
            {"name": "abs", "path": f"{self.dir}/abs", "type": "file"}])
        self.assertEqual((self.dir / "a/b c/é.txt").read_bytes(), b"one")
        self.assertEqual((self.dir / "x").read_bytes(), b"")
        self.assertEqual((self.dir / "abs").read_bytes(), b"two\r\n")
        self.assertEqual(stat.S_IMODE((self.dir / "x").stat().st_mode), 0o644)
        self.assertEqual(stat.S_IMODE((self.dir / "a").stat().st_mode), 0o755)

    def test_path_of_the_query(self):
        got = self.assert_ok(self.post(form(("ignored", b"1")), path="sub/name"))
        self.assertEqual(got, [{"name": "name", "path": f"{self.dir}/sub/name", "type": "file"}])
        self.assertEqual(self.entries(), ["sub", "sub/name"])

    def test_other_fields_are_skipped(self):
        self.assert_ok(self.post(form(("no", b"1", "other"), ("yes", b"2"))))
        self.assertEqual(self.entries(), ["yes"])

    def test_raw(self):
        for body in (b"", b"x", os.urandom(3 * MIB)):
            got = self.assert_ok(self.put("f", body))
            self.assertEqual(got, [{"name": "f", "path": f"{self.dir}/f", "type": "file"}])
            self.assertEqual((self.dir / "f").read_bytes(), body)

    def test_chunked(self):
        pieces = [os.urandom(n) for n in (1, 70000, 3, 500000)]
        self.assert_ok(self.put("f", iter(pieces)))
        self.assertEqual((self.dir / "f").read_bytes(), b"".join(pieces))

    def test_gzip(self):
        text = os.urandom(1000) * 1000
        for body in (gzip.compress(text), gzip.compress(text[:5000]) + gzip.compress(text[5000:])):
            self.assert_ok(self.put("f", body, {"Content-Encoding": "gzip"}))
            self.assertEqual((self.dir / "f").read_bytes(), text)
        self.assert_ok(self.post(gzip.compress(form(("g", b"1"), ("h", b"2"))), {"Content-Encoding": "gzip"}))
        self.assertEqual((self.dir / "h").read_bytes(), b"2")

    def test_refusals(self):
        packed = gzip.compress(b"hello" * 1000)
        octets = {"Content-Type": "application/octet-stream"}
        (self.dir / "folder").mkdir()
        (self.dir / "plain").write_text("old")
        os.mkfifo(self.dir / "fifo")
        before = self.entries()
        for status, word, query, body, headers in (
                (400, "gzip", {"path": "f"}, packed[:-9], {**octets, "Content-Encoding": "gzip"}),
                (400, "gzip", {"path": "f"}, b"", {**octets, "Content-Encoding": "gzip"}),
                (400, "gzip", {"path": "f"}, b"no gzip at all", {**octets, "Content-Encoding": "gzip"}),
                (400, "br", {"path": "f"}, b"x", {**octets, "Content-Encoding": "br"}),
                (400, "path", {}, b"x", octets),
                (400, "content-type", {"path": "f"}, b"x", {"Content-Type": "text/plain"}),
                (400, "content-type", {"path": "f"}, b"x", {}),
                (400, "boundary", {}, b"x", {"Content-Type": "multipart/form-data"}),
                (400, "closing", {}, part("f", b"x"), {"Content-Type": FORM}),
                (400, "field", {}, b"--XX--", {"Content-Type": FORM}),
                (400, "filename", {}, b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--XX--',
                 {"Content-Type": FORM}),
                (400, "directory", {"path": "folder"}, b"x", octets),
                (400, "directory", {"path": "/"}, b"x", octets),
                (400, "directory", {"path": "plain/.."}, b"x", octets),
                (400, "directory", {"path": "plain/x"}, b"x", octets),
                (400, "regular", {"path": "fifo"}, b"x", octets),
                (400, "regular", {"path": "/dev/null"}, b"x", octets),
                (400, "long", {"path": "n" * 256}, b"x", octets),
                (401, "nobody-knows", {"path": "f", "username": "nobody-knows"}, b"x", octets),
        ):
            with self.subTest(word=word, query=query):
                self.assert_error(self.files("POST", query, body, headers), status, word)
        self.assertEqual(self.entries(), before)
        self.assertEqual((self.dir / "plain").read_text(), "old")
        self.assert_error(self.data("POST", "/files?path=%ff", b"x", octets, port=49983), 400, "query")

    def test_same_path_twice(self):
        self.assert_error(self.post(form(("f", b"1"), ("./f", b"2"))), 400, "twice")
        self.assert_error(self.post(form(("f", b"1"), ("g", b"2")), path="f"), 400, "twice")
        self.assertEqual((self.dir / "f").read_bytes(), b"1")

    def test_every_cut_leaves_nothing(self):
        def request(name):
            body = form((f"{name}/file", b"hello" * 3))
            return (b"POST /files HTTP/1.1\r\nHost: x\r\nsandglass-port: 49983\r\nX-Access-Token: " + TOKEN.encode() +
                    b"\r\nContent-Type: " + FORM.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body)), body
        head, body = request("d000")
        for n in range(len(body)):
            head, body = request(f"d{n:03}")
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(f"{self.agent.dir}/data")
                s.sendall(head + body[:n])
                if n % 2:
                    time.sleep(0.002)  # also when the file is open already
        head, body = request("full")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{self.agent.dir}/data")
            s.sendall(head + body)
            self.assertIn(b"200 OK", s.recv(1000))
        # A part that came whole is a whole file; nothing else is there.
        end = len(body) - len(b"--\r\n")
        whole = {f"d{n:03}" for n in range(end, len(body))} | {"full"}

        def settled():  # the last cuts may still be worked on
            try:
                return all(p.name in whole and any(p.iterdir()) for p in self.dir.iterdir())
            except FileNotFoundError:
                return False
        self.wait_for(settled)
        for p in self.dir.iterdir():
            self.assertEqual([q.name for q in p.iterdir()], ["file"])
            self.assertEqual((p / "file").read_bytes(), b"hello" * 3)

    def test_cut_keeps_the_old_file(self):
        (self.dir / "f").write_text("old")
        body = os.urandom(MIB)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{self.agent.dir}/data")
            s.sendall(b"POST /files?path=f HTTP/1.1\r\nHost: x\r\nsandglass-port: 49983\r\nX-Access-Token: " +
                      TOKEN.encode() + b"\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" %
                      len(body) + body[:-1])
            time.sleep(0.1)
        self.assert_ok(self.put("g", b""))
        self.assertEqual(self.entries(), ["f", "g"])
        self.assertEqual((self.dir / "f").read_text(), "old")

    def test_what_exists_is_kept(self):
        old = self.dir / "old"
        old.write_text("0123456789")
        old.chmod(0o751)
        self.assert_ok(self.put("old", b"new"))
        self.assertEqual((old.read_text(), stat.S_IMODE(old.stat().st_mode)), ("new", 0o751))
        # Another name of the same file sees the new bytes, links are followed.
        os.link(old, self.dir / "hard")
        os.symlink("hard", self.dir / "soft")
        self.assert_ok(self.put("soft", b"by a link"))
        self.assertEqual(old.read_text(), "by a link")
        self.assertTrue((self.dir / "soft").is_symlink())
        self.assertEqual(old.stat().st_nlink, 2)
        os.symlink("made/here", self.dir / "nowhere")
        self.assert_ok(self.put("nowhere", b"1"))
        self.assertEqual((self.dir / "made/here").read_text(), "1")
        os.symlink("loop", self.dir / "loop")
        self.assert_error(self.put("loop", b"1"), 400, "links")
        self.assertEqual([e for e in self.entries() if "sandglass" in e], [])

    def test_metadata(self):
        try:
            os.setxattr(self.dir, "user.test", b"1")
        except OSError:
            self.skipTest(f"no user attributes on the file system of {self.dir}")
        got = self.assert_ok(self.put("f", b"1", {"X-Metadata-Author": "me", "x-metadata-purpose": "a b"}))
        self.assertEqual(got[0]["metadata"], {"author": "me", "purpose": "a b"})
        names = {n: os.getxattr(self.dir / "f", n) for n in os.listxattr(self.dir / "f")}
        self.assertEqual(names, {"user.e2b.author": b"me", "user.e2b.purpose": b"a b"})
        os.link(self.dir / "f", self.dir / "g")  # in place
        for name in ("f", "h"):
            got = self.assert_ok(self.post(form((name, b"2")), {"X-Metadata-Purpose": "c"}))
            self.assertEqual(got[0]["metadata"], {"purpose": "c"})
            self.assertEqual(os.listxattr(self.dir / name), ["user.e2b.purpose"])
        self.assert_ok(self.put("h", b"3"))
        self.assertEqual(os.listxattr(self.dir / "h"), [])
        for headers in ({"X-Metadata-" + "k" * 247: "v"}, {"X-Metadata-a": "v" * 4097}, {"X-Metadata-a": "\xe9"},
                        {f"X-Metadata-{i}": "v" for i in range(65)}):
            self.assert_error(self.put("i", b"1", headers), 400, "x-metadata-")
        self.assertFalse((self.dir / "i").exists())

    def test_memory_stays_flat(self):
        self.assert_ok(self.put("f", b"1"))
        before, piece = self.rss(), os.urandom(MIB)
        self.assert_ok(self.put("f", (piece for _ in range(128))))
        self.assertEqual((self.dir / "f").stat().st_size, 128 * MIB)
        self.assertLess(self.rss() - before, 6 * MIB)

    def test_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to choose a user")
        os.chmod(self.dir, 0o711)
        private = self.dir / "private"
        private.mkdir(0o700)
        (private / "secret").write_text("secret")
        open_dir = self.dir / "open"
        open_dir.mkdir()
        open_dir.chmod(0o777)
        os.symlink(private / "secret", open_dir / "link")
        os.symlink(private, open_dir / "dir")
        me = {"username": "nobody"}
        self.assert_error(self.get("private/secret", **me), 403, "permission")
        self.assert_error(self.get("open/link", **me), 403, "permission")
        self.assert_error(self.put("open/link", b"x", **me), 403, "permission")
        self.assert_error(self.put("open/dir/new", b"x", **me), 403, "permission")
        self.assert_error(self.put("new", b"x", **me), 403, "permission")
        self.assert_error(self.files("POST", {}, json.dumps(
            {"source_paths": ["open/link"], "destination": "open/x", "username": "nobody"}),
            path="/files/compose"), 403, "permission")
        self.assertEqual(sorted(os.listdir(private)), ["secret"])
        self.assert_ok(self.put("open/sub/mine", b"x", **me))
        uid = (open_dir / "sub/mine").stat().st_uid
        self.assertEqual((uid, (open_dir / "sub").stat().st_uid), (65534, 65534))
        # A file of somebody else that may be written keeps its owner; one in a closed directory, too.
        for name in ("open/theirs", "theirs"):
            p = self.dir / name
            p.write_text("a long old text")
            p.chmod(0o666)
            self.assert_ok(self.put(name, b"mine", **me))
            self.assertEqual((p.read_text(), p.stat().st_uid), ("mine", 0))


class SmallDiskTest(FilesCase):
    def start(self):
        import resource
        import subprocess
        real = subprocess.Popen

        def limited(*args, **kwargs):
            def limit():
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
            return real(*args, preexec_fn=limit, restore_signals=False, **kwargs)
        subprocess.Popen = limited
        try:
            return Agent()
        finally:
            subprocess.Popen = real

    def test_full(self):
        (self.dir / "f").write_text("old")
        self.assert_ok(self.put("f", b"x" * MIB))
        (self.dir / "f").write_text("old")
        for length in (MIB + 1, 40 * MIB):
            self.assert_error(self.put("f", b"x" * length), 507)
            self.assert_error(self.post(form(("sub/g", b"x" * length))), 507)
        self.assert_error(self.put("f", gzip.compress(b"x" * 2 * MIB), {"Content-Encoding": "gzip"}), 507)
        self.assertEqual(self.entries(), ["f"])
        self.assertEqual((self.dir / "f").read_text(), "old")

    def test_more_than_the_disk_has(self):
        disk = os.statvfs(self.dir)
        length = disk.f_blocks * disk.f_frsize + MIB
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(f"{self.agent.dir}/data")
            s.sendall(b"POST /files?path=sub/f HTTP/1.1\r\nHost: x\r\nsandglass-port: 49983\r\nX-Access-Token: " +
                      TOKEN.encode() + b"\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\nx" %
                      length)
            self.assertIn(b"507 ", s.recv(1000))
        self.assertEqual(self.entries(), [])


class DownloadTest(FilesCase):
    def test_whole(self):
        for size in (0, 1, 131071, 131072, 131073, 3 * MIB):
            data = os.urandom(size)
            (self.dir / "f.bin").write_bytes(data)
            r, got = self.get("f.bin")
            self.assertEqual((r.status, got), (200, data))
            self.assertEqual(r.getheader("content-length"), str(size))
            self.assertEqual(r.getheader("vary"), "Accept-Encoding")
            self.assertEqual(r.getheader("accept-ranges"), "bytes")
            self.assertEqual(r.getheader("content-disposition"), 'inline; filename="f.bin"')
            self.assertTrue(r.getheader("last-modified").endswith(" GMT"))
            h, none = self.files("HEAD", {"path": "f.bin"})
            self.assertEqual((h.status, none, h.getheader("content-length")), (200, b"", str(size)))
            self.assertEqual(h.getheader("etag"), r.getheader("etag"))

    def test_names_and_types(self):
        for name, data, kind, disposition in (
                ("a.html", b"", "text/html; charset=utf-8", 'inline; filename="a.html"'),
                ("a b.PNG", b"", "image/png", 'inline; filename="a b.PNG"'),
                ("pic", b"\x89PNG\r\n\x1a\n....", "image/png", 'inline; filename="pic"'),
                ("text", "grün".encode() * 200, "text/plain; charset=utf-8", 'inline; filename="text"'),
                ("cut", b"x" + "€".encode() * 300, "text/plain; charset=utf-8", 'inline; filename="cut"'),
                ("bin", b"\0\1", "application/octet-stream", 'inline; filename="bin"'),
                ("latin", b"gr\xfcn", "application/octet-stream", 'inline; filename="latin"'),
                ('q"ü', b"", "text/plain; charset=utf-8", "inline; filename*=utf-8''q%22%C3%BC")):
            (self.dir / name).write_bytes(data)
            r, got = self.get(name)
            self.assertEqual(got, data)
            self.assertEqual(r.getheader("content-type"), kind, name)
            self.assertEqual(r.getheader("content-disposition"), disposition)

    def test_ranges(self):
        data = os.urandom(500000)
        (self.dir / "f").write_bytes(data)
        for value, first, last in (("bytes=0-0", 0, 0), ("bytes=10-19", 10, 19), ("bytes=200000-", 200000, 499999),
                                   ("bytes=-7", 499993, 499999), ("bytes=131072-262143", 131072, 262143),
                                   ("bytes=0-999999999", 0, 499999)):
            r, got = self.get("f", {"Range": value, "Accept-Encoding": "gzip"})
            self.assertEqual((r.status, got), (206, data[first:last + 1]), value)
            self.assertEqual(r.getheader("content-range"), f"bytes {first}-{last}/500000")
        self.assert_error(self.get("f", {"Range": "bytes=500000-"}), 416)
        self.assertEqual(self.get("f", {"Range": "bytes=0-1,3-4"})[1], data)
        r, got = self.get("f", {"Range": "bytes=0-1", "If-Range": '"other"'})
        self.assertEqual((r.status, got), (200, data))

    def test_conditions(self):
        (self.dir / "f").write_text("1")
        r, _ = self.get("f")
        tag, date = r.getheader("etag"), r.getheader("last-modified")
        for headers in ({"If-None-Match": tag}, {"If-Modified-Since": date}, {"If-None-Match": "*"}):
            r, got = self.get("f", headers)
            self.assertEqual((r.status, got, r.getheader("etag")), (304, b"", tag))
        self.assert_error(self.get("f", {"If-Match": '"x"'}), 412)
        self.assertEqual(self.get("f", {"Range": "bytes=0-0", "If-Range": tag})[0].status, 206)
        (self.dir / "f").write_text("2")
        self.assertEqual(self.get("f", {"If-None-Match": tag})[1], b"2")

    def test_gzip(self):
        text = b"hello world\n" * 50000
        (self.dir / "f.txt").write_bytes(text)
        r, got = self.get("f.txt", {"Accept-Encoding": "gzip, deflate"})
        self.assertEqual((r.getheader("content-encoding"), gzip.decompress(got)), ("gzip", text))
        self.assertLess(len(got), len(text) // 10)
        tag = r.getheader("etag")
        self.assertEqual(self.get("f.txt", {"Accept-Encoding": "gzip", "If-None-Match": tag})[0].status, 304)
        r, got = self.get("f.txt", {"If-None-Match": tag})
        self.assertEqual((r.getheader("content-encoding"), got), (None, text))
        for value in ("gzip;q=0", "br", ""):
            self.assertEqual(self.get("f.txt", {"Accept-Encoding": value})[1], text)
        self.assert_error(self.get("f.txt", {"Accept-Encoding": "identity;q=0"}), 406)
        (self.dir / "f.bin").write_bytes(text)
        self.assertEqual(self.get("f.bin", {"Accept-Encoding": "gzip, *;q=0"})[0].getheader("content-encoding"), "gzip")
        (self.dir / "f.zip").write_bytes(text)
        self.assertEqual(self.get("f.zip", {"Accept-Encoding": "gzip"})[1], text)

    def test_refusals(self):
        os.mkfifo(self.dir / "fifo")
        self.assert_error(self.get("none"), 404, f"path '{self.dir}/none' does not exist")
        self.assert_error(self.get(""), 400, "directory")
        self.assert_error(self.get("fifo"), 400, "regular")
        self.assert_error(self.get("/dev/zero"), 400, "regular")
        self.assert_error(self.get("f", username="nobody-knows"), 401, "error looking up user 'nobody-knows'")
        self.assertEqual(self.files("PUT", {"path": "f"})[0].status, 405)

    def test_files_of_the_kernel(self):
        r, got = self.get("/proc/self/status")
        self.assertEqual(r.status, 200)
        self.assertTrue(got.startswith(b"Name:"))
        self.assertGreater(len(self.get("/proc/kallsyms")[1]), 200000)

    def test_slow_reader(self):
        size = 256 * MIB
        with open(self.dir / "f.bin", "wb") as f:
            f.truncate(size)
        before = self.rss()
        c, r = self.agent.request("data", "GET", f"/files?path={self.dir}/f.bin", None,
                                  {"sandglass-port": "49983", "X-Access-Token": TOKEN})
        time.sleep(0.5)
        read = int(pathlib.Path(f"/proc/{self.agent.process.pid}/io").read_text().split("rchar: ")[1].split()[0])
        self.assertLess(read, 8 * MIB)
        self.assertLess(self.rss() - before, 4 * MIB)
        left = size
        while piece := r.read(MIB):
            left -= len(piece)
        c.close()
        self.assertEqual(left, 0)
        self.assertLess(self.rss() - before, 6 * MIB)

    def test_file_that_changes(self):
        for change in (-1, 100):
            with open(self.dir / "f.bin", "wb") as f:
                f.truncate(32 * MIB)
            c, r = self.agent.request("data", "GET", f"/files?path={self.dir}/f.bin", None,
                                      {"sandglass-port": "49983", "X-Access-Token": TOKEN})
            os.truncate(self.dir / "f.bin", 32 * MIB + change)
            if change < 0:
                with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
                    r.read()
            else:
                self.assertEqual(len(r.read()), 32 * MIB)
            c.close()

    def test_client_leaves(self):
        with open(self.dir / "f.bin", "wb") as f:
            f.truncate(256 * MIB)
        fds = f"/proc/{self.agent.process.pid}/fd"
        before = len(os.listdir(fds))
        for _ in range(20):
            c, r = self.agent.request("data", "GET", f"/files?path={self.dir}/f.bin", None,
                                      {"sandglass-port": "49983", "X-Access-Token": TOKEN})
            r.read(1000)
            c.close()
        self.wait_for(lambda: len(os.listdir(fds)) <= before)


class AccessTest(FilesCase):
    def test_signatures(self):
        path = "a b+c/é"
        self.assert_ok(self.put(path, b"1"))
        soon, past = int(time.time()) + 60, int(time.time()) - 5

        def get(**query):
            return self.files("GET", {"path": path, **query}, token=None)
        self.assertEqual(get(signature=sign(path, "read"))[1], b"1")
        self.assertEqual(get(signature=sign(path, "read", USER), username=USER)[1], b"1")
        self.assertEqual(get(signature=sign(path, "read", "", soon), signature_expiration=soon)[1], b"1")
        for word, query in (
                ("missing signature query parameter", {}),
                ("invalid signature", {"signature": "v1_x"}),
                ("invalid signature", {"signature": sign(path, "write")}),
                ("invalid signature", {"signature": sign(path, "read"), "username": USER}),
                ("invalid signature", {"signature": sign("x", "read")}),
                ("invalid signature", {"signature": sign(path, "read", "", soon)}),
                ("invalid signature", {"signature": sign(path, "read", "", soon), "signature_expiration": soon + 1}),
                ("invalid signature", {"signature": sign(path, "read"), "signature_expiration": "soon"}),
                ("signature is already expired",
                 {"signature": sign(path, "read", "", past), "signature_expiration": past})):
            r, data = get(**query)
            self.assertEqual((r.status, json.loads(data)), (401, {"code": 401, "message": word}), query)
        r, data = self.files("GET", {"path": path, "signature": sign(path, "read")}, token="wrong")
        self.assertEqual((r.status, json.loads(data)["message"]),
                         (401, "access token present in header but does not match"))
        octets = {"Content-Type": "application/octet-stream"}
        self.assert_error(self.files("POST", {"path": path, "signature": sign(path, "read")}, b"2", octets, None), 401)
        self.assert_ok(self.files("POST", {"path": path, "signature": sign(path, "write")}, b"2", octets, None))
        self.assertEqual((self.dir / path).read_text(), "2")

    def test_cors(self):
        for method, path, body in (("GET", "/health", None), ("GET", "/envs", None), ("GET", "/metrics", None),
                                   ("GET", f"/files?path={self.dir}/none", None), ("POST", "/files/compose", b"{}")):
            r, _ = self.data(method, path, body, {"Origin": "https://x.example"}, port=49983)
            self.assertEqual(r.getheader("access-control-allow-origin"), "*", path)
            r, _ = self.data("OPTIONS", path, None, {"Origin": "https://x.example",
                             "Access-Control-Request-Method": method}, port=49983, token=None)
            self.assertEqual((r.status, r.getheader("access-control-max-age")), (204, "7200"))
        (self.dir / "f").write_text("1")
        r, _ = self.get("f", {"Origin": "https://x.example"})
        self.assertEqual(r.getheader("access-control-allow-origin"), "*")


class WatchTest(FilesCase):
    """Users wait for CREATE and WRITE with the file's name; how an upload comes about is nobody's business."""

    def rpc(self, method, **request):
        return self.assert_ok(self.data("POST", f"/filesystem.Filesystem/{method}", request,
                                        {"Content-Type": "application/json"}, port=49983))

    def events(self, watcher, last):
        got = []

        def came():
            got.extend((e["type"].removeprefix("EVENT_TYPE_"), e["name"])
                       for e in self.rpc("GetWatcherEvents", watcherId=watcher).get("events", []))
            return last in got
        self.wait_for(came)
        return got

    def test_uploads(self):
        watcher = self.rpc("CreateWatcher", path=str(self.dir))["watcherId"]
        self.assert_ok(self.put("f", b"new"))
        self.assertEqual(self.events(watcher, ("WRITE", "f")), [("CREATE", "f"), ("WRITE", "f")])
        self.assert_ok(self.put("f", os.urandom(MIB)))
        (self.dir / "#12").write_text("")
        self.assertEqual(self.events(watcher, ("CREATE", "#12")), [("WRITE", "f"), ("CREATE", "#12")])
        os.link(self.dir / "f", self.dir / "g")
        self.assert_ok(self.put("f", b"in place"))
        (self.dir / "end").mkdir()
        got = self.events(watcher, ("CREATE", "end"))
        self.assertEqual({e for e in got if e[0] != "CHMOD"}, {("CREATE", "g"), ("WRITE", "f"), ("CREATE", "end")})


class ComposeTest(FilesCase):
    def compose(self, sources, destination, **more):
        return self.files("POST", {}, json.dumps({"source_paths": sources, "destination": destination, **more}),
                          path="/files/compose")

    def test_compose(self):
        data = [os.urandom(n) for n in (0, 1, 9 * MIB, 300000)]
        for i, d in enumerate(data):
            (self.dir / f"p{i}").write_bytes(d)
        (self.dir / "out").write_text("old")
        (self.dir / "out").chmod(0o600)
        for destination in ("new/out", "out"):
            for i, d in enumerate(data):
                (self.dir / f"p{i}").write_bytes(d)
            got = self.assert_ok(self.compose([f"p{i}" for i in range(4)], destination))
            self.assertEqual(got, {"name": "out", "path": f"{self.dir}/{destination}", "type": "file"})
            self.assertEqual((self.dir / destination).read_bytes(), b"".join(data))
        self.assertEqual(self.entries(), ["new", "new/out", "out"])
        self.assertEqual(stat.S_IMODE((self.dir / "out").stat().st_mode), 0o600)

    def test_refusals(self):
        (self.dir / "a").write_text("a")
        (self.dir / "folder").mkdir()
        before = self.entries()
        for sources, destination, status, word in (
                ([], "x", 400, "source_paths"), ([""], "x", 400, "source_paths[0]"), (["a"], "", 400, "destination"),
                (["a", 1], "x", 400, "source_paths[1]"), (["a", "none"], "x", 404, "none"),
                (["a"], "./a", 400, "destination"), (["a", "folder"], "x", 400, "regular"),
                (["a"], "folder", 400, "directory"), (["a"], "sub/a/..", 400, "directory")):
            with self.subTest(sources=sources, destination=destination):
                self.assert_error(self.compose(sources, destination), status, word)
        self.assert_error(self.compose(["a"], "x", username="nobody-knows"), 401)
        self.assert_error(self.files("POST", {}, b"[]", path="/files/compose"), 400)
        self.assert_error(self.files("POST", {}, b"{}", token=None, path="/files/compose"), 401)
        self.assertEqual(self.entries(), before)


if __name__ == "__main__":
    unittest.main(verbosity=1)
