import { stream, unary } from "/web/rpc.js";

const $ = (id) => document.getElementById(id);
const SANDBOXES = "sandglass.v1.SandboxService";
const CODE = "sandglass.v1.CodeInterpreter";

let sandbox = null; // { id, token, isolation }
let running = null; // AbortController of the running cell

const control = () => ({ "x-api-key": $("key").value.trim() });
const data = () => ({ "sandglass-sandbox-id": sandbox.id, "x-access-token": sandbox.token });
const call = (method, message, headers) => unary($("protocol").value, method, message, headers);

function say(where, text, bad = false) {
  $(where).textContent = text;
  $(where).classList.toggle("bad", bad);
}

function buttons() {
  $("create").disabled = !$("template").value || !!sandbox;
  $("kill").disabled = !sandbox;
  $("run").disabled = !sandbox || !!running;
  $("interrupt").disabled = !running;
}

// ---- output ----

function append(node) {
  const out = $("output");
  const atEnd = out.scrollHeight - out.scrollTop - out.clientHeight < 40;
  out.append(node);
  if (atEnd) out.scrollTop = out.scrollHeight;
}

// Consecutive pieces of one stream share an element, so that long output stays cheap.
function print(text, kind) {
  const last = $("output").lastElementChild;
  if (last?.tagName === "PRE" && last.className === kind && last.textContent.length < 100000) {
    last.append(text);
    return;
  }
  const pre = document.createElement("pre");
  pre.className = kind;
  pre.append(text);
  append(pre);
}

function image(source, alt) {
  const img = document.createElement("img");
  img.src = source;
  img.alt = alt;
  append(img);
}

// HTML that the code made goes into a frame without scripts, forms or navigation; the frame's own policy says so, too.
function html(source) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-same-origin");
  frame.title = "HTML result";
  frame.src = "/web/frame.html";
  frame.onload = () => {
    frame.contentDocument.body.innerHTML = source;
    frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 4}px`;
  };
  append(frame);
}

function result({ data: mime = {} }) {
  if (mime["image/png"]) image(`data:image/png;base64,${mime["image/png"]}`, "image/png result");
  else if (mime["image/jpeg"]) image(`data:image/jpeg;base64,${mime["image/jpeg"]}`, "image/jpeg result");
  else if (mime["image/svg+xml"]) image(`data:image/svg+xml,${encodeURIComponent(mime["image/svg+xml"])}`, "SVG result");
  else if (mime["text/html"]) html(mime["text/html"]);
  else if (mime["text/plain"] !== undefined) print(`${mime["text/plain"]}\n`, "result");
}

function failure({ name, value, traceback }) {
  const pre = document.createElement("pre");
  pre.className = "error";
  // eslint-disable-next-line no-control-regex
  pre.textContent = (traceback || `${name}: ${value}`).replace(/\u001b\[[0-9;]*m/g, "");
  append(pre);
}

function show(event) {
  if (event.stdout) print(event.stdout.text ?? "", "stdout");
  else if (event.stderr) print(event.stderr.text ?? "", "stderr");
  else if (event.result) result(event.result);
  else if (event.error) failure(event.error);
  else if (event.busy) {
    const cell = document.createElement("div");
    cell.className = "cell";
    cell.textContent = `[${event.busy.executionCount ?? ""}]`;
    append(cell);
  } else if (event.end) {
    const status = (event.end.status ?? "").replace("END_STATUS_", "").toLowerCase().replaceAll("_", " ");
    say("state", event.end.detail ? `${status}: ${event.end.detail}` : status, status !== "ok");
  }
}

// ---- actions ----

async function loadTemplates() {
  const select = $("template");
  select.replaceChildren();
  select.disabled = true;
  if ($("key").value.trim()) {
    try {
      const { templates = [] } = await call(`${SANDBOXES}/ListTemplates`, {}, control());
      for (const t of templates) select.add(new Option(t.name, t.name));
      select.value = templates.find((t) => t.name === "code-interpreter-v1")?.name ?? templates[0]?.name;
      select.disabled = false;
      sessionStorage.setItem("key", $("key").value.trim());
      say("sandbox", "");
    } catch (e) {
      say("sandbox", e.message, true);
    }
  }
  buttons();
}

async function create() {
  $("create").disabled = true;
  say("sandbox", "creating…");
  const begun = performance.now();
  try {
    const made = await call(`${SANDBOXES}/CreateSandbox`, { template: $("template").value, timeoutSeconds: 900 }, control());
    sandbox = { id: made.sandbox.sandboxId, token: made.accessToken ?? "", isolation: made.sandbox.isolation };
    say("sandbox", `${sandbox.id} (${sandbox.isolation}), ${Math.round(performance.now() - begun)} ms`);
  } catch (e) {
    say("sandbox", e.message, true);
  }
  buttons();
}

async function kill() {
  try {
    await call(`${SANDBOXES}/KillSandbox`, { sandboxId: sandbox.id }, control());
    say("sandbox", `${sandbox.id} is gone`);
  } catch (e) {
    say("sandbox", e.message, true);
  }
  sandbox = null;
  buttons();
}

async function run() {
  if (!sandbox || running) return;
  running = new AbortController();
  buttons();
  say("state", "running…");
  try {
    const message = { code: $("code").value, interruptOnDisconnect: true };
    for await (const event of stream($("protocol").value, `${CODE}/Execute`, message, data(), running.signal)) show(event);
  } catch (e) {
    say("state", e.message, true);
  }
  running = null;
  buttons();
}

async function interrupt() {
  try {
    await call(`${CODE}/Interrupt`, {}, data());
  } catch (e) {
    say("state", e.message, true);
  }
}

$("key").addEventListener("change", loadTemplates);
$("create").addEventListener("click", create);
$("kill").addEventListener("click", kill);
$("run").addEventListener("click", run);
$("interrupt").addEventListener("click", interrupt);
$("clear").addEventListener("click", () => $("output").replaceChildren());
$("code").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
    e.preventDefault();
    run();
  }
});
$("key").value = sessionStorage.getItem("key") ?? "";
loadTemplates();
