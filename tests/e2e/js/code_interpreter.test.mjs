// The stock @e2b/code-interpreter package against this server.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { NotFoundError, TimeoutError } from "@e2b/code-interpreter";
import { newSandbox, Sandbox } from "./helpers.mjs";

let sandbox;
before(async () => { sandbox = await newSandbox(); });

test("the example of the E2B README", async () => {
  const s = await Sandbox.create();
  await s.runCode("x = 1");
  const execution = await s.runCode("x+=1; x");
  assert.equal(execution.text, "2");
  assert.equal(await s.kill(), true);
  assert.equal(await s.kill(), false);
});

test("output arrives while the cell sleeps between prints", async () => {
  const seen = [];
  const execution = await sandbox.runCode(
    "import time, sys\nfor i in range(3):\n  sys.stdout.write(f'line {i}\\n')\n  time.sleep(0.6)\nprint('bad', file=sys.stderr)",
    { onStdout: (m) => seen.push([m.line, performance.now()]), onStderr: (m) => seen.push([m.line, performance.now()]) });
  assert.equal(seen.map(([line]) => line).join(""), "line 0\nline 1\nline 2\nbad\n");
  assert.ok(seen[1][1] - seen[0][1] > 300, "the second line came well after the first");
  assert.ok(seen[2][1] - seen[1][1] > 300, "the third line came well after the second");
  assert.deepEqual(execution.logs.stdout.join(""), "line 0\nline 1\nline 2\n");
  assert.deepEqual(execution.logs.stderr.join(""), "bad\n");
  assert.equal(execution.error, undefined);
});

test("execution count, main result and several results", async () => {
  const s = await newSandbox();
  const first = await s.runCode("from IPython.display import display, HTML, Markdown\ndisplay(HTML('<b>x</b>'))\ndisplay(Markdown('*y*'))\n'last'");
  assert.equal(first.executionCount, 1);
  assert.equal(first.results.length, 3);
  assert.equal(first.results[0].html, "<b>x</b>");
  assert.equal(first.results[0].isMainResult, false);
  assert.equal(first.results[1].markdown, "*y*");
  assert.equal(first.results[2].isMainResult, true);
  assert.equal(first.text, "last");
  assert.equal((await s.runCode("None")).executionCount, 2);
});

test("json of lists and dictionaries", async () => {
  const { results } = await sandbox.runCode("{'a': [1, 2, None], 'é': 'ü'}");
  assert.deepEqual(results[0].json, { a: [1, 2, null], é: "ü" });
});

test("an exception has name, value and traceback, and the context goes on", async () => {
  const { error, logs } = await sandbox.runCode("print('before')\ndef f():\n    return 1/0\nf()");
  assert.equal(error.name, "ZeroDivisionError");
  assert.equal(error.value, "division by zero");
  assert.match(error.traceback, /return 1\/0/);
  assert.equal(logs.stdout.join(""), "before\n");
  assert.equal((await sandbox.runCode("6*7")).text, "42");
});

test("a syntax error", async () => {
  const { error } = await sandbox.runCode("def");
  assert.equal(error.name, "SyntaxError");
});

test("top-level await", async () => {
  assert.equal((await sandbox.runCode("import asyncio\nawait asyncio.sleep(0.01, 'awaited')")).text, "awaited");
});

test("a matplotlib figure gives png and chart data", async () => {
  const { results, error } = await sandbox.runCode(
    "import matplotlib.pyplot as plt\nplt.plot([1,2,3],[4,5,6],label='up')\nplt.title('T')\nplt.xlabel('time (s)')\nplt.show()");
  assert.equal(error, undefined);
  assert.equal(results.length, 1);
  assert.ok(Buffer.from(results[0].png, "base64").subarray(1, 4).equals(Buffer.from("PNG")));
  assert.equal(results[0].chart.type, "line");
  assert.equal(results[0].chart.title, "T");
  assert.equal(results[0].chart.x_label, "time (s)");
  assert.equal(results[0].chart.x_unit, "s");
  assert.deepEqual(results[0].chart.elements, [{ label: "up", points: [[1, 4], [2, 5], [3, 6]] }]);
});

test("other kinds of charts", async () => {
  const code = (draw) => `import matplotlib.pyplot as plt\n${draw}\nplt.show()`;
  for (const [draw, type] of [["plt.bar(['a','b'],[1,2])", "bar"], ["plt.pie([1,2],labels=['a','b'])", "pie"],
    ["plt.boxplot([[1,2,3,4,5],[2,4,6,8,11]], patch_artist=True)", "box_and_whisker"], ["plt.scatter([1,2],[3,4])", "scatter"],
    ["f,a=plt.subplots(1,2)\na[0].plot([1,2])\na[1].bar(['x'],[1])", "superchart"]]) {
    const { results, error } = await sandbox.runCode(code(draw));
    assert.equal(error, undefined, draw);
    assert.equal(results[0].chart?.type, type, draw);
  }
});

test("a pandas frame gives html and data", async () => {
  const { results } = await sandbox.runCode("import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})");
  assert.match(results[0].html, /<table/);
  assert.deepEqual(results[0].data, { a: [1, 2], b: ["x", "y"] });
});

test("contexts are apart, have a directory, can be restarted and removed", async () => {
  const a = await sandbox.createCodeContext();
  const b = await sandbox.createCodeContext({ cwd: "/root" });
  assert.equal(a.language, "python");
  assert.equal(a.cwd, "/home/user");
  await sandbox.runCode("v = 'in a'", { context: a });
  assert.equal((await sandbox.runCode("v", { context: b })).error.name, "NameError");
  assert.equal((await sandbox.runCode("import os; os.getcwd()", { context: b })).text, "/root");
  assert.equal((await sandbox.runCode("v", { context: a })).text, "in a");
  const ids = (await sandbox.listCodeContexts()).map((c) => c.id);
  assert.ok(ids.includes(a.id) && ids.includes(b.id));
  await sandbox.restartCodeContext(a);
  assert.equal((await sandbox.runCode("v", { context: a })).error.name, "NameError");
  await sandbox.removeCodeContext(b);
  await assert.rejects(sandbox.runCode("1", { context: b }), NotFoundError);
});

test("two contexts run at the same time", async () => {
  const contexts = await Promise.all([sandbox.createCodeContext(), sandbox.createCodeContext()]);
  const spans = await Promise.all(contexts.map((context) => sandbox.runCode(
    "import time; t=time.time(); time.sleep(1); (t, time.time())", { context })));
  const [p, q] = spans.map((e) => e.text.slice(1, -1).split(", ").map(Number));
  assert.ok(p[0] < q[1] && q[0] < p[1], "the cells overlapped");
  await Promise.all(contexts.map((c) => sandbox.removeCodeContext(c)));
});

test("environment of the sandbox and of a call", async () => {
  const s = await newSandbox({ envs: { GLOBAL: "g'\"\\ü", BOTH: "sandbox" } });
  const read = "import os; [os.environ.get(k) for k in ('GLOBAL', 'BOTH', 'CALL', 'E2B_SANDBOX')]";
  assert.deepEqual((await s.runCode(read)).results[0].json, ["g'\"\\ü", "sandbox", null, "true"]);
  assert.deepEqual((await s.runCode(read, { envs: { CALL: "c", BOTH: "call" } })).results[0].json,
    ["g'\"\\ü", "call", "c", "true"]);
  assert.deepEqual((await s.runCode(read)).results[0].json, ["g'\"\\ü", "sandbox", null, "true"]);
});

test("a timeout interrupts the cell and keeps the state", async () => {
  await sandbox.runCode("kept = 5");
  await assert.rejects(sandbox.runCode("import time; time.sleep(60)", { timeoutMs: 1000 }), TimeoutError);
  assert.equal((await sandbox.runCode("kept")).text, "5");
});

test("the death of the kernel is told and the context comes back", async () => {
  const context = await sandbox.createCodeContext();
  const { error } = await sandbox.runCode("import os; os.kill(os.getpid(), 9)", { context });
  assert.ok(error, "an error item came");
  assert.equal((await sandbox.runCode("1+1", { context })).text, "2");
  await sandbox.removeCodeContext(context);
});

test("a kill during a run gives the SDK's proper error", async () => {
  const s = await newSandbox();
  const running = s.runCode("import time\nprint('started')\ntime.sleep(60)", { onStdout: () => s.kill() });
  await assert.rejects(running, (e) => e instanceof TimeoutError && /killed while the request was in progress/.test(e.message));
  await assert.rejects(s.runCode("1"), TimeoutError);
  await assert.rejects(Sandbox.connect(s.sandboxId), NotFoundError);
});

test("20000 flushed lines arrive, all of them, in order", async () => {
  const { logs } = await sandbox.runCode("for i in range(20000): print(i, flush=True)");
  assert.equal(logs.stdout.join(""), Array.from({ length: 20000 }, (_, i) => `${i}\n`).join(""));
});

test("text that could break framing", async () => {
  const text = "tab\t \"quotes\" \\ \u0001 \u2028 é 😀 \r";
  const { logs } = await sandbox.runCode(`print(${JSON.stringify(text)}, end="")`);
  assert.equal(logs.stdout.join(""), text);
});
