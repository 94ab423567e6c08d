#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives the agent over fake contexts (tests/lib/fake_contexts.h) through its two sockets."""
import base64
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

AGENT = os.environ.get("AGENT", "tests/unit/agent/agent_fake")
TOKEN = "secret-token"
INIT = {"sandboxId": "isandbox1", "templateId": "base", "accessToken": TOKEN,
        "envVars": {"COLOR": "blue"}, "timestamp": 1795237020000000000,
        "entropy": base64.b64encode(b"0123456789abcdef").decode(), "user": "", "workdir": "/"}
UNAUTHORIZED = {"code": 401, "message": "unauthorized access, please provide a valid access token "
                "or method signing if supported"}
SERVICE = "/sandglass.v1.CodeInterpreter/"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Agent:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sandglass-agent-")
        fds = []
        for name in ("control", "data"):
            s = socket.socket(socket.AF_UNIX)
            s.bind(f"{self.dir}/{name}")
            s.listen(64)
            s.setblocking(False)
            fds.append(s)
        self.process = subprocess.Popen(
            [AGENT, "--control-fd", str(fds[0].fileno()), "--data-fd", str(fds[1].fileno()),
             "--run-dir", self.dir, "--log-level", "error"],
            pass_fds=[s.fileno() for s in fds])
        for s in fds:
            s.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            shutil.rmtree(self.dir)
        if code != 0:
            raise AssertionError(f"the agent ended with {code}")

    def request(self, channel, method, path, body=None, headers=None):
        c = UnixConnection(f"{self.dir}/{channel}")
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        c.request(method, path, body, headers or {})
        return c, c.getresponse()

    def call(self, channel, method, path, body=None, headers=None):
        c, r = self.request(channel, method, path, body, headers)
        data = r.read()
        c.close()
        return r, data


class AgentCase(unittest.TestCase):
    boot = init = True

    def setUp(self):
        self.agent = Agent()
        self.addCleanup(self.agent.stop)
        if self.boot:
            self.control("POST", "/boot", {"templateId": "base", "env": {"A": "1"},
                                           "kernels": ["python"]}, 204)
            self.control("GET", "/ready?wait=20000", None, 200)
        if self.init:
            self.control("POST", "/init", INIT, 204)

    def control(self, method, path, body, status):
        r, data = self.agent.call("control", method, path, body)
        self.assertEqual((r.status, data) if r.status != status else status, status)
        return json.loads(data) if data else None

    def data(self, method, path, body=None, headers=None, port=49999, token=TOKEN):
        h = {"sandglass-port": str(port), **(headers or {})}
        if token is not None:
            h["X-Access-Token"] = token
        return self.agent.call("data", method, path, body, h)

    def execute_lines(self, code, **more):
        r, data = self.data("POST", "/execute", {"code": code, **more})
        self.assertEqual((r.status, data) if r.status != 200 else 200, 200)
        self.assertTrue(data.endswith(b"\n"))
        return [json.loads(line) for line in data.decode("ascii").split("\n")[:-1]]

    def open_execute(self, code, **more):
        return self.agent.request("data", "POST", "/execute", {"code": code, **more},
                                  {"sandglass-port": "49999", "X-Access-Token": TOKEN})

    def assert_text(self, answer, status, text):
        r, data = answer
        self.assertEqual((r.status, data.decode()), (status, text))

    def assert_json(self, answer, status, value):
        r, data = answer
        self.assertEqual((r.status, json.loads(data)), (status, value))
        self.assertEqual(r.getheader("content-type").split(";")[0], "application/json")


class ControlTest(AgentCase):
    boot = init = False

    def test_life(self):
        self.assertEqual(self.control("GET", "/ready", None, 503)["ready"], False)
        self.control("GET", "/ready?wait=50", None, 503)
        self.assertEqual(self.control("GET", "/state", None, 200),
                         {"initialised": False, "sandboxId": ""})
        # Before init only health is served.
        self.assertEqual(self.data("GET", "/health", port=49983)[0].status, 204)
        self.assert_text(self.data("GET", "/health"), 200, '"OK"')
        for port in (49983, 49999, 3000):
            self.assertEqual(self.data("GET", "/envs", port=port)[0].status, 503)
        self.control("POST", "/boot", {"templateId": "base", "user": "", "workdir": "/",
                                       "env": {"A": "1"}, "kernels": ["python", "bash"]}, 204)
        self.assertEqual(self.control("GET", "/ready?wait=20000", None, 200), {"ready": True})
        self.control("POST", "/init", INIT, 204)
        self.control("POST", "/init", {**INIT, "timestamp": 5}, 204)
        self.assertIn("identity", self.control("POST", "/init", {**INIT, "sandboxId": "iother"},
                                               409)["message"])
        self.control("POST", "/boot", {}, 409)
        self.assertEqual(self.control("GET", "/state", None, 200),
                         {"initialised": True, "sandboxId": "isandbox1"})
        for name, text in (("", "true"), ("_ID", "isandbox1")):
            with open(f"{self.agent.dir}/e2b/.E2B_SANDBOX{name}") as f:
                self.assertEqual(f.read(), text)
        with open(f"{self.agent.dir}/e2b/.E2B_TEMPLATE_ID") as f:
            self.assertEqual(f.read(), "base")

    def test_refusals(self):
        for path, body, word in (
                ("/boot", "no json", "JSON"), ("/boot", "[]", "object"),
                ("/boot", {"kernels": "python"}, "kernels"), ("/boot", {"kernels": [1]}, "kernels[0]"),
                ("/boot", {"kernels": ["cobol"]}, "cobol"),
                ("/boot", {"history": {"seconds": -1}}, "seconds"), ("/boot", {"history": 1}, "history"), ("/boot", {"env": {"A": 1}}, "env"),
                ("/init", {}, "sandboxId"), ("/init", {**INIT, "entropy": "?"}, "entropy"),
                ("/init", {**INIT, "timestamp": "x"}, "timestamp"),
                ("/boot", {"pids": -1}, "pids"),
                ("/wake", {"entropy": "?"}, "entropy"), ("/wake", {"timestamp": -1}, "timestamp"),
                ("/clock", {}, "timestamp"), ("/clock", {"timestamp": 0}, "timestamp"), ("/wake", {"warmUp": 1}, "warmUp"),
                ("/wake", {"hostname": 1}, "hostname"), ("/quiesce", "[]", "object"),
                ("/notice", {"kind": "weather"}, "kind"), ("/boot", "{" + " " * 1100000, "larger")):
            with self.subTest(path=path, word=word):
                self.assertIn(word, self.control("POST", path, body, 400)["message"])
        self.assertIn("nobody-knows",
                      self.control("POST", "/boot", {"user": "nobody-knows"}, 500)["message"])
        self.control("GET", "/boot", None, 404)
        self.control("POST", "/execute", {}, 404)

    def test_kernel_that_does_not_start(self):
        self.control("POST", "/boot", {"kernels": ["python", "java"]}, 204)
        self.assertIn("java", self.control("GET", "/ready?wait=20000", None, 503)["reason"])

    def test_notice_and_metrics(self):
        self.control("POST", "/notice", {"kind": "oom", "count": 1}, 204)
        m = self.control("GET", "/metrics", None, 200)
        self.assertEqual(sorted(m), sorted(
            "ts cpu_count cpu_used_pct mem_total mem_used mem_cache mem_total_mib mem_used_mib "
            "disk_used disk_total".split()))
        self.assertGreater(m["mem_total"], m["mem_used"])

    def test_control_calls_are_not_on_the_data_channel(self):
        self.control("POST", "/init", INIT, 204)
        for port in (49983, 49999):
            for path in ("/init", "/boot", "/notice", "/state", "/ready", "/quiesce", "/wake", "/clock"):
                self.assertEqual(self.data("POST", path, {}, port=port)[0].status, 404)


class SnapshotTest(AgentCase):
    init = False
    WAKE = {"timestamp": 1795237020000000000, "entropy": INIT["entropy"], "hostname": "box"}

    def open_data(self):
        c = UnixConnection(f"{self.agent.dir}/data")
        c.request("GET", "/health", None, {"sandglass-port": "49999"})
        self.assertEqual(c.getresponse().read(), b'"OK"')
        return c

    def test_quiesce_waits_for_nobody(self):
        self.control("POST", "/boot", {"kernels": ["python", "java"]}, 204)
        self.assertIn("java", self.control("POST", "/quiesce", {}, 409)["message"])

    def test_quiesce_and_wake_drop_data_connections(self):
        for path, body in (("/quiesce", {}), ("/wake", self.WAKE), ("/wake", {})):
            c = self.open_data()
            self.control("POST", path, body, 204)
            self.assertEqual(c.sock.recv(1), b"")
            c.close()
            self.assertEqual(self.control("GET", "/ready?wait=20000", None, 200), {"ready": True})

    def test_not_while_something_runs(self):
        self.control("POST", "/init", INIT, 204)
        c, r = self.open_execute("hang")
        self.assertIn(b"number_of_executions", r.readline())
        self.assertIn("python kernel", self.control("POST", "/quiesce", {}, 409)["message"])
        self.control("POST", "/wake", self.WAKE, 204)  # its stream is dropped, which ends it
        c.close()
        deadline = time.monotonic() + 20
        while self.agent.call("control", "POST", "/quiesce", {})[0].status != 204:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


class GatewayTest(AgentCase):
    def test_port_header(self):
        for value in (None, "", "0", "65536", "abc", "49999x", "-1", "+80"):
            r, _ = self.agent.call("data", "GET", "/health", None,
                                   {"sandglass-port": value} if value is not None else {})
            self.assertEqual(r.status, 400, value)
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"{self.agent.dir}/data")
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nsandglass-port: 49999\r\n"
                  b"sandglass-port: 49983\r\n\r\n")
        self.assertIn(b" 400 ", s.recv(1000))
        s.close()


class EnvdTest(AgentCase):
    def test_plain(self):
        self.assertEqual(self.data("GET", "/health", port=49983, token=None)[0].status, 204)
        self.assert_json(self.data("GET", "/envs", port=49983), 200, {
            "A": "1", "COLOR": "blue", "E2B_SANDBOX": "true", "E2B_SANDBOX_ID": "isandbox1",
            "E2B_TEMPLATE_ID": "base"})
        self.assertEqual(self.data("GET", "/metrics?x=1", port=49983)[0].status, 200)
        for token in (None, "", "wrong", TOKEN + "x"):
            for path in ("/envs", "/metrics"):
                self.assert_json(self.data("GET", path, port=49983, token=token), 401, UNAUTHORIZED)
        self.assert_json(self.data("GET", "/nothing", port=49983), 404,
                         {"code": 404, "message": "path not found"})
        self.assertEqual(self.data("POST", "/envs", port=49983)[0].status, 405)

    def test_cors(self):
        for port in (49983, 49999):
            r, data = self.data("OPTIONS", "/whatever", None, {
                "Origin": "https://a.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "x-access-token,authorization"}, port, None)
            self.assertEqual((r.status, data), (204, b""))
            self.assertEqual(r.getheader("access-control-allow-origin"), "*")
            self.assertEqual(r.getheader("access-control-allow-headers"),
                             "x-access-token,authorization")
            self.assertEqual(r.getheader("access-control-max-age"), "7200")
            for method in ("GET", "POST", "DELETE"):
                self.assertIn(method, r.getheader("access-control-allow-methods"))
            r, _ = self.data("GET", "/health", None, {"Origin": "https://a.example"}, port)
            self.assertEqual(r.getheader("access-control-allow-origin"), "*")
            self.assertIn("Grpc-Status", r.getheader("access-control-expose-headers"))
        r, _ = self.data("GET", "/health")
        self.assertIsNone(r.getheader("access-control-allow-origin"))
        r, _ = self.data("POST", SERVICE + "ListContexts", {}, {
            "Origin": "https://a.example", "content-type": "application/json"})
        self.assertEqual((r.status, r.getheader("access-control-allow-origin")), (200, "*"))


class ExecuteTest(AgentCase):
    def test_lines(self):
        lines = self.execute_lines("print a\nerr é\nshow image/png AAAA\nmain '2'\nraise E bad")
        for line in lines:
            line.pop("timestamp", None)
        self.assertEqual(lines, [
            {"type": "number_of_executions", "execution_count": 1},
            {"type": "stdout", "text": "a\n"}, {"type": "stderr", "text": "é\n"},
            {"type": "result", "png": "AAAA", "extra": {}, "is_main_result": False},
            {"type": "result", "text": "2", "extra": {}, "is_main_result": True},
            {"type": "error", "name": "E", "value": "bad", "traceback": "Traceback"},
            {"type": "end_of_execution"}])
        self.assertEqual(self.execute_lines("print")[0]["execution_count"], 2)

    def test_fields(self):
        self.assertEqual(self.execute_lines("env COLOR")[1]["text"], "blue\n")
        self.assertEqual(self.execute_lines("env X", env_vars={"X": "y", "Z": ""})[1]["text"], "y\n")
        self.assertEqual(self.execute_lines("env X", env_vars=None, language=None,
                                            context_id=None)[1]["text"], "(none)\n")
        self.assertEqual(self.execute_lines("print 1", language="JS")[0]["execution_count"], 1)
        self.assertEqual(self.execute_lines("")[-1]["type"], "end_of_execution")
        self.assertRegex(self.execute_lines("print 1")[1]["timestamp"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

    def test_refusals(self):
        self.assert_text(self.data("POST", "/execute", {"code": "1", "context_id": "x", "language": "js"}),
                         400, "Only one of context_id or language can be provided")
        self.assert_text(self.data("POST", "/execute", {"code": "1", "context_id": "nope"}),
                         404, "Context nope not found")
        self.assert_text(self.data("POST", "/execute", {"code": "1", "language": "cobol"}),
                         500, "No kernel for language 'cobol' in this sandbox")
        self.assert_text(self.data("POST", "/execute", {"code": "1", "language": "java"}),
                         500, "the java kernel could not be started")
        for body in ("", "{", "[]", {}, {"code": 5}, {"code": None}, {"code": "1", "env_vars": {"A": 1}},
                     {"code": "1", "env_vars": []}, {"code": "1", "language": 3},
                     '{"code":"1","code":"2"}', '{"code":"\\u0000"}'):
            self.assertEqual(self.data("POST", "/execute", body)[0].status, 400, body)
        self.assertEqual(self.data("GET", "/execute")[0].status, 405)
        self.assertEqual(self.data("GET", "/elsewhere")[0].status, 404)
        big = json.dumps({"code": "#" * (17 << 20)})
        self.assertEqual(self.data("POST", "/execute", big)[0].status, 400)
        self.assertEqual(self.data("POST", "/execute", "#" * (33 << 20))[0].status, 413)

    def test_token(self):
        for token in (None, "", "wrong"):
            self.assert_json(self.data("POST", "/execute", {"code": "1"}, token=token), 401,
                             UNAUTHORIZED)

    def test_head_comes_while_queued(self):
        a, ra = self.open_execute("sleep 700\nprint first")
        begun = time.monotonic()
        b, rb = self.open_execute("print second")
        self.assertLess(time.monotonic() - begun, 0.6)
        self.assertEqual((ra.status, rb.status), (200, 200))
        second = rb.read().decode()
        self.assertIn("second", second)
        self.assertIn('"execution_count":2', second)
        self.assertIn("first", ra.read().decode())
        a.close()
        b.close()

    def test_disconnect_interrupts(self):
        c, r = self.open_execute("print begun\nhang")
        self.assertIn(b"number", r.readline())
        self.assertIn(b"begun", r.readline())
        c.sock.close()
        r.close()
        lines = self.execute_lines("print after")
        self.assertEqual(lines[0]["execution_count"], 2)
        self.assertEqual(lines[1]["text"], "after\n")

    def test_disconnect_while_queued(self):
        a, ra = self.open_execute("sleep 300\nprint first")
        b, rb = self.open_execute("print never")
        b.sock.close()
        rb.close()
        self.assertEqual(self.execute_lines("print third")[0]["execution_count"], 2)
        ra.read()
        a.close()

    def test_keepalive(self):
        kinds = [x["type"] for x in self.execute_lines("sleep 5300\nprint x")]
        self.assertEqual(kinds, ["number_of_executions", "keepalive", "stdout", "end_of_execution"])

    def test_kernel_death(self):
        error, end = self.execute_lines("die")[1:]
        self.assertEqual((error["name"], error["traceback"]), ("UnexpectedEndOfExecution", ""))
        self.assertEqual(end, {"type": "end_of_execution"})
        self.control("POST", "/notice", {"kind": "oom", "count": 1}, 204)
        self.assertIn("memory", self.execute_lines("die")[1]["value"])

    def test_restart_under_execution(self):
        context = json.loads(self.data("GET", "/contexts")[1])[0]["id"]
        c, r = self.open_execute("hang")
        r.readline()
        self.assert_text(self.data("POST", f"/contexts/{context}/restart"), 200, "null")
        lines = [json.loads(x) for x in r.read().splitlines()]
        self.assertEqual([x.get("name") for x in lines], ["ContextRestarting", None])
        self.assertEqual(lines[0]["value"], "Context was restarted")
        c.close()

    def test_much_output_to_a_slow_reader(self):
        size = 30 << 20
        c, r = self.open_execute(f"spam {size}")
        time.sleep(0.5)
        got = 0
        for line in r:
            got += len(json.loads(line).get("text", ""))
        self.assertEqual(got, size)
        c.close()

    def test_curl_http2(self):
        out = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", f"{self.agent.dir}/data",
             "-H", "sandglass-port: 49999", "-H", f"x-access-token: {TOKEN}", "-w", "%{http_version}",
             "-d", '{"code":"print two"}', "http://localhost/execute"],
            check=True, capture_output=True, timeout=30).stdout.decode()
        self.assertIn('"text":"two\\n"', out)
        self.assertTrue(out.endswith('{"type":"end_of_execution"}\n2'))


class ContextsTest(AgentCase):
    def test_rest(self):
        first = json.loads(self.data("GET", "/contexts", token=None)[1])
        self.assertEqual([c["language"] for c in first], ["python"])
        r, data = self.data("POST", "/contexts", {}, token=None)
        made = json.loads(data)
        self.assertEqual((r.status, sorted(made)), (200, ["cwd", "id", "language"]))
        self.assertEqual(made["language"], "python")
        other = json.loads(self.data("POST", "/contexts", {"language": " js".strip(), "cwd": "/root"},
                                     token=None)[1])
        self.assertEqual((other["language"], other["cwd"]), ("javascript", "/root"))
        self.assertEqual(len(json.loads(self.data("GET", "/contexts", token=None)[1])), 3)
        self.assertEqual(self.execute_lines("print x", context_id=made["id"])[0]["execution_count"], 1)
        self.assertEqual(self.data("DELETE", f"/contexts/{made['id']}", token=None)[0].status, 204)
        self.assert_text(self.data("DELETE", f"/contexts/{made['id']}", token=None), 404,
                         f"Context {made['id']} not found")
        self.assert_text(self.data("POST", "/contexts/x/restart", token=None), 404,
                         "Context x not found")
        self.assert_text(self.data("POST", "/contexts", {"language": "cobol"}), 500,
                         "No kernel for language 'cobol' in this sandbox")
        self.assertEqual(self.data("POST", "/contexts", {"language": "java"})[0].status, 500)
        self.assertEqual(self.data("POST", "/contexts", {"cwd": "relative"})[0].status, 500)
        self.assertEqual(self.data("POST", "/contexts", "x")[0].status, 400)

    def test_refusals(self):
        for method, path, status in (
                ("PUT", "/contexts", 405), ("GET", "/contexts/x", 405), ("GET", "/contexts/x/restart", 405),
                ("POST", "/contexts/x/other", 404), ("GET", "/contextsx", 404)):
            self.assertEqual(self.data(method, path)[0].status, status, path)
        for method, path in (("GET", "/contexts"), ("POST", "/contexts"), ("DELETE", "/contexts/x")):
            self.assertEqual(self.data(method, path, token="wrong")[0].status, 401)


def envelope(message):
    data = json.dumps(message).encode()
    return struct.pack(">BI", 0, len(data)) + data


def read_envelope(r):
    head = r.read(5)
    if len(head) < 5:
        return None, None
    flags, n = struct.unpack(">BI", head)
    return flags, json.loads(r.read(n))


class NativeCase(AgentCase):
    def open_stream(self, method, message, headers=None, token=TOKEN):
        h = {"sandglass-port": "49999", "content-type": "application/connect+json", **(headers or {})}
        if token:
            h["x-access-token"] = token
        c, r = self.agent.request("data", "POST", SERVICE + method, envelope(message), h)
        self.addCleanup(c.close)
        self.assertEqual((r.status, r.getheader("content-type")), (200, "application/connect+json"))
        return c, r

    def rest_of(self, r):
        events = []
        while True:
            flags, m = read_envelope(r)
            self.assertIsNotNone(flags, "the stream was cut")
            if flags == 2:
                return events, m
            events.append(m)

    def unary(self, method, message, token=TOKEN):
        r, data = self.data("POST", SERVICE + method, message, {"content-type": "application/json"},
                            token=token)
        return r.status, json.loads(data)


class NativeTest(NativeCase):
    def test_execute(self):
        _, r = self.open_stream("Execute", {
            "code": "print a\nerr b\nshow text/html <b>\njson application/json [1,null]\nmain 'x'\nnul",
            "env": {"K": "v"}})
        events, end = self.rest_of(r)
        self.assertEqual(end, {})
        self.assertEqual([e["seq"] for e in events], [str(i) for i in range(1, 10)])
        for e in events:
            self.assertRegex(e["time"], r"^\d{4}-.*Z$")
        self.assertEqual(sorted(events[0]["started"]), ["contextId", "executionId"])
        self.assertEqual([{k: v for k, v in e.items() if k not in ("seq", "time")}
                          for e in events[1:]], [
            {"busy": {"executionCount": 1}}, {"stdout": {"text": "a\n"}}, {"stderr": {"text": "b\n"}},
            {"result": {"data": {"text/html": "<b>"}}},
            {"result": {"json": {"application/json": [1, None]}}},
            {"result": {"isMainResult": True, "data": {"text/plain": "'x'"}}},
            {"stdout": {"text": "a\ufffdb\x01\"\\é😀", "offset": "2"}},
            {"end": {"status": "END_STATUS_OK", "executionCount": 1}}])

    def test_refusals(self):
        for message, code in (
                ({"code": "1", "contextId": "x"}, "not_found"),
                ({"code": "1", "contextId": "x", "language": "js"}, "invalid_argument"),
                ({"code": "1", "language": "cobol"}, "failed_precondition"),
                ({"code": "1", "language": "java"}, "unavailable"), ({"code": 5}, "invalid_argument")):
            _, r = self.open_stream("Execute", message)
            events, end = self.rest_of(r)
            self.assertEqual((events, end["error"]["code"]), ([], code), message)
        for method in ("Execute", "Attach"):
            for token in (None, "wrong"):
                _, r = self.open_stream(method, {}, token=token)
                self.assertEqual(self.rest_of(r)[1]["error"]["code"], "unauthenticated")
        for method in ("Interrupt", "ListContexts", "CreateContext", "RestartContext", "DeleteContext"):
            self.assertEqual(self.unary(method, {}, token="no")[0], 401)
        _, r = self.open_stream("Attach", {"executionId": "x"})
        self.assertEqual(self.rest_of(r)[1]["error"]["code"], "not_found")

    def test_attach_after_cut(self):
        for cut in range(1, 8):
            c, r = self.open_stream("Execute", {"code": "print 1\nerr 2\nspam 5000\nmain 3\nsleep 50\nprint 4"})
            head = [read_envelope(r)[1] for _ in range(cut)]
            c.sock.close()
            r.close()
            execution = head[0]["started"]["executionId"]
            _, r = self.open_stream("Attach", {"executionId": execution, "fromSeq": str(cut + 1)})
            rest, end = self.rest_of(r)
            self.assertEqual(end, {})
            self.assertEqual([e["seq"] for e in head + rest],
                             [str(i + 1) for i in range(len(head + rest))])
            self.assertEqual(rest[-1]["end"]["status"], "END_STATUS_OK")
            _, r = self.open_stream("Attach", {"executionId": execution})
            self.assertEqual(self.rest_of(r)[0], head + rest)
            _, r = self.open_stream("Attach", {"executionId": execution, "fromSeq": "1000"})
            self.assertEqual(self.rest_of(r)[1]["error"]["code"], "out_of_range")

    def test_interrupt(self):
        _, r = self.open_stream("Execute", {"code": "hang"})
        started = read_envelope(r)[1]["started"]
        read_envelope(r)
        contexts = self.unary("ListContexts", {})[1]["contexts"]
        self.assertTrue(contexts[0]["busy"])
        for request in ({"executionId": started["executionId"]}, {"contextId": started["contextId"]}, {}):
            self.assertEqual(self.unary("Interrupt", request), (200, {"wasBusy": True}))
            events, _ = self.rest_of(r)
            self.assertEqual(events[-1]["end"]["status"], "END_STATUS_INTERRUPTED")
            self.assertEqual(self.unary("Interrupt", {"executionId": started["executionId"]}), (200, {}))
            _, r = self.open_stream("Execute", {"code": "hang"})
            read_envelope(r)
            read_envelope(r)
        self.assertEqual(self.unary("Interrupt", {"executionId": "x"})[0], 404)
        self.assertEqual(self.unary("Interrupt", {"contextId": "x"})[0], 404)

    def test_survives_disconnect_unless_asked(self):
        for asked in (False, True):
            c, r = self.open_stream("Execute", {"code": "print 1\nsleep 300\nprint 2",
                                                "interruptOnDisconnect": asked})
            execution = read_envelope(r)[1]["started"]["executionId"]
            read_envelope(r)
            c.sock.close()
            r.close()
            _, r = self.open_stream("Attach", {"executionId": execution})
            events, _ = self.rest_of(r)
            self.assertEqual(events[-1]["end"]["status"],
                             "END_STATUS_INTERRUPTED" if asked else "END_STATUS_OK")

    def test_deadline(self):
        _, r = self.open_stream("Execute", {"code": "print 1\nhang"}, {"connect-timeout-ms": "300"})
        events, end = self.rest_of(r)
        self.assertEqual(end["error"]["code"], "deadline_exceeded")
        execution = events[0]["started"]["executionId"]
        _, r = self.open_stream("Attach", {"executionId": execution})
        self.assertEqual(self.rest_of(r)[0][-1]["end"]["status"], "END_STATUS_DEADLINE")

    def test_deadline_of_a_stream_that_is_gone(self):
        c, r = self.open_stream("Execute", {"code": "print 1\nhang"}, {"connect-timeout-ms": "500"})
        execution = read_envelope(r)[1]["started"]["executionId"]
        c.sock.close()
        r.close()
        _, r = self.open_stream("Attach", {"executionId": execution})
        self.assertEqual(self.rest_of(r)[0][-1]["end"]["status"], "END_STATUS_DEADLINE")

    def test_heartbeat(self):
        _, r = self.open_stream("Execute", {"code": "sleep 5300"})
        events, _ = self.rest_of(r)
        self.assertEqual([e for e in events if "heartbeat" in e][0].get("seq"), None)
        self.assertEqual(events[-1]["seq"], "3")

    def test_contexts(self):
        status, made = self.unary("CreateContext", {"language": "bash", "cwd": "/tmp"})
        self.assertEqual(status, 200)
        made = made["context"]
        self.assertEqual((made["language"], made["cwd"]), ("bash", "/tmp"))
        self.assertEqual(len(self.unary("ListContexts", {})[1]["contexts"]), 2)
        self.assertEqual(self.unary("RestartContext", {"contextId": made["contextId"]}), (200, {}))
        self.assertEqual(self.unary("DeleteContext", {"contextId": made["contextId"]}), (200, {}))
        for method in ("RestartContext", "DeleteContext"):
            self.assertEqual(self.unary(method, {"contextId": made["contextId"]})[0], 404)
        self.assertEqual(self.unary("CreateContext", {"language": "cobol"})[1]["code"],
                         "failed_precondition")
        self.assertEqual(self.unary("CreateContext", {"cwd": "relative"})[1]["code"], "invalid_argument")
        self.assertEqual(self.unary("CreateContext", {"language": "java"})[1]["code"], "unavailable")

    def test_grpc(self):
        code = b"print grpc"
        message = bytes([0x0a, len(code)]) + code
        out = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", f"{self.agent.dir}/data", "-D", "-",
             "-H", "sandglass-port: 49999", "-H", f"x-access-token: {TOKEN}", "-H", "te: trailers",
             "-H", "content-type: application/grpc", "--data-binary", "@-",
             "http://localhost" + SERVICE + "Execute"],
            input=struct.pack(">BI", 0, len(message)) + message, check=True, capture_output=True,
            timeout=30).stdout
        self.assertIn(b"grpc\n", out)
        self.assertIn(b"grpc-status: 0", out.lower())

    def test_standard_services(self):
        r, data = self.data("POST", "/grpc.health.v1.Health/Check", {},
                            {"content-type": "application/json"})
        self.assertEqual((r.status, json.loads(data)), (200, {"status": "SERVING"}))
        out = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", f"{self.agent.dir}/data",
             "-H", "sandglass-port: 49999", "-H", f"x-access-token: {TOKEN}",
             "-H", "content-type: application/grpc", "--data-binary", "@-",
             "http://localhost/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"],
            input=struct.pack(">BI", 0, 3) + b"\x3a\x01*", check=True, capture_output=True,
            timeout=30).stdout
        self.assertIn(b"sandglass.v1.CodeInterpreter", out)


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        answer = json.dumps({"path": self.path, "body": len(body),
                             "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *args):
        pass


class Server6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def echo_upgraded(listener):
    """Accept one upgrade request, then send back every byte."""
    s, _ = listener.accept()
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += s.recv(1)
    s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    while data := s.recv(65536):
        s.sendall(data)
    s.close()


class PortsTest(AgentCase):
    def serve(self, kind, address):
        server = kind((address, 0), Echo)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def test_passes_through(self):
        port = self.serve(http.server.ThreadingHTTPServer, "127.0.0.1")
        for n in (0, 10, 3 << 20):
            r, data = self.data("POST", "/a/b?c=d", b"x" * n, {"X-Odd": "1"}, port)
            seen = json.loads(data)
            self.assertEqual((r.status, seen["path"], seen["body"]), (200, "/a/b?c=d", n))
            self.assertEqual(seen["headers"]["x-odd"], "1")
            self.assertEqual(seen["headers"]["host"], "localhost")
            self.assertNotIn("sandglass-port", seen["headers"])

    def test_ipv6_only(self):
        try:
            port = self.serve(Server6, "::1")
        except OSError as e:
            self.skipTest(f"no ::1 here: {e}")
        r, data = self.data("POST", "/six", b"a body with the first request", {}, port)
        self.assertEqual((r.status, json.loads(data)["body"]), (200, 29))
        out = subprocess.run(
            ["curl", "-sS", "--http2-prior-knowledge", "--unix-socket", f"{self.agent.dir}/data",
             "-H", f"sandglass-port: {port}", "http://localhost/six"],
            check=True, capture_output=True, timeout=30).stdout
        self.assertEqual(json.loads(out)["path"], "/six")

    def test_upgrade(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        threading.Thread(target=echo_upgraded, args=(listener,), daemon=True).start()
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        self.addCleanup(s.close)
        s.connect(f"{self.agent.dir}/data")
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
                  b"sandglass-port: %d\r\n\r\n" % listener.getsockname()[1])
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += s.recv(1)
        self.assertTrue(head.startswith(b"HTTP/1.1 101"), head)
        for n in (1, 100000):
            s.sendall(b"e" * n)
            while n > 0:
                n -= len(s.recv(65536))

    def test_closed(self):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        self.assert_json(self.data("GET", "/", port=port), 502, {
            "sandboxId": "isandbox1", "message": "The sandbox is running but port is not open",
            "port": port, "code": 502})
        browser = {"User-Agent": "Mozilla/5.0", "Accept": "text/html"}
        r, data = self.data("GET", "/", None, browser, port)
        self.assertEqual((r.status, r.getheader("content-type")), (502, "text/html; charset=utf-8"))
        self.assertIn(str(port).encode(), data)
        for more in ({"Sec-Fetch-Mode": "cors"}, {"X-Requested-With": "x"},
                     {"Accept": "application/json"}):
            r, _ = self.data("GET", "/", None, {**browser, **more}, port)
            self.assertEqual(r.getheader("content-type"), "application/json; charset=utf-8")
        s.close()


if __name__ == "__main__":
    unittest.main()
