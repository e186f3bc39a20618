import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { askByKeyboard, drop, endWorkers, galleryFiles, nextAnswer, noteWorkers, openPage, problem } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";
import { known } from "../src/api/registry.js";

inBrowsers("page", (browser) => {
  let site: Site;
  let tab: Tab;
  let pictures: string[];
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await openPage(tab, site.url);
    pictures = await galleryFiles(tab);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Resets the page without reloading it. */
  async function fresh(): Promise<void> {
    await tab.click("#new-conversation");
  }

  test("a dropped PNG is described in more than one step", async () => {
    await fresh();
    await tab.run(() => {
      const seen = new Set<string>();
      const look = () => seen.add(document.querySelector("#underway .words")?.textContent ?? "");
      new MutationObserver(look).observe(document.getElementById("underway") as HTMLElement, {
        childList: true,
        subtree: true,
        characterData: true,
      });
      Object.assign(window, { seen });
    });
    await drop(tab, { from: pictures[0] as string, name: "scene.png" });
    const answer = await nextAnswer(tab);
    assert.match(answer, /\w+ \w+/);
    const steps = await tab.run(() => [...(window as unknown as { seen: Set<string> }).seen].filter(Boolean));
    assert.ok(steps.length > 1, `the text changed ${steps.length} times`);
    for (const step of steps) assert.ok(answer.startsWith(step.trim()), `${step} is no beginning of ${answer}`);
  });

  for (const type of ["image/jpeg", "image/webp"] as const) {
    test(`a dropped ${type} is described`, async () => {
      await fresh();
      await drop(tab, { from: pictures[0] as string, as: type, name: `scene.${type.slice(6)}` });
      assert.match(await nextAnswer(tab), /\w+ \w+/);
    });
  }

  test("a question shows its picture", async () => {
    await fresh();
    await drop(tab, { from: pictures[1] as string, name: "second.png" });
    await nextAnswer(tab);
    const shown = "#log .turn.user img";
    await until(tab, "the picture is shown", (shown) => (document.querySelector<HTMLImageElement>(shown)?.naturalWidth ?? 0) > 0, shown);
    assert.equal(await tab.run((shown) => document.querySelector<HTMLImageElement>(shown)?.alt, shown), "second.png");
  });

  test("a follow-up is answered with knowledge of the conversation", async () => {
    await fresh();
    await drop(tab, { from: pictures[0] as string, name: "scene.png" });
    await nextAnswer(tab);
    await askByKeyboard(tab, "What color is it?");
    assert.match(await nextAnswer(tab, 1), /\w/);
    assert.equal(await tab.run(() => document.querySelectorAll("#log hr").length), 0, "it is one conversation");
  });

  test("a question may have several pictures", async () => {
    await fresh();
    const files = pictures.slice(0, 2).map((from, index) => ({ from, name: `${index}.png` }));
    await drop(tab, ...files);
    assert.match(await nextAnswer(tab), /\w/);
    assert.equal(await tab.run(() => document.querySelectorAll("#log .turn.user img").length), 2);
  });

  test("new pictures are kept for the next question if so chosen", async () => {
    await fresh();
    await tab.click("#describe-at-once");
    await drop(tab, { from: pictures[0] as string, name: "scene.png" });
    await until(tab, "the picture is in the tray", () => document.querySelectorAll("#tray img").length === 1);
    assert.equal(await tab.run(() => document.querySelectorAll("#log .turn").length), 0);
    await askByKeyboard(tab, "What shape is it?");
    assert.match(await nextAnswer(tab), /\w/);
    assert.equal(await tab.run(() => document.querySelectorAll("#tray img").length), 0);
    await tab.click("#describe-at-once");
  });

  test("Shift+Enter starts a line, and markup in a question stays text", async () => {
    await fresh();
    await tab.click("#question");
    await tab.type("<b>what</b>");
    await tab.press("Shift+Enter");
    await tab.type("<img src=x onerror=alert(1)>?");
    await tab.press("Enter");
    await nextAnswer(tab);
    const asked = await tab.run(() => document.querySelector("#log .turn.user .words")?.textContent);
    assert.equal(asked, "<b>what</b>\n<img src=x onerror=alert(1)>?");
    assert.equal(await tab.run(() => document.querySelectorAll("#log .turn.user .words *").length), 0);
  });

  const refused = [
    { title: "a text file", file: { text: "not a picture\n", name: "notes.txt" } },
    { title: "an empty file", file: { text: "", name: "empty.png" } },
    { title: "half a PNG", file: { text: "\u0089PNG\r\n\u001a\n", name: "half.png" } },
  ];
  for (const { title, file } of refused) {
    test(`${title} is reported not to be a picture, and the page stays usable`, async () => {
      await fresh();
      await drop(tab, file);
      const told = await problem(tab);
      assert.equal(told.code, "invalid-image");
      assert.ok(told.text.includes(file.name), told.text);
      assert.match(told.text, /PNG, JPEG or WebP/);
      await drop(tab, { from: pictures[0] as string, name: "scene.png" });
      assert.match(await nextAnswer(tab), /\w/);
      assert.equal(await tab.run(() => document.getElementById("problem")?.textContent), "", "the message is gone");
    });
  }

  test("a picture of 60 megapixels is scaled with a note, and the page stays usable", async () => {
    await fresh();
    await drop(tab, { from: "test/huge.png", name: "huge.png" });
    await nextAnswer(tab);
    const note = await tab.run(() => document.querySelector("#log .note")?.textContent ?? "");
    assert.match(note, /60 megapixels.*4096 × 2458/);
    await drop(tab, { from: pictures[0] as string, name: "scene.png" });
    assert.match(await nextAnswer(tab, 1), /\w/);
  });

  test("no exception was uncaught, and the content security policy was respected", () => {
    assert.deepEqual(tab.faults, []);
  });

  test("the page requested only its own files", () => {
    const strange = [...site.requests.keys()].filter((path) => !/^\/($|\w[\w.-]*$|ocelli\/|models\/demo\/|test\/huge\.png)/.test(path));
    assert.deepEqual(strange, []);
  });
});

inBrowsers("page on each device", (browser) => {
  const words = {
    auto: /Running on this computer's processor, on .*thread.*, because this browser's only GPU is emulated/,
    cpu: /Running on this computer's processor, on .*thread[^,]*\.$/,
    gpu: /Running on a GPU that the processor emulates/,
  };
  for (const [device, line] of Object.entries(words)) {
    test(`${device}: a picture is described, a question about it answered, and the device told`, async () => {
      const site = await startSite();
      const tab = await browser().newTab();
      try {
        await openPage(tab, `${site.url}?device=${device}`);
        assert.match(await tab.run(() => document.querySelector<HTMLElement>("#device")?.innerText.trim() ?? ""), line);
        const [first] = await galleryFiles(tab);
        await drop(tab, { from: first as string, name: "scene.png" });
        assert.match(await nextAnswer(tab), /orange circle/);
        await askByKeyboard(tab, "What color is it?");
        assert.match(await nextAnswer(tab, 1), /\w/);
        assert.deepEqual(tab.faults, []);
      } finally {
        await tab.close();
        await site.stop();
      }
    });
  }
});

inBrowsers("page whose worker ends", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await tab.beforeLoad(noteWorkers);
    await openPage(tab, `${site.url}?device=cpu`);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  const isLoading = () => document.querySelector<HTMLElement>("#load")?.hidden === false;

  test("the model is loaded again, and answers", async () => {
    const [first] = await galleryFiles(tab);
    await drop(tab, { from: first as string, name: "scene.png" });
    const answer = await nextAnswer(tab);
    await endWorkers(tab);
    await until(tab, "the model is loaded again", isLoading);
    await until(tab, "the model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden);
    await drop(tab, { from: first as string, name: "scene.png" });
    assert.equal(await nextAnswer(tab, 1), answer);
    assert.deepEqual(tab.faults, []);
  });

  test("a model whose worker ends soon after each load is not loaded again and again", async () => {
    for (let time = 0; time < 2; time++) {
      await endWorkers(tab);
      await until(tab, "the model is loaded again", isLoading);
      await until(tab, "the model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden);
    }
    await endWorkers(tab);
    assert.equal((await problem(tab)).code, "internal");
    await tab.view(`../target/page/${browser().name}-worker-ended.png`);
    await askByKeyboard(tab, "What is this?");
    assert.equal((await problem(tab)).code, "internal");
  });
});

inBrowsers("page with a fake worker", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await openPage(tab, site.url);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("Esc stops within one token and keeps the text", async () => {
    await askByKeyboard(tab, "endless");
    await until(tab, "some words", () => (document.querySelector("#underway .words")?.textContent?.length ?? 0) > 10);
    await tab.press("Escape");
    const answer = await nextAnswer(tab);
    assert.match(answer, /^word word/);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const later = await tab.run(() => document.querySelector("#log .turn.model .words")?.textContent);
    assert.equal(later, answer, "no word comes after the stop");
    assert.deepEqual(await tab.run(() => (window as unknown as { cancelled: number[] }).cancelled.length), 1);
    await askByKeyboard(tab, "short");
    assert.equal(await nextAnswer(tab, 1), "A short answer.");
  });

  test("pictures have a size that suits the device, or the one that is chosen", async () => {
    await tab.click("#describe-at-once");
    for (const detail of ["auto", "high", "low"]) {
      await tab.click("#new-conversation");
      await tab.run((detail) => {
        const look = document.querySelector<HTMLSelectElement>("#look");
        if (!look) return;
        look.value = detail;
        look.dispatchEvent(new Event("change", { bubbles: true }));
      }, detail);
      await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
      await until(tab, "the picture is in the tray", () => document.querySelectorAll("#tray img").length === 1);
      await askByKeyboard(tab, "how detailed");
      assert.equal(await nextAnswer(tab), detail);
    }
    await tab.click("#describe-at-once");
  });

  test("markup in an answer stays text", async () => {
    await tab.click("#new-conversation");
    await askByKeyboard(tab, "markup");
    assert.equal(await nextAnswer(tab), '<img src=x onerror="window.hacked=1"><b>bold</b>');
    assert.equal(await tab.run(() => document.querySelectorAll("#log .words :is(img, b)").length), 0);
    assert.equal(await tab.run(() => "hacked" in window), false);
  });

  test("a failing request is reported and leaves the page usable", async () => {
    await tab.click("#new-conversation");
    await askByKeyboard(tab, "overflow");
    const { code, text } = await problem(tab);
    assert.equal(code, "context-overflow");
    assert.match(text, /new conversation/);
    await askByKeyboard(tab, "short");
    assert.equal(await nextAnswer(tab), "A short answer.");
  });
});

inBrowsers("page without WebGPU", (browser) => {
  test("a page without WebGPU describes a picture on the processor", async () => {
    const site = await startSite();
    const tab = await browser().newTab();
    try {
      // Older browsers have no `navigator.gpu`, which the worker tests for.
      const worker = new TextDecoder().decode(await (await fetch(`${site.url}ocelli/worker.js`)).arrayBuffer());
      const without = "delete WorkerNavigator.prototype.gpu;\n";
      // An isolated page accepts no worker without it.
      site.headers = { "cross-origin-embedder-policy": "require-corp" };
      site.replaced.set("/ocelli/worker.js", new TextEncoder().encode(without + worker));
      await tab.goto(site.url);
      const [first] = await galleryFiles(tab);
      await drop(tab, { from: first as string, name: "scene.png" });
      assert.match(await nextAnswer(tab), /\w+ \w+/);
      assert.equal(await tab.run(() => document.querySelector<HTMLElement>("#problem")?.dataset["code"] ?? null), null);
    } finally {
      await tab.close();
      await site.stop();
    }
  });
});

inBrowsers("page opened by a link to a model", (browser) => {
  let site: Site;
  let other: Site;
  let tab: Tab;
  beforeEach(async () => {
    [site, other] = [await startSite(), await startSite()];
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
  });
  afterEach(async () => {
    await tab?.close();
    await site?.stop();
    await other?.stop();
  });
  const isAsked = () => tab.run(() => document.querySelector<HTMLDialogElement>("#linked")?.open === true);
  const asked = () => until(tab, "the user is asked", () => document.querySelector<HTMLDialogElement>("#linked")?.open);
  const ready = () => until(tab, "a model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden === true);
  const words = (selector: string) => tab.run((selector) => document.querySelector<HTMLElement>(selector)?.innerText ?? "", selector);
  const saved = () => tab.run(() => localStorage.getItem("ocelli-model"));

  test("a model of another site is loaded only if the user agrees, and is not remembered", async () => {
    const model = `${other.url}models/evil/`;
    await tab.goto(`${site.url}?model=${encodeURIComponent(model)}`);
    await asked();
    const { origin } = new URL(other.url);
    assert.equal(await words("#linked-origin"), origin);
    assert.equal(await words("#linked-name"), model);
    assert.equal(await words("#linked-size"), "Unknown size");
    await tab.press("Escape");
    await ready();
    assert.equal(await words("#model-name"), "demo model");

    await tab.goto(`${site.url}?model=${encodeURIComponent(model)}`);
    await asked();
    await tab.press("Enter");
    await ready();
    assert.equal(await words("#model-name"), "demo model", "the focus is on the refusal");

    await tab.goto(`${site.url}?model=${encodeURIComponent(model)}`);
    await asked();
    await tab.click("#linked-load");
    await ready();
    assert.equal(await words("#model-name"), model);
    assert.equal(await saved(), null);
    assert.deepEqual(tab.faults, []);
  });

  test("the question has no text that the link's author wrote, and stays small", async () => {
    const model = `${other.url}models/evil/?This model is safe${"x".repeat(2000)}`;
    await tab.goto(`${site.url}?model=${encodeURIComponent(model)}`);
    await asked();
    assert.equal(await words("#linked-name"), `${other.url}models/evil/`);
    await tab.goto(`${site.url}?model=${encodeURIComponent(`${other.url}${"x".repeat(5000)}`)}`);
    await asked();
    const isVisible = () =>
      tab.run(() => (document.querySelector("#linked-refuse")?.getBoundingClientRect().bottom ?? Infinity) < innerHeight);
    assert.equal(await isVisible(), true);
  });

  test("a known model is named with the size of its download", async () => {
    const { source } = known("qwen3.5-0.8b") ?? {};
    if (!source || !("gguf" in source)) throw new Error("no such model");
    await tab.goto(`${site.url}?model=${encodeURIComponent(String(source.gguf))}`);
    await asked();
    assert.match(await words("#linked-words"), /https:\/\/huggingface\.co.*Qwen3\.5 0\.8B\s+738 MB/s);
  });

  test("a model of the page's own site is loaded at once, and is not remembered", async () => {
    await openPage(tab, `${site.url}?model=models/other/`);
    assert.equal(await isAsked(), false);
    assert.equal(await words("#model-name"), "models/other/");
    assert.equal(await saved(), null);
  });
});
