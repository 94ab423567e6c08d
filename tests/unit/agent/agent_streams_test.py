#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Streams of executions that are cut, capped and read again, over the agent with fake contexts."""
import base64
import json
import socket
import struct
import sys
import unittest

sys.dont_write_bytecode = True
import agent_process_test as rig  # noqa: E402

STDOUT, STDERR = "OUTPUT_STREAM_STDOUT", "OUTPUT_STREAM_STDERR"


class Chunked:
    """Takes a chunked HTTP/1.1 response as it comes, cut anywhere: the body so far."""

    def __init__(self):
        self.raw, self.body, self.in_head, self.left, self.ended = b"", bytearray(), True, 0, False

    def feed(self, data):
        self.raw += data
        if self.in_head:
            head, found, rest = self.raw.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head + rest)
            self.in_head, self.raw = False, rest
        while not self.ended:
            if self.left > 2:
                part = self.raw[:self.left - 2]
                self.body += part
                self.left -= len(part)
                self.raw = self.raw[len(part):]
                if self.left > 2:
                    return
            if self.left > 0:
                if len(self.raw) < 2:
                    return
                self.raw, self.left = self.raw[2:], 0
            line, found, rest = self.raw.partition(b"\r\n")
            if not found:
                return
            self.raw, n = rest, int(line, 16)
            self.left, self.ended = n + 2, n == 0


class StreamsCase(rig.NativeCase):
    def raw_request(self, path, body, content_type, headers=()):
        return (f"POST {path} HTTP/1.1\r\nhost: x\r\nsandglass-port: 49999\r\n"
                f"x-access-token: {rig.TOKEN}\r\ncontent-type: {content_type}\r\n"
                + "".join(f"{k}: {v}\r\n" for k, v in headers)
                + f"content-length: {len(body)}\r\n\r\n").encode() + body

    def rpc(self, method, message):
        return self.raw_request(rig.SERVICE + method, rig.envelope(message),
                                "application/connect+json")

    def take(self, request, n=None):
        """Send it, take n bytes of the answer (None: all), and vanish: what came, as Chunked."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(f"{self.agent.dir}/data")
        s.sendall(request)
        c, got = Chunked(), 0
        while not c.ended and (n is None or got < n):
            data = s.recv(min(65536, n - got) if n else 65536)
            if not data:
                break
            got += len(data)
            c.feed(data)
        s.close()
        return c

    @staticmethod
    def events_of(body):
        """Whole messages of a Connect stream, and whether it came to its end."""
        events = []
        while len(body) >= 5:
            flags, n = struct.unpack(">BI", body[:5])
            if len(body) < 5 + n:
                break
            message = json.loads(body[5:5 + n])
            if flags == 2:
                if message:
                    raise AssertionError(message)
                return events, True
            events.append(message)
            body = body[5 + n:]
        return events, False

    def run_cell(self, code, **more):
        events, ended = self.events_of(self.take(self.rpc("Execute", {"code": code, **more})).body)
        self.assertTrue(ended)
        return events

    def attach(self, execution, **more):
        c = self.take(self.rpc("Attach", {"executionId": execution, **more}))
        events, ended = self.events_of(c.body)
        self.assertTrue(ended)
        return events

    def read(self, execution, stream, **more):
        c = self.take(self.rpc("ReadOutput", {"executionId": execution, "stream": stream, **more}))
        parts, ended = self.events_of(c.body)
        self.assertTrue(ended)
        at = int(more.get("offset", 0))
        data = b""
        for p in parts:
            self.assertEqual(int(p.get("offset", 0)), at + len(data))
            data += base64.b64decode(p["data"])
        return data

    def refused(self, method, message):
        _, r = self.open_stream(method, message)
        events, end = self.rest_of(r)
        self.assertEqual(events, [])
        return end["error"]["code"], end["error"].get("message", "")

    @staticmethod
    def execution_of(events):
        return events[0]["started"]["executionId"]

    @staticmethod
    def text(events, stream="stdout"):
        return "".join(e[stream]["text"] for e in events if stream in e)


class CutTest(StreamsCase):
    """A connection that ends after the n-th byte, and one that goes on from there."""
    CODE = "\n".join(["print é%d €%s" % (i, "x" * (i * 137 % 800)) for i in range(1, 24)] +
                     ["err ü%d" % i for i in range(3)] + ["show text/html <b>", "main 42"])

    def frames_of(self, body):
        """[(where it ends, its sequence number or 0)]"""
        frames, at = [], 0
        while at < len(body):
            flags, n = struct.unpack(">BI", body[at:at + 5])
            m = json.loads(body[at + 5:at + 5 + n])
            at += 5 + n
            frames.append((at, int(m.get("seq", 0))))
        self.assertEqual(at, len(body))
        return frames

    def cut_everywhere(self, execution, **wish):
        """For all n, the bytes of what came whole and numbered before the cut after the n-th byte,
        and those of the stream that goes on, are the bytes of a stream that was not cut."""
        request = self.rpc("Attach", {"executionId": execution, **wish})
        whole = self.take(request).body
        frames = self.frames_of(whole)
        last = max(seq for _, seq in frames)
        rests = {}
        n = cuts = 0
        while True:
            n += 1
            c = self.take(request, n)
            if c.ended:
                break
            self.assertEqual(c.body, whole[:len(c.body)])
            got = [(end, seq) for end, seq in frames if end <= len(c.body) and seq]
            end, seq = got[-1] if got else (0, 0)
            if seq not in rests or n % 16 == 0:  # the request is the same for all cuts in an event
                rest = self.take(
                    self.rpc("Attach", {"executionId": execution, "fromSeq": seq + 1, **wish}))
                self.assertTrue(rest.ended)
                rests[seq] = rest.body
            if seq == last:  # the end was seen: there is nothing more
                self.assertEqual(self.events_of(rests[seq]), ([], True))
            elif c.body[:end] + rests[seq] != whole:
                self.fail(f"cut after byte {n}")
            cuts += 1
        self.assertGreater(cuts, len(whole))
        return whole

    def test_every_byte(self):
        whole = self.cut_everywhere(self.execution_of(self.run_cell(self.CODE)))
        self.assertGreater(len(whole), 10000)
        self.assertEqual(whole.count(b'"end":{'), 1)

    def test_every_byte_of_a_capped_stream(self):
        """What was kept of the output has no numbers: it comes again, before the end."""
        whole = self.cut_everywhere(self.execution_of(self.run_cell(self.CODE)), maxBytes=900)
        self.assertEqual((whole.count(b'"omitted":{'), whole.count(b'"end":{')), (1, 1))

    def strip(self, events):
        return [{k: v for k, v in e.items() if k not in ("time", "started", "busy")} for e in events
                if "end" not in e]

    def test_while_it_runs(self):
        """The same with executions that are cut off while they run."""
        code = "print a\nspam 3000\nsleep 1\nspam 3000\nerr é\nsleep 1\nspam 3000\nmain 1"
        whole = self.run_cell(code)
        size = len(self.take(self.rpc("Execute", {"code": code})).body)
        for n in range(1, size, 37):
            head, _ = self.events_of(self.take(self.rpc("Execute", {"code": code}), n).body)
            if not head:
                continue
            rest = self.attach(self.execution_of(head), fromSeq=len(head) + 1)
            self.assertEqual(self.strip(head + rest), self.strip(whole), f"cut after byte {n}")
            self.assertEqual(sum("end" in e for e in head + rest), 1)


class CapTest(StreamsCase):
    def test_cap(self):
        events = self.run_cell("print head\nspam 100000\nerr short\nmain 1\nprint tail é", maxBytes=1000)
        kinds = [k for e in events for k in e if k not in ("seq", "time")]
        self.assertEqual(kinds, ["started", "busy", "stdout", "stdout", "stderr", "result", "omitted",
                                 "stdout", "end"])
        omitted, tail = events[6]["omitted"], events[7]["stdout"]
        total = 5 + 100000 + 8
        self.assertEqual(omitted["stream"], STDOUT)
        self.assertEqual(int(omitted["offset"]), len(self.text(events[:6])))
        self.assertEqual(int(omitted["offset"]) + int(omitted["bytes"]), int(tail["offset"]))
        self.assertEqual(int(tail["offset"]) + len(tail["text"].encode()), total)
        self.assertEqual(len(self.text(events).encode()), 1000)
        self.assertTrue(tail["text"].endswith("tail é\n"))
        self.assertNotIn("seq", events[6])
        self.assertNotIn("seq", events[7])
        # What was left out is there.
        execution = self.execution_of(events)
        left_out = self.read(execution, STDOUT, offset=omitted["offset"], limit=omitted["bytes"])
        self.assertEqual(len(left_out), int(omitted["bytes"]))
        self.assertEqual(self.text(events[:6]).encode() + left_out + tail["text"].encode(),
                         self.read(execution, STDOUT))
        # A cap that the output does not reach changes nothing.
        free = self.attach(execution)
        self.assertEqual(self.text(self.attach(execution, maxBytes=total)), self.text(free))
        self.assertFalse([e for e in self.attach(execution, maxBytes=total) if "omitted" in e])

    def test_cap_keeps_the_client_alive(self):
        """While output is swallowed the client gets heartbeats."""
        events = self.run_cell("spam 5000\nsleep 2600\nspam 5000\nsleep 2600\nspam 5000", maxBytes=64)
        self.assertTrue([e for e in events if "heartbeat" in e])

    def test_refusals(self):
        for n in (1, 63):
            for method, m in (("Execute", {"code": "print 1"}), ("Attach", {"executionId": "x"})):
                code, text = self.refused(method, {**m, "maxBytes": n})
                self.assertEqual(code, "invalid_argument")
                self.assertIn("max_bytes", text)


class OutputTest(StreamsCase):
    def test_every_range(self):
        events = self.run_cell("print aé\nspam 3000\nerr one\nprint b\nerr two\nspam 3000\nprint c")
        execution = self.execution_of(events)
        whole = self.text(events).encode()
        self.assertEqual(self.read(execution, STDERR), b"one\ntwo\n")
        self.assertEqual(self.read(execution, STDERR, offset=4), b"two\n")
        for at in range(0, len(whole) + 1, 97):
            for limit in (1, 5, 1500, 0):
                want = whole[at:at + limit] if limit else whole[at:]
                self.assertEqual(self.read(execution, STDOUT, offset=at, limit=limit), want)
        code, text = self.refused("ReadOutput", {"executionId": execution, "stream": STDOUT,
                                                 "offset": len(whole) + 1})
        self.assertEqual(code, "out_of_range")
        self.assertIn(str(len(whole)), text)
        self.assertEqual(self.refused("ReadOutput", {"executionId": execution})[0],
                         "invalid_argument")
        self.assertEqual(self.refused("ReadOutput", {"executionId": "x", "stream": STDOUT})[0],
                         "not_found")

    def test_large(self):
        events = self.run_cell("spam 2000000\nerr end", maxBytes=100)
        execution = self.execution_of(events)
        self.assertEqual(len(self.read(execution, STDOUT)), 2000000)
        self.assertEqual(self.read(execution, STDOUT, offset=1999999), b"\n")
        self.assertEqual(self.read(execution, STDERR), b"end\n")

    def test_while_it_runs(self):
        c, r = self.open_stream("Execute", {"code": "print 1\nhang"})
        head = [rig.read_envelope(r)[1] for _ in range(3)]
        execution = self.execution_of(head)
        self.assertEqual(self.read(execution, STDOUT), b"1\n")
        self.assertEqual(self.read(execution, STDERR), b"")
        status, x = self.unary("GetExecution", {"executionId": execution})
        self.assertEqual((status, x["state"], x["stdoutBytes"], "end" in x, "ended" in x),
                         (200, "EXECUTION_STATE_RUNNING", "2", False, False))
        _, q = self.open_stream("Execute", {"code": "print 2"})
        queued = rig.read_envelope(q)[1]["started"]["executionId"]
        self.assertEqual(self.unary("GetExecution", {"executionId": queued})[1]["state"],
                         "EXECUTION_STATE_QUEUED")
        self.unary("Interrupt", {"executionId": execution})
        self.rest_of(r)
        self.rest_of(q)

    def test_outcome(self):
        events = self.run_cell("print 1\nerr é\nmain 2\nraise E bad")
        execution = self.execution_of(events)
        status, x = self.unary("GetExecution", {"executionId": execution})
        self.assertEqual(status, 200)
        for name in ("created", "ended"):
            self.assertRegex(x.pop(name), r"^2\d{3}-.*Z$")
        self.assertEqual(x, {
            "executionId": execution, "contextId": events[0]["started"]["contextId"],
            "state": "EXECUTION_STATE_ENDED", "results": 1, "stdoutBytes": "2", "stderrBytes": "3",
            "firstSeq": "1", "lastSeq": events[-1]["seq"],
            "error": {"name": "E", "value": "bad", "traceback": "Traceback"},
            "end": {"status": "END_STATUS_ERROR", "executionCount": 1}})
        self.assertEqual(self.unary("GetExecution", {"executionId": "x"})[0], 404)

    def test_stall(self):
        """Told in native streams and counted; stock clients have no word for it."""
        events = self.run_cell("stall 1\nstall 0\nprint 1")
        self.assertEqual([e["stall"].get("stalled", False) for e in events if "stall" in e],
                         [True, False])
        x = self.unary("GetExecution", {"executionId": self.execution_of(events)})[1]
        self.assertEqual(x["stalls"], 1)
        self.assertEqual([line["type"] for line in self.execute_lines("stall 1\nprint 1")],
                         ["number_of_executions", "stdout", "end_of_execution"])

    def test_chosen_id(self):
        events = self.run_cell("print 1", executionId="my-cell.1")
        self.assertEqual(self.execution_of(events), "my-cell.1")
        code, text = self.refused("Execute", {"code": "print 1", "executionId": "my-cell.1"})
        self.assertEqual(code, "already_exists")
        self.assertEqual(self.attach("my-cell.1"), events)
        for bad in ("a b", "é", "x" * 37, "a/b"):
            code, text = self.refused("Execute", {"code": "print 1", "executionId": bad})
            self.assertEqual(code, "invalid_argument")
            self.assertIn("execution_id", text)


class HttpTest(StreamsCase):
    """POST /execute with the request headers by which a stock client can replay."""
    CODE = CutTest.CODE

    def execute(self, code, **headers):
        names = {"execution": "sandglass-execution-id", "seq": "sandglass-from-seq",
                 "max": "sandglass-max-bytes"}
        return self.raw_request("/execute", json.dumps({"code": code}).encode(), "application/json",
                                [(names[k], v) for k, v in headers.items()])

    @staticmethod
    def lines_of(body):
        return [json.loads(line) for line in bytes(body).split(b"\n")[:-1]]

    def test_every_byte(self):
        """The cell is cut off after the n-th byte for all n; another request goes on."""
        whole = self.take(self.execute(self.CODE, execution="whole"))
        lines = self.lines_of(whole.body)
        self.assertEqual([line["type"] for line in lines if line["type"].startswith("end")],
                         ["end_of_execution"])
        request, n, rests = self.execute(self.CODE, execution="whole"), 0, {}
        self.assertEqual(self.take(request).body, whole.body)
        while True:
            n += 1
            c = self.take(request, n)
            if c.ended:
                break
            got = bytes(c.body[:c.body.rfind(b"\n") + 1])
            seq = self.lines_of(got)[-1]["seq"] if got else 0
            if seq not in rests or n % 16 == 0:
                rests[seq] = bytes(
                    self.take(self.execute("", execution="whole", seq=seq + 1)).body)
            if got + rests[seq] != whole.body:
                self.fail(f"cut after byte {n}")
        self.assertGreater(n, 10000)

    def test_while_it_runs(self):
        code = "print a\nspam 3000\nsleep 1\nspam 3000\nerr é\nsleep 1\nspam 3000\nmain 1"
        texts = None
        for i, n in enumerate(range(1, 10800, 97)):
            head = self.take(self.execute(code, execution=f"live-{i}"), n).body
            got = self.lines_of(head[:head.rfind(b"\n") + 1])
            seq = got[-1]["seq"] if got else 0
            rest = self.lines_of(self.take(self.execute(code, execution=f"live-{i}", seq=seq + 1)).body)
            now = [(line["seq"], line["type"], line.get("text")) for line in got + rest]
            texts = texts or now
            self.assertEqual(now, texts, f"cut after byte {n}")
            self.assertEqual((got + rest)[-1]["type"], "end_of_execution")

    def test_not_run_twice(self):
        first = self.take(self.execute("print 1\nsleep 300\nprint 2", execution="once"), 300)
        again = self.take(self.execute("print 1\nsleep 300\nprint 2", execution="once"))
        self.assertTrue(bytes(again.body).startswith(bytes(first.body)))
        self.assertEqual([line.get("text") for line in self.lines_of(again.body)],
                         [None, "1\n", "2\n", None])
        self.assertEqual(self.run_cell("print 3")[1]["busy"]["executionCount"], 2)
        status, x = self.unary("GetExecution", {"executionId": "once"})
        self.assertEqual((status, x["end"]["status"]), (200, "END_STATUS_OK"))

    def test_without_header_a_disconnect_interrupts(self):
        self.take(self.execute("print 1\nhang"), 300)
        self.assertEqual(self.text(self.run_cell("print 2")), "2\n")
        lines = self.lines_of(self.take(self.execute("print 1")).body)
        self.assertFalse([line for line in lines if "seq" in line])

    def test_cap(self):
        lines = self.lines_of(self.take(self.execute("print head\nspam 5000\nprint tail", max=200)).body)
        texts = [line["text"] for line in lines if line["type"] == "stdout"]
        self.assertTrue(texts[0].startswith("head\n"))
        self.assertRegex(texts[-2], r"^\n\[\.\.\. \d+ bytes left out \.\.\.\]\n$")
        self.assertTrue(texts[-1].endswith("tail\n"))
        self.assertEqual(sum(map(len, texts)) - len(texts[-2]), 200)

    def test_refusals(self):
        self.take(self.execute("print 1", execution="known"))
        for status, code, headers in (
                (400, "1", {"sandglass-execution-id": "a b"}), (400, "1", {"sandglass-from-seq": "1"}),
                (400, "1", {"sandglass-max-bytes": "x"}), (400, "1", {"sandglass-max-bytes": "5"}),
                (400, "1", {"sandglass-execution-id": "known", "sandglass-from-seq": "-1"}),
                (404, "1", {"sandglass-execution-id": "unknown", "sandglass-from-seq": "1"}),
                (409, "print 2", {"sandglass-execution-id": "known"}),
                (416, "print 1", {"sandglass-execution-id": "known", "sandglass-from-seq": "99"})):
            r, data = self.data("POST", "/execute", {"code": code}, headers)
            self.assertEqual(r.status, status, data)
            if status != 404:
                self.assertIn(b"andglass-", data)
        self.assertEqual(self.unary("GetExecution", {"executionId": "unknown"})[0], 404)


if __name__ == "__main__":
    unittest.main()
