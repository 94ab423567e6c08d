// Shared by the tests that drive a real server through the stock JavaScript SDK. The server is named by the
// SDK's own environment variables; tests/e2e/run sets them.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
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

// Starts tests/e2e/port_server.py in the sandbox and waits until it listens.
export async function servePort(sandbox, port, address = "127.0.0.1") {
  const source = JSON.stringify(await readFile(new URL("../port_server.py", import.meta.url), "utf8"));
  const { error } = await sandbox.runCode(`
import pathlib, socket, subprocess, sys, time
pathlib.Path("/tmp/port_server.py").write_text(${source})
subprocess.Popen([sys.executable, "/tmp/port_server.py", "${address}", "${port}"])
for _ in range(200):
    try:
        socket.create_connection(("${address}", ${port})).close()
        break
    except OSError:
        time.sleep(0.05)
else:
    raise TimeoutError("it does not listen")
`);
  assert.equal(error, undefined);
}
