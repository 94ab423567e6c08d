// files.* of the stock JavaScript SDK that speak filesystem.Filesystem.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { AuthenticationError, FileNotFoundError, FileType, FilesystemEventType, InvalidArgumentError, SandboxError } from "e2b";
import { newSandbox } from "./helpers.mjs";

let sandbox;
let count = 0;

before(async () => {
  sandbox = await newSandbox();
});

// Python in the sandbox, as its default user.
async function run(code) {
  await sandbox.commands.run(`python3 - <<'END'\nimport os\n${code}\nEND\n`);
}

async function directory() {
  const at = `/home/user/js${++count}`;
  assert.equal(await sandbox.files.makeDir(at), true);
  return at;
}

test("info, exists", async () => {
  const at = await directory();
  await run(`open('${at}/a', 'w').write('hello'); os.chmod('${at}/a', 0o640); os.symlink('a', '${at}/link')`);
  const info = await sandbox.files.getInfo(`${at}/a`);
  assert.deepEqual(
    [info.name, info.path, info.type, info.size, info.mode, info.permissions, info.owner, info.group],
    ["a", `${at}/a`, FileType.FILE, 5, 0o640, "-rw-r-----", "user", "user"],
  );
  assert.ok(Math.abs(info.modifiedTime.getTime() - Date.now()) < 120_000);
  const link = await sandbox.files.getInfo(`${at}/link`);
  assert.deepEqual([link.type, link.permissions, link.symlinkTarget], [FileType.FILE, "Lrwxrwxrwx", `${at}/a`]);
  assert.equal((await sandbox.files.getInfo(at.slice("/home/user/".length))).path, at);
  assert.equal(await sandbox.files.exists(`${at}/a`), true);
  assert.equal(await sandbox.files.exists(`${at}/b`), false);
  assert.equal(await sandbox.files.exists(`${at}/a/b`), false);
  await assert.rejects(sandbox.files.getInfo(`${at}/b`), FileNotFoundError);
  await assert.rejects(sandbox.files.getInfo(at, { user: "nobody-knows" }), AuthenticationError);
});

test("list", async () => {
  const at = await directory();
  await run(`os.makedirs('${at}/b/c'); open('${at}/b/c/f', 'w').close(); open('${at}/a', 'w').close(); os.symlink('x', '${at}/l')`);
  assert.deepEqual((await sandbox.files.list(at)).map((e) => [e.name, e.type]),
    [["a", "file"], ["b", "dir"], ["l", "symlink"]]);
  assert.deepEqual((await sandbox.files.list(at, { depth: 3 })).map((e) => e.path.slice(at.length + 1)),
    ["a", "b", "b/c", "b/c/f", "l"]);
  await assert.rejects(sandbox.files.list(`${at}/a`), InvalidArgumentError);
  await assert.rejects(sandbox.files.list(`${at}/none`), FileNotFoundError);
  await assert.rejects(sandbox.files.list("/root"), SandboxError);
});

test("make, rename, remove", async () => {
  const at = await directory();
  assert.equal(await sandbox.files.makeDir(`${at}/x/y`), true);
  assert.equal(await sandbox.files.makeDir(`${at}/x/y`), false);
  const moved = await sandbox.files.rename(`${at}/x`, `${at}/new/z`);
  assert.deepEqual([moved.path, moved.type], [`${at}/new/z`, FileType.DIR]);
  assert.equal(await sandbox.files.exists(`${at}/new/z/y`), true);
  await assert.rejects(sandbox.files.rename(`${at}/x`, `${at}/w`), FileNotFoundError);
  await sandbox.files.remove(`${at}/new`);
  await sandbox.files.remove(`${at}/new`);
  assert.equal(await sandbox.files.exists(`${at}/new`), false);
  await run(`open('${at}/f', 'w').close()`);
  await assert.rejects(sandbox.files.makeDir(`${at}/f`), InvalidArgumentError);
});

// Collects events; until(name) waits for the creation of that entry and hands out what came up to it.
async function watch(at, options = {}) {
  const events = [];
  let wake = () => {};
  const handle = await sandbox.files.watchDir(at, (e) => {
    events.push(e);
    wake();
  }, options);
  async function until(name) {
    const end = Date.now() + 20_000;
    while (!events.some((e) => e.name === name && e.type === FilesystemEventType.CREATE)) {
      assert.ok(Date.now() < end, `no ${name} among ${JSON.stringify(events)}`);
      await Promise.race([new Promise((r) => (wake = r)), new Promise((r) => setTimeout(r, 200))]);
    }
    return events.splice(0);
  }
  return { handle, until };
}

const brief = (events) => events.map((e) => `${e.type} ${e.name}`);

test("watch", async () => {
  const at = await directory();
  const { handle, until } = await watch(at);
  await run(`
f = open('${at}/a', 'w'); f.write('1'); f.close()
os.chmod('${at}/a', 0o600)
os.rename('${at}/a', '${at}/b')
os.remove('${at}/b')
os.makedirs('${at}/d/unseen')
os.mkdir('${at}/end')`);
  assert.deepEqual(brief(await until("end")),
    ["create a", "write a", "chmod a", "rename a", "create b", "remove b", "create d", "create end"]);
  await handle.stop();
  await assert.rejects(sandbox.files.watchDir(`${at}/none`, () => {}), FileNotFoundError);
  await assert.rejects(sandbox.files.watchDir("/etc/passwd", () => {}), InvalidArgumentError);
});

test("watch recursively, with entries", async () => {
  const at = await directory();
  const { handle, until } = await watch(at, { recursive: true, includeEntry: true });
  await run(`
os.makedirs('${at}/x/y')
f = open('${at}/x/y/f', 'w'); f.write('123'); f.close()
os.mkdir('${at}/end')`);
  const events = await until("end");
  const created = events.filter((e) => e.type === "create");
  assert.deepEqual(created.map((e) => e.name), ["x", "x/y", "x/y/f", "end"]);
  const file = created[2].entry;
  assert.deepEqual([file.path, file.type, file.owner], [`${at}/x/y/f`, FileType.FILE, "user"]);
  await handle.stop();
});

test("the end of a watch", async () => {
  const at = await directory();
  await sandbox.files.makeDir(`${at}/d`);
  let ended;
  const end = new Promise((r) => (ended = r));
  await sandbox.files.watchDir(`${at}/d`, () => {}, { onExit: ended });
  await run(`os.rmdir('${at}/d')`);
  assert.match(String(await end), /does not exist/);
});
