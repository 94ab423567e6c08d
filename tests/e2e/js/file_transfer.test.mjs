// Files up and down through the stock JavaScript SDK.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { before, test } from "node:test";
import { AuthenticationError, InvalidArgumentError, NotEnoughSpaceError, NotFoundError, SandboxError } from "e2b";
import { newSandbox } from "./helpers.mjs";

let box;
before(async () => {
  box = await newSandbox();
});

async function collect(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

function streamOf(pieces) {
  return new ReadableStream({
    pull(controller) {
      if (pieces.length) controller.enqueue(pieces.shift());
      else controller.close();
    },
  });
}

test("every kind of data comes back in every format", async () => {
  const data = randomBytes(400_000);
  const exact = data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
  for (const [name, given] of Object.entries({
    array: exact,
    blob: new Blob([data]),
    stream: streamOf([data.subarray(0, 5), data.subarray(5, 300_000), data.subarray(300_000)]),
  })) {
    const info = await box.files.write(`js/${name} é.bin`, given);
    assert.deepEqual([info.name, info.path, info.type], [`${name} é.bin`, `/home/user/js/${name} é.bin`, "file"]);
    assert.deepEqual(Buffer.from(await box.files.read(info.path, { format: "bytes" })), data);
    assert.deepEqual(Buffer.from(await (await box.files.read(info.path, { format: "blob" })).arrayBuffer()), data);
    assert.deepEqual(await collect(await box.files.read(info.path, { format: "stream" })), data);
  }
  await box.files.write("js/text.txt", "grüß dich\r\n".repeat(20_000));
  assert.equal(await box.files.read("js/text.txt"), "grüß dich\r\n".repeat(20_000));
});

test("an empty file", async () => {
  await box.files.write("js/empty", "");
  assert.equal(await box.files.read("js/empty"), "");
  assert.equal((await box.files.read("js/empty", { format: "bytes" })).length, 0);
  assert.equal((await box.files.read("js/empty", { format: "blob" })).size, 0);
  assert.equal((await collect(await box.files.read("js/empty", { format: "stream" }))).length, 0);
});

test("many files in one call", async () => {
  const files = Array.from({ length: 30 }, (_, i) => ({ path: `js/many/${i}/f.txt`, data: String(i).repeat(i) }));
  const infos = await box.files.write(files);
  assert.deepEqual(infos.map((i) => i.path), files.map((f) => `/home/user/${f.path}`));
  assert.equal(await box.files.read("js/many/29/f.txt"), "29".repeat(29));
  const again = await box.files.writeFiles(files.slice(0, 2).map((f) => ({ ...f, data: "again" })));
  assert.deepEqual(again.map((i) => [i.path, i.name]), [["/home/user/js/many/0/f.txt", "f.txt"], ["/home/user/js/many/1/f.txt", "f.txt"]]);
  assert.equal(await box.files.read("js/many/1/f.txt"), "again");
  await assert.rejects(box.files.write([{ path: "js/x", data: "1" }, { path: "js/./x", data: "2" }]), InvalidArgumentError);
});

test("gzip, octet-stream and metadata", async () => {
  const text = "a line of text\n".repeat(20_000);
  const info = await box.files.write("js/packed.txt", text, { gzip: true, metadata: { Author: "me" } });
  assert.deepEqual(info.metadata, { author: "me" });
  assert.equal(await box.files.read("js/packed.txt"), text);
  assert.equal(await box.files.read("js/packed.txt", { gzip: true }), text);
  assert.deepEqual((await box.files.getInfo("js/packed.txt")).metadata, { author: "me" });
  await box.files.write("js/octets.txt", text, { useOctetStream: true });
  assert.equal(await box.files.read("js/octets.txt"), text);
  assert.ok(!(await box.files.write("js/packed.txt", "x")).metadata);
});

test("errors have their classes", async () => {
  await assert.rejects(box.files.read("js/none"), (e) => e instanceof NotFoundError && /js\/none/.test(e.message));
  await assert.rejects(box.files.read("/home/user"), InvalidArgumentError);
  await assert.rejects(box.files.write("/home/user", "x"), InvalidArgumentError);
  await assert.rejects(box.files.read("x", { user: "nobody-knows" }), AuthenticationError);
  await assert.rejects(box.files.write("x", "1", { user: "nobody-knows" }), AuthenticationError);
  await assert.rejects(box.files.read("/etc/shadow"), (e) => e instanceof SandboxError && /403/.test(e.message));
  await assert.rejects(box.files.write("/root/x", "1"), (e) => e instanceof SandboxError && /403/.test(e.message));
  await box.files.write("/root/x", "1", { user: "root" });
  assert.equal(await box.files.read("/root/x", { user: "root" }), "1");
});

test("signed URLs", async () => {
  const origin = process.env.SANDGLASS_URL ?? process.env.E2B_SANDBOX_URL;
  const headers = { "E2b-Sandbox-Id": box.sandboxId, "E2b-Sandbox-Port": "49983" };
  const at = (url) => new URL(new URL(url).pathname + new URL(url).search, origin);
  for (const options of [{}, { user: "user" }, { useSignatureExpiration: 60 }]) {
    const up = await box.uploadUrl("js/signed é.txt", options);
    const form = new FormData();
    form.append("file", new Blob(["by a form"]), "ignored.txt");
    assert.equal((await fetch(at(up), { method: "POST", body: form, headers })).status, 200);
    const down = await box.downloadUrl("js/signed é.txt", options);
    assert.equal(await (await fetch(at(down), { headers })).text(), "by a form");
    assert.equal((await fetch(at(up), { headers })).status, 401);
  }
  const over = await box.downloadUrl("js/signed é.txt", { useSignatureExpiration: -5 });
  const refused = await fetch(at(over), { headers });
  assert.deepEqual([refused.status, (await refused.json()).message], [401, "signature is already expired"]);
});

test("200 MB as a stream, both ways", { timeout: 120_000 }, async () => {
  const piece = randomBytes(1 << 20);
  await box.files.write("js/big.bin", streamOf(Array.from({ length: 200 }, () => piece)));
  let count = 0;
  for await (const p of await box.files.read("js/big.bin", { format: "stream" })) {
    for (let i = 0; i < p.length; i += 4093) assert.equal(p[i], piece[(count + i) % piece.length]);
    count += p.length;
  }
  assert.equal(count, 200 << 20);
  await box.files.remove("js/big.bin");
});

test("a full disk is told, also while the body is still coming", { timeout: 120_000 }, async () => {
  const full = await newSandbox();
  const filled = await full.runCode(`import os
v = os.statvfs('/home/user')
fd = os.open('/home/user/fill', os.O_CREAT | os.O_WRONLY)
os.posix_fallocate(fd, 0, v.f_bavail * v.f_frsize - (20 << 20))`);
  assert.equal(filled.error, undefined);
  const piece = randomBytes(1 << 20);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(full.files.write("f.bin", streamOf(Array.from({ length: 60 }, () => piece))), NotEnoughSpaceError);
    await assert.rejects(full.files.write("f.bin", new Blob(Array.from({ length: 60 }, () => piece))), NotEnoughSpaceError);
  }
  assert.deepEqual((await full.files.list("/home/user")).map((e) => e.name).filter((n) => /^f|sandglass/.test(n)), ["fill"]);
});
