/** States of the page, each reached from the one before, with the worker {@link fakeWorker} and the files of `album-page.ts`. */
import { fill, makeAlbum, written } from "./album-page.js";
import { ask, askByKeyboard, drop, nextAnswer, openPage, problem } from "./demo-page.js";
import { until, type Tab } from "./driver.js";

export interface State {
  name: string;
  /** Only this dialog can be reached. */
  isDialog?: true;
  enter(tab: Tab, url: string): Promise<void>;
}

const SCENE = { from: "models/demo/gallery/scene-01.png", name: "scene.png" };

const isThere = (tab: Tab, selector: string) =>
  until(tab, `${selector} is there`, (selector) => document.querySelector(selector) !== null, selector);
const isOpen = (tab: Tab, selector: string) =>
  until(tab, `${selector} is open`, (selector) => document.querySelector<HTMLDialogElement>(selector)?.open === true, selector);
const isClosed = (tab: Tab, selector: string) =>
  until(tab, `${selector} is closed`, (selector) => document.querySelector<HTMLDialogElement>(selector)?.open !== true, selector);

/** Leaves dialogs and other views, for a new conversation. */
async function begin(tab: Tab): Promise<void> {
  await tab.press("Escape");
  await until(tab, "no dialog is open", () => document.querySelector("dialog[open]") === null);
  await tab.run(() => (location.hash = "#/"));
  await isThere(tab, "#question");
  await tab.run(() => document.querySelector<HTMLElement>("#new-conversation")?.click());
  await until(tab, "a new conversation", () => document.querySelector("#log .turn") === null);
}

/** A new conversation with a picture that is not described at once. */
async function beginWithPicture(tab: Tab): Promise<void> {
  await begin(tab);
  await tab.run(() => {
    const atOnce = document.querySelector<HTMLInputElement>("#describe-at-once");
    if (atOnce?.checked) atOnce.click();
  });
  const waiting = await tab.run(() => document.querySelectorAll("#tray li").length);
  if (waiting === 0) await drop(tab, SCENE);
  await isThere(tab, "#tray li");
}

const dialogs: State[] = Object.entries({ fields: "[data-task=fields]", task: "#new-task", camera: "#camera" }).map(([name, opener]) => ({
  name: `dialog-${name}`,
  isDialog: true,
  async enter(tab) {
    await beginWithPicture(tab);
    await tab.click(opener);
    await isOpen(tab, `#${name}-dialog`);
    const plays = () => [...document.querySelectorAll("video")].every(({ currentTime }) => currentTime > 0);
    if (name === "camera") await isThere(tab, "video");
    await until(tab, "the camera shows something", plays);
  },
}));

const settings: State[] = ["general", "answers", "server", "pictures", "tasks", "data", "privacy", "about"].map((section) => ({
  name: `settings-${section}`,
  async enter(tab) {
    await tab.run((section) => (location.hash = `#/settings/${section}`), section);
    await isThere(tab, `.sections a[aria-current][href="#/settings/${section}"]`);
  },
}));

export const STATES: State[] = [
  {
    name: "first-visit",
    async enter(tab, url) {
      await openPage(tab, url);
      await isThere(tab, "#gallery img");
    },
  },
  {
    name: "linked-model",
    isDialog: true,
    async enter(tab, url) {
      await tab.goto(`${url}?model=https://elsewhere.example/model/`);
      await isOpen(tab, "#linked");
    },
  },
  {
    name: "waiting-picture",
    async enter(tab, url) {
      await openPage(tab, url);
      await beginWithPicture(tab);
    },
  },
  ...dialogs,
  {
    name: "picture-dialog",
    isDialog: true,
    async enter(tab) {
      await beginWithPicture(tab);
      await tab.click("#tray button.picture");
      await isOpen(tab, "#picture-dialog");
    },
  },
  {
    name: "answer-in-fields",
    async enter(tab) {
      await tab.press("Escape");
      await isClosed(tab, "#picture-dialog");
      await tab.run(() => void Object.assign(window, { sayNext: '{"shop":"SEA","items":["a","b"],"total":null}' }));
      await tab.click("[data-task=fields]");
      await isThere(tab, "#fields-start");
      await tab.click("#fields-start");
      await isThere(tab, "#log .words table");
    },
  },
  {
    name: "answer-in-fields-edited",
    async enter(tab) {
      await tab.click("#log .edit-json");
      await isThere(tab, "#log textarea");
    },
  },
  {
    name: "answer-under-way",
    async enter(tab) {
      await begin(tab);
      await askByKeyboard(tab, "endless");
      await until(tab, "words", () => document.querySelector("#underway .words")?.textContent);
    },
  },
  {
    name: "stopped-answer",
    async enter(tab) {
      await tab.press("Escape");
      await nextAnswer(tab);
    },
  },
  {
    name: "error",
    async enter(tab) {
      await askByKeyboard(tab, "overflow");
      await problem(tab);
    },
  },
  {
    name: "conversation",
    async enter(tab) {
      await begin(tab);
      await ask(tab, "say: # A heading\n\nSome **words**, `code` and a list:\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
      await nextAnswer(tab);
      await askByKeyboard(tab, "short");
      await nextAnswer(tab, 1);
    },
  },
  {
    name: "albums",
    async enter(tab) {
      await fill(tab, { "a.png": SCENE, "b.png": "broken", "c.png": "ornament", "notes.txt": "text" });
      await tab.run(() => (location.hash = "#/albums"));
      await isThere(tab, "#new-album-open");
    },
  },
  {
    name: "new-album",
    isDialog: true,
    async enter(tab) {
      await tab.click("#new-album-open");
      await tab.click("#album-folder");
      await until(tab, "the folder is read", () => document.querySelector<HTMLButtonElement>("#album-make")?.disabled === false);
    },
  },
  {
    name: "album",
    async enter(tab) {
      await tab.press("Escape");
      await isClosed(tab, "#new-album");
      await makeAlbum(tab);
      await written(tab, 3);
      await tab.run(() => {
        document.querySelector<HTMLInputElement>(".row-picture input")?.click();
        for (const summary of document.querySelectorAll<HTMLElement>(".row-more summary, .album-settings summary")) summary.click();
      });
      await isThere(tab, "#selection");
      await isThere(tab, "#settings-title");
    },
  },
  {
    name: "album-export",
    isDialog: true,
    async enter(tab) {
      await tab.click("#album-export");
      await isOpen(tab, "#export-dialog");
    },
  },
  {
    name: "models",
    async enter(tab) {
      await tab.press("Escape");
      await isClosed(tab, "#export-dialog");
      await tab.run(() => (location.hash = "#/models"));
      await isThere(tab, "#known");
    },
  },
  {
    name: "inbox",
    async enter(tab) {
      await tab.run(() => (location.hash = "#/inbox"));
      await isThere(tab, "#inbox-heading");
    },
  },
  ...settings,
  {
    name: "keys",
    isDialog: true,
    async enter(tab) {
      await tab.run(() => (location.hash = "#/settings/general"));
      await isThere(tab, "#all-keys");
      await tab.click("#all-keys");
      await isOpen(tab, "#keys-dialog");
    },
  },
];
