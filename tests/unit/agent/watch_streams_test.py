#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Watches: a connection that is cut after every byte, one that is not read, events that are too fast (STREAMS.md)."""
import json
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
import agent_process_test as rig  # noqa: E402
import filesystem_process_test as files  # noqa: E402
from agent_streams_test import Chunked  # noqa: E402


def frames_of(body):
    """Whole frames so far, and how many bytes they are."""
    frames, at = [], 0
    while len(body) - at >= 5:
        flags, n = struct.unpack(">BI", body[at:at + 5])
        if len(body) - at < 5 + n:
            break
        frames.append((flags, json.loads(body[at + 5:at + 5 + n])))
        at += 5 + n
    return frames, at


class WatchStreamsCase(files.FilesystemCase):
    def setUp(self):
        super().setUp()
        if os.path.isdir("/dev/shm"):  # many files are quick there
            self.dir = tempfile.mkdtemp(prefix="sandglass-files-", dir="/dev/shm")
            self.addCleanup(shutil.rmtree, self.dir)
        self.assertEqual(self.held(), (0, 0))
        self.fds = self.open_fds()

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.agent.process.pid}/fd"))

    def held(self):
        """(inotify instances, watched directories) of the agent."""
        proc = f"/proc/{self.agent.process.pid}"
        instances = watches = 0
        for fd in os.listdir(f"{proc}/fd"):
            try:
                if os.readlink(f"{proc}/fd/{fd}") == "anon_inode:inotify":
                    instances += 1
                    with open(f"{proc}/fdinfo/{fd}") as f:
                        watches += sum(line.startswith("inotify ") for line in f)
            except FileNotFoundError:
                pass
        return instances, watches

    def wait_for(self, what, wanted, limit=20):
        end = time.monotonic() + limit
        while (have := what()) != wanted and time.monotonic() < end:
            time.sleep(0.001)
        self.assertEqual(have, wanted)

    def released(self):
        """Nothing of any watch is left."""
        self.wait_for(self.held, (0, 0))
        self.wait_for(lambda: self.open_fds() <= self.fds, True)

    def request(self, method, message, content_type):
        body = json.dumps(message).encode()
        if content_type == "application/connect+json":
            body = struct.pack(">BI", 0, len(body)) + body
        return (f"POST /filesystem.Filesystem/{method} HTTP/1.1\r\nhost: x\r\nsandglass-port: 49983\r\n"
                f"x-access-token: {rig.TOKEN}\r\ncontent-type: {content_type}\r\n"
                f"content-length: {len(body)}\r\n\r\n").encode() + body

    def connect(self, request):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(20)
        s.connect(f"{self.agent.dir}/data")
        s.sendall(request)
        return s

    def watch(self, n=None, act=lambda: None, **request):
        """n bytes (None: all) of a watch, then the client vanishes. act() happens once it has begun."""
        s = self.connect(self.request("WatchDir", {"path": self.dir, **request}, "application/connect+json"))
        c, got, begun = Chunked(), 0, False
        while not c.ended and (n is None or got < n):
            data = s.recv(min(65536, n - got) if n else 65536)
            if not data:
                break
            got += len(data)
            c.feed(data)
            if not begun and frames_of(c.body)[0]:
                begun = True
                act()
        s.close()
        return c

    def take_unary(self, method, message, n=None):
        """n bytes of an answer: what came of it."""
        s = self.connect(self.request(method, message, "application/json"))
        got, want = b"", n or 1 << 30
        while len(got) < want:
            data = s.recv(min(65536, want - len(got)))
            got += data
            head, found, body = got.partition(b"\r\n\r\n")
            if not data or (found and b"content-length: %d\r\n" % len(body) in head.lower() + b"\r\n"):
                break
        s.close()
        return got


class CutTest(WatchStreamsCase):
    NAMES = [f"{i}-{'é' if i % 3 else 'x' * (7 * i % 40)}" for i in range(16)]

    def act(self):
        """The whole life of a directory: it ends the watch."""
        for name in self.NAMES:
            os.mkdir(self.at(f"d/{name}"))
        for name in self.NAMES:
            os.rmdir(self.at(f"d/{name}"))
        os.rmdir(self.at("d"))

    def test_every_byte(self):
        """What came before a cut is the head of a stream that was not cut; the watch ends with the
        connection and leaves nothing; one that is opened again tells all that happens then."""
        os.mkdir(self.at("d"))
        whole = self.watch(None, self.act, path=self.at("d"))
        self.assertTrue(whole.ended)
        frames, size = frames_of(whole.body)
        self.assertEqual(size, len(whole.body))
        self.assertEqual([f for f, _ in frames].count(2), 1)
        self.assertEqual((frames[-1][0], frames[-1][1]["error"]["code"]), (2, "not_found"))
        events = [m["filesystem"]["type"][11:] + " " + m["filesystem"]["name"] for _, m in frames[1:-1]]
        self.assertEqual(events, [f"{what} {name}" for what in ("CREATE", "REMOVE") for name in self.NAMES] +
                         ["REMOVE ."])
        self.assertGreater(len(whole.body), 2000)
        n = 0
        while True:
            n += 1
            os.makedirs(self.at("d"), exist_ok=True)
            acted = []
            c = self.watch(n, lambda: acted.append(self.act()), path=self.at("d"))
            self.assertEqual(c.body, whole.body[:len(c.body)], f"cut after byte {n}")
            self.assertEqual(bool(acted), bool(frames_of(c.body)[0]))
            if c.ended:
                break
            if n % 64 == 0:
                os.makedirs(self.at("d"), exist_ok=True)
                self.assertEqual(self.watch(None, self.act, path=self.at("d")).body, whole.body)
            if n % 16 == 0:
                self.released()
        self.assertGreater(n, len(whole.body))
        self.released()

    def test_every_byte_of_a_watch_that_goes_on(self):
        """Each cut ends a watch that would have lived; with subdirectories and entries that are looked up."""
        os.makedirs(self.at("a/b/c"))

        def act():
            for name in ("1", "2", "3", "4", "5", "6", "7", "8"):
                os.mkdir(self.at(name))
                os.rmdir(self.at(name))
        for n in range(1, 700, 5):
            c = self.watch(n, act, recursive=True, includeEntry=bool(n % 2))
            self.assertFalse(c.ended)
            self.assertNotIn(2, [flags for flags, _ in frames_of(c.body)[0]])
            if n % 3 == 1:
                self.released()
        self.assertGreater(len(frames_of(c.body)[0]), 3)
        self.released()

    def test_one_ends_beside_another(self):
        """A cut takes the directories that only its own watch had."""
        for d in ("one", "both", "two"):
            os.makedirs(self.at(f"{d}/sub"))
        first = self.connect(self.request("WatchDir", {"path": self.at("both"), "recursive": True},
                                          "application/connect+json"))
        self.wait_for(self.held, (1, 2))
        second = self.connect(self.request("WatchDir", {"path": self.dir, "recursive": True},
                                           "application/connect+json"))
        self.wait_for(self.held, (1, 7))
        second.close()
        self.wait_for(self.held, (1, 2))
        first.close()
        self.released()


class PollingCutTest(WatchStreamsCase):
    def events(self, watcher):
        return [e["name"] for e in self.rpc("GetWatcherEvents", {"watcherId": watcher}).get("events", [])]

    def wait_for_event(self, watcher, name):
        got, end = [], time.monotonic() + 20
        while name not in got and time.monotonic() < end:
            got += self.events(watcher)
        return got

    def test_every_byte(self):
        """A watcher belongs to no connection. The events of an answer that was cut are gone with it,
        none comes twice, and what happens later comes."""
        watcher = self.rpc("CreateWatcher", {"path": self.dir})["watcherId"]
        os.mkdir(self.at("fence"))
        self.wait_for_event(watcher, "fence")
        n, i = 0, 0
        while True:
            n += 1
            names = [f"{n}-{i}" for i in range(3)]
            for name in names:
                os.mkdir(self.at(name))
            # The agent reads inotify in the turn it wakes up for it; an answer has none, some or all.
            got = self.take_unary("GetWatcherEvents", {"watcherId": watcher}, n)
            os.rmdir(self.at("fence"))
            os.mkdir(self.at("fence"))
            later = [name for name in self.wait_for_event(watcher, "fence") if name != "fence"]
            self.assertEqual(later, names[len(names) - len(later):], f"cut after byte {n}")
            head, found, body = got.partition(b"\r\n\r\n")
            told = [e["name"] for e in json.loads(body).get("events", [])] if body.endswith(b"}]}") else []
            self.assertFalse(set(told) & set(later))
            if len(told) + len(later) == len(names) and told:
                break
            self.assertLess(n, 3000)
        self.assertGreater(n, 200)
        self.wait_for(self.held, (1, 1))
        self.assertEqual(self.rpc("RemoveWatcher", {"watcherId": watcher}), {})
        self.released()

    def test_every_byte_of_a_creation(self):
        """A watcher whose id did not arrive is not told from one that nobody asks: it counts among the
        128 until its hour is over. One whose client left before it began is gone at once."""
        size = len(self.take_unary("CreateWatcher", {"path": self.dir}))
        self.wait_for(self.held, (1, 1))
        for n in range(1, size, max(1, size // 100)):
            self.take_unary("CreateWatcher", {"path": self.dir}, n)
        self.wait_for(self.held, (1, 1))
        alive = self.rpc("CreateWatcher", {"path": self.dir})["watcherId"]
        os.mkdir(self.at("d"))
        self.assertEqual(self.wait_for_event(alive, "d"), ["d"])


class LossTest(WatchStreamsCase):
    def started(self):
        """A watch that has begun."""
        s = self.connect(self.request("WatchDir", {"path": self.dir}, "application/connect+json"))
        c = Chunked()
        self.assertEqual(self.frames(s, c), [(0, {"start": {}})])
        return s, c

    def frames(self, s, c):
        """The next ones, one or more."""
        while not (taken := frames_of(c.body))[0]:
            data = s.recv(1 << 20)
            self.assertTrue(data)
            c.feed(data)
        del c.body[:taken[1]]
        return taken[0]

    def changes(self, s, c, last):
        """(type, name) of all events up to one of the name that is wanted."""
        got = []
        while not any(name == last for _, name in got):
            for flags, m in self.frames(s, c):
                self.assertEqual(flags, 0, m)
                if "filesystem" in m:
                    got.append((m["filesystem"].get("type", "LOST"), m["filesystem"]["name"]))
        return got

    def assert_nothing_missing(self, got, names):
        """Told of a loss once or more; everything that is there was told, before or after."""
        self.assertIn(("LOST", "."), got)
        self.assertEqual({name for what, name in got if what == "EVENT_TYPE_CREATE"}, set(names))

    def test_kernel_queue_overflows(self):
        """The agent gets no processor time while more happens than the kernel keeps for it."""
        with open("/proc/sys/fs/inotify/max_queued_events") as f:
            n = int(f.read()) + 500
        if n > 100_000:
            self.skipTest(f"{n} events are a lot")
        s, c = self.started()
        self.agent.process.send_signal(signal.SIGSTOP)
        names = [f"f{i}" for i in range(n)]
        try:
            for name in names:
                os.close(os.open(self.at(name), os.O_CREAT, 0o600))
        finally:
            self.agent.process.send_signal(signal.SIGCONT)
        self.assert_nothing_missing(self.changes(s, c, names[-1]), names)
        s.close()
        self.released()

    def test_client_does_not_read(self):
        """The queue of one watch is bounded; another watch of the same directory loses nothing."""
        slow, fast = self.started(), self.started()
        names, seen = [], []
        for i in range(0, 16_000, 500):
            part = [f"f{j:05}-{'x' * 80}" for j in range(i, i + 500)]
            for name in part:
                os.mkdir(self.at(name))
            names += part
            seen += self.changes(*fast, part[-1])
        self.assertEqual(seen, [("EVENT_TYPE_CREATE", name) for name in names])
        with open(f"/proc/{self.agent.process.pid}/status") as f:
            rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
        self.assertLess(rss, 64 << 10)
        self.assert_nothing_missing(self.changes(*slow, names[-1]), names)
        slow[0].close()
        fast[0].close()
        self.released()


def load_tests(loader, tests, pattern):
    """Only those of this file, not of those it imports from."""
    return unittest.TestSuite(loader.loadTestsFromTestCase(c) for c in (CutTest, PollingCutTest, LossTest))


if __name__ == "__main__":
    unittest.main()
