// The web page in headless Chromium, over Connect and over gRPC-Web; leaves a screenshot of each.
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./launch.mjs";

const SHOTS = process.env.E2E_SCREENSHOTS ?? mkdtempSync(join(tmpdir(), "sandglass-shots-"));
let browser;

before(async () => {
  browser = await launch();
});
after(() => browser.close());

async function open() {
  const page = await browser.newPage();
  const problems = [];
  page.on("pageerror", (e) => problems.push(String(e)));
  page.on("console", (m) => { if (m.type() === "error") problems.push(m.text()); });
  await page.goto(process.env.SANDGLASS_URL);
  return { page, problems };
}

const CELL = `import time, sys
import pandas as pd, matplotlib.pyplot as plt
for i in range(3):
    print("line", i)
    time.sleep(0.5)
print("to stderr", file=sys.stderr)
plt.plot([1, 4, 9]); plt.show()
pd.DataFrame({"a": [1, 2], "b": ["x", "<script>document.title='owned'</script>"]})`;

for (const protocol of ["connect", "grpc-web"]) {
  test(`a whole visit over ${protocol}`, { timeout: 120_000 }, async () => {
    const { page, problems } = await open();
    await page.selectOption("#protocol", protocol);
    await page.fill("#key", process.env.E2B_API_KEY);
    await page.press("#key", "Tab");
    await page.click("#create:enabled");
    await page.waitForFunction(() => /^i[a-z0-9]{20} /.test(document.getElementById("sandbox").textContent));
    await page.fill("#code", CELL);
    await page.click("#run:enabled");
    await page.waitForFunction(() => document.querySelector("pre.stdout")?.textContent.startsWith("line 0\n"));
    assert.ok(!(await page.textContent("pre.stdout")).includes("line 2"), "output is shown while the cell runs");
    await page.waitForFunction(() => document.getElementById("state").textContent === "ok", null, { timeout: 60_000 });
    assert.equal(await page.textContent("pre.stdout"), "line 0\nline 1\nline 2\n");
    assert.equal(await page.textContent("pre.stderr"), "to stderr\n");
    assert.ok(await page.$eval("#output img", (img) => img.naturalWidth > 100), "the chart is a picture");
    const frame = await (await page.$("#output iframe")).contentFrame();
    assert.equal(await frame.locator("tbody tr").count(), 2);
    assert.equal(await page.title(), "sandglass", "HTML from the sandbox runs no script");
    await page.screenshot({ path: join(SHOTS, `page-${protocol}.png`), fullPage: true });

    await page.fill("#code", "raise ValueError('shown')");
    await page.click("#run:enabled");
    await page.waitForSelector("pre.error");
    assert.match(await page.textContent("pre.error"), /ValueError.*shown/s);

    await page.fill("#code", "import time; time.sleep(60)");
    await page.click("#run:enabled");
    await page.waitForTimeout(500);
    await page.click("#interrupt:enabled");
    await page.waitForFunction(() => /interrupted/.test(document.getElementById("state").textContent));

    await page.click("#kill:enabled");
    await page.waitForFunction(() => /is gone$/.test(document.getElementById("sandbox").textContent));
    assert.deepEqual(problems, []);
    await page.close();
  });
}

test("a wrong key is said", async () => {
  const { page } = await open();
  await page.fill("#key", `e2b_${"0".repeat(40)}`);
  await page.press("#key", "Tab");
  await page.waitForFunction(() => document.getElementById("sandbox").classList.contains("bad"));
  assert.ok(await page.isDisabled("#create"));
  await page.close();
});
