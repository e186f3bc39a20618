import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { askByKeyboard, drop, nextAnswer, openPage, problem } from "./demo-page.js";
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
    await until(tab, "the models are listed", () => document.querySelectorAll("#known > li").length > 1);
    const cards = await text("#known");
    for (const fact of [
      /Demo model/,
      /Qwen3\.5 0\.8B.*Apache-2\.0.*738 MB.*about 714 MB/s,
      /Ministral 3 3B.*Apache-2\.0.*2\.99 GB.*3\.02 GB/s,
      /24B.*Download: about 48\.0 GB/s,
    ])
      assert.match(cards, fact);
    assert.match(await text("#room"), /^The only GPU of this browser is emulated.*Models run on this computer's processor\./);
    assert.match(await text("#device"), /Running on this computer's processor/);
    const { all, least } = registry.find(({ id }) => id.startsWith("ministral-3-3b"))?.gpuMemory ?? { all: 0, least: 0 };
    const memory = `Memory: ${readableBytes(least)} to ${readableBytes(all)}`;
    assert.match(cards, new RegExp(`Ministral 3 3B.*${memory}.*Runs on the processor: .* a second`, "s"));
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
    // Its weights are random, so the answer may be long, or over at once.
    await until(tab, "it answers", () => document.querySelector("#underway .words, #log .turn.model .words")?.textContent);
    if (await tab.run(() => document.querySelector("#underway .words") !== null)) await tab.press("Escape");
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
    site.isHeld = () => true;
    await tab.click("#own-model");
    await tab.type(`${elsewhere}gguf/q5_k.gguf`);
    await tab.click("#own-mmproj");
    await tab.type(`${elsewhere}gguf/mmproj.gguf`);
    await tab.press("Enter");
    await until(tab, "it is asked for", () => document.getElementById("load-cancel")?.hidden === false);
    await until(tab, "the focus goes to what happens", () => document.activeElement?.id === "load-cancel");
    await tab.click("#load-cancel");
    site.isHeld = () => false;
    await ready();
    await shows("the model before is still in use", "#model-name", "some-model");
    assert.equal(await text("#problem"), "", "cancelling is no problem");

    await tab.click("#models summary");
    await tab.run(() => document.querySelector<HTMLFormElement>("#own-address")?.requestSubmit());
    await shows("the model is named", "#model-name", "q5_k");
    await ready();
    assert.deepEqual(tab.faults, []);
  });

  test("a stored model can be deleted; a failed import is reported, and the model before stays", async () => {
    await tab.click("#models summary");
    const names = await text("#stored");
    assert.match(names, /Tiny GGUF/);
    const before = await tab.run(() => document.querySelectorAll("#stored li").length);
    await tab.run(() => [...document.querySelectorAll<HTMLButtonElement>("#stored [aria-label='Delete Tiny GGUF']")].at(0)?.click());
    await shows("it asks", "#stored", "Delete Tiny GGUF\\? It takes [\\d.]+ [kM]B and would have to be downloaded again");
    assert.equal(await tab.run(() => document.querySelectorAll("#stored li").length), before);
    await tab.run(() => [...document.querySelectorAll<HTMLButtonElement>("#stored [aria-label='Delete Tiny GGUF']")].at(0)?.click());
    await until(tab, "one is gone", (before) => document.querySelectorAll("#stored li").length === before - 1, before);
    await drop(tab, { text: "GGUF, but only by name", name: "broken.gguf" });
    await shows("the file is listed", "#given-files", "broken\\.gguf");
    await tab.click("#load-files");
    const told = await problem(tab);
    assert.equal(told.code, "invalid-checkpoint");
    assert.match(told.text, /broken\.gguf/);
    await ready();
    await shows("the model before is still in use", "#model-name", "q5_k");
  });
});
