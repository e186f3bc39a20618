/** The camera, fields and places by the keyboard alone, from opening to the export. The focus is never lost to the document. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { stubFiles } from "./album-page.js";
import { drop, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { hasFocus, isKept, reach, use } from "./keyboard-page.js";
import { startSite, type Site } from "./site.js";

const SCENE = "models/demo/gallery/scene-01.png";

/** Runs before the page's scripts: the model finds places. */
function ofFamily(): void {
  Object.assign(window, { fakeFamily: "qwen3_vl" });
}

inBrowsers("dialogs by the keyboard alone", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    for (const stub of [fakeWorker, stubFiles, ofFamily]) await tab.beforeLoad(stub);
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.viewport(1440, 900);
  });
  afterEach(async () => {
    assert.deepEqual(tab.faults, []);
    await tab?.close();
  });
  after(() => site?.stop());

  const shown = (selector: string) =>
    until(tab, `${selector} is shown`, (selector) => document.querySelector(selector) !== null, selector, 30);
  const gone = (selector: string) =>
    until(tab, `${selector} is gone`, (selector) => document.querySelector(selector) === null, selector, 30);
  const saved = (count: number) =>
    until(tab, `${count} files`, (count) => (window as unknown as { saved: unknown[] }).saved.length === count, count, 30);
  /** Gives a picture that waits for its question, and the answer to it. */
  async function givePicture(answer: unknown): Promise<void> {
    await reach(tab, "#describe-at-once");
    await tab.type(" ");
    await drop(tab, { from: SCENE, name: "scene.png" });
    await shown("#tray img");
    await tab.run((sayNext) => void Object.assign(window, { sayNext }), JSON.stringify(answer));
  }

  test("a picture of the camera is taken, taken again, described, and its conversation saved", async () => {
    await use(tab, "#camera");
    await shown("#camera-take");
    await until(tab, "a picture", () => (document.querySelector<HTMLVideoElement>("#camera-live")?.videoWidth ?? 0) > 0);
    await tab.press("Escape");
    await gone("#camera-dialog");
    await hasFocus(tab, "#camera");
    await tab.press("Enter");
    for (const next of ["#camera-again", "#camera-use"]) {
      await until(tab, "a picture", () => (document.querySelector<HTMLVideoElement>("#camera-live")?.videoWidth ?? 0) > 0);
      await use(tab, "#camera-take");
      await shown("#camera-use");
      await isKept(tab, "#camera-dialog", "after it was taken");
      await use(tab, next);
      if (next === "#camera-again") await shown("#camera-take");
      if (next === "#camera-again") await isKept(tab, "#camera-dialog", "for another one");
    }
    assert.equal(await nextAnswer(tab), "A short answer.");
    await isKept(tab, "body", "after the answer");
    await use(tab, "#rail a[href^='#/settings']");
    await hasFocus(tab, "#settings-heading");
    await use(tab, "a[href='#/settings/data']");
    await shown("#save-markdown");
    await use(tab, "#save-markdown");
    await saved(1);
  });

  test("fields are made, changed and removed, and an answer in them is edited and saved", async () => {
    await givePicture({ total: 12 });
    await use(tab, "[data-task=fields]");
    await hasFocus(tab, "#fields-template");
    await reach(tab, ".field-name");
    await tab.type("s");
    await reach(tab, ".field-kind");
    await tab.press("ArrowDown");
    await reach(tab, ".field-rows li:first-of-type [type=checkbox]");
    await tab.type(" ");
    const names = () => tab.run(() => [...document.querySelectorAll<HTMLInputElement>(".field-name")].map(({ value }) => value));
    const before = await names();
    await use(tab, "#fields-add");
    await reach(tab, ".field-rows li:last-of-type .field-name");
    await tab.type("extra");
    assert.deepEqual(await names(), [...before, "extra"]);
    await use(tab, ".field-rows li:last-of-type button");
    await until(tab, "it is removed", (count) => document.querySelectorAll(".field-name").length === count, before.length);
    await isKept(tab, "#fields-dialog", "after a field was removed");
    await use(tab, "details.json summary");
    await reach(tab, "#fields-json");
    await use(tab, "#fields-start");
    await gone("#fields-dialog");
    await nextAnswer(tab);
    await isKept(tab, "body", "after the answer");
    await shown("#log .edit-json");
    await use(tab, "#log .edit-json");
    await shown("#log .edit-answer textarea");
    await isKept(tab, "#log", "in the editor");
    await reach(tab, "#log .edit-answer textarea");
    await use(tab, "#log .edit-answer .choices button");
    await gone("#log .edit-answer");
    await isKept(tab, "#log", "after the editor");
    await use(tab, "#log .tools button:nth-of-type(2)");
    await saved(1);
  });

  test("places are found, seen in the picture, and saved", async () => {
    await givePicture([{ bbox_2d: [100, 200, 400, 500], label: "cat" }]);
    await use(tab, "[data-task=find]");
    await hasFocus(tab, "#find-what");
    await tab.type("cat");
    await reach(tab, "#find-dialog [name=shape]");
    await tab.press("ArrowDown");
    await tab.press("ArrowUp");
    await use(tab, "#find-start");
    await gone("#find-dialog");
    await shown("#log .found-list li");
    await isKept(tab, "body", "after the answer");
    await use(tab, "#log .marked");
    await shown("#picture-dialog[open]");
    await isKept(tab, "#picture-dialog", "in the picture");
    await tab.press("Escape");
    await gone("#picture-dialog");
    await hasFocus(tab, "#log .marked");
    for (const [count, format] of ["json", "coco", "picture"].entries()) {
      await use(tab, `#log .save-${format}`);
      await saved(count + 1);
    }
  });

  test("a dialog that is closed by its button gives the focus back to what opened it", async () => {
    await givePicture(null);
    for (const [opener, dialog] of [
      ["[data-task=fields]", "#fields-dialog"],
      ["[data-task=find]", "#find-dialog"],
    ] as const) {
      await use(tab, opener);
      await shown(`${dialog}[open]`);
      await use(tab, `${dialog} .modal-head button`);
      await gone(dialog);
      await hasFocus(tab, opener);
    }
  });

  test("the focus stays in the tray when its pictures are removed", async () => {
    await givePicture(null);
    await drop(tab, { from: SCENE.replace("01", "02"), name: "other.png" });
    await until(tab, "two", () => document.querySelectorAll("#tray li").length === 2);
    await use(tab, "#tray .remove");
    await until(tab, "one", () => document.querySelectorAll("#tray li").length === 1);
    await isKept(tab, "#tray", "on the other one");
    await use(tab, "#tray .remove");
    await gone("#tray li");
    await isKept(tab, "#composer", "without any");
  });
});
