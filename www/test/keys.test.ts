/** Keys of the page, what screen readers are told, and pictures that other programs share. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { readFileSync } from "node:fs";
import { ask, askByKeyboard, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

/** Records what the status region says. */
function listener(): void {
  const said: { at: number; text: string }[] = [];
  Object.assign(window, { said });
  let last = "";
  const look = () => {
    const text = document.getElementById("announcer")?.textContent ?? "";
    if (text && text !== last) said.push({ at: performance.now(), text });
    last = text;
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
}

test("the manifest names icons that exist in the sizes that it says, and takes pictures", () => {
  const manifest = JSON.parse(readFileSync("dist/manifest.webmanifest", "utf8")) as {
    icons: { src: string; sizes: string; type: string; purpose: string }[];
    share_target: { action: string; method: string; params: { files: { name: string }[] } };
    file_handlers: { action: string; accept: Record<string, string[]> }[];
  };
  assert.deepEqual(
    manifest.icons.map(({ purpose, sizes }) => `${purpose} ${sizes}`),
    ["any any", "any 192x192", "any 512x512", "maskable 512x512"],
  );
  for (const { src, sizes, type } of manifest.icons) {
    const file = readFileSync(`dist/${src}`);
    if (type !== "image/png") continue;
    assert.equal(file.subarray(1, 4).toString(), "PNG");
    assert.equal(`${file.readUInt32BE(16)}x${file.readUInt32BE(20)}`, sizes);
  }
  assert.deepEqual([manifest.share_target.action, manifest.share_target.method], ["share", "POST"]);
  assert.equal(manifest.share_target.params.files[0]?.name, "pictures");
  assert.ok(manifest.file_handlers.some(({ accept }) => accept["image/png"]?.includes(".png")));
});

test("the manifest shows the page wide and narrow, in small files of the sizes that it says, which no visit loads", () => {
  const { screenshots } = JSON.parse(readFileSync("dist/manifest.webmanifest", "utf8")) as {
    screenshots: { src: string; sizes: string; type: string; form_factor: string; label: string }[];
  };
  assert.deepEqual(
    screenshots.map(({ form_factor, type }) => [form_factor, type]),
    [
      ["wide", "image/webp"],
      ["narrow", "image/webp"],
    ],
  );
  const worker = readFileSync("dist/sw.js", "utf8");
  for (const { src, sizes, label } of screenshots) {
    const file = readFileSync(`dist/${src}`);
    const kind = file.toString("latin1", 8, 16);
    assert.match(kind, /^WEBPVP8[ X]$/);
    const [width, height] = kind.endsWith("X")
      ? ([24, 27].map((at) => file.readUIntLE(at, 3) + 1) as [number, number])
      : ([26, 28].map((at) => file.readUInt16LE(at) & 0x3fff) as [number, number]);
    assert.equal(`${width}x${height}`, sizes);
    // Browsers refuse others.
    assert.ok(Math.min(width, height) >= 320 && Math.max(width, height) <= 2.3 * Math.min(width, height), sizes);
    assert.ok(file.length < 60_000 && label.length > 20, `${file.length}`);
    assert.ok(!worker.includes(src), "it is not stored for offline use");
  }
});

inBrowsers("keys", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(listener);
    await openPage(tab, `${site.url}?model=models/other/`);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  /** Takes the focus from all fields, after those frames in which a view may give it to one of them. */
  const leaveFields = () =>
    tab.run(async () => {
      for (let frame = 0; frame < 5; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
      (document.activeElement as HTMLElement | null)?.blur();
    });
  const at = (hash: string) => until(tab, `the address is ${hash}`, (hash) => location.hash === hash, hash);
  const focus = (id: string) => until(tab, `the focus is on ${id}`, (id) => document.activeElement?.id === id, id);

  test("single keys open views, do nothing in fields and dialogs, and can be switched off", async () => {
    await tab.viewport(1440, 900);
    await leaveFields();
    await tab.type("s");
    await at("#/settings/general");
    await focus("settings-heading");
    await tab.type("a");
    await at("#/albums");
    await tab.type("m");
    await at("#/models");
    await focus("models-summary");
    await tab.type("c");
    await focus("search");
    await tab.type("sam");
    assert.equal(await tab.run(() => document.querySelector<HTMLInputElement>("#search")?.value), "sam", "they are typed");
    await leaveFields();
    await tab.type("/");
    await focus("question");
    assert.equal(await tab.run(() => document.querySelector<HTMLTextAreaElement>("#question")?.value), "");
    await leaveFields();
    await tab.type("?");
    await until(tab, "the keys are shown", () => document.querySelector<HTMLDialogElement>("#keys-dialog")?.open);
    const before = await tab.run(() => location.hash);
    await tab.type("s");
    assert.equal(await tab.run(() => location.hash), before, "none acts in a dialog");
    await tab.press("Escape");
    await until(tab, "it is closed", () => document.querySelector("#keys-dialog") === null);
    assert.equal(await tab.run(() => document.querySelector("#new-conversation")?.getAttribute("aria-keyshortcuts")), "n");

    await tab.type("s");
    await at("#/settings/general");
    await tab.click("#single-keys");
    await leaveFields();
    for (const key of ["a", "m", "n", "c", "?", "/", "u"]) await tab.type(key);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(await tab.run(() => location.hash), "#/settings/general");
    assert.equal(await tab.run(() => document.querySelectorAll("[aria-keyshortcuts]").length), 0);
  });

  test("keys of a question and of an answer: again, versions, copy and edit", async () => {
    await askByKeyboard(tab, "echo");
    await nextAnswer(tab);
    const turn = (selector: string) => tab.run((selector) => document.querySelector<HTMLElement>(selector)?.focus(), selector);
    const shows = (text: string) =>
      until(tab, text, (text) => document.querySelector("#log .turn.model .words")?.textContent === text, text);
    await turn("#log .turn.model");
    await tab.type("r");
    await shows("Answer 2");
    await turn("#log .turn.model");
    await tab.type("[");
    await shows("Answer 1");
    await turn("#log .turn.model");
    await tab.type("]");
    await shows("Answer 2");
    await turn("#log .turn.user");
    await tab.type("e");
    await focus("question");
    assert.equal(await tab.run(() => document.querySelector<HTMLTextAreaElement>("#question")?.value), "echo");
  });

  test("an arrow in an empty question edits the last one, and n begins a conversation", async () => {
    await askByKeyboard(tab, "echo");
    await nextAnswer(tab);
    await tab.click("#question");
    await tab.press("ArrowUp");
    await until(tab, "it is edited", () => document.querySelector<HTMLTextAreaElement>("#question")?.value === "echo");
    await leaveFields();
    await tab.type("n");
    await until(tab, "a new one", () => document.querySelectorAll("#log .turn").length === 0);
    await focus("question");
  });

  test("an answer is announced in sentences, whole, or not at all", async () => {
    type Said = { at: number; text: string }[];
    const said = () => tab.run(() => (window as unknown as { said: unknown }).said) as Promise<Said>;
    const clear = () => tab.run(() => void (window as unknown as { said: unknown[] }).said.splice(0));
    const sentences = Array.from({ length: 40 }, (_, index) => `This is sentence ${index + 1}.`).join(" ");
    const choose = async (kind: number) => {
      await tab.run(() => (location.hash = "#/settings/general"));
      await until(
        tab,
        "announcements can be chosen",
        (kind) => {
          const field = document.querySelector<HTMLSelectElement>("#announces");
          if (field) field.value = String(kind);
          field?.dispatchEvent(new Event("change", { bubbles: true }));
          return field !== null;
        },
        kind,
      );
      await tab.run(() => (location.hash = "#/"));
      await until(tab, "the conversation", () => document.getElementById("question") !== null);
      await clear();
    };
    let answers = 0;
    const tell = async () => {
      await ask(tab, `say: ${sentences}`);
      await nextAnswer(tab, answers++);
      await until(tab, "it has settled", () => document.querySelector("#underway .turn") === null);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return said();
    };
    await clear();
    const each = await tell();
    assert.match(each[0]?.text ?? "", /^Answering/);
    assert.match(each.at(-1)?.text ?? "", /Answer complete$/);
    // Messages follow each other by 1.5 s at least; only the last one comes at the end of the answer.
    for (const [index, { at }] of each.slice(0, -1).entries()) if (index > 0) assert.ok(at - (each[index - 1]?.at ?? 0) > 1400);
    const heard = each.map(({ text }) => text.replace(/^Answering$|Answer complete$/, "").trim()).filter(Boolean);
    assert.equal(heard.join(" "), sentences, "every sentence is said once");
    assert.ok(each.length < 12, "no message for each token");

    await choose(1);
    const whole = await tell();
    assert.deepEqual(
      whole.map(({ text }) => text),
      ["Answering", `${sentences} Answer complete`],
    );
    await choose(2);
    assert.deepEqual(await tell(), []);
  });

  test("pictures that are shared reach the inbox, and from there a question or an album; files that open the page are taken", async () => {
    await until(tab, "the service worker is there", async () => {
      await navigator.serviceWorker.ready;
      return navigator.serviceWorker.controller !== null;
    });
    const share = () =>
      tab.run(async () => {
        const form = new FormData();
        for (const name of ["scene-01.png", "scene-02.png"]) {
          const blob = await (await fetch(`models/demo/gallery/${name}`)).blob();
          form.append("pictures", new File([blob], `geteilt ü ${name}`, { type: "image/png" }));
        }
        const response = await fetch("share", { method: "POST", body: form, redirect: "manual" });
        return response.type;
      });
    assert.equal(await share(), "opaqueredirect");
    await tab.run(() => (location.hash = "#/inbox"));
    await until(
      tab,
      "two are shown",
      () => [...document.querySelectorAll<HTMLImageElement>("#shared img")].filter(({ naturalWidth }) => naturalWidth > 0).length === 2,
    );
    assert.match((await tab.run(() => document.querySelector("#shared span")?.textContent)) ?? "", /^geteilt ü scene-01\.png$/);
    await tab.click("#inbox-ask");
    await until(
      tab,
      "they are in the question or asked about",
      () => document.querySelectorAll("#tray img, #log .turn.user img").length === 2,
    );
    await nextAnswer(tab);
    await share();
    await tab.run(() => (location.hash = "#/inbox"));
    await until(tab, "they are there", () => document.getElementById("inbox-album") !== null);
    await tab.click("#inbox-album");
    await until(tab, "an album can be made", () => document.querySelector<HTMLDialogElement>("#new-album")?.open);
    await until(tab, "its pictures are listed", () => document.querySelector("#new-album")?.textContent?.includes("2 pictures"));
    await tab.press("Escape");
    await tab.run(() => (location.hash = "#/inbox"));
    await until(tab, "the inbox is empty", () => document.getElementById("inbox-empty") !== null);
    assert.deepEqual(tab.faults, []);
  });

  test("files that the installed page is opened with are pictures of a question", async () => {
    const other = await browser().newTab();
    try {
      await other.beforeLoad(fakeWorker);
      await other.beforeLoad(() => {
        const file = async () =>
          new File([await (await fetch("models/demo/gallery/scene-01.png")).blob()], "opened.png", { type: "image/png" });
        const setConsumer = (consumer: (launch: object) => void) => setTimeout(() => consumer({ files: [{ getFile: file }] }), 50);
        Object.defineProperty(window, "launchQueue", { value: { setConsumer } });
      });
      await openPage(other, `${site.url}?model=models/other/`);
      await until(other, "it is asked about", () => document.querySelector("#tray img, #log .turn.user img") !== null);
    } finally {
      await other.close();
    }
  });
});
