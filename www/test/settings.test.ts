/** Settings of the page: each one changes what the engine is asked, how it is loaded, or what is kept. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { askByKeyboard, drop, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

type Asked = Record<string, unknown> & { messages: { role: string; content: unknown }[] };

/** Records the options of each load, and the files that are saved. */
function recorder(): void {
  const loads: string[] = [];
  const saved: Promise<string>[] = [];
  Object.assign(window, { loads, saved });
  const { Worker } = window as unknown as { Worker: { prototype: { postMessage(message: { kind: string }): void } } };
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message) {
    if (message.kind === "load") loads.push(JSON.stringify(message));
    post.call(this, message);
  };
  const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob: Blob) => {
    if (blob.type === "application/json") saved.push(blob.text());
    return make(blob);
  };
}

inBrowsers("settings", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(recorder);
    await openPage(tab, `${site.url}?model=models/other/`);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  /** Opens a section of the settings. */
  async function section(name: string): Promise<void> {
    await tab.run((name) => (location.hash = `#/settings/${name}`), name);
    await until(
      tab,
      `the section ${name}`,
      (name) => document.querySelector(`.sections a[aria-current]`)?.getAttribute("href") === `#/settings/${name}`,
      name,
    );
  }
  async function conversation(): Promise<void> {
    await tab.run(() => (location.hash = "#/"));
    await until(tab, "the conversation", () => document.getElementById("question") !== null);
  }
  /** Sets a field; of a selection, by the text of the option. */
  const set = (id: string, value: string) =>
    until(
      tab,
      `${id} can be set to ${value}`,
      ({ id, value }) => {
        const field = document.getElementById(id) as HTMLInputElement | HTMLSelectElement | null;
        if (!field) return false;
        const option = field instanceof HTMLSelectElement ? [...field.options].find(({ text }) => text === value)?.value : value;
        if (option === undefined) return false;
        field.value = option;
        for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
        return true;
      },
      { id, value },
    );
  const lastAsked = () => tab.run(() => (window as unknown as { asked: unknown[] }).asked.at(-1)) as Promise<Asked>;
  async function ask(question = "echo"): Promise<Asked> {
    await conversation();
    const before = await tab.run(() => document.querySelectorAll("#log .turn.model").length);
    await askByKeyboard(tab, question);
    await nextAnswer(tab, before);
    return lastAsked();
  }
  const lastLoad = async () => JSON.parse((await tab.run(() => (window as unknown as { loads: string[] }).loads.at(-1))) ?? "") as object;
  const loads = () => tab.run(() => (window as unknown as { loads: string[] }).loads.length);
  async function reload(): Promise<void> {
    const address = await tab.run(() => location.href);
    await tab.goto("about:blank");
    await openPage(tab, address);
  }

  test("sampling, the longest answer, thinking and the instruction are asked of the model, over a reload, until they are reset", async () => {
    const fields = { temperature: 0.3, top_p: 0.8, top_k: 7, min_p: 0.05, frequency_penalty: 0.5, presence_penalty: -0.5, seed: 42 };
    const own = await ask();
    for (const field of Object.keys(fields)) if (field !== "seed") assert.equal(own[field], undefined, field);
    assert.deepEqual([own["max_tokens"], own["reasoning_effort"], own.messages[0]?.role], [1024, undefined, "user"]);

    await section("answers");
    for (const [field, value] of Object.entries(fields)) await set(field, String(value));
    await set("longest-answer", "512 tokens, about 384 words");
    await set("thinking", "Medium");
    await set("instruction", "Answer like a pirate.");
    for (const again of [false, true]) {
      if (again) await reload();
      const asked = await ask();
      for (const [field, value] of Object.entries(fields)) assert.equal(asked[field], value, field);
      assert.deepEqual([asked["max_tokens"], asked["reasoning_effort"]], [512, "medium"]);
      assert.deepEqual(asked.messages[0], { role: "system", content: "Answer like a pirate." });
    }
    await section("answers");
    await set("temperature", "7");
    assert.equal((await ask())["temperature"], 0.3, "a number outside of the limits is not taken");

    await section("answers");
    await tab.click("#reset-answers");
    const reset = await ask();
    for (const field of Object.keys(fields)) if (field !== "seed") assert.equal(reset[field], undefined, field);
    assert.deepEqual([reset["max_tokens"], reset["reasoning_effort"], reset.messages[0]?.role], [1024, undefined, "user"]);
    assert.notEqual(reset["seed"], 42);
    assert.deepEqual(tab.faults, []);
  });

  test("a task has its own sampling before that of the settings", async () => {
    await section("answers");
    await set("temperature", "1.5");
    await conversation();
    await tab.run(() => document.querySelector<HTMLInputElement>("#describe-at-once")?.click());
    await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
    await until(tab, "the picture waits", () => document.querySelectorAll("#tray li").length === 1);
    await tab.click("[data-task=caption]");
    await nextAnswer(tab);
    assert.equal((await lastAsked())["temperature"], 0);
    await askByKeyboard(tab, "echo");
    await nextAnswer(tab, 1);
    assert.equal((await lastAsked())["temperature"], 1.5);
  });

  test("the length of conversations, the seconds of pictures and the kept computations are options of a new load", async () => {
    const has = async (pattern: RegExp) => assert.match(JSON.stringify(await lastLoad()), pattern);
    let before = await loads();
    const loaded = () =>
      until(tab, "it is loaded again", (before) => (window as unknown as { loads: string[] }).loads.length > before, before);
    await section("answers");
    await set("context", "8,192 tokens");
    await loaded();
    await has(/"context":8192/);
    before = await loads();
    await section("pictures");
    await set("picture-seconds", "20 s");
    await loaded();
    await has(/"context":8192.*"maxPictureSeconds":20|"maxPictureSeconds":20.*"context":8192/);
    await set("default-look", "Every detail");
    before = await loads();
    await section("data");
    const { cacheBytes } = (await lastLoad()) as { cacheBytes?: unknown };
    assert.equal(cacheBytes ?? null, null);
    await tab.click("#keeps-computed");
    await loaded();
    assert.ok((((await lastLoad()) as { cacheBytes?: number }).cacheBytes ?? 0) > 0);
    await until(tab, "the model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden === true);
    await conversation();
    assert.equal(await tab.run(() => document.querySelector<HTMLSelectElement>("#look")?.value), "high");
  });

  test("without keeping, new conversations are temporary", async () => {
    await section("data");
    await tab.click("#keeps-conversations");
    await ask("echo secret");
    const kept = () => tab.run(() => document.querySelectorAll("#rail .conversations a[href^='#/c/']").length);
    assert.equal(await tab.run(() => document.querySelector<HTMLInputElement>("#temporary")?.checked), true);
    assert.equal(await kept(), 0);
    await reload();
    assert.equal(await kept(), 0);
    assert.equal(await tab.run(() => document.querySelectorAll("#log .turn").length), 0);
    await section("data");
    await tab.click("#keeps-conversations");
    await ask("echo open");
    assert.equal(await tab.run(() => document.querySelector<HTMLInputElement>("#temporary")?.checked), false);
  });

  test("colours follow the choice, also after a reload", async () => {
    const paper = () => tab.run(() => getComputedStyle(document.body).backgroundColor);
    await section("general");
    await set("theme", "Dark");
    const dark = await paper();
    await set("theme", "Light");
    const light = await paper();
    assert.notEqual(dark, light);
    await set("theme", "Dark");
    await reload();
    assert.equal(await paper(), dark);
  });

  test("tasks are made, copied, ordered, saved, read back and deleted with a way back", async () => {
    await section("tasks");
    const names = () => tab.run(() => [...document.querySelectorAll("#own-tasks strong")].map((name) => name.textContent ?? ""));
    const press = (label: string) =>
      until(
        tab,
        label,
        (label) => {
          const button = document.querySelector<HTMLButtonElement>(`.settings [aria-label=${JSON.stringify(label)}]`);
          button?.click();
          return button !== null;
        },
        label,
      );
    await press("Duplicate: Caption");
    await tab.click("#create-task");
    await until(tab, "the dialog", () => document.querySelector<HTMLDialogElement>("#task-dialog")?.open);
    await tab.click("#task-name");
    await tab.type("Mood");
    await tab.click("#task-instruction");
    await tab.type("Name the mood.");
    await tab.click("#task-keep");
    await until(tab, "it is listed", () => document.querySelectorAll("#own-tasks li").length === 2);
    assert.deepEqual(await names(), ["Caption (copy)", "Mood"]);
    await press("Move up: Mood");
    await until(tab, "it is first", () => document.querySelector("#own-tasks strong")?.textContent === "Mood");
    await tab.click("#save-tasks");
    const saved = (await tab.run(() => (window as unknown as { saved: Promise<string>[] }).saved.at(-1) ?? "")) as string;
    assert.deepEqual(
      (JSON.parse(saved) as { tasks: { name: string }[] }).tasks.map(({ name }) => name),
      ["Mood", "Caption (copy)"],
    );
    const give = (text: string) =>
      tab.run((text) => {
        const input = document.querySelector<HTMLInputElement>("#load-tasks");
        const transfer = new DataTransfer();
        transfer.items.add(new File([text], "tasks.json"));
        if (input) input.files = transfer.files;
        input?.dispatchEvent(new Event("change", { bubbles: true }));
      }, text);
    const told = (wanted: string) =>
      until(
        tab,
        wanted,
        (wanted) => [...document.querySelectorAll(".settings [role=status]")].some(({ textContent }) => textContent === wanted),
        wanted,
      );
    await give(saved);
    await told("2 tasks added.");
    await give(saved.replace('"Name the mood."', "7"));
    await told("This is no file of tasks: tasks[0].instruction.");
    await give("[");
    await told("This is no file of tasks: JSON.");
    assert.deepEqual(await names(), ["Mood", "Caption (copy)", "Mood", "Caption (copy)"]);
    await press("Delete: Mood");
    await until(tab, "it is gone", () => document.querySelectorAll("#own-tasks li").length === 3);
    await tab.run(() => document.querySelector<HTMLButtonElement>(".undo button")?.click());
    await until(tab, "it is back", () => document.querySelectorAll("#own-tasks li").length === 4);
    assert.deepEqual(tab.faults, []);
  });

  test("conversations are saved as a file and read back, a faulty one is left out whole, and everything can be deleted", async () => {
    // Wide enough for the list of conversations beside the view.
    await tab.viewport(1440, 900);
    await tab.run(() => document.querySelector<HTMLInputElement>("#describe-at-once")?.click());
    await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
    await until(tab, "the picture waits", () => document.querySelectorAll("#tray li").length === 1);
    await askByKeyboard(tab, "echo one");
    await nextAnswer(tab);
    await askByKeyboard(tab, "echo two");
    await nextAnswer(tab, 1);
    const turns = () => tab.run(() => [...document.querySelectorAll("#log .words")].map(({ textContent }) => textContent ?? ""));
    const before = await turns();
    await section("data");
    await until(tab, "sizes", () => document.querySelector("[data-kind=conversations] dd")?.textContent?.includes("kB"));
    await tab.click("#save-conversations");
    const told = (pattern: string) =>
      until(tab, pattern, (pattern) => new RegExp(pattern).test(document.getElementById("data-told")?.textContent ?? ""), pattern);
    await told("^1 conversation saved\\.$");
    const text = (await tab.run(() => (window as unknown as { saved: Promise<string>[] }).saved.at(-1) ?? "")) as string;
    const give = (text: string) =>
      tab.run((text) => {
        const input = document.querySelector<HTMLInputElement>("#load-conversations");
        const transfer = new DataTransfer();
        transfer.items.add(new File([text], "conversations.json"));
        if (input) input.files = transfer.files;
        input?.dispatchEvent(new Event("change", { bubbles: true }));
      }, text);
    await give(text);
    await told("^0 conversations added, 1 were here already\\.$");
    const file = JSON.parse(text) as { version: number; conversations: { id: string; messages: { parent: string | null }[] }[] };
    await give(JSON.stringify({ ...file, version: 2 }));
    await told("newer version");
    (file.conversations[0]?.messages[1] ?? { parent: null }).parent = "nobody";
    await give(JSON.stringify(file));
    await told("1 could not be read: conversations\\[0\\]\\.messages\\[1\\]\\.parent names no message");
    await give("not JSON");
    await told("no file of conversations");

    await tab.click("#delete-all");
    await until(tab, "the focus is on the harmless answer", () => document.activeElement?.id === "delete-keep");
    await tab.run(() => Object.assign(window, { isOld: true }));
    await tab.click("#delete-now");
    await until(tab, "the page is new", () => !("isOld" in window) && document.getElementById("question") !== null);
    await until(tab, "the model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden === true);
    assert.equal(await tab.run(() => document.querySelectorAll("#rail .conversations a[href^='#/c/']").length), 0);
    await section("data");
    await give(text);
    await told("^1 conversation added\\.$");
    await tab.run(() => document.querySelector<HTMLAnchorElement>("#rail .conversations a[href^='#/c/']")?.click());
    await until(tab, "it is shown", () => document.querySelectorAll("#log .words").length === 4);
    assert.deepEqual(await turns(), before);
    await until(tab, "its picture", () => (document.querySelector<HTMLImageElement>("#log .turn.user img")?.naturalWidth ?? 0) > 0);
    assert.deepEqual(tab.faults, []);
  });

  test("privacy and version are told, and every section has its heading in focus", async () => {
    for (const name of ["general", "answers", "pictures", "tasks", "data", "privacy", "about"]) {
      await section(name);
      await until(tab, `the heading of ${name} has the focus`, () => document.activeElement?.id === "settings-heading");
    }
    assert.match((await tab.run(() => document.getElementById("version")?.textContent)) ?? "", /^Ocelli \d+\.\d+\.\d+$/);
  });
});

inBrowsers("requests", (browser) => {
  test("requests to other sites are listed, and only the worker can make them", async () => {
    const site = await startSite();
    const tab = await browser().newTab();
    try {
      await openPage(tab, site.url);
      await until(tab, "the service worker is there", async () => {
        await navigator.serviceWorker.ready;
        return navigator.serviceWorker.controller !== null;
      });
      await tab.goto("about:blank");
      await openPage(tab, `${site.url}#/settings/privacy`);
      await until(tab, "none at first", () => document.getElementById("no-requests") !== null);
      const elsewhere = site.url.replace("localhost", "127.0.0.1");
      await tab.run(() => (location.hash = "#/models"));
      await until(tab, "the form", () => document.getElementById("own-model") !== null);
      await tab.click("#own-model");
      await tab.type(`${elsewhere}gguf/q5_k.gguf`);
      await tab.press("Enter");
      await until(
        tab,
        "it is loaded",
        () =>
          document.getElementById("model-name")?.textContent === "q5_k.gguf" ||
          document.getElementById("model-name")?.textContent === "q5_k",
      );
      await tab.run(() => (location.hash = "#/settings/privacy"));
      await until(
        tab,
        "the request is listed",
        (address) => [...document.querySelectorAll("#requests li")].some(({ textContent }) => textContent?.endsWith(address)),
        `${elsewhere}gguf/q5_k.gguf`,
      );
      assert.deepEqual(tab.faults, []);
      const blocked = await tab.run(
        (address) =>
          fetch(address).then(
            () => "fetched",
            () => "blocked",
          ),
        `${elsewhere}gguf/q5_k.gguf`,
      );
      assert.equal(blocked, "blocked");
    } finally {
      await tab.close();
      await site.stop();
    }
  });
});
