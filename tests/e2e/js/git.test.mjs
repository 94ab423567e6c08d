// The git module of the stock e2b package against a git server on the internet (../git_server.py): every method.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { CommandExitError, GitAuthError, GitUpstreamError, InvalidArgumentError, Sandbox } from "e2b";

const server = process.env.SANDGLASS_TEST_GIT;
const username = "ada", password = "s3cret-token"; // of ../git_server.py
const author = { authorName: "Ada L", authorEmail: "ada@example.test" };
let box, git;
before(async () => {
  box = await Sandbox.create("base", { timeoutMs: 600_000 });
  git = box.git;
});
after(async () => { await box.kill(); });

const unique = () => randomUUID().slice(0, 8);
const url = (kind) => `http://${server}/${kind}/${unique()}.git`;
const output = async (command, cwd) => (await box.commands.run(command, { cwd })).stdout;

async function begin() {
  const path = `/home/user/${unique()}`;
  await git.init(path, { initialBranch: "main" });
  await box.files.write(`${path}/a.txt`, "one\n");
  await git.add(path);
  await git.commit(path, "first", author);
  return path;
}

test("init, add, commit, status", async () => {
  const path = await begin();
  assert.equal((await git.status(path)).isClean, true);
  assert.equal(await output("git log --format='%an <%ae> %s'", path), "Ada L <ada@example.test> first\n");
  await box.files.write(`${path}/a.txt`, "two\n");
  await box.files.write(`${path}/b c.txt`, "new\n");
  await git.add(path, { files: ["a.txt"] });
  const status = await git.status(path);
  assert.deepEqual([status.currentBranch, status.stagedCount, status.untrackedCount, status.totalCount], ["main", 1, 1, 2]);
  await git.commit(path, "second", { ...author, allowEmpty: true });
  await git.init(`${path}.git`, { bare: true });
  assert.equal(await output("git rev-parse --is-bare-repository", `${path}.git`), "true\n");
  await assert.rejects(git.status("/tmp"), CommandExitError);
});

test("branches", async () => {
  const path = await begin();
  await git.createBranch(path, "topic");
  assert.deepEqual(await git.branches(path), { branches: ["main", "topic"], currentBranch: "topic" });
  await git.commit(path, "more", { ...author, allowEmpty: true });
  await git.checkoutBranch(path, "main");
  await assert.rejects(git.deleteBranch(path, "topic"), CommandExitError);
  await git.deleteBranch(path, "topic", { force: true });
  assert.deepEqual((await git.branches(path)).branches, ["main"]);
});

test("reset and restore", async () => {
  const path = await begin();
  await box.files.write(`${path}/a.txt`, "two\n");
  await git.add(path);
  await git.restore(path, { paths: ["a.txt"], staged: true });
  assert.equal((await git.status(path)).hasStaged, false);
  await git.restore(path, { paths: ["a.txt"] });
  assert.equal((await git.status(path)).isClean, true);
  await git.commit(path, "empty", { ...author, allowEmpty: true });
  await git.reset(path, { mode: "hard", target: "HEAD~1" });
  assert.equal(await output("git log --format=%s", path), "first\n");
  await assert.rejects(git.restore(path, { paths: [] }), InvalidArgumentError);
});

test("configuration", async () => {
  const path = await begin();
  await git.setConfig("core.pager", "less -R; echo 'x'", { scope: "local", path });
  assert.equal(await git.getConfig("core.pager", { scope: "local", path }), "less -R; echo 'x'");
  assert.equal(await git.getConfig("core.pager"), undefined);
  await git.configureUser("Grace H", "grace@example.test");
  assert.equal(await git.getConfig("user.email"), "grace@example.test");
  await git.commit(path, "as configured", { allowEmpty: true });
  assert.equal(await output("git log -1 --format=%an", path), "Grace H\n");
});

test("remotes, push, clone, pull", async () => {
  const path = await begin(), address = url("public"), clone = `${path}-clone`;
  await assert.rejects(git.pull(path), GitUpstreamError);
  assert.equal(await git.remoteGet(path, "origin"), undefined);
  await git.remoteAdd(path, "origin", url("public"));
  await assert.rejects(git.remoteAdd(path, "origin", address), CommandExitError);
  await git.remoteAdd(path, "origin", address, { overwrite: true, fetch: true });
  assert.equal(await git.remoteGet(path, "origin"), address);
  await assert.rejects(git.push(path, { setUpstream: false }), GitUpstreamError);
  await git.push(path, { remote: "origin", branch: "main" });
  await git.clone(address, { path: clone, branch: "main", depth: 1 });
  assert.equal(await box.files.read(`${clone}/a.txt`), "one\n");
  await git.commit(path, "second", { ...author, allowEmpty: true });
  assert.equal((await git.status(path)).ahead, 1);
  await git.push(path);
  await git.pull(clone);
  assert.equal(await output("git log -1 --format=%s", clone), "second\n");
});

test("credentials", async () => {
  const path = await begin(), address = url("private"), clone = `${path}-clone`;
  await git.remoteAdd(path, "origin", address);
  await assert.rejects(git.push(path, { remote: "origin", branch: "main" }), GitAuthError);
  await git.push(path, { remote: "origin", branch: "main", username, password });
  assert.equal(await git.remoteGet(path, "origin"), address);
  await assert.rejects(git.clone(address, { path: clone }), GitAuthError);
  await assert.rejects(git.clone(address, { path: clone, username, password: "wrong" }), GitAuthError);
  await assert.rejects(git.clone(address, { path: clone, password }), InvalidArgumentError);
  await git.clone(address, { path: clone, username, password });
  assert.equal(await git.remoteGet(clone, "origin"), address);
  await assert.rejects(git.pull(clone), GitAuthError);
  await git.pull(clone, { username, password });
  await git.clone(address, { path: `${clone}-stored`, username, password, dangerouslyStoreCredentials: true });
  assert.ok((await git.remoteGet(`${clone}-stored`, "origin")).includes(password));
  await git.dangerouslyAuthenticate({ username, password, host: server, protocol: "http", user: "root" });
  await git.clone(address, { path: `/root/${unique()}`, user: "root" });
});
