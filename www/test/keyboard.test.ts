/** Whole flows by the keyboard alone, with keys that the browser itself handles, from the first visit to the export. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { fill, keptRows, stubFiles, written } from "./album-page.js";
import { nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { hasFocus, reach, use } from "./keyboard-page.js";
import { startSite, type Site } from "./site.js";

/** Runs before the page's scripts: the clipboard is noted, as no test may read the user's. */
function stubClipboard(): void {
  const copied: string[] = [];
  Object.assign(window, { copied });
  const writeText = async (text: string) => void copied.push(text);
  Object.defineProperty(navigator, "clipboard", { value: { writeText } });
}

inBrowsers("keyboard alone", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    for (const stub of [fakeWorker, stubFiles, stubClipboard]) await tab.beforeLoad(stub);
    await openPage(tab, site.url);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  test("a first visit: an example, a question, stop, copy, another conversation, and the first one again", async () => {
    await tab.viewport(1440, 900);
    await until(tab, "the examples", () => document.querySelectorAll("#gallery button").length > 0);
    await use(tab, "#gallery button");
    assert.equal(await nextAnswer(tab), "A short answer.");
    assert.notEqual(await tab.run(() => document.activeElement?.tagName), "BODY", "the focus is kept after the example has gone");
    await reach(tab, "#question");
    await tab.type("endless");
    await tab.press("Enter");
    await until(tab, "the first words", () => document.querySelector("#underway .words")?.textContent);
    await hasFocus(tab, "#question");
    await use(tab, "#stop");
    await hasFocus(tab, "#question");
    const stopped = await nextAnswer(tab, 1);
    assert.match(stopped, /^(word ?)+$/);
    await reach(tab, "#log .turn.model:last-of-type [aria-keyshortcuts=y]");
    await tab.press("Enter");
    await until(tab, "it is copied", () => (window as unknown as { copied: string[] }).copied.length === 1);
    assert.equal((await tab.run(() => (window as unknown as { copied: string[] }).copied[0]))?.trim(), stopped.trim());
    // Buttons that cannot be used while an answer comes, and Send, which Stop replaces, lose the focus to another place.
    await reach(tab, "#log .turn.model:last-of-type [aria-keyshortcuts=r]");
    await tab.press("Enter");
    await until(tab, "the first words of another answer", () => document.querySelector("#underway .words")?.textContent);
    assert.notEqual(await tab.run(() => document.activeElement?.tagName), "BODY", "while an answer is given again");
    await tab.press("Escape");
    await nextAnswer(tab, 1);
    await reach(tab, "[data-task=caption]");
    await tab.press("Enter");
    await nextAnswer(tab, 2);
    assert.notEqual(await tab.run(() => document.activeElement?.tagName), "BODY", "after a task");
    await reach(tab, "#question");
    await tab.type("echo");
    await use(tab, "#send");
    await hasFocus(tab, "#question");
    await nextAnswer(tab, 3);
    await reach(tab, "#new-conversation");
    await tab.press("Enter");
    await until(tab, "another conversation", () => document.querySelectorAll("#log .turn").length === 0);
    await hasFocus(tab, "#question");
    await reach(tab, "#rail a[href^='#/c/']");
    await tab.press("Enter");
    await until(tab, "the first conversation", () => document.querySelectorAll("#log .turn").length === 8);
    assert.deepEqual(tab.faults, []);
  });

  test("an album: made, written, reviewed to the last picture, exported", async () => {
    await fill(tab, Object.fromEntries(Array.from({ length: 3 }, (_, at) => [`p${at}.png`, `picture ${at}`])));
    await tab.viewport(1440, 900);
    await use(tab, "#rail a[href='#/albums']");
    await until(tab, "the list of albums", () => document.getElementById("new-album-open") !== null);
    await use(tab, "#new-album-open");
    await until(tab, "the dialog", () => document.querySelector<HTMLDialogElement>("#new-album")?.open);
    await use(tab, "#album-folder");
    await until(tab, "the folder is read", () => document.querySelector<HTMLButtonElement>("#album-make")?.disabled === false);
    await use(tab, "#album-make");
    await until(tab, "the album is open", () => document.getElementById("album-rows") !== null);
    await written(tab, 3);
    assert.notEqual(await tab.run(() => document.activeElement?.tagName), "BODY", "the focus is kept after the dialog");
    await reach(tab, ".album-row");
    await tab.press("Enter");
    await hasFocus(tab, ".album-row textarea");
    await tab.type(" By hand.");
    for (const next of ["p1", "p2", null]) {
      await tab.press("Control+Enter");
      if (next) await until(tab, next, (next) => document.activeElement?.getAttribute("aria-label")?.includes(next), next, 30);
    }
    await until(tab, "all are reviewed", () => /To review 0/.test(document.getElementById("filters")?.textContent ?? ""));
    assert.notEqual(await tab.run(() => document.activeElement?.tagName), "BODY", "the focus is kept after the last one");
    const rows = await keptRows(tab);
    assert.deepEqual(
      rows.map(({ state, isByHand, alt }) => [state, isByHand, / By hand\.$/.test(alt)]),
      [
        ["reviewed", true, true],
        ["reviewed", false, false],
        ["reviewed", false, false],
      ],
    );
    await reach(tab, "#album-export");
    await tab.press("Enter");
    await hasFocus(tab, "#export-format");
    await use(tab, "#export-run");
    await until(tab, "the export is told", () => document.querySelector("#export-told p") !== null);
    await use(tab, "#export-close");
    await hasFocus(tab, "#album-export");
    const [{ name } = { name: "" }] = await tab.run(() =>
      (window as unknown as { saved: { name: string }[] }).saved.map(({ name }) => ({ name })),
    );
    assert.match(name, /^Holiday-.*\.zip$/);
    assert.deepEqual(tab.faults, []);
  });

  test("on a narrow window the list of conversations opens and closes, and the focus returns", async () => {
    await tab.viewport(390, 844);
    await use(tab, ".menu-button");
    await until(tab, "the list", () => document.querySelector<HTMLDialogElement>("#rail-dialog")?.open);
    await tab.press("Escape");
    await until(tab, "it is closed", () => document.getElementById("rail-dialog") === null);
    await hasFocus(tab, ".menu-button");
    await tab.press("Enter");
    await until(tab, "the list", () => document.querySelector<HTMLDialogElement>("#rail-dialog")?.open);
    await use(tab, "#rail-dialog a[href^='#/settings']");
    await until(tab, "the settings", () => document.getElementById("settings-heading") !== null);
    await hasFocus(tab, "#settings-heading");
  });
});
