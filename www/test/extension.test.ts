/** The skeleton of an extension in `examples/extension`, with the packed package and the demo model, in Chromium. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium, type BrowserContext } from "playwright-core";
import { WANTED } from "./client-page.js";
import { chromiumOptions } from "./driver.js";
import { installInto } from "./tarball.js";

/** Firefox's extensions have no offscreen documents. */
const isRun = process.env["OCELLI_BROWSER"] !== "Firefox";

describe("extension", { skip: !isRun && "it runs only in Chromium" }, () => {
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

  const openPopup = async () => {
    const [known] = context.serviceWorkers();
    const background = known ?? (await context.waitForEvent("serviceworker"));
    const popup = await context.newPage();
    await popup.goto(new URL("popup.html", background.url()).href);
    return popup;
  };

  test("the popup describes a picture with the model in the offscreen document", async () => {
    const popup = await openPopup();
    const faults: string[] = [];
    popup.on("pageerror", (error) => faults.push(error.message));
    for (const time of ["first", "second"]) {
      await popup.setInputFiles("#file", resolve("models/demo/gallery/scene-01.png"));
      await popup.waitForSelector('#answer[data-state="done"], #answer[data-state="failed"]', { timeout: 300_000 });
      assert.equal(await popup.textContent("#answer"), WANTED, time);
      await popup.reload();
    }
    assert.deepEqual(faults, []);
  });

  test("files from the user are imported, stored, and found again by the next page", async () => {
    const popup = await openPopup();
    await popup.evaluate(() => {
      const input = document.createElement("input");
      Object.assign(input, { type: "file", multiple: true, id: "own" });
      document.body.append(input);
    });
    await popup.setInputFiles(
      "#own",
      ["q4_k", "mmproj"].map((name) => resolve(`../tests/fixtures/gguf/${name}.gguf`)),
    );
    const url = await popup.evaluate(async () => {
      const { importModel } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const [gguf, mmproj] = [...((document.getElementById("own") as HTMLInputElement).files ?? [])];
      return (await importModel({ gguf: gguf as File, mmproj: mmproj as File }, { storage: "require" })).packageUrl;
    });
    await popup.close();
    const page = await openPopup();
    const [isStored, manifest, tokens] = await page.evaluate(async (url) => {
      const { Engine, packages } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const isStored = (await packages.list()).some((stored) => stored.url === url && stored.complete);
      const engine = await Engine.load(url);
      const { usage } = await engine.chat.completions.create({ messages: [{ role: "user", content: "hi" }], max_tokens: 3 });
      engine.unload();
      const manifest = await (await caches.match(`${url}model.json`))?.text();
      await packages.delete(url);
      return [isStored, manifest, usage.completion_tokens] as const;
    }, url);
    assert.deepEqual([isStored, tokens], [true, 3]);
    assert.equal(manifest, readFileSync(resolve("../target/fixture-packages/gguf-q4_k/model.json"), "utf8"));
  });
});
