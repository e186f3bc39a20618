/** Vercel's AI SDK, unmodified, against `engine.fetch`. `serve.test.ts` makes the same calls over HTTP. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { LanguageModelV4 } from "@ai-sdk/provider";
import { assertDescribed, assertFailed, assertObjects, assertTools } from "./ai-wanted.js";
import { addScript, PICTURE, WANTED } from "./client-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

type Page = typeof import("./ai-page.js");
type Model = ReturnType<ReturnType<Page["createOpenAICompatible"]>>;

/** State of the tests in the page. */
interface Kept {
  page: Page;
  model: Model;
  stranger: Model;
  /** The package's own provider. */
  own: LanguageModelV4;
}

inBrowsers("AI SDK", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    await addScript(site, "/test/ai.js", { file: "test/ai-page.ts" });
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const page = (await import("/test/ai.js" as string)) as Page;
      const engine = await Engine.load("/models/demo/");
      const provider = page.createOpenAICompatible(engine.aiSdk());
      const { ocelli } = (await import("/ocelli/ai-sdk/index.js" as string)) as typeof import("../src/ai-sdk/index.js");
      Object.assign(window, { page, model: provider(engine.model), stranger: provider("gpt-5"), own: ocelli(engine) });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("pictures by address, as bytes and as a blob are described: whole, streamed, with options of the provider", async () => {
    site.requests.clear();
    const told = await tab.run(async (path) => {
      const { page, model } = window as unknown as Kept;
      const blob = await (await fetch(path)).blob();
      const byAddress = await page.describe(model, new URL(path, location.href));
      const asBytes = await page.describe(model, new Uint8Array(await blob.arrayBuffer()));
      const asBlob = await page.describe(model, new URL(URL.createObjectURL(blob)));
      return [byAddress, asBytes, asBlob];
    }, PICTURE);
    for (const described of told) assertDescribed(described);
    assert.equal(site.requests.get(PICTURE), 1 + 3, "by address it is the engine that fetches it, once for each request");
  });

  test("objects match a zod schema", async () => {
    assertObjects(await tab.run(() => (window as unknown as Kept).page.objects((window as unknown as Kept).model)));
  });

  test("tools are called and run, and their results are answered", async () => {
    assertTools(await tab.run(() => (window as unknown as Kept).page.tools((window as unknown as Kept).model)));
  });

  test("an abort ends a stream, and a refused request is not repeated", async () => {
    const told = await tab.run(() => {
      const { page, model, stranger } = window as unknown as Kept;
      return page.failures(model, stranger);
    });
    assertFailed(told);
  });

  test("the package's own provider gives the same: pictures, objects, tools", async () => {
    const told = await tab.run(async (path) => {
      const { page, own } = window as unknown as Kept;
      const blob = await (await fetch(path)).blob();
      const bytes = new Uint8Array(await blob.arrayBuffer());
      const described = [await page.describe(own, new URL(path, location.href)), await page.describe(own, bytes)];
      return { described, objects: await page.objects(own), tools: await page.tools(own) };
    }, PICTURE);
    for (const described of told.described) assertDescribed(described);
    assertObjects(told.objects);
    assertTools(told.tools);
  });

  test("the package's own provider honours top_k, tells durations, and refuses files and models that it does not have", async () => {
    const told = await tab.run(async () => {
      const { page, own } = window as unknown as Kept;
      return page.ownOnly(own);
    });
    assert.deepEqual(told.texts[0], told.texts[1], "one candidate at any temperature");
    assert.deepEqual([told.warnings, told.aborted], [[], 1]);
    assert.ok(told.decodeMs > 0 && told.pieces < 450, JSON.stringify(told));
    assert.match(told.audio, /reads pictures, not files of type audio\/wav/);
    assert.equal(told.refused, "context-overflow");
  });

  test("useChat with DirectChatTransport supports a picture, a follow-up and a stop", async () => {
    await tab.run(async (path) => {
      const { page, model } = window as unknown as Kept;
      page.mountChat(document.body.appendChild(document.createElement("div")), model);
      const url = new URL(path, location.href).href;
      while (!page.shown.chat) await new Promise((resolve) => setTimeout(resolve, 20));
      await page.shown.chat.sendMessage({ text: "Describe this image.", files: [{ type: "file", mediaType: "image/png", url }] });
    }, PICTURE);
    const texts = () => tab.run(() => [...document.querySelectorAll("li")].map(({ className, textContent }) => [className, textContent]));
    const described = [
      ["user", "Describe this image."],
      ["assistant", WANTED],
    ];
    await until(tab, "the answer is whole", () => (window as unknown as Kept).page.shown.chat?.status === "ready");
    assert.deepEqual(await texts(), described);
    await tab.run(async () => {
      const { shown } = (window as unknown as Kept).page;
      const answered = shown.chat?.sendMessage({ text: "What color is the circle?" });
      while (!document.querySelector("li:nth-child(4)")?.textContent) await new Promise((resolve) => setTimeout(resolve, 5));
      await shown.chat?.stop();
      await answered;
    });
    await until(tab, "it has stopped", () => (window as unknown as Kept).page.shown.chat?.status === "ready");
    const after = await texts();
    assert.deepEqual(after.slice(0, 2), described);
    assert.equal(after[2]?.[1], "What color is the circle?");
    assert.ok(after[3]?.[1]);
  });
});
