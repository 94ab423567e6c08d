// Servers inside a sandbox, reached over HTTP/2 with TLS by the host names that getHost() gives.
import assert from "node:assert/strict";
import http2 from "node:http2";
import { after, before, test } from "node:test";
import { newSandbox, servePort } from "./helpers.mjs";

let sandbox, session;

before(async () => {
  sandbox = await newSandbox();
  await servePort(sandbox, 8000);
  session = http2.connect(process.env.SANDGLASS_TLS_URL);
  await new Promise((resolve, reject) => session.once("remoteSettings", resolve).once("error", reject));
});
after(() => session.close());

function open(path, fields = {}, options = {}, port = 8000) {
  return session.request({ ":path": path, ":authority": sandbox.getHost(port), ...fields }, options);
}

async function response(stream) {
  const head = await new Promise((resolve, reject) => stream.once("response", resolve).once("error", reject));
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { status: head[":status"], head, body: Buffer.concat(chunks) };
}

test("answers of an HTTP/1.1 server over HTTP/2", async () => {
  const page = await response(open("/"));
  assert.equal(page.status, 200);
  assert.match(String(page.body), /from inside/);
  assert.equal((await response(open("/", { ":method": "HEAD" }))).head["content-length"], "57");
  assert.equal((await response(open("/status/204"))).status, 204);
  const seen = JSON.parse((await response(open("/headers", { "x-mine": "1" }))).body);
  assert.equal(seen.host, sandbox.getHost(8000));
  assert.equal(seen["x-mine"], "1");
});

test("large bodies both ways, many at once", async () => {
  const body = Buffer.alloc(3_000_000, "abcdefghi");
  const all = await Promise.all(Array.from({ length: 10 }, () => {
    const stream = open("/echo", { ":method": "POST" });
    stream.end(body);
    return response(stream);
  }));
  for (const { status, body: got } of all) assert.ok(status === 200 && got.equals(body));
});

test("trailers", async () => {
  const stream = open("/trailers");
  const trailers = new Promise((resolve) => stream.once("trailers", resolve));
  assert.equal(String((await response(stream)).body), "body");
  assert.equal((await trailers)["x-sum"], "abc");
});

test("events are not held back", async () => {
  const stream = open("/events/5"), came = [];
  stream.on("data", () => came.push(performance.now()));
  await response(stream);
  assert.equal(came.length, 5);
  assert.ok(came[4] - came[0] > 600, `they came within ${came[4] - came[0]} ms`);
});

test("a WebSocket by an extended CONNECT (RFC 8441)", async () => {
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const stream = open("/ws", { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https", "sec-websocket-version": "13" });
  const done = response(stream);
  stream.write(Buffer.concat([Buffer.from([0x81, 0x85, 0, 0, 0, 0]), Buffer.from("hello")]));
  stream.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 3, 232]));
  const { status, body } = await done;
  assert.equal(status, 200);
  assert.deepEqual(body, Buffer.concat([Buffer.from([0x81, 5]), Buffer.from("hello"), Buffer.from([0x88, 2, 3, 232])]));
  stream.end();
});

test("each way of a tunnel ends by itself", async () => {
  const stream = open("/raw", { ":method": "CONNECT", ":protocol": "raw", ":scheme": "https" });
  stream.end(Buffer.alloc(1_000_000, "r"));
  assert.equal(String((await response(stream)).body), "1000000");
});

test("a declined extended CONNECT is an answer", async () => {
  const stream = open("/status/404", { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https" });
  const { status, body } = await response(stream);
  assert.equal(status, 404);
  assert.equal(String(body), "some body");
});

test("a gRPC server speaks HTTP/2 in the sandbox, too", async () => {
  const program = `
const server = require("http2").createServer();
server.on("stream", (s, head) => {
  s.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  s.on("wantTrailers", () => s.sendTrailers({ "grpc-status": "0", "x-te": head.te ?? "" }));
  s.pipe(s);
});
server.listen(9000, "127.0.0.1");`;
  const { error } = await sandbox.runCode(`
import socket, subprocess, time
subprocess.Popen(["node", "-e", ${JSON.stringify(program)}])
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", 9000)).close()
        break
    except OSError:
        time.sleep(0.05)`);
  assert.equal(error, undefined);
  const stream = open("/a.B/C", { ":method": "POST", "content-type": "application/grpc", te: "trailers" }, {}, 9000);
  const trailers = new Promise((resolve) => stream.once("trailers", resolve));
  stream.end(Buffer.from([0, 0, 0, 0, 2, 1, 2]));
  const { status, body } = await response(stream);
  assert.equal(status, 200);
  assert.deepEqual(body, Buffer.from([0, 0, 0, 0, 2, 1, 2]));
  assert.deepEqual({ ...(await trailers) }["grpc-status"], "0");
  assert.equal((await trailers)["x-te"], "trailers");
});

test("a killed sandbox resets its streams and answers 502 afterwards", async () => {
  const own = await newSandbox();
  await servePort(own, 8000);
  const stream = session.request({ ":path": "/hang", ":authority": own.getHost(8000) });
  await new Promise((resolve) => stream.once("data", resolve));
  const broken = new Promise((resolve) => stream.once("error", resolve));
  await own.kill();
  assert.match(String(await broken), /NGHTTP2_INTERNAL_ERROR/);
  const gone = await response(session.request({ ":path": "/", ":authority": own.getHost(8000) }));
  assert.equal(gone.status, 502);
  assert.deepEqual(JSON.parse(gone.body), { sandboxId: own.sandboxId, message: "The sandbox was not found", code: 502 });
});
