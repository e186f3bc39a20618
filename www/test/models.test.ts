import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { askByKeyboard, drop, galleryFiles, nextAnswer, openPage, problem } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { registry } from "../src/api/registry.js";
import { readableBytes } from "../src/store/quota.js";
import { startSite, type Site } from "./site.js";

interface Axe {
  run(options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
}

inBrowsers("choosing a model", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await openPage(tab, site.url);
  });
  beforeEach(() => site.requests.clear());
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  const text = (selector: string) => tab.run((selector) => document.querySelector<HTMLElement>(selector)?.innerText ?? "", selector);
  const shows = (what: string, selector: string, pattern: string) =>
    until(tab, what, ({ selector, pattern }) => new RegExp(pattern).test(document.querySelector<HTMLElement>(selector)?.innerText ?? ""), {
      selector,
      pattern,
    });
  const ready = () => until(tab, "the model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden === true);
  const fetched = () => [...site.requests.keys()].filter((path) => path.endsWith(".gguf"));

  test("the chooser shows sizes and licences, is accessible, and works with the keyboard", async () => {
    await tab.click("#models summary");
    await until(tab, "the models are listed", () => document.querySelectorAll("#known > li").length === 10);
    const cards = await text("#known");
    for (const fact of [
      /Demo model/,
      /SmolVLM2 256M.*Apache-2\.0.*about 513 MB \(estimated\).*148 MB/s,
      /Qwen3\.5 0\.8B.*Apache-2\.0.*489 MB/s,
      /Ministral 3 3B.*Apache-2\.0.*2\.99 GB.*3\.02 GB/s,
      /24B.*size unknown/s,
    ])
      assert.match(cards, fact);
    assert.match(await text("#room"), /^Models run on a processor that emulates a GPU/);
    assert.match(await text("#device"), /Running on a processor that emulates a GPU/);
    const { all, least } = registry.find(({ id }) => id.startsWith("ministral-3-3b"))?.gpuMemory ?? { all: 0, least: 0 };
    const memory = `GPU memory: ${readableBytes(all)}, or less at the cost of speed: at least ${readableBytes(least)}`;
    assert.match(cards, new RegExp(`Ministral 3 3B.*${memory}.*Runs on this device, slowly`, "s"));
    assert.match(await text("#stored"), /Demo model, [\d.]+ MB/);
    const violations = await tab.run(async () => {
      const script = document.createElement("script");
      script.src = "test/axe.js";
      document.head.append(script);
      await new Promise((resolve) => (script.onload = resolve));
      const { violations } = await (window as unknown as { axe: Axe }).axe.run({ resultTypes: ["violations"] });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    });
    assert.deepEqual(violations, []);
    const small = await tab.run(() =>
      [...document.querySelectorAll<HTMLElement>("#models button, #models label.button, #models input[type=url], #models summary")]
        .filter((control) => control.offsetParent !== null && control.getBoundingClientRect().height < 44)
        .map((control) => control.outerHTML),
    );
    assert.deepEqual(small, []);
    await tab.click("#models summary");
  });

  test("a photograph for the demo model brings a note on its abilities, and the offer of the smallest model that fits", async () => {
    const isOffered = () => tab.run(() => document.getElementById("offer")?.hidden === false);
    await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
    await nextAnswer(tab);
    for (const file of await galleryFiles(tab)) await drop(tab, { from: file, name: "scene.png" });
    await tab.run(() => new Promise((later) => setTimeout(later, 1000)));
    assert.equal(await isOffered(), false, "a scene is no photograph");
    await tab.run(async () => {
      const canvas = new OffscreenCanvas(640, 480);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no canvas");
      // Resembles a landscape: gradients of light, and grain.
      const picture = context.createImageData(640, 480);
      for (let at = 0; at < picture.data.length; at += 4) {
        const [x, y] = [(at / 4) % 640, Math.floor(at / 4 / 640)];
        const grain = (seed: number) => ((at * (2_654_435_761 + 2 * seed)) % 47) - 23;
        const ground = 140 + 60 * Math.sin(x / 70);
        const [red, green, blue] = y > ground ? [60 + x / 9, 110 - y / 9, 30 + y / 12] : [120 + y / 3, 150 + y / 5, 255 - y / 4];
        picture.data.set([red + grain(1), green + grain(2), blue + grain(3), 255], at);
      }
      context.putImageData(picture, 0, 0);
      const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
      const transfer = new DataTransfer();
      transfer.items.add(new File([blob], "holiday.jpg", { type: "image/jpeg" }));
      document.getElementById("drop")?.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    });
    await until(tab, "it is told", () => document.getElementById("offer")?.hidden === false);
    const words = await text("#offer");
    assert.match(words, /photograph/);
    assert.match(words, /Use SmolVLM2 256M \(148 MB\)|No model that sees photographs fits/);
    await tab.run(() => document.querySelector<HTMLButtonElement>("#stop")?.click());
    await drop(tab, { from: "models/demo/gallery/scene-02.png", name: "scene.png" });
    assert.equal(await isOffered(), false, "the next picture is a scene again");
    await openPage(tab, site.url);
  });

  test("dropped model files are listed and loaded, and the model answers", async () => {
    await drop(tab, { from: "gguf/mmproj.gguf", name: "some-eyes.gguf" }, { from: "gguf/q4_k.gguf", name: "some-model.gguf" });
    await shows("the files are told apart", "#given-files", "Model\\s+some-model\\.gguf[^]*mmproj\\)\\s+some-eyes\\.gguf");
    assert.equal(await tab.run(() => document.querySelectorAll("#tray li, #log .turn").length), 0);
    assert.equal(await text("#problem"), "");
    await tab.click("#load-files");
    await shows("the model is named", "#model-name", "some-model");
    await ready();
    assert.equal(await tab.run(() => document.getElementById("demo-scope")?.hidden), true);
    await askByKeyboard(tab, "x");
    // Its weights are random, so the answer would be long.
    await until(tab, "it answers", () => document.querySelector("#underway .words")?.textContent);
    await tab.press("Escape");
    await nextAnswer(tab);
  });

  test("a reloaded page has the model without a network, and offers to resume an unfinished import", async () => {
    await tab.run(async () => {
      // The files of an import whose tab was closed.
      const head = {
        description: { source: { gguf: "https://example.invalid/m/other.gguf" }, options: {} },
        versions: {},
        loaded: 400,
        total: 1000,
      };
      const cache = await caches.open("ocelli-packages-v1");
      await cache.put(`${location.origin}/ocelli-imported/half/import-checkpoint`, new Response(`${JSON.stringify(head)}\n{}`));
    });
    await openPage(tab, site.url);
    await shows("the model is named", "#model-name", "some-model");
    assert.deepEqual(fetched(), []);
    await shows("the rest is offered", "#interrupted", "other\\.gguf is 40 % imported[^]*Continue[^]*Discard");
    await tab.run(() => document.querySelector<HTMLButtonElement>("#interrupted .quiet")?.click());
    await until(tab, "it is gone", () => document.querySelectorAll("#interrupted .notice").length === 0);
  });

  test("an import from another site can be cancelled and resumed", async () => {
    const elsewhere = site.url.replace("localhost", "127.0.0.1");
    await tab.click("#models summary");
    site.delayMs = 1000;
    await tab.click("#own-model");
    await tab.type(`${elsewhere}gguf/q5_k.gguf`);
    await tab.click("#own-mmproj");
    await tab.type(`${elsewhere}gguf/mmproj.gguf`);
    await tab.press("Enter");
    await until(tab, "it is asked for", () => document.getElementById("load-cancel")?.hidden === false);
    assert.equal(await tab.run(() => document.activeElement?.id), "load-cancel", "the focus goes to what happens");
    await tab.click("#load-cancel");
    site.delayMs = 0;
    await ready();
    await shows("the demo model is back", "#model-name", "demo model");
    assert.equal(await text("#problem"), "", "cancelling is no problem");

    await tab.click("#models summary");
    await tab.run(() => document.querySelector<HTMLFormElement>("#own-address")?.requestSubmit());
    await shows("the model is named", "#model-name", "q5_k");
    await ready();
    assert.deepEqual(tab.faults, []);
  });

  test("a stored model can be deleted; a failed import is reported, and the demo model is loaded again", async () => {
    await tab.click("#models summary");
    const names = await text("#stored");
    assert.match(names, /Tiny GGUF/);
    const before = await tab.run(() => document.querySelectorAll("#stored li").length);
    await tab.run(() => [...document.querySelectorAll<HTMLButtonElement>("#stored [aria-label='Delete Tiny GGUF']")].at(0)?.click());
    await until(tab, "one is gone", (before) => document.querySelectorAll("#stored li").length === before - 1, before);
    await drop(tab, { text: "GGUF, but only by name", name: "broken.gguf" });
    await shows("the file is listed", "#given-files", "broken\\.gguf");
    await tab.click("#load-files");
    const told = await problem(tab);
    assert.equal(told.code, "invalid-checkpoint");
    assert.match(told.text, /broken\.gguf/);
    await ready();
    await shows("the demo model is back", "#model-name", "demo model");
  });
});
