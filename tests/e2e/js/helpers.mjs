// Shared by the tests that drive a real server through the stock JavaScript SDK. The server is named by the
// SDK's own environment variables; tests/e2e/run sets them.
import { after } from "node:test";
import { Sandbox } from "@e2b/code-interpreter";

const made = [];

export async function newSandbox(options = {}) {
  const sandbox = await Sandbox.create({ timeoutMs: 300_000, ...options });
  made.push(sandbox);
  return sandbox;
}

after(async () => {
  await Promise.all(made.map((s) => s.kill().catch(() => {})));
});

export { Sandbox };
