// grpc-js with messages from the .proto files themselves, as a caller without generated code uses it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { keyHeaders, protoDir, url } from "./rpc.mjs";

const files = ["sandglass/v1/sandbox.proto", "sandglass/v1/code_interpreter.proto", "grpc/health/v1/health.proto",
  "grpc/reflection/v1/reflection.proto"];
const definitions = loader.loadSync(files, { includeDirs: [protoDir], longs: String, enums: String, oneofs: true });
const { sandglass, grpc: standard } = grpc.loadPackageDefinition(definitions);
const address = new URL(url).host;
const open = [];

function client(Service, options = {}) {
  const made = new Service(address, grpc.credentials.createInsecure(), options);
  open.push(made);
  return made;
}

function metadata(fields) {
  const m = new grpc.Metadata();
  for (const [name, value] of Object.entries(fields)) m.set(name, value);
  return m;
}

function unary(stub, method, request, fields = keyHeaders, options = {}) {
  return new Promise((resolve, reject) => {
    const seen = {};
    const call = stub[method](request, metadata(fields), options, (error, answer) => {
      if (error) reject(error);
      seen.answer = answer;
    });
    call.on("metadata", (m) => { seen.head = m; });
    call.on("status", (status) => resolve({ ...seen, status }));
  });
}

// All messages of a stream, then its status.
function collect(call) {
  return new Promise((resolve, reject) => {
    const messages = [];
    let failed;
    call.on("data", (m) => messages.push(m));
    call.on("error", (e) => { failed = e; });
    call.on("status", (status) => (failed ? reject(Object.assign(failed, { messages })) : resolve({ messages, status })));
  });
}

let sandboxes, code, made, data;

before(async () => {
  sandboxes = client(sandglass.v1.SandboxService);
  code = client(sandglass.v1.CodeInterpreter);
  ({ answer: made } = await unary(sandboxes, "CreateSandbox", { timeoutSeconds: 600, env: { GREETING: "hallo" } }));
  data = { "sandglass-sandbox-id": made.sandbox.sandboxId, "x-access-token": made.accessToken };
});

after(async () => {
  await unary(sandboxes, "KillSandbox", { sandboxId: made.sandbox.sandboxId });
  open.forEach((c) => c.close());
});

const execute = (source, options = {}) => collect(code.Execute({ code: source }, metadata(data), options));

test("unary: message, head and trailers", async () => {
  const { answer, head, status } = await unary(sandboxes, "GetSandbox", { sandboxId: made.sandbox.sandboxId });
  assert.equal(answer.sandbox.state, "SANDBOX_STATE_RUNNING");
  assert.match(answer.sandbox.memoryBytes, /^\d{9,}$/);
  assert.ok(Number(answer.sandbox.endAt.seconds) > Date.now() / 1000);
  assert.equal(head.get("content-type")[0], "application/grpc");
  assert.equal(status.code, grpc.status.OK);
});

test("server stream", async () => {
  const { messages, status } = await execute("import os\nprint('ä', os.environ['GREETING'])\n[6 * 7, None]");
  assert.deepEqual(messages.filter((m) => m.seq !== "0").map((m) => m.seq), messages.map((_, i) => `${i + 1}`));
  assert.equal(messages.filter((m) => m.event === "stdout").map((m) => m.stdout.text).join(""), "ä hallo\n");
  assert.equal(messages.find((m) => m.event === "result").result.data["text/plain"], "[42, None]");
  assert.equal(messages.at(-1).end.status, "END_STATUS_OK");
  assert.equal(status.code, grpc.status.OK);
});

test("errors: code and text, also beyond ASCII", async () => {
  const nowhere = { ...data, "sandglass-sandbox-id": "inosuchsandbox" };
  const cases = [
    [() => unary(sandboxes, "GetSandbox", { sandboxId: "x" }, {}), "UNAUTHENTICATED", /./],
    [() => unary(sandboxes, "CreateSandbox", { template: "nöpe %41" }), "NOT_FOUND", /nöpe %41/],
    [() => unary(sandboxes, "ListSandboxes", { pageSize: 1000 }), "INVALID_ARGUMENT", /page_size/],
    [() => collect(code.Attach({ executionId: "none" }, metadata(data))), "NOT_FOUND", /none/],
    [() => collect(code.Attach({ executionId: "none" }, metadata(nowhere))), "NOT_FOUND", /sandbox/],
  ];
  for (const [call, name, words] of cases) {
    const error = await call().then(() => assert.fail("succeeded"), (e) => e);
    assert.equal(grpc.status[error.code], name, error.message);
    assert.match(error.details, words);
  }
});

test("deadline", async () => {
  const error = await execute("import time; time.sleep(60)", { deadline: Date.now() + 700 }).catch((e) => e);
  assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED);
  const began = Date.now();
  assert.equal((await execute("1")).messages.at(-1).end.status, "END_STATUS_OK");
  assert.ok(Date.now() - began < 20_000);
});

test("cancel", async () => {
  const request = { code: "import time\nprint(1, flush=True)\ntime.sleep(60)", interruptOnDisconnect: true };
  const call = code.Execute(request, metadata(data));
  call.on("data", (m) => m.event === "stdout" && call.cancel());
  const error = await collect(call).catch((e) => e);
  assert.equal(error.code, grpc.status.CANCELLED);
  const began = Date.now();
  assert.equal((await execute("2")).messages.at(-1).end.status, "END_STATUS_OK");
  assert.ok(Date.now() - began < 20_000);
});

test("a slow reader gets everything", async () => {
  const call = code.Execute({ code: "for i in range(40000): print('line %05d' % i + 'x' * 100)" }, metadata(data));
  const text = [];
  for await (const m of call) {
    if (m.event === "stdout") text.push(m.stdout.text);
    if (text.length % 50 === 1) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const lines = text.join("").trimEnd().split("\n");
  assert.equal(lines.length, 40000);
  lines.forEach((line, i) => assert.equal(line, `line ${String(i).padStart(5, "0")}${"x".repeat(100)}`));
});

test("large messages, and their bound on both sides", async () => {
  const { messages } = await execute(`s = '${"y".repeat(3_000_000)}'\nprint(len(s))`);
  assert.ok(messages.some((m) => m.event === "stdout" && m.stdout.text === "3000000\n"));
  const error = await execute(`s = '${"y".repeat(4_500_000)}'`).catch((e) => e);
  assert.equal(error.code, grpc.status.RESOURCE_EXHAUSTED);
  assert.match(error.details, /larger than 4194304 bytes/);
  const small = client(sandglass.v1.SandboxService, { "grpc.max_receive_message_length": 10 });
  await assert.rejects(unary(small, "ListTemplates", {}), { code: grpc.status.RESOURCE_EXHAUSTED });
});

test("compressed requests", async () => {
  const packed = client(sandglass.v1.SandboxService, { "grpc.default_compression_algorithm": 2 });
  const error = await unary(packed, "ListSandboxes", { pageSize: 5 }).then(() => assert.fail("succeeded"), (e) => e);
  assert.equal(error.code, grpc.status.UNIMPLEMENTED);
  assert.equal(error.metadata.get("grpc-accept-encoding")[0], "identity");
});

test("many calls at once on one connection", async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, () => unary(sandboxes, "ListTemplates", {})));
  for (const { answer } of answers) assert.ok(answer.templates.length >= 2);
});

test("health, also followed", async () => {
  const health = client(standard.health.v1.Health);
  assert.equal((await unary(health, "Check", { service: "" }, {})).answer.status, "SERVING");
  await assert.rejects(unary(health, "Check", { service: "nobody" }, {}), { code: grpc.status.NOT_FOUND });
  const watch = health.Watch({ service: "nobody" }, metadata({}));
  watch.on("data", (m) => { assert.equal(m.status, "SERVICE_UNKNOWN"); watch.cancel(); });
  assert.equal((await collect(watch).catch((e) => e)).code, grpc.status.CANCELLED);
});

for (const version of ["v1", "v1alpha"]) {
  test(`reflection ${version}: one answer a question, in turn`, async () => {
    const { ServerReflectionInfo } = standard.reflection.v1.ServerReflection.service;
    const path = ServerReflectionInfo.path.replace("v1", version);
    const Stub = grpc.makeGenericClientConstructor({ Info: { ...ServerReflectionInfo, path } }, "Reflection");
    const call = client(Stub).Info(metadata({}));
    const questions = [{ listServices: "" }, { fileContainingSymbol: `grpc.reflection.${version}.ServerReflection` },
      { fileByFilename: "nope.proto" }];
    const answers = [];
    call.on("data", (m) => {
      answers.push(m);
      if (questions.length > 0) call.write(questions.shift());
      else call.end();
    });
    call.write(questions.shift());
    const { status } = await collect(call);
    assert.equal(status.code, grpc.status.OK);
    const [list, file, none] = answers;
    const names = list.listServicesResponse.service.map((s) => s.name);
    for (const v of ["v1", "v1alpha"]) assert.ok(names.includes(`grpc.reflection.${v}.ServerReflection`), names.join());
    assert.ok(file.fileDescriptorResponse.fileDescriptorProto.length >= 1);
    assert.equal(none.errorResponse.errorCode, grpc.status.NOT_FOUND);
  });
}
