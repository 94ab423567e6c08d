#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sandglass.v1.ProcessService of the agent, through its socket (Connect with JSON)."""
import base64
import json
import struct
import unittest

from process_rpc_test import ProcessCase

NATIVE = "/sandglass.v1.ProcessService/"
STOCK = "/process.Process/"
KINDS = ("started", "stdout", "stderr", "pty", "omitted", "end", "heartbeat")


def kind(message):
    return next(k for k in KINDS if k in message)


def data(messages, name="stdout"):
    return b"".join(base64.b64decode(m[name].get("data", "")) for m in messages if name in m)


class NativeCase(ProcessCase):
    service = NATIVE

    def messages(self, stream):
        """All, and the error that ended the stream."""
        got = []
        while True:
            flags, value = stream.frame()
            if flags & 2:
                return got, value.get("error", {}).get("code")
            got.append(value)

    def all(self, stream):
        got, error = self.messages(stream)
        self.assertIsNone(error)
        self.assertEqual([kind(m) for m in got].count("end"), 1)
        self.assertEqual(kind(got[-1]), "end")
        return got

    def first(self, stream):
        return stream.frame()[1]

    def sh(self, script, **more):
        return self.open("Start", {"process": {"cmd": "/bin/sh", "args": ["-c", script]}, **more})

    def attach(self, seq=0, **more):
        ref = {k: more.pop(k) for k in ("pid", "tag", "processId") if k in more}
        return self.open("Attach", {"process": ref, "fromSeq": str(seq), **more})

    def get(self, **ref):
        return self.unary("GetProcess", {"process": ref})

    def read(self, stream, offset=0, limit=0, **ref):
        got, error = self.messages(self.open("ReadOutput", {
            "process": ref, "stream": f"OUTPUT_STREAM_{stream}", "offset": str(offset),
            "limit": str(limit)}))
        at = offset
        for m in got:
            self.assertEqual(int(m.get("offset", 0)), at)
            at += len(base64.b64decode(m["data"]))
        return b"".join(base64.b64decode(m["data"]) for m in got), error

    def stock(self, method, request):
        self.service = STOCK
        try:
            return self.unary(method, request)
        finally:
            self.service = NATIVE


class StreamTest(NativeCase):
    def test_events(self):
        got = self.all(self.sh("printf out; printf err >&2; sleep 0.1; printf more; exit 3"))
        self.assertEqual([int(m["seq"]) for m in got], list(range(1, len(got) + 1)))
        for m in got:
            self.assertRegex(m["time"], r"^20\d\d-.*Z$")
        self.assertEqual(data(got), b"outmore")
        self.assertEqual(data(got, "stderr"), b"err")
        self.assertEqual([int(m["stdout"].get("offset", 0)) for m in got if "stdout" in m], [0, 3])
        self.assertEqual(got[-1]["end"], {"reason": "PROCESS_END_REASON_EXITED", "exitCode": 3,
                                          "status": "exit status 3"})

    def test_cut_after_every_byte(self):
        """10 kB on two streams; n bytes of the answer, then the rest by Attach, for all n."""
        script = ("i=0; while [ $i -lt 50 ]; do printf '%0100d' $i; printf '%0100d' $i >&2; "
                  "i=$((i+1)); done")
        whole = b"".join(b"%0100d" % i for i in range(50))
        pid = self.first(self.sh(script, tag="cut"))["started"]["pid"]
        first = self.attach(pid=pid)
        raw = first.response.read()
        self.assertGreater(len(raw), 10000)
        done = set()
        for n in range(len(raw) + 1):
            got, at = [], 0
            while at + 5 <= n:
                flags, size = struct.unpack(">BI", raw[at:at + 5])
                if at + 5 + size > n:
                    break
                if not flags:
                    got.append(json.loads(raw[at + 5:at + 5 + size]))
                at += 5 + size
            seq = len(got) + 1
            self.assertEqual([int(m["seq"]) for m in got], list(range(1, seq)))
            if seq in done:
                continue  # the client knows no more than at the last cut
            done.add(seq)
            rest, error = self.messages(self.attach(seq, tag="cut"))
            self.assertIsNone(error)
            self.assertEqual([int(m["seq"]) for m in got + rest], list(range(1, len(got + rest) + 1)))
            self.assertEqual(data(got + rest), whole)
            self.assertEqual(data(got + rest, "stderr"), whole)
            self.assertEqual([kind(m) for m in got + rest].count("end"), 1)
        self.assertGreater(len(done), 3)

    def test_attach_while_it_runs(self):
        stream = self.sh("echo a; read x; echo b", stdin=True)
        started = self.first(stream)["started"]
        self.assertEqual(data([self.first(stream)]), b"a\n")
        stream.close()
        follower = self.attach(3, processId=started["processId"])
        self.stock("SendInput", {"process": {"pid": started["pid"]}, "input": {"stdin": "Cg=="}})
        got = self.all(follower)
        self.assertEqual([int(m["seq"]) for m in got], [3, 4])
        self.assertEqual(data(got), b"b\n")

    def test_refusals(self):
        pid = self.first(self.sh("true"))["started"]["pid"]
        for request, code in (({"process": {"pid": pid}, "fromSeq": "99"}, "out_of_range"),
                              ({"process": {"pid": 1}}, "not_found"),
                              ({"process": {"tag": "x"}}, "not_found"),
                              ({"process": {}}, "invalid_argument"),
                              ({"process": {"pid": pid}, "maxBytes": "5"}, "invalid_argument")):
            self.assertEqual(self.messages(self.open("Attach", request)), ([], code))
        self.assertEqual(self.messages(self.sh("true", maxBytes="63"))[1], "invalid_argument")
        self.assertEqual(self.messages(self.open("Start", {"process": {"cmd": "true",
                                                                       "cwd": "/no"}}))[1],
                         "invalid_argument")


class EndTest(NativeCase):
    def reason(self, got):
        return got[-1]["end"]["reason"].removeprefix("PROCESS_END_REASON_")

    def test_signal(self):
        got = self.all(self.sh("kill -TERM $$"))
        self.assertEqual(got[-1]["end"], {"reason": "PROCESS_END_REASON_SIGNALED", "exitCode": -1,
                                          "signal": 15, "status": "signal: terminated"})

    def test_killed(self):
        stream = self.sh("sleep 60")
        pid = self.first(stream)["started"]["pid"]
        self.stock("SendSignal", {"process": {"pid": pid}, "signal": "SIGNAL_SIGKILL"})
        self.assertEqual(self.reason(self.all(stream)), "KILLED")
        self.assertEqual(self.get(pid=pid)["end"]["signal"], 9)

    def test_deadline(self):
        stream = self.sh("echo $$; setsid sleep 60 & echo $!; sleep 60", timeoutMs="300")
        got = self.all(stream)
        self.assertEqual(self.reason(got), "DEADLINE")
        for pid in data(got).split():
            self.assertFalse(self.is_alive(int(pid)))

    def is_alive(self, pid):
        """Not gone, and no zombie that waits for its parent."""
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                return f.read() != b""
        except (FileNotFoundError, ProcessLookupError):
            return False

    def test_output_limit(self):
        got = self.all(self.sh("yes; echo never", outputLimit="100000"))
        self.assertEqual(self.reason(got), "OUTPUT_LIMIT")
        self.assertEqual(data(got), b"y\n" * 50000)
        pid = got[0]["started"]["pid"]
        self.assertEqual(self.get(pid=pid)["stdoutBytes"], "100000")
        self.assertEqual(self.read("STDOUT", 99998, pid=pid), (b"y\n", None))


class EconomyTest(NativeCase):
    def check(self, got, whole, cap):
        """Head, mark, tail: never more than the cap, and every byte is where it was."""
        self.assertLessEqual(len(data(got)), cap)
        omitted = [m["omitted"] for m in got if "omitted" in m]
        self.assertEqual(len(omitted), 1)
        self.assertEqual(omitted[0]["stream"], "OUTPUT_STREAM_STDOUT")
        self.assertEqual(len(data(got)) + int(omitted[0]["bytes"]), len(whole))
        for m in got:
            if "stdout" in m:
                at, piece = int(m["stdout"].get("offset", 0)), data([m])
                self.assertEqual(piece, whole[at:at + len(piece)])

    def test_head_and_tail(self):
        whole = b"".join(b"%d\n" % i for i in range(1, 20001))
        stream = self.sh("seq 20000", maxBytes="1000")
        got = self.all(stream)
        self.check(got, whole, 1000)
        self.assertTrue(data(got).startswith(b"1\n2\n") and data(got).endswith(b"19999\n20000\n"))
        pid = got[0]["started"]["pid"]
        # The same again, from any event; and the journal has everything.
        again = self.all(self.attach(pid=pid, maxBytes="1000"))
        self.assertEqual(data(again), data(got))
        numbered = [m for m in got if "seq" in m]
        later = self.all(self.attach(int(numbered[1]["seq"]) + 1, pid=pid, maxBytes="1000"))
        tail = [m for m in got if "seq" not in m or int(m["seq"]) > int(numbered[1]["seq"])]
        self.assertEqual([kind(m) for m in later], [kind(m) for m in tail])
        self.assertEqual(data(later), data(tail))
        self.assertEqual(self.read("STDOUT", pid=pid), (whole, None))

    def test_short_output_is_whole(self):
        got = self.all(self.sh("seq 20; seq 3 >&2", maxBytes="64"))
        self.assertEqual(data(got), b"".join(b"%d\n" % i for i in range(1, 21)))
        self.assertNotIn("omitted", [kind(m) for m in got])

    def test_terminal(self):
        got = self.all(self.open("Start", {"process": {"cmd": "seq", "args": ["9000"]},
                                           "pty": {}, "maxBytes": "200"}))
        self.assertLessEqual(len(data(got, "pty")), 200)
        self.assertTrue(data(got, "pty").endswith(b"9000\r\n"))
        omitted = next(m["omitted"] for m in got if "omitted" in m)
        self.assertEqual(omitted["stream"], "OUTPUT_STREAM_PTY")


class OutcomeTest(NativeCase):
    def test_outcome(self):
        stream = self.sh("printf 12345; printf 678 >&2; read x; exit 2", tag="t", stdin=True)
        pid = self.first(stream)["started"]["pid"]
        self.first(stream)
        self.first(stream)
        running = self.get(tag="t")
        self.assertEqual((running["state"], running["stdoutBytes"], running["stderrBytes"]),
                         ("PROCESS_STATE_RUNNING", "5", "3"))
        self.assertNotIn("end", running)
        self.stock("CloseStdin", {"process": {"pid": pid}})
        self.all(self.attach(pid=pid))
        ended = self.get(pid=pid)
        self.assertEqual(ended["state"], "PROCESS_STATE_ENDED")
        self.assertEqual(ended["end"]["exitCode"], 2)
        self.assertEqual((ended["firstSeq"], ended["lastSeq"]), ("1", "4"))
        self.assertLessEqual(ended["created"], ended["ended"])
        self.assertEqual(ended["processId"], running["processId"])
        self.assertEqual(self.get(processId=ended["processId"]), ended)
        self.unary("GetProcess", {"process": {"pid": 1}}, "not_found")

    def test_ranges(self):
        whole = b"".join(b"%d\n" % i for i in range(1, 30001))
        got = self.all(self.sh("seq 30000; echo e >&2"))
        pid = got[0]["started"]["pid"]
        for offset, limit in ((0, 0), (0, 1), (1, 7), (100000, 70000), (len(whole) - 1, 5),
                              (len(whole), 0)):
            expected = whole[offset:offset + limit] if limit else whole[offset:]
            self.assertEqual(self.read("STDOUT", offset, limit, pid=pid), (expected, None))
        self.assertEqual(self.read("STDERR", pid=pid), (b"e\n", None))
        self.assertEqual(self.read("STDOUT", len(whole) + 1, pid=pid), (b"", "out_of_range"))
        for stream in ("PTY", "UNSPECIFIED"):
            self.assertEqual(self.read(stream, pid=pid), (b"", "invalid_argument"))

    def test_kept_in_number(self):
        pids = [self.all(self.open("Start", {"process": {"cmd": "true"}}))[0]["started"]["pid"]
                for _ in range(30)]
        for pid in pids:
            self.assertEqual(self.get(pid=pid)["end"]["status"], "exit status 0")


if __name__ == "__main__":
    unittest.main()
