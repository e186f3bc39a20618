/** The first photograph of a newcomer, and downloads of models while another one answers. The models come from a second origin. */
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { afterEach, beforeEach, test } from "node:test";
import { askByKeyboard, drop, galleryFiles, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const NAME = "Ministral 3 3B Instruct";
const [TEXT, TOWER] = ["gguf/q4_k.gguf", "gguf/mmproj.gguf"];

inBrowsers("a first photograph", (browser) => {
  let site: Site;
  let tab: Tab;
  let bytes: number;
  beforeEach(async () => {
    site = await startSite();
    bytes = (await stat(`../tests/fixtures/${TEXT}`)).size + (await stat(`../tests/fixtures/${TOWER}`)).size;
    await offerTinyModel();
    tab = await browser().newTab();
    await openPage(tab, site.url);
  });
  afterEach(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Replaces the files of a known model by small ones of another origin. */
  async function offerTinyModel(): Promise<void> {
    const elsewhere = site.url.replace("localhost", "127.0.0.1");
    const script = await readFile("dist/ocelli/index.js", "utf8");
    const folder = /https:[^"]*Ministral-3-3B-Instruct-2512-GGUF\/resolve\/\w+\//.exec(script)?.[0] ?? "";
    const changed = script
      .replace(`${folder}Ministral-3-3B-Instruct-2512-Q4_K_M.gguf`, `${elsewhere}${TEXT}`)
      .replace(`${folder}Ministral-3-3B-Instruct-2512-BF16-mmproj.gguf`, `${elsewhere}${TOWER}`)
      .replace("downloadBytes:2988524864,packageBytes:3021066240", `downloadBytes:${bytes},packageBytes:${bytes}`);
    assert.ok(changed.includes(TEXT) && changed.includes(`packageBytes:${bytes}`), "the model is known under these facts");
    site.replaced.set("/ocelli/index.js", new TextEncoder().encode(changed));
  }

  /** A picture that resembles a landscape: gradients of light, and grain. */
  const dropPhotograph = () =>
    tab.run(async () => {
      const canvas = new OffscreenCanvas(640, 480);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no canvas");
      const picture = context.createImageData(640, 480);
      for (let at = 0; at < picture.data.length; at += 4) {
        const [x, y] = [(at / 4) % 640, Math.floor(at / 4 / 640)];
        const grain = (seed: number) => ((at * (2_654_435_761 + 2 * seed)) % 47) - 23;
        const ground = 140 + 60 * Math.sin(x / 70);
        const [red, green, blue] = y > ground ? [60 + x / 9, 110 - y / 9, 30 + y / 12] : [120 + y / 3, 150 + y / 5, 255 - y / 4];
        picture.data.set([red + grain(1), green + grain(2), blue + grain(3), 255], at);
      }
      context.putImageData(picture, 0, 0);
      const transfer = new DataTransfer();
      transfer.items.add(
        new File([await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 })], "holiday.jpg", { type: "image/jpeg" }),
      );
      document.getElementById("drop")?.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    });
  const text = (selector: string) => tab.run((selector) => document.querySelector<HTMLElement>(selector)?.innerText ?? "", selector);
  const offered = () => until(tab, "the card is shown", () => document.getElementById("get-model") !== null);
  const named = (name: string) =>
    until(tab, `${name} is in use`, (name) => document.getElementById("model-name")?.textContent === name, name);
  /** The model's weights are random, so its answer would be long. */
  const answers = () => until(tab, "it answers", () => document.querySelector("#underway .words, #log .turn.model .words")?.textContent);
  const reload = async () => {
    const address = await tab.run(() => location.href);
    await tab.goto("about:blank");
    await openPage(tab, address);
  };

  test("a photograph is held, and answered by itself after the download", async () => {
    await dropPhotograph();
    await offered();
    assert.equal(await tab.run(() => document.querySelectorAll(".turn.model").length), 0, "nothing is made up");
    const words = await text("#offer");
    assert.match(words, /looks like a photograph/);
    assert.match(words, new RegExp(`Download ${NAME} \\(\\d+ [kM]B, about .+\\) and describe it`));
    assert.match(words, /comes from 127\.0\.0\.1.* stays on this device/s);
    await tab.click("#get-model");
    await named(NAME);
    await answers();
    assert.equal(await tab.run(() => document.querySelectorAll("#log .turn.user img").length), 1);
    assert.equal(await tab.run(() => document.getElementById("offer")), null);
    assert.deepEqual(tab.faults, []);
  });

  test("a reload during the download loses neither the photograph nor the answer", async () => {
    await dropPhotograph();
    await offered();
    site.isHeld = () => true;
    await tab.click("#get-model");
    await until(tab, "the download is shown", () => document.querySelector("#downloads li") !== null);
    await reload();
    assert.equal(await tab.run(() => document.querySelectorAll("#log .turn.user img").length), 1);
    site.isHeld = () => false;
    await named(NAME);
    await answers();
  });

  test("the demo model is asked anyway if the user wants it, and a scene at once", async () => {
    await dropPhotograph();
    await offered();
    await tab.click("#ask-anyway");
    assert.match(await nextAnswer(tab), /\w/);
    await tab.click("#new-conversation");
    await drop(tab, { from: (await galleryFiles(tab))[0] as string, name: "scene.png" });
    assert.match(await nextAnswer(tab), /\w+ \w+/);
  });

  test("a model is downloaded while another one answers, paused and resumed, and its size is true", async () => {
    const card = (label: string) => `#known button[aria-label='${label}: ${NAME}']`;
    const act = (label: string) =>
      until(
        tab,
        `${label} can be clicked`,
        (selector) => {
          const button = document.querySelector<HTMLButtonElement>(selector);
          button?.click();
          return button !== null;
        },
        card(label),
      );
    await tab.click("#models summary");
    const size = `${(bytes / 1e6).toPrecision(3)} MB`.replace(/^0\.(\d+) MB$/, "$1 kB");
    await until(tab, "the size is shown", (size) => document.getElementById("known")?.innerText.includes(`Download: ${size}`), size);
    // It stops after some bytes.
    const isBegun = () => (site.sent.get(`/${TEXT}`) ?? 0) > 0;
    site.isHeld = isBegun;
    await act(`Download ${size}`);
    while (!isBegun()) await new Promise((resolve) => setTimeout(resolve, 20));
    await drop(tab, { from: (await galleryFiles(tab))[0] as string, name: "scene.png" });
    assert.match(await nextAnswer(tab), /\w+ \w+/, "the demo model answers meanwhile");
    await act("Pause");
    await until(tab, "it is paused", () => /paused at/.test(document.querySelector("#downloads li")?.textContent ?? ""));
    await act("Continue");
    await act("Pause");
    // A model this small has no part that is stored before its end; import.test.ts has larger ones.
    await tab.click("#models summary");
    await reload();
    assert.match(await nextAnswer(tab), /\w+ \w+/, "the conversation is kept");
    site.isHeld = () => false;
    site.sent.clear();
    await tab.click("#models summary");
    await act(`Download ${size}`);
    await act("Use");
    await named(NAME);
    assert.match(await nextAnswer(tab), /\w+ \w+/, "and stays when another model answers");
    const sent = [TEXT, TOWER].reduce((sum, file) => sum + (site.sent.get(`/${file}`) ?? 0), 0);
    assert.ok(sent >= 0.99 * bytes && sent <= 1.01 * bytes, `${sent} of ${bytes} bytes were sent`);
  });

  test("a failed download leaves the model before and the conversation", async () => {
    await drop(tab, { from: (await galleryFiles(tab))[0] as string, name: "scene.png" });
    const answer = await nextAnswer(tab);
    site.replaced.set(`/${TEXT}`, new TextEncoder().encode("GGUF, but only by name"));
    await tab.click("#models summary");
    await until(
      tab,
      "it can be downloaded",
      (name) => {
        const button = document.querySelector<HTMLButtonElement>(`#known button[aria-label$=': ${name}']`);
        button?.click();
        return button !== null;
      },
      NAME,
    );
    await until(tab, "it is told", () => /not the files of a model/.test(document.querySelector("#downloads li")?.textContent ?? ""));
    assert.equal(await text("#model-name"), "demo model");
    await askByKeyboard(tab, "What color is it?");
    await nextAnswer(tab, 1);
    assert.equal(await nextAnswer(tab), answer);
  });

  test("the measured speed is shown after an answer, and after a reload", async () => {
    await drop(tab, { from: (await galleryFiles(tab))[1] as string, name: "scene.png" });
    await nextAnswer(tab);
    for (const visit of ["at once", "after a reload"]) {
      if (visit !== "at once") await reload();
      await tab.click("#models summary");
      await until(tab, `it is shown ${visit}`, () =>
        /words a second \(measured here\)/.test(document.getElementById("known")?.innerText ?? ""),
      );
      await tab.click("#models summary");
    }
  });
});
