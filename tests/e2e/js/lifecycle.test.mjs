// Sandboxes through the stock e2b package: create, list, info, timeout, connect, kill.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthenticationError, NotFoundError, SandboxError } from "@e2b/code-interpreter";
import { newSandbox, Sandbox } from "./helpers.mjs";

test("info, list with metadata, and paging", async () => {
  const tag = `run-${Date.now()} &=é`;
  const made = await Promise.all([1, 2, 3].map((n) => newSandbox({ metadata: { tag, n: String(n) } })));
  const info = await made[0].getInfo();
  assert.equal(info.sandboxId, made[0].sandboxId);
  assert.equal(info.state, "running");
  assert.equal(info.metadata.tag, tag);
  assert.ok(info.endAt - info.startedAt > 250_000);
  const ids = [];
  const pages = Sandbox.list({ query: { metadata: { tag } }, limit: 2 });
  let count = 0;
  while (pages.hasNext) {
    ids.push(...(await pages.nextItems()).map((s) => s.sandboxId));
    count++;
  }
  assert.equal(count, 2);
  assert.deepEqual(ids.toSorted(), made.map((s) => s.sandboxId).toSorted());
  const one = Sandbox.list({ query: { metadata: { tag, n: "2" } } });
  assert.deepEqual((await one.nextItems()).map((s) => s.sandboxId), [made[1].sandboxId]);
});

test("isRunning, setTimeout and the end of life", async () => {
  const s = await newSandbox();
  assert.equal(await s.isRunning(), true);
  await s.setTimeout(1000);
  await new Promise((r) => setTimeout(r, 2500));
  assert.equal(await s.isRunning(), false);
  await assert.rejects(s.getInfo(), NotFoundError);
});

test("connect finds the same state and does not shorten the life", async () => {
  const s = await newSandbox();
  await s.runCode("shared = 11");
  const before = (await s.getInfo()).endAt;
  const again = await Sandbox.connect(s.sandboxId, { timeoutMs: 10_000 });
  assert.equal((await again.runCode("shared")).text, "11");
  assert.ok((await again.getInfo()).endAt >= before);
});

test("unknown template, bad metadata and a wrong key are told apart", async () => {
  await assert.rejects(Sandbox.create("no-such-template"), /no-such-template/);
  await assert.rejects(Sandbox.create({ apiKey: `e2b_${"0".repeat(40)}` }), AuthenticationError);
  await assert.rejects(Sandbox.create({ timeoutMs: 1000 * 3600 * 24 * 365 }), SandboxError);
});

test("50 sandboxes at once", { timeout: 240_000 }, async () => {
  const all = await Promise.all(Array.from({ length: 50 }, (_, i) => Sandbox.create({ metadata: { i: String(i) }, requestTimeoutMs: 200_000 })));
  try {
    const results = await Promise.all(all.map((s, i) => s.runCode(`${i} * 2`, { timeoutMs: 120_000, requestTimeoutMs: 120_000 })));
    assert.deepEqual(results.map((r) => r.text), all.map((_, i) => String(i * 2)));
    assert.equal(new Set(all.map((s) => s.sandboxId)).size, 50);
  } finally {
    await Promise.all(all.map((s) => s.kill({ requestTimeoutMs: 60_000 })));
  }
});
