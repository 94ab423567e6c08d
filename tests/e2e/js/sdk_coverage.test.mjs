// Every public method of the stock JS SDK's commands, pty, files and git is called by a test in this folder.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { Sandbox } from "e2b";

let box;
before(async () => { box = await Sandbox.create("base", { timeoutMs: 60_000 }); });
after(async () => { await box.kill(); });

const here = import.meta.dirname;
const tests = readdirSync(here).filter((f) => f.endsWith(".test.mjs") && f !== "sdk_coverage.test.mjs")
  .map((f) => readFileSync(join(here, f), "utf8")).join("\n");
const types = readFileSync(join(dirname(createRequire(import.meta.url).resolve("e2b")), "index.d.ts"), "utf8");

// TypeScript's private methods are there like all others when the program runs.
const isPrivate = (name) => new RegExp(`^ +(private|protected) (readonly )?${name}\\b`, "m").test(types);

for (const module of ["commands", "pty", "files", "git"])
  test(`${module}: every method`, () => {
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(box[module]))
      .filter((m) => m !== "constructor" && typeof Object.getOwnPropertyDescriptor(Object.getPrototypeOf(box[module]), m).value === "function")
      .filter((m) => !isPrivate(m));
    assert.ok(methods.length > 4, String(methods));
    const called = (m) => new RegExp(`\\b${module}\\s*\\.${m}\\(`).test(tests);
    assert.deepEqual(methods.filter((m) => !called(m)), []);
  });
