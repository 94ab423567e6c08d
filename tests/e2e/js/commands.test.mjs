// commands and pty of the stock e2b package: every method, its results and its error classes.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AuthenticationError, CommandExitError, InvalidArgumentError, NotFoundError, Sandbox, SandboxError, TimeoutError } from "e2b";

let box;
before(async () => { box = await Sandbox.create("base", { timeoutMs: 600_000, envs: { GREETING: "hello" } }); });
after(async () => { await box.kill(); });

const exits = (code, error) => (e) => {
  assert.ok(e instanceof CommandExitError, String(e));
  assert.equal(e.exitCode, code);
  if (error !== undefined) assert.equal(e.error, error);
  return true;
};

async function until(condition) {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 600, "waited for nothing");
    await sleep(50);
  }
}

test("run: output, streams, variables, directory, user", async () => {
  const out = [], err = [];
  const result = await box.commands.run("echo $GREETING $X; echo bad >&2; pwd; id -un; echo ü",
    { envs: { X: "1" }, cwd: "/tmp", onStdout: (s) => out.push(s), onStderr: (s) => err.push(s) });
  assert.deepEqual([result.stdout, result.stderr, result.exitCode], ["hello 1\n/tmp\nuser\nü\n", "bad\n", 0]);
  assert.equal(out.join(""), result.stdout);
  assert.equal(err.join(""), result.stderr);
  assert.equal((await box.commands.run("id -u; echo $HOME", { user: "root" })).stdout, "0\n/root\n");
});

test("output arrives while the command runs", async () => {
  const seen = [];
  await box.commands.run("for i in 1 2 3; do echo $i; sleep 0.5; done", { onStdout: (s) => seen.push([s, performance.now()]) });
  assert.equal(seen.map(([s]) => s).join(""), "1\n2\n3\n");
  assert.ok(seen[1][1] - seen[0][1] > 250 && seen[2][1] - seen[1][1] > 250);
});

test("errors of run", async () => {
  await assert.rejects(box.commands.run("echo out; echo err >&2; exit 7"), (e) =>
    exits(7, "exit status 7")(e) && e.stdout === "out\n" && e.stderr === "err\n");
  await assert.rejects(box.commands.run("no-such-command"), exits(127));
  await assert.rejects(box.commands.run("kill -9 $$"), exits(-1, "signal: killed"));
  await assert.rejects(box.commands.run("true", { cwd: "/no/such" }), InvalidArgumentError);
  await assert.rejects(box.commands.run("true", { user: "nobody-here" }), AuthenticationError);
});

test("a timeout kills the command and what it started", async () => {
  await assert.rejects(box.commands.run("sleep 571 & sleep 572", { timeoutMs: 800 }), TimeoutError);
  let left;
  for (let i = 0; i < 50 && left !== "0\n"; i++)
    left = (await box.commands.run("ps -eo args | grep -c '^sleep 57[12]' || true")).stdout;
  assert.equal(left, "0\n");
});

test("in the background: list, stdin, close, wait", async () => {
  const handle = await box.commands.run("read x; echo got $x; wc -c; exit 3", { background: true, stdin: true });
  const info = (await box.commands.list()).find((p) => p.pid === handle.pid);
  assert.equal(info.cmd, "/bin/bash");
  assert.deepEqual(info.args, ["-l", "-c", "read x; echo got $x; wc -c; exit 3"]);
  await box.commands.sendStdin(handle.pid, "it ü\n");
  await handle.sendStdin("x".repeat(300000));
  await handle.closeStdin();
  await assert.rejects(handle.wait(), (e) => exits(3)(e) && /^got it ü\n *300000\n$/.test(e.stdout));
  assert.ok(!(await box.commands.list()).some((p) => p.pid === handle.pid));
  await assert.rejects(box.commands.sendStdin(handle.pid, "x"), NotFoundError);
  await assert.rejects(box.commands.closeStdin(handle.pid), NotFoundError);
});

test("no stdin by default", async () => {
  const handle = await box.commands.run("cat; sleep 30", { background: true });
  await assert.rejects(box.commands.sendStdin(handle.pid, "x"), (e) => e instanceof SandboxError && /stdin not enabled or closed/.test(e.message));
  assert.equal(await handle.kill(), true);
});

test("kill leaves nothing", async () => {
  const handle = await box.commands.run("setsid sleep 581 & sleep 582", { background: true });
  assert.equal(await box.commands.kill(handle.pid), true);
  assert.equal((await box.commands.run("ps -eo args | grep -c '^sleep 58[12]' || true")).stdout, "0\n");
  await assert.rejects(handle.wait(), exits(-1, "signal: killed"));
  assert.equal(await box.commands.kill(handle.pid), false);
});

test("connect: new output, and the outcome later", async () => {
  let first = "";
  const handle = await box.commands.run("echo early; read x; echo late; exit 4", { background: true, stdin: true, onStdout: (s) => { first += s; } });
  await until(() => first === "early\n");
  const follower = await box.commands.connect(handle.pid);
  await handle.disconnect();
  await box.commands.sendStdin(handle.pid, "\n");
  await assert.rejects(follower.wait(), (e) => exits(4)(e) && e.stdout === "late\n");
  await assert.rejects((await box.commands.connect(handle.pid)).wait(), exits(4));
  await assert.rejects(box.commands.connect(999999), NotFoundError);
});

test("a terminal: size, input, resize, exit", async () => {
  let seen = "";
  const onData = (bytes) => { seen += Buffer.from(bytes).toString("latin1"); };
  const handle = await box.pty.create({ cols: 93, rows: 21, onData, envs: { FROM: "here" }, cwd: "/tmp" });
  await box.pty.sendInput(handle.pid, Buffer.from("stty size; echo $FROM $TERM $PWD; tty\n"));
  await until(() => /21 93\r\nhere xterm-256color \/tmp\r\n\/dev\/pts\/\d/.test(seen));
  await box.pty.resize(handle.pid, { cols: 44, rows: 7 });
  await box.pty.sendInput(handle.pid, Buffer.from("stty size\n"));
  await until(() => /7 44\r\n/.test(seen));
  await assert.rejects(box.commands.sendStdin(handle.pid, "x"), SandboxError);
  await box.pty.sendInput(handle.pid, Buffer.from("exit 5\n"));
  await assert.rejects(handle.wait(), exits(5));
});

test("a terminal: connect and kill", async () => {
  let more = "";
  const handle = await box.pty.create({ cols: 80, rows: 24, onData: () => {} });
  const follower = await box.pty.connect(handle.pid, { onData: (bytes) => { more += Buffer.from(bytes).toString("latin1"); } });
  await box.pty.sendInput(handle.pid, Buffer.from("echo $((6*7))\n"));
  await until(() => /42\r\n/.test(more));
  assert.equal(await box.pty.kill(handle.pid), true);
  await assert.rejects(follower.wait(), exits(-1, "signal: killed"));
  assert.equal(await box.pty.kill(handle.pid), false);
  await assert.rejects(box.pty.resize(handle.pid, { cols: 1, rows: 1 }), NotFoundError);
});

test("fifty at once", async () => {
  const results = await Promise.all(Array.from({ length: 50 }, (_, i) => box.commands.run(`echo ${i}`)));
  assert.deepEqual(results.map((r) => r.stdout), Array.from({ length: 50 }, (_, i) => `${i}\n`));
});
