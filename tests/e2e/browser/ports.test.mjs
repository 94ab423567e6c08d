// A server in a sandbox as a person at a browser meets it: its page, its WebSocket and events, and the page that
// stands for it when there is none. Over HTTP/1.1, and over HTTP/2 with TLS.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { newSandbox, servePort } from "../js/helpers.mjs";
import { launch } from "./launch.mjs";

const SHOTS = process.env.E2E_SCREENSHOTS ?? mkdtempSync(join(tmpdir(), "sandglass-shots-"));
let browser, sandbox;

before(async () => {
  browser = await launch();
  sandbox = await newSandbox();
  await servePort(sandbox, 8000);
});
after(() => browser.close());

function urlOf(base, port, path = "/") {
  const { protocol, port: listener } = new URL(base);
  return `${protocol}//${sandbox.getHost(port)}:${listener}${path}`;
}

for (const [name, base] of [["http", process.env.SANDGLASS_URL], ["https", process.env.SANDGLASS_TLS_URL]]) {
  test(`page, WebSocket and events over ${name}`, { timeout: 60_000 }, async () => {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const answer = await page.goto(urlOf(base, 8000));
    assert.equal(answer.status(), 200);
    assert.equal(await page.textContent("h1"), "from inside");
    const { text, binary, closed } = await page.evaluate(() => new Promise((resolve, reject) => {
      const got = {}, socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => socket.send("größe 💡");
      socket.onmessage = ({ data }) => {
        if (typeof data === "string") {
          got.text = data;
          socket.send(new Uint8Array(200_000).fill(7));
        } else {
          got.binary = [data.byteLength, new Uint8Array(data).every((b) => b === 7)];
          socket.close(4001, "done");
        }
      };
      socket.onclose = (e) => resolve({ ...got, closed: [e.code, e.wasClean] });
      socket.onerror = () => reject(new Error("the WebSocket failed"));
    }));
    assert.equal(text, "größe 💡");
    assert.deepEqual(binary, [200_000, true]);
    assert.deepEqual(closed, [4001, true]);
    const times = await page.evaluate(() => new Promise((resolve) => {
      const at = [], events = new EventSource("/events/4");
      events.onmessage = ({ data }) => {
        at.push(performance.now());
        if (data === "3") { events.close(); resolve(at); }
      };
    }));
    assert.ok(times[3] - times[0] > 400, `events came at ${times}`);
    await context.close();
  });
}

test("a closed port and a dead sandbox have pages", { timeout: 60_000 }, async () => {
  const page = await browser.newPage();
  let answer = await page.goto(urlOf(process.env.SANDGLASS_URL, 3999));
  assert.equal(answer.status(), 502);
  assert.equal(await page.textContent("h1"), "The sandbox is running but port is not open");
  assert.match(await page.textContent("p"), new RegExp(`${sandbox.sandboxId}.*3999.*${sandbox.getHost(3999)}`));
  await page.screenshot({ path: join(SHOTS, "port-closed.png") });
  const script = await page.evaluate(async () => {
    const r = await fetch("/");
    return [r.status, r.headers.get("content-type"), (await r.json()).port];
  });
  assert.deepEqual(script, [502, "application/json; charset=utf-8", 3999]);
  await sandbox.kill();
  answer = await page.goto(urlOf(process.env.SANDGLASS_URL, 8000));
  assert.equal(answer.status(), 502);
  assert.equal(await page.textContent("h1"), "The sandbox was not found");
  await page.screenshot({ path: join(SHOTS, "sandbox-gone.png") });
});
