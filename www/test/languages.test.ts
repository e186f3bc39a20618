/** Languages of the page. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { askByKeyboard, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";
import { setLocale } from "../page/words/format.js";
import type { LateWords, Words } from "../page/words/types.js";

const SECTIONS = ["general", "answers", "server", "pictures", "tasks", "data", "privacy", "about"];
const VIEWS = ["#/", "#/models", "#/albums", "#/inbox", ...SECTIONS.map((section) => `#/settings/${section}`)];

async function wordsOf(tag: string): Promise<{ main: Words; late: LateWords }> {
  switch (tag) {
    case "ar":
      return { ...(await import("../page/words/ar/main.js")), ...(await import("../page/words/ar/late.js")) };
    case "de":
      return { ...(await import("../page/words/de/main.js")), ...(await import("../page/words/de/late.js")) };
    case "es":
      return { ...(await import("../page/words/es/main.js")), ...(await import("../page/words/es/late.js")) };
    case "fr":
      return { ...(await import("../page/words/fr/main.js")), ...(await import("../page/words/fr/late.js")) };
    default:
      return { ...(await import("../page/words/zh-Hans/main.js")), ...(await import("../page/words/zh-Hans/late.js")) };
  }
}

/** The forms of 0, 1, 2, 5 and 100 pictures that were exported. */
const PLURALS = {
  ar: ["0 صورة", "صورة واحدة", "صورتان", "5 صور", "100 صورة"],
  de: ["0 Bilder", "1 Bild ", "2 Bilder", "5 Bilder", "100 Bilder"],
  es: ["0 imágenes", "1 imagen ", "2 imágenes", "5 imágenes", "100 imágenes"],
  fr: ["0 image ", "1 image ", "2 images", "5 images", "100 images"],
  "zh-Hans": ["0 张图片", "1 张图片", "2 张图片", "5 张图片", "100 张图片"],
};

for (const [tag, forms] of Object.entries(PLURALS)) {
  test(`plurals of ${tag}`, async () => {
    setLocale(tag);
    const { main, late } = await wordsOf(tag);
    for (const [index, value] of [0, 1, 2, 5, 100].entries()) {
      const told = late.albums.exports.done(value);
      assert.ok(told.includes(forms[index] ?? "?"), told);
      for (const text of [main.conversations.found(value), late.looks.find.found(value), late.settings.tasks.loaded(value)]) {
        assert.ok(text.length > 2 && !/undefined|NaN/.test(text), text);
      }
    }
    setLocale("en");
  });

  test(`${tag} has every text, and none of them is English`, async () => {
    const { en } = await import("../page/words/en/main.js");
    const { main } = await wordsOf(tag);
    /** Names and words that languages share. */
    const same = new Set(["Ocelli", "Conversations", "Albums", "Pause", "Details", "Version", ""]);
    const compare = (english: unknown, other: unknown, path: string): void => {
      if (typeof english === "string") {
        assert.equal(typeof other, "string", path);
        if (english !== "") assert.notEqual(other, "", path);
        if (/[A-Za-z]{4}/.test(english) && !same.has(english)) assert.notEqual(other, english, path);
      } else if (typeof english === "object" && english !== null) {
        for (const [key, value] of Object.entries(english)) compare(value, (other as Record<string, unknown>)[key], `${path}.${key}`);
      }
    };
    compare(en, main, tag);
  });
}

inBrowsers("languages", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  async function show(view: string): Promise<void> {
    await tab.run((view) => (location.hash = view), view);
    const wanted = view.startsWith("#/settings/")
      ? `.sections a[aria-current][href="${view}"]`
      : ({ "#/": "#question", "#/models": "#known li", "#/albums": "#new-album-open", "#/inbox": "#inbox-heading" }[view] ?? "body");
    await until(tab, view, (wanted) => document.querySelector(wanted) !== null, wanted);
  }
  const choose = (tag: string) =>
    tab.run((tag) => {
      const field = document.querySelector<HTMLSelectElement>("#language");
      const names = ["", "en", "ar", "de", "es", "fr", "zh-Hans"];
      if (!field) throw new Error("there is no choice of languages");
      field.value = String(names.indexOf(tag));
      field.dispatchEvent(new Event("change", { bubbles: true }));
    }, tag);
  const shown = (tag: string) => until(tab, `the page is in ${tag}`, (tag) => document.documentElement.lang === tag, tag);

  test("the pseudo language leaves no text untranslated", async () => {
    await openPage(tab, `${site.url}?words=xx&model=models/other/`);
    await askByKeyboard(tab, "short");
    await nextAnswer(tab);
    const unmarked = () =>
      tab.run(() => {
        /** Texts of users, of models and of the engine; keys, code, names of languages and of models. */
        const OTHERS =
          "[dir=auto], kbd, code, script, style, option, #model-name, #known li h3, #known li > p, #known .facts, #stored, #room, #device, .words, #version";
        const found: string[] = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let node = walker.nextNode(); node; node = walker.nextNode()) {
          const parent = node.parentElement;
          const text = node.textContent ?? "";
          if (!parent || parent.closest(OTHERS) || !/\p{L}{2}/u.test(text)) continue;
          // A text may be split into several nodes.
          const whole = parent.textContent ?? "";
          if (parent.checkVisibility() && !/⟦/.test(text) && !/^[^⟦]*⟧|⟦[^⟧]*$/.test(whole)) found.push(text);
        }
        for (const element of document.querySelectorAll("[aria-label], [placeholder], [title]")) {
          for (const name of ["aria-label", "placeholder", "title"]) {
            const text = element.getAttribute(name);
            if (text && /\p{L}{2}/u.test(text) && !text.includes("⟦") && !text.startsWith("https://")) found.push(`${name}: ${text}`);
          }
        }
        return found;
      });
    for (const view of VIEWS) {
      await show(view);
      assert.deepEqual(await unmarked(), [], view);
    }
    await tab.run(() => document.body.focus());
    await tab.run(() => document.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true })));
    await until(tab, "the list of keys", () => document.querySelector<HTMLDialogElement>("#keys-dialog")?.open);
    assert.deepEqual(await unmarked(), []);
  });

  test("the language follows the choice without a reload, and stays", async () => {
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.run(() => Object.assign(window, { isSame: true }));
    await show("#/settings/general");
    const headings = { de: "Einstellungen", es: "Ajustes", fr: "Réglages", ar: "الإعدادات", "zh-Hans": "设置", en: "Settings" };
    for (const [tag, heading] of Object.entries(headings)) {
      await choose(tag);
      await shown(tag);
      const isTold = (heading: string) => document.getElementById("settings-heading")?.textContent?.startsWith(heading);
      await until(tab, heading, isTold, heading);
      assert.equal(await tab.run(() => document.documentElement.dir), tag === "ar" ? "rtl" : "ltr");
      await until(tab, "the focus is on the choice again", () => document.activeElement?.id === "language");
    }
    await choose("de");
    await shown("de");
    assert.equal(await tab.run(() => "isSame" in window), true);
    await tab.goto("about:blank");
    await openPage(tab, `${site.url}?model=models/other/`);
    await shown("de");
    assert.equal(await tab.run(() => document.querySelector("#send")?.textContent), "Senden");
    assert.deepEqual(tab.faults, []);
  });

  test("the focus stays on a language that is chosen as soon as the settings are shown", async () => {
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.run(() => {
      new MutationObserver((_, observer) => {
        const field = document.querySelector<HTMLSelectElement>("#language");
        if (!field) return;
        observer.disconnect();
        field.value = String([...field.options].findIndex(({ text }) => text === "Deutsch"));
        field.dispatchEvent(new Event("change", { bubbles: true }));
      }).observe(document.body, { childList: true, subtree: true });
      location.hash = "#/settings/general";
    });
    await shown("de");
    await until(tab, "the focus is on the choice again", () => document.activeElement?.id === "language", undefined, 30);
  });

  test("Arabic is mirrored, and nothing scrolls sideways at 320 px in any language", async () => {
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.viewport(1440, 900);
    await show("#/settings/general");
    await choose("ar");
    await shown("ar");
    const middle = (selector: string) =>
      until(
        tab,
        `${selector} lies at the right`,
        (selector) => {
          const box = document.querySelector(selector)?.getBoundingClientRect();
          return box !== undefined && (box.left + box.right) / 2 > innerWidth / 2;
        },
        selector,
      );
    await middle("#rail");
    await tab.viewport(320, 640);
    for (const tag of ["ar", "de", "fr", "es", "zh-Hans"]) {
      await show("#/settings/general");
      await choose(tag);
      await shown(tag);
      for (const view of VIEWS) {
        await show(view);
        const [width, wide] = await tab.run(() => {
          const wide = [...document.querySelectorAll<HTMLElement>("main *")].filter((element) => {
            const { left, right } = element.getBoundingClientRect();
            return element.checkVisibility() && (right > innerWidth + 1 || left < -1) && !element.closest(".visually-hidden");
          });
          return [document.documentElement.scrollWidth, wide.map(({ outerHTML }) => outerHTML.slice(0, 120)).slice(0, 3)] as const;
        });
        assert.ok(width <= 320, `${tag} ${view}: ${width}: ${wide.join(" ")}`);
      }
    }
  });
});
