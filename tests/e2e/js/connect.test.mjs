// connect-es, the clients of Connect for JavaScript: the same calls over every protocol and codec that it speaks.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  Http2SessionManager, compressionGzip, createConnectTransport, createGrpcTransport, createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { dataHeaders, envdHeaders, keyHeaders, service, url } from "./rpc.mjs";

const SANDBOXES = service("sandglass.v1.SandboxService");
const CODE = service("sandglass.v1.CodeInterpreter");
const HEALTH = service("grpc.health.v1.Health");
const PROCESS = service("process.Process");
const FILES = service("filesystem.Filesystem");
const REFLECTION = service("grpc.reflection.v1.ServerReflection");

const KINDS = {
  "Connect JSON, HTTP/1.1": [createConnectTransport, { httpVersion: "1.1", useBinaryFormat: false }],
  "Connect JSON, HTTP/2": [createConnectTransport, { httpVersion: "2", useBinaryFormat: false }],
  "Connect proto, HTTP/1.1": [createConnectTransport, { httpVersion: "1.1", useBinaryFormat: true }],
  "Connect proto, HTTP/2": [createConnectTransport, { httpVersion: "2", useBinaryFormat: true }],
  "gRPC": [createGrpcTransport, { httpVersion: "2" }],
  "gRPC JSON": [createGrpcTransport, { httpVersion: "2", useBinaryFormat: false }],
  "gRPC-Web, HTTP/1.1": [createGrpcWebTransport, { httpVersion: "1.1" }],
  "gRPC-Web, HTTP/2": [createGrpcWebTransport, { httpVersion: "2" }],
  "gRPC-Web JSON": [createGrpcWebTransport, { httpVersion: "1.1", useBinaryFormat: false }],
};

async function failure(promise) {
  const error = await promise.then(() => assert.fail("the call succeeded"), (e) => e);
  assert.ok(error instanceof ConnectError, `${error}`);
  return error;
}

async function all(stream) {
  const list = [];
  for await (const item of stream) list.push(item);
  return list;
}

function text(events, kind) {
  return events.filter((e) => e.event.case === kind).map((e) => e.event.value.text).join("");
}

for (const [name, [create, options]] of Object.entries(KINDS)) {
  describe(name, () => {
    // Left alone, an HTTP/2 connection would keep the process alive for a quarter of an hour.
    const http2 = options.httpVersion === "2" ? { sessionManager: new Http2SessionManager(url) } : {};
    const make = (more = {}) => create({ baseUrl: url, ...options, ...http2, ...more });
    const transport = make();
    const sandboxes = createClient(SANDBOXES, transport);
    const code = createClient(CODE, transport);
    let box, data;

    before(async () => {
      box = await sandboxes.createSandbox(
        { timeoutSeconds: 600, metadata: { "naïve/κλειδί": "süß 😀\n\"quoted\"", empty: "" }, env: { GREETING: "hallo" } },
        { headers: keyHeaders });
      data = { headers: dataHeaders(box) };
    });
    after(async () => {
      await sandboxes.killSandbox({ sandboxId: box.sandbox.sandboxId }, { headers: keyHeaders });
      http2.sessionManager?.abort();
    });
    const run = (source, more = {}) => all(code.execute({ code: source }, { ...data, ...more }));

    test("messages with maps, enums, times and 64-bit numbers", async () => {
      const { sandbox } = await sandboxes.getSandbox({ sandboxId: box.sandbox.sandboxId }, { headers: keyHeaders });
      assert.deepEqual(sandbox.metadata, { "naïve/κλειδί": "süß 😀\n\"quoted\"", empty: "" });
      assert.equal(sandbox.state, 1);
      assert.equal(typeof sandbox.memoryBytes, "bigint");
      assert.ok(sandbox.memoryBytes >= 1n << 28n);
      const life = Number(sandbox.endAt.seconds - sandbox.startedAt.seconds);
      assert.ok(life >= 599 && life <= 601, `${life}`);
      const { sandboxes: list } = await sandboxes.listSandboxes(
        { metadata: { empty: "", "naïve/κλειδί": "süß 😀\n\"quoted\"" } }, { headers: keyHeaders });
      assert.ok(list.some((s) => s.sandboxId === box.sandbox.sandboxId));
    });

    test("a stream of events with oneof, struct values and text", async () => {
      const events = await run("import os\nprint('ä€😀', os.environ['GREETING'])\n[1, None, {'a': 'b\\u0001'}]");
      const numbered = events.filter((e) => e.seq > 0n);
      assert.deepEqual(numbered.map((e) => e.seq), numbered.map((_, i) => BigInt(i + 1)));
      assert.equal(text(events, "stdout"), "ä€😀 hallo\n");
      const result = events.find((e) => e.event.case === "result").event.value;
      assert.equal(result.isMainResult, true);
      assert.equal(result.data["text/plain"], "[1, None, {'a': 'b\\x01'}]");
      const last = events.at(-1).event;
      assert.equal(last.case, "end");
      assert.equal(last.value.status, 1);
      assert.ok(Math.abs(Number(events[0].time.seconds) - Date.now() / 1000) < 60);
    });

    test("an error in a cell is an event, not an error of the call", async () => {
      const events = await run("1/0");
      const error = events.find((e) => e.event.case === "error").event.value;
      assert.equal(error.name, "ZeroDivisionError");
      assert.match(error.traceback, /1\/0/);
      assert.equal(events.at(-1).event.value.status, 2);
    });

    test("errors have their code and text", async () => {
      const cases = [
        [() => sandboxes.getSandbox({ sandboxId: "x" }), Code.Unauthenticated, /./],
        [() => sandboxes.getSandbox({ sandboxId: "inosuchsandbox" }, { headers: keyHeaders }), Code.NotFound, /inosuchsandbox/],
        [() => sandboxes.createSandbox({ template: "nöpe" }, { headers: keyHeaders }), Code.NotFound, /nöpe/],
        [() => sandboxes.listSandboxes({ pageSize: 4000000000 }, { headers: keyHeaders }), Code.InvalidArgument, /page_size/],
        [() => code.createContext({ language: "cobol" }, data), Code.FailedPrecondition, /cobol/],
        [() => all(code.execute({ code: "1", contextId: "none" }, data)), Code.NotFound, /none/],
        [() => all(code.attach({ executionId: "none" }, data)), Code.NotFound, /none/],
      ];
      for (const [call, wanted, words] of cases) {
        const error = await failure(call());
        assert.equal(error.code, wanted, error.message);
        assert.match(error.rawMessage, words);
      }
    });

    test("attach replays from a number", async () => {
      const events = (await run("for i in range(20): print(i, flush=True)")).filter((e) => e.seq > 0n);
      const executionId = events[0].event.value.executionId;
      const again = await all(code.attach({ executionId, fromSeq: 5n }, data));
      assert.deepEqual(again.filter((e) => e.seq > 0n), events.slice(4));
    });

    test("a deadline ends the stream with its code", async () => {
      const began = Date.now();
      const error = await failure(run("import time; time.sleep(60)", { timeoutMs: 700 }));
      assert.equal(error.code, Code.DeadlineExceeded);
      assert.ok(Date.now() - began < 20_000);
      assert.equal((await run("1")).at(-1).event.value.status, 1);
    });

    test("a cancelled stream frees the context", async () => {
      const abort = new AbortController();
      const source = "import time\nprint('on', flush=True)\ntime.sleep(60)";
      const seen = [];
      const error = await failure((async () => {
        const call = code.execute({ code: source, interruptOnDisconnect: true }, { ...data, signal: abort.signal });
        for await (const e of call) {
          seen.push(e.event.case);
          if (e.event.case === "stdout") abort.abort();
        }
      })());
      assert.equal(error.code, Code.Canceled);
      assert.ok(seen.includes("stdout"));
      const began = Date.now();
      assert.equal((await run("2")).at(-1).event.value.status, 1);
      assert.ok(Date.now() - began < 20_000);
    });

    test("large messages both ways, and their bound", async () => {
      const big = "x".repeat(3_000_000);
      const events = await run(`s = '${big}'\nprint(len(s))\nprint(s)`);
      assert.equal(text(events, "stdout"), `3000000\n${big}\n`);
      const error = await failure(run(`s = '${"x".repeat(5_000_000)}'`));
      assert.equal(error.code, Code.ResourceExhausted, error.message);
    });

    test("metadata that a caller adds does no harm", async () => {
      const headers = { ...keyHeaders, "x-text": "a, b", "x-data-bin": Buffer.from([0, 255, 7]).toString("base64") };
      let head;
      const { templates } = await sandboxes.listTemplates({}, { headers, onHeader: (h) => { head = h; } });
      assert.ok(templates.some((t) => t.name === "base"));
      assert.match(head.get("content-type"), /^application\//);
    });

    // Refused over gRPC-Web, connect-node leaves its request unfinished and the connection open.
    if (create !== createGrpcWebTransport) test("compressed requests", async () => {
      const packed = createClient(SANDBOXES, make({ sendCompression: compressionGzip, compressMinBytes: 0 }));
      const error = await failure(packed.listSandboxes({ pageSize: 5 }, { headers: keyHeaders }));
      assert.equal(error.code, Code.Unimplemented);
      const accepted = ["accept-encoding", "connect-accept-encoding", "grpc-accept-encoding"].map((n) => error.metadata.get(n));
      assert.deepEqual(accepted.filter((v) => v), ["identity"]);
    });

    test("a process: bytes in by a stream of the client, bytes and its end out", async () => {
      const processes = createClient(PROCESS, transport);
      const headers = envdHeaders(box);
      const input = Buffer.concat([Buffer.from("ä\n\0"), Buffer.alloc(100_000, 0xff)]);
      const output = [];
      let ended;
      const start = { process: { cmd: "cat", envs: { A: "ü" } }, tag: "cat", stdinChoice: { case: "stdin", value: true } };
      for await (const { event: { event } } of processes.start(start, { headers })) {
        if (event.case === "start") {
          const process = { selector: { case: "pid", value: event.value.pid } };
          const data = (value) => ({ event: { case: "data", value: { input: { input: { case: "stdin", value } } } } });
          async function* pieces() {
            yield { event: { case: "start", value: { process } } };
            yield data(input.subarray(0, 5));
            yield { event: { case: "keepalive", value: {} } };
            yield data(input.subarray(5));
          }
          await processes.streamInput(pieces(), { headers });
          const { processes: list } = await processes.list({}, { headers });
          assert.deepEqual(list.map((p) => [p.pid, p.tag, p.config.envs.A]), [[event.value.pid, "cat", "ü"]]);
          await processes.closeStdin({ process }, { headers });
        } else if (event.case === "data") {
          assert.equal(event.value.output.case, "stdout");
          output.push(event.value.output.value);
        } else if (event.case === "end") {
          ended = event.value;
        }
      }
      assert.ok(Buffer.concat(output).equals(input), `${Buffer.concat(output).length} bytes`);
      assert.deepEqual([ended.exitCode, ended.exited, ended.status], [0, true, "exit status 0"]);
    });

    test("a process that is killed, and one that is not there", async () => {
      const processes = createClient(PROCESS, transport);
      const headers = envdHeaders(box);
      const events = [];
      for await (const { event: { event } } of processes.start({ process: { cmd: "sleep", args: ["60"] } }, { headers })) {
        events.push(event);
        const process = { selector: { case: "pid", value: event.value.pid } };
        if (event.case === "start") await processes.sendSignal({ process, signal: 9 }, { headers });
      }
      const last = events.at(-1).value;
      assert.deepEqual([last.exitCode, last.exited, last.status], [-1, false, "signal: killed"]);
      const nobody = { process: { selector: { case: "tag", value: "nöbody" } } };
      const error = await failure(processes.sendInput({ ...nobody, input: { input: { case: "stdin", value: new Uint8Array(1) } } }, { headers }));
      assert.equal(error.code, Code.NotFound);
      assert.match(error.rawMessage, /nöbody/);
      async function* lost() {
        yield { event: { case: "start", value: nobody } };
      }
      assert.equal((await failure(processes.streamInput(lost(), { headers }))).code, Code.NotFound);
    });

    test("files: times, 64-bit sizes, lists", async () => {
      const files = createClient(FILES, transport);
      const headers = envdHeaders(box);
      const path = `/tmp/ordner-ü`;
      const { entry: made } = await files.makeDir({ path }, { headers });
      assert.equal(made.path, path);
      assert.ok(Math.abs(Number(made.modifiedTime.seconds) - Date.now() / 1000) < 60);
      assert.equal((await failure(files.makeDir({ path }, { headers }))).code, Code.AlreadyExists);
      const { entries } = await files.listDir({ path: "/tmp", depth: 1 }, { headers });
      const found = entries.find((e) => e.name === "ordner-ü");
      assert.equal(typeof found.size, "bigint");
      assert.equal(found.type, 2);
      await files.remove({ path }, { headers });
      assert.equal((await failure(files.stat({ path }, { headers }))).code, Code.NotFound);
    });

    test("health", async () => {
      const health = createClient(HEALTH, transport);
      assert.equal((await health.check({})).status, 1);
      assert.equal((await failure(health.check({ service: "nobody" }))).code, Code.NotFound);
      const abort = new AbortController();
      const error = await failure((async () => {
        for await (const answer of health.watch({ service: SANDBOXES.typeName }, { signal: abort.signal })) {
          assert.equal(answer.status, 1);
          abort.abort(); // leaving the loop would leave the stream open
        }
      })());
      assert.equal(error.code, Code.Canceled);
    });

    test("reflection, a stream in both directions", async () => {
      const reflection = createClient(REFLECTION, transport);
      async function* ask() {
        yield { messageRequest: { case: "listServices", value: "" } };
        yield { messageRequest: { case: "fileContainingSymbol", value: SANDBOXES.typeName } };
        yield { messageRequest: { case: "fileByFilename", value: "nöpe.proto" } };
      }
      const [list, files, none] = (await all(reflection.serverReflectionInfo(ask()))).map((a) => a.messageResponse);
      const names = list.value.service.map((s) => s.name);
      for (const wanted of [SANDBOXES, HEALTH, REFLECTION]) assert.ok(names.includes(wanted.typeName), names.join());
      assert.ok(files.value.fileDescriptorProto.length >= 2);
      assert.equal(none.case, "errorResponse");
      assert.equal(none.value.errorCode, Code.NotFound);
    });
  });
}
