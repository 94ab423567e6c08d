// Code in other languages than Python through the stock JavaScript SDK. contrib/packages languages installs the kernels;
// ../py/test_languages.py has more cases.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { TimeoutError } from "@e2b/code-interpreter";
import { newSandbox } from "./helpers.mjs";

const languages = {
  javascript: {
    print: "console.log('out'); console.error('err'); 6 * 7", set: "let kept = 7", get: "kept", fail: "throw new TypeError('no')",
    error: ["TypeError", "no"], env: "console.log(process.env.SG_ONE)", cwd: "Deno.cwd()", spin: "while (true) {}",
  },
  ts: {
    print: "console.log('out' as string); console.error('err'); 6 * 7", set: "const kept: number = 7", get: "kept",
    fail: "throw new TypeError('no')", error: ["TypeError", "no"], env: "console.log(process.env.SG_ONE)", cwd: "Deno.cwd()", spin: "for (;;) {}",
  },
  bash: {
    print: "echo out; echo err >&2; echo 42", set: "kept=7", get: "echo $kept", fail: "(exit 9)", error: ["ExitStatus", "9"],
    env: "echo $SG_ONE", cwd: "pwd", spin: "while :; do sleep 0.1; done",
  },
  r: {
    print: "cat('out\\n'); message('err'); cat(42, '\\n')", set: "kept <- 7", get: "cat(kept)", fail: "stop('no')",
    error: ["ERROR", "no"], env: "cat(Sys.getenv('SG_ONE'))", cwd: "cat(getwd())", spin: "repeat {}",
  },
};

const said = (execution) => {
  assert.equal(execution.error, undefined);
  return execution.text ?? execution.logs.stdout.join("").trim();
};

let box;
before(async () => { box = await newSandbox(); });

for (const [language, how] of Object.entries(languages)) {
  test(`${language}: streams and results`, async () => {
    const out = [], err = [];
    const execution = await box.runCode(how.print, { language, onStdout: (m) => out.push(m.line), onStderr: (m) => err.push(m.line) });
    assert.match(out.join("") + (execution.text ?? ""), /^out\n42/);
    assert.match(err.join(""), /^err\n/);
    assert.equal(execution.error, undefined);
  });

  test(`${language}: errors`, async () => {
    const { error } = await box.runCode(how.fail, { language });
    assert.equal(error.name, how.error[0]);
    assert.ok(error.value.includes(how.error[1]), error.value);
  });

  test(`${language}: state, environment, directory, restart`, async () => {
    const context = await box.createCodeContext({ language, cwd: "/tmp" });
    assert.equal(context.cwd, "/tmp");
    assert.equal(said(await box.runCode(how.cwd, { context })), "/tmp");
    await box.runCode(how.set, { context });
    assert.equal(said(await box.runCode(how.get, { context })), "7");
    assert.equal(said(await box.runCode(how.env, { context, envs: { SG_ONE: "it's \\ $x" } })), "it's \\ $x");
    await box.restartCodeContext(context);
    const after = await box.runCode(how.get, { context });
    assert.ok(after.error || said(after) === "");
    await box.removeCodeContext(context);
  });

  test(`${language}: a timeout interrupts and keeps the state`, async () => {
    const context = await box.createCodeContext({ language });
    await box.runCode(how.set, { context });
    await assert.rejects(box.runCode(how.spin, { context, timeoutMs: 2000 }), TimeoutError);
    assert.equal(said(await box.runCode(how.get, { context })), "7");
    await box.removeCodeContext(context);
  });
}
