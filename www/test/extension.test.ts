/** The skeleton of an extension in `examples/extension`, with the packed package and the demo model, in Chromium. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium, type BrowserContext } from "playwright-core";
import { WANTED } from "./client-page.js";
import { chromiumOptions } from "./driver.js";
import { installInto } from "./tarball.js";

/** Firefox has other extensions. */
const isRun = process.env["OCELLI_BROWSER"] !== "Firefox";

describe("extension", { skip: !isRun && "it is one of Chromium" }, () => {
  let folder: string;
  let context: BrowserContext;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "ocelli-extension-"));
    const extension = join(folder, "extension");
    cpSync(resolve("examples/extension"), extension, { recursive: true });
    cpSync(join(installInto(folder).installed, "dist/ocelli"), join(extension, "ocelli"), { recursive: true });
    cpSync(resolve("dist/models/demo"), join(extension, "models/demo"), { recursive: true });
    const { executablePath, args } = chromiumOptions();
    context = await chromium.launchPersistentContext(join(folder, "profile"), {
      executablePath,
      args: [...args, `--disable-extensions-except=${extension}`, `--load-extension=${extension}`],
      ignoreDefaultArgs: ["--disable-extensions"],
    });
  });
  after(async () => {
    await context?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("its popup describes a picture, the model being in the offscreen document", async () => {
    const [known] = context.serviceWorkers();
    const background = known ?? (await context.waitForEvent("serviceworker"));
    const popup = await context.newPage();
    const faults: string[] = [];
    popup.on("pageerror", (error) => faults.push(error.message));
    await popup.goto(new URL("popup.html", background.url()).href);
    for (const time of ["first", "second"]) {
      await popup.setInputFiles("#file", resolve("models/demo/gallery/scene-01.png"));
      await popup.waitForSelector('#answer[data-state="done"], #answer[data-state="failed"]', { timeout: 180_000 });
      assert.equal(await popup.textContent("#answer"), WANTED, time);
      await popup.reload();
    }
    assert.deepEqual(faults, []);
  });
});
