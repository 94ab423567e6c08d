#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""process.Process of the agent, through its socket, as the E2B SDKs speak it (Connect with JSON)."""
import base64
import json
import os
import pwd
import signal
import struct
import sys
import threading
import time
import unittest

from agent_process_test import TOKEN, AgentCase

ME = pwd.getpwuid(os.geteuid())


def basic(user):
    return "Basic " + base64.b64encode(f"{user}:".encode()).decode()


def envelope(value):
    data = json.dumps(value).encode()
    return struct.pack(">BI", 0, len(data)) + data


class Stream:
    """A server stream of the Connect protocol, read frame by frame."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.trailer = None

    def frame(self):
        head = self.response.read(5)
        if len(head) < 5:
            raise AssertionError(f"the stream was cut after {head!r}")
        flags, n = struct.unpack(">BI", head)
        return flags, json.loads(self.response.read(n))

    def events(self):
        while self.trailer is None:
            flags, value = self.frame()
            if flags & 2:
                self.trailer = value
                return
            yield value["event"]

    def next(self):
        return next(self.events())

    def rest(self):
        return list(self.events())

    def close(self):
        self.connection.close()


def output(events, name="stdout"):
    return b"".join(base64.b64decode(e["data"][name]) for e in events
                    if name in e.get("data", {}))


class ProcessCase(AgentCase):
    service = "/process.Process/"

    def headers(self, more=None, user=ME.pw_name):
        h = {"sandglass-port": "49983", "X-Access-Token": TOKEN, "Connect-Protocol-Version": "1",
             "Authorization": basic(user)}
        return {**h, **(more or {})}

    def open(self, method, request, headers=None, user=ME.pw_name):
        h = self.headers({"Content-Type": "application/connect+json", **(headers or {})}, user)
        c, r = self.agent.request("data", "POST", self.service + method, envelope(request), h)
        self.assertEqual(r.status, 200)
        stream = Stream(c, r)
        self.addCleanup(stream.close)
        return stream

    def start(self, cmd, *args, headers=None, user=ME.pw_name, **more):
        config = {"cmd": cmd, "args": list(args)}
        for key in ("envs", "cwd"):
            if key in more:
                config[key] = more.pop(key)
        return self.open("Start", {"process": config, **more}, headers, user)

    def shell(self, script, **more):
        return self.start("/bin/sh", "-c", script, **more)

    def run_shell(self, script, **more):
        stream = self.shell(script, **more)
        events = stream.rest()
        self.assertEqual(stream.trailer, {})
        self.assertIn("start", events[0])
        self.assertIn("end", events[-1])
        return events

    def unary(self, method, request, code=None):
        r, data = self.agent.call("data", "POST", self.service + method, request,
                                  self.headers({"Content-Type": "application/json"}))
        value = json.loads(data)
        if code is None:
            self.assertEqual((r.status, value if r.status != 200 else None), (200, None))
        else:
            self.assertEqual(value.get("code"), code, value)
        return value

    def failure(self, stream, code):
        self.assertEqual(stream.rest(), [])
        self.assertEqual(stream.trailer["error"]["code"], code, stream.trailer)
        return stream.trailer["error"]["message"]

    def pids(self):
        return [p["pid"] for p in self.unary("List", {}).get("processes", [])]


class SnapshotTest(ProcessCase):
    def test_no_snapshot_while_a_process_runs(self):
        p = self.start("sleep", "100")
        p.next()
        self.assertEqual(self.control("POST", "/quiesce", {}, 409)["message"], "a process runs")


class StartTest(ProcessCase):
    def test_order_and_output(self):
        events = self.run_shell("echo out; echo err >&2; sleep 0.05; echo more; exit 3")
        self.assertEqual(output(events), b"out\nmore\n")
        self.assertEqual(output(events, "stderr"), b"err\n")
        self.assertEqual(events[-1]["end"], {"exitCode": 3, "exited": True,
                                             "status": "exit status 3", "error": "exit status 3"})
        self.assertEqual(self.run_shell("exit 0")[-1]["end"],
                         {"exited": True, "status": "exit status 0"})
        for e in events[1:-1]:
            self.assertIn("data", e)

    def test_signal_texts(self):
        for name, text in (("KILL", "killed"), ("TERM", "terminated"), ("INT", "interrupt"),
                           ("HUP", "hangup"), ("PIPE", "broken pipe"), ("ALRM", "alarm clock")):
            end = self.run_shell(f"kill -{name} $$")[-1]["end"]
            self.assertEqual(end, {"exitCode": -1, "status": f"signal: {text}",
                                   "error": f"signal: {text}"})
        self.assertEqual(self.run_shell("kill -42 $$")[-1]["end"]["status"], "signal: signal 42")

    def test_environment_and_identity(self):
        events = self.run_shell("env; id -u; echo $COLOR-$A-$X; cat /proc/self/oom_score_adj",
                                envs={"X": "ü 1", "A": "mine"})
        lines = output(events).decode().splitlines()
        self.assertIn(f"HOME={ME.pw_dir}", lines)
        self.assertIn(f"USER={ME.pw_name}", lines)
        self.assertIn(f"LOGNAME={ME.pw_name}", lines)
        self.assertIn("LANG=C.UTF-8", lines)
        self.assertIn("E2B_SANDBOX=true", lines)
        self.assertEqual(lines[-3:], [str(ME.pw_uid), "blue-mine-ü 1", "400"])

    def test_clean_child(self):
        # No descriptor but the first three, a session of its own, no signal blocked or ignored.
        events = self.run_shell("ls /proc/self/fd | wc -l; ps -o sid= -p $$; echo $$; "
                                "grep -E 'Sig(Blk|Ign)' /proc/self/status")
        lines = output(events).decode().split("\n")
        self.assertEqual(lines[0], "4")  # and the one that ls opens
        self.assertEqual(lines[1].strip(), lines[2])
        self.assertEqual(lines[2], str(events[0]["start"]["pid"]))
        self.assertEqual([int(line.split()[1], 16) for line in lines[3:5]], [0, 0])

    def test_directories(self):
        for cwd, expected in (("/tmp", "/tmp"), ("", "/"), ("~", ME.pw_dir), ("usr", "/usr")):
            self.assertEqual(output(self.run_shell("pwd", cwd=cwd)).decode().strip(), expected)
        text = self.failure(self.shell("pwd", cwd="/no/such"), "invalid_argument")
        self.assertEqual(text, "cwd '/no/such' does not exist")
        self.assertIn("Not a directory",
                      self.failure(self.shell("pwd", cwd="/etc/passwd"), "invalid_argument"))
        self.assertEqual(self.pids(), [])

    def test_refusals(self):
        self.assertEqual(self.failure(self.shell("true", user="nobody-here"), "unauthenticated"),
                         "invalid username: 'nobody-here'")
        self.failure(self.open("Start", {"process": {"cmd": ""}}), "invalid_argument")
        self.failure(self.open("Start", {}), "invalid_argument")
        self.failure(self.shell("true", envs={"A=B": "1"}), "invalid_argument")
        self.failure(self.shell("true", pty={"size": {"cols": 70000, "rows": 1}}),
                     "invalid_argument")
        self.failure(self.shell("true", headers={"Connect-Timeout-Ms": "soon"}),
                     "invalid_argument")

    def test_program_not_found(self):
        stream = self.start("no-such-program", "x")
        events = stream.rest()
        self.assertEqual(events[-1]["end"]["exitCode"], 127)
        self.assertIn(b"no-such-program", output(events, "stderr"))
        self.assertEqual(self.start("/etc/passwd").rest()[-1]["end"]["exitCode"], 126)
        self.assertEqual(output(self.start("echo", "found in", "PATH").rest()),
                         b"found in PATH\n")

    def test_large_output(self):
        events = self.run_shell("head -c 3000000 /dev/zero")
        self.assertEqual(len(output(events)), 3000000)
        for e in events[1:-1]:
            self.assertLessEqual(len(base64.b64decode(e["data"]["stdout"])), 32768)

    def test_end_waits_for_output_of_descendants(self):
        events = self.run_shell("(sleep 0.3; echo late) & echo early")
        self.assertEqual(output(events), b"early\nlate\n")

    def test_deadline(self):
        stream = self.shell("echo $$; sleep 60 & sleep 60",
                            headers={"Connect-Timeout-Ms": "400"})
        pid = stream.next()["start"]["pid"]
        events = stream.rest()
        self.assertEqual(stream.trailer["error"]["code"], "deadline_exceeded")
        self.assertEqual(output(events), f"{pid}\n".encode())
        end = self.open("Connect", {"process": {"pid": pid}}).rest()[-1]["end"]
        self.assertEqual(end["status"], "signal: killed")
        self.assertEqual(self.pids(), [])

    def test_deadline_without_client(self):
        stream = self.shell("sleep 60", headers={"Connect-Timeout-Ms": "500"})
        pid = stream.next()["start"]["pid"]
        stream.close()
        end = self.open("Connect", {"process": {"pid": pid}}).rest()[-1]["end"]
        self.assertEqual(end["status"], "signal: killed")

    def test_keepalive(self):
        stream = self.shell("sleep 1.5", headers={"Keepalive-Ping-Interval": "1"})
        self.assertEqual([next(iter(e)) for e in stream.rest()], ["start", "keepalive", "end"])

    def test_disconnect_does_not_kill(self):
        stream = self.shell("sleep 0.5; echo alive")
        pid = stream.next()["start"]["pid"]
        stream.close()
        follower = self.open("Connect", {"process": {"pid": pid}})
        events = follower.rest()
        self.assertEqual(events[0]["start"]["pid"], pid)
        self.assertEqual(output(events), b"alive\n")
        self.assertEqual(events[-1]["end"]["status"], "exit status 0")


class InputTest(ProcessCase):
    def send(self, pid, data, kind="stdin", code=None):
        return self.unary("SendInput", {"process": {"pid": pid}, "input": {
            kind: base64.b64encode(data).decode()}}, code)

    def test_send_and_close(self):
        stream = self.shell("cat; sleep 0.5")
        pid = stream.next()["start"]["pid"]
        self.send(pid, b"one\n")
        self.assertEqual(output([stream.next()]), b"one\n")
        self.send(pid, "zwei ü".encode())
        self.send(pid, b"")
        self.unary("CloseStdin", {"process": {"pid": pid}})
        self.unary("CloseStdin", {"process": {"pid": pid}})
        events = stream.rest()
        self.assertEqual(output(events).decode(), "zwei ü")
        self.assertEqual(events[-1]["end"]["status"], "exit status 0")

    def test_no_input(self):
        stream = self.shell("cat; sleep 0.6", stdin=False)
        pid = stream.next()["start"]["pid"]
        text = "error writing to stdin: stdin not enabled or closed"
        self.assertEqual(self.send(pid, b"x", code="internal")["message"], text)
        self.unary("SendInput", {"process": {"pid": pid}}, "unimplemented")
        self.send(pid, b"x", "pty", "internal")
        self.assertEqual(self.unary("Update", {"process": {"pid": pid}, "pty": {
            "size": {"cols": 1, "rows": 1}}}, "internal")["message"],
            "tty not assigned to process")
        self.assertEqual(output(stream.rest()), b"")

    def test_slow_reader_of_input(self):
        stream = self.shell("sleep 0.4; wc -c")
        pid = stream.next()["start"]["pid"]
        begin = time.monotonic()
        self.send(pid, b"x" * 2000000)
        self.assertGreater(time.monotonic() - begin, 0.2)
        self.unary("CloseStdin", {"process": {"pid": pid}})
        self.assertEqual(output(stream.rest()).strip(), b"2000000")

    def test_input_of_the_dead(self):
        stream = self.shell("exec 0<&-; sleep 0.5")
        pid = stream.next()["start"]["pid"]
        time.sleep(0.2)
        self.assertIn("error writing to stdin", self.send(pid, b"x", code="internal")["message"])
        stream.rest()
        self.assertEqual(self.send(pid, b"x", code="not_found")["message"],
                         f"process with pid {pid} not found")

    def test_stream_input(self):
        stream = self.start("cat", tag="in")
        stream.next()
        data = [b"a" * 300000, b"b" * 300000, b"end"]
        body = b"".join([envelope({"start": {"process": {"tag": "in"}}}),
                         envelope({"keepalive": {}})] +
                        [envelope({"data": {"input": {"stdin": base64.b64encode(d).decode()}}})
                         for d in data])
        got = []
        reader = threading.Thread(target=lambda: got.append(stream.rest()))
        reader.start()
        r, answer = self.agent.call(
            "data", "POST", self.service + "StreamInput", body,
            self.headers({"Content-Type": "application/connect+json"}))
        self.assertEqual(r.status, 200)
        self.assertNotIn(b"error", answer)
        self.unary("CloseStdin", {"process": {"tag": "in"}})
        reader.join()
        self.assertEqual(output(got[0]), b"".join(data))

    def test_terminal(self):
        stream = self.shell("stty size; tty >/dev/null && echo tty; read x; stty size; "
                            "echo got $x; read y", pty={"size": {"cols": 91, "rows": 17}})
        pid = stream.next()["start"]["pid"]
        seen = b""
        while b"tty\r\n" not in seen:
            seen += output([stream.next()], "pty")
        self.assertEqual(seen, b"17 91\r\ntty\r\n")
        self.unary("Update", {"process": {"pid": pid}, "pty": {"size": {"cols": 50, "rows": 5}}})
        self.send(pid, b"hello\n", "pty")
        self.send(pid, b"x", "stdin", "internal")
        self.unary("CloseStdin", {"process": {"pid": pid}}, "unknown")
        while b"got" not in seen:
            seen += output([stream.next()], "pty")
        self.assertIn(b"5 50\r\n", seen)
        self.send(pid, b"\x04", "pty")
        events = stream.rest()
        self.assertEqual(events[-1]["end"]["exitCode"], 1)


class SignalTest(ProcessCase):
    def signal(self, pid, name, code=None):
        return self.unary("SendSignal", {"process": {"pid": pid}, "signal": name}, code)

    def test_kill_leaves_nothing(self):
        # A child, one in a session of its own whose parent is gone, and one that ignores SIGTERM.
        stream = self.shell("sleep 61 & setsid sh -c 'sleep 62 & sleep 63' & "
                            "(trap '' TERM; exec sleep 64) & echo ready; wait")
        pid = stream.next()["start"]["pid"]
        self.assertEqual(output([stream.next()]), b"ready\n")
        time.sleep(0.2)
        self.signal(pid, "SIGNAL_SIGKILL")
        for p in os.listdir("/proc"):
            if p.isdigit():
                try:
                    with open(f"/proc/{p}/cmdline", "rb") as f:
                        self.assertNotRegex(f.read(), rb"^sleep\x006[1-4]\x00")
                except (FileNotFoundError, ProcessLookupError):
                    pass
        end = stream.rest()[-1]["end"]
        self.assertEqual(end, {"exitCode": -1, "status": "signal: killed",
                               "error": "signal: killed"})
        self.signal(pid, "SIGNAL_SIGKILL", "not_found")

    def test_term_goes_to_the_process_only(self):
        # The child keeps the pipe open, but the end does not wait for it.
        stream = self.shell("trap 'echo bye; exit 5' TERM; sleep 60 & echo $!; "
                            "while :; do sleep 0.05; done")
        pid = stream.next()["start"]["pid"]
        child = int(output([stream.next()]))
        self.addCleanup(os.kill, child, signal.SIGKILL)
        self.signal(pid, "SIGNAL_SIGTERM")
        events = stream.rest()
        self.assertEqual(output(events), b"bye\n")
        self.assertEqual(events[-1]["end"]["exitCode"], 5)
        os.kill(child, 0)

    def test_end_does_not_wait_after_a_signal(self):
        stream = self.shell("sleep 60 & echo $!")
        pid = stream.next()["start"]["pid"]
        child = int(output([stream.next()]))
        self.addCleanup(os.kill, child, signal.SIGKILL)
        time.sleep(0.1)
        self.assertEqual(self.pids(), [pid])
        self.signal(pid, "SIGNAL_SIGTERM")
        self.assertEqual(stream.rest()[-1]["end"]["status"], "exit status 0")

    def test_refusals(self):
        stream = self.shell("sleep 60", tag="it")
        pid = stream.next()["start"]["pid"]
        self.signal(pid, "SIGNAL_UNSPECIFIED", "unimplemented")
        self.unary("SendSignal", {"signal": "SIGNAL_SIGKILL"}, "invalid_argument")
        self.assertEqual(
            self.unary("SendSignal", {"process": {"tag": "no"}, "signal": 9}, "not_found")["message"],
            "process with tag no not found")
        self.unary("SendSignal", {"process": {"tag": "it"}, "signal": 9})
        self.assertEqual(stream.rest()[-1]["end"]["status"], "signal: killed")

    def test_list(self):
        self.assertEqual(self.unary("List", {}), {})
        a = self.start("sleep", "60", tag="t", envs={"K": "v=w"}, cwd="/tmp")
        b = self.shell("sleep 60")
        pids = [s.next()["start"]["pid"] for s in (a, b)]
        self.assertEqual(self.unary("List", {})["processes"], [
            {"config": {"cmd": "sleep", "args": ["60"], "envs": {"K": "v=w"}, "cwd": "/tmp"},
             "pid": pids[0], "tag": "t"},
            {"config": {"cmd": "/bin/sh", "args": ["-c", "sleep 60"]}, "pid": pids[1]}])
        for pid in pids:
            self.signal(pid, "SIGNAL_SIGKILL")
        self.assertEqual(self.unary("List", {}), {})


class ConnectTest(ProcessCase):
    def connect(self, pid, seq=None):
        return self.open("Connect", {"process": {"pid": pid}},
                         {} if seq is None else {"Sandglass-From-Seq": str(seq)})

    def test_new_output_only(self):
        stream = self.shell("echo old; read x; echo new $x")
        pid = stream.next()["start"]["pid"]
        self.assertEqual(output([stream.next()]), b"old\n")
        follower = self.connect(pid)
        self.assertEqual(follower.next(), {"start": {"pid": pid}})
        self.assertEqual(follower.response.getheader("sandglass-seq"), "3")
        self.unary("SendInput", {"process": {"pid": pid}, "input": {
            "stdin": base64.b64encode(b"1\n").decode()}})
        for s in (stream, follower):
            events = s.rest()
            self.assertEqual(output(events), b"new 1\n")
            self.assertEqual(events[-1]["end"]["status"], "exit status 0")
        # Later only the end is new, and it can be had again and again.
        for _ in range(2):
            self.assertEqual([next(iter(e)) for e in self.connect(pid).rest()], ["start", "end"])

    def test_cut_after_every_byte(self):
        """Read n bytes of a stream, for all n, then have the rest from a second stream."""
        script = "i=0; while [ $i -lt 100 ]; do printf '%0100d' $i; i=$((i+1)); done"
        whole = b"".join(b"%0100d" % i for i in range(100))
        stream = self.shell(script)
        pid = stream.next()["start"]["pid"]
        self.assertEqual(output(stream.rest()), whole)
        raw = self.raw(pid)
        self.assertGreater(len(raw), 10000)
        for n in range(len(raw) + 1):
            got, seq = b"", 1
            at = 0
            while at + 5 <= n:
                flags, size = struct.unpack(">BI", raw[at:at + 5])
                if at + 5 + size > n or flags:
                    break
                event = json.loads(raw[at + 5:at + 5 + size])["event"]
                got += output([event])
                seq += 1
                at += 5 + size
            if n % 97 and n < len(raw) - 40:
                continue  # a cut inside a frame is the same as one before it
            again = self.connect(pid, seq)
            events = again.rest()
            self.assertEqual(got + output(events), whole)
            self.assertEqual(again.trailer, {})

    def raw(self, pid):
        stream = self.connect(pid, 1)
        return stream.response.read()

    def test_from_seq_out_of_range(self):
        stream = self.shell("echo 1")
        pid = stream.next()["start"]["pid"]
        stream.rest()
        self.failure(self.connect(pid, 5), "out_of_range")
        self.failure(self.connect(pid, "x"), "invalid_argument")
        self.failure(self.connect(1), "not_found")
        self.assertEqual([next(iter(e)) for e in self.connect(pid, 4).rest()], ["start"])

    def test_deadline_of_connect_does_not_kill(self):
        stream = self.shell("sleep 0.8; echo done")
        pid = stream.next()["start"]["pid"]
        follower = self.open("Connect", {"process": {"pid": pid}}, {"Connect-Timeout-Ms": "200"})
        follower.rest()
        self.assertEqual(follower.trailer["error"]["code"], "deadline_exceeded")
        self.assertEqual(output(stream.rest()), b"done\n")


class ManyTest(ProcessCase):
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.agent.process.pid}/fd"))

    def zombies(self):
        with open(f"/proc/{self.agent.process.pid}/task/{self.agent.process.pid}/children") as f:
            return len(f.read().split())

    def test_at_once(self):
        before = self.descriptors()
        streams = [self.shell(f"read x; echo {i}") for i in range(200)]
        pids = [s.next()["start"]["pid"] for s in streams]
        self.assertEqual(len(set(pids)), 200)
        self.assertEqual(self.pids(), pids)
        for pid in pids:
            self.unary("SendInput", {"process": {"pid": pid}, "input": {"stdin": "Cg=="}})
        for i, s in enumerate(streams):
            self.assertEqual(output(s.rest()), b"%d\n" % i)
            s.close()
        deadline = time.monotonic() + 5
        while (self.descriptors() > before or self.zombies()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertLessEqual(self.descriptors(), before)
        self.assertEqual(self.zombies(), 0)

    def test_in_a_row(self):
        before = self.descriptors()
        for i in range(300):
            self.assertEqual(output(self.start("echo", str(i)).rest()), b"%d\n" % i)
            self.doCleanups_of_streams()
        deadline = time.monotonic() + 5
        while (self.descriptors() > before or self.zombies()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertLessEqual(self.descriptors(), before)
        self.assertEqual(self.zombies(), 0)

    def doCleanups_of_streams(self):
        function, args, kwargs = self._cleanups.pop()
        function(*args, **kwargs)


if __name__ == "__main__":
    unittest.main()
