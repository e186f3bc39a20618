import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fill, makeAlbum, stubFiles, written } from "./album-page.js";
import { askByKeyboard, drop, nextAnswer, openPage, problem } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startEndpoint } from "./fake-endpoint.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

interface Axe {
  run(options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[]; passes: unknown[] }>;
}

inBrowsers("accessibility", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(stubFiles);
    await openPage(tab, site.url);
    await until(tab, "the gallery is there", () => document.querySelectorAll("#gallery img").length > 0);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Rules of WCAG 2.2 A and AA and best practices, in the current colour scheme. */
  async function assertNoViolations(leastRules = 20): Promise<void> {
    const { violations, passes } = await tab.run(async () => {
      if (!("axe" in window)) {
        const script = document.createElement("script");
        script.src = "test/axe.js";
        document.head.append(script);
        await new Promise((resolve) => (script.onload = resolve));
      }
      const { violations, passes } = await (window as unknown as { axe: Axe }).axe.run({ resultTypes: ["violations"] });
      return { violations: violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), passes: passes.length };
    });
    assert.deepEqual(violations, []);
    assert.ok(passes > leastRules, `only ${passes} rules were applied`);
  }

  test("the page of a first visit has no violations", () => assertNoViolations());

  test("a server in place of the device causes no violations: its settings, its faults, the line at the question", async () => {
    const endpoint = await startEndpoint();
    try {
      await tab.run(() => (location.hash = "#/settings/server"));
      await until(tab, "the section", () => document.getElementById("server-use") !== null);
      await assertNoViolations();
      await tab.click("#server-test");
      await until(tab, "a reason", () => /not the address/.test(document.getElementById("server-told")?.textContent ?? ""));
      await assertNoViolations();
      await tab.run((url) => {
        const field = document.getElementById("server-address") as HTMLInputElement;
        field.value = url;
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      }, endpoint.url);
      await tab.click("#server-use");
      await until(tab, "the server is used", () => document.querySelector("#server .sent-to") !== null);
      await assertNoViolations();
      await tab.run(() => (location.hash = "#/"));
      await until(tab, "the line", () => document.querySelector("#composer .sent-to") !== null);
      await assertNoViolations();
      await tab.click("#composer .sent-to button");
      await until(tab, "the demo model is loaded", () => document.querySelector(".sent-to") === null);
    } finally {
      await endpoint.stop();
    }
  });

  test("the question about a model of another site has no violations", async () => {
    await tab.goto(`${site.url}?model=https://elsewhere.example/model/`);
    await until(tab, "the user is asked", () => document.querySelector<HTMLDialogElement>("#linked")?.open);
    // Only the dialog can be reached.
    await assertNoViolations(10);
    await openPage(tab, site.url);
  });

  test("a waiting picture causes no violations", async () => {
    await tab.click("#describe-at-once");
    await drop(tab, { from: "models/demo/gallery/gallery.json", name: "picture.png" });
    await until(tab, "the picture waits", () => document.querySelectorAll("#tray li").length === 1);
    await assertNoViolations();
    await tab.click("#tray .remove");
    await tab.click("#describe-at-once");
  });

  test("a streaming answer is outside any live region", async () => {
    await askByKeyboard(tab, "endless");
    await until(tab, "words", () => document.querySelector("#underway .words")?.textContent);
    await assertNoViolations();
    const turn = await tab.run(() => {
      const turn = document.querySelector("#underway .turn");
      return { busy: turn?.getAttribute("aria-busy"), live: turn?.closest("[role=log],[role=status],[role=alert],[aria-live]") !== null };
    });
    assert.deepEqual(turn, { busy: "true", live: false });
    await tab.press("Escape");
    await nextAnswer(tab);
    assert.equal(await tab.run(() => document.querySelectorAll("#log [aria-busy]").length), 0);
  });

  test("an error causes no violations", async () => {
    await askByKeyboard(tab, "overflow");
    await problem(tab);
    await assertNoViolations();
    assert.equal(await tab.run(() => document.activeElement?.id), "question", "the focus stays where the user types");
  });

  test("a conversation causes no violations", async () => {
    await askByKeyboard(tab, "short");
    await nextAnswer(tab, 1);
    await assertNoViolations();
  });

  const dialogs = { fields: "[data-task=fields]", task: "#new-task", camera: "#camera" };
  for (const [name, opener] of Object.entries(dialogs)) {
    test(`the dialog "${name}" causes no violations`, async () => {
      await tab.click("#new-conversation");
      await tab.click("#describe-at-once");
      await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
      await until(tab, "the picture waits", () => document.querySelectorAll("#tray li").length === 1);
      await tab.click(opener);
      await until(tab, "it is open", (name) => document.querySelector<HTMLDialogElement>(`#${name}-dialog`)?.open === true, name);
      await assertNoViolations(10);
      await tab.press("Escape");
      await until(tab, "it is closed", (name) => document.querySelector(`#${name}-dialog`) === null, name);
      await tab.click("#describe-at-once");
    });
  }

  test("a picture that is looked at closely, and an answer in fields, cause no violations", async () => {
    await tab.click("#tray button.picture");
    await until(tab, "it is open", () => document.querySelector<HTMLDialogElement>("#picture-dialog")?.open === true);
    await assertNoViolations(10);
    await tab.press("Escape");
    await tab.run(() => void Object.assign(window, { sayNext: '{"shop":"SEA","items":["a","b"],"total":null}' }));
    await tab.click("[data-task=fields]");
    await until(tab, "fields can be filled in", () => document.querySelector("#fields-start") !== null);
    await tab.click("#fields-start");
    await until(tab, "the answer is a table", () => document.querySelector("#log .words table") !== null);
    await assertNoViolations();
    await tab.click("#log .edit-json");
    await assertNoViolations();
    await tab.click("#new-conversation");
  });

  test("albums, their dialogs and their rows cause no violations", async () => {
    await fill(tab, { "a.png": { from: "models/demo/gallery/scene-01.png" }, "b.png": "broken", "c.png": "ornament", "notes.txt": "text" });
    await tab.run(() => (location.hash = "#/albums"));
    await until(tab, "the list", () => document.getElementById("new-album-open") !== null);
    await assertNoViolations();
    await tab.click("#new-album-open");
    await tab.click("#album-folder");
    await until(tab, "the folder is read", () => document.querySelector<HTMLButtonElement>("#album-make")?.disabled === false);
    await assertNoViolations(10);
    await tab.press("Escape");
    await until(tab, "the dialog is closed", () => !document.getElementById("new-album"));
    assert.equal(await tab.run(() => document.activeElement?.id), "new-album-open");
    await makeAlbum(tab);
    await written(tab, 3);
    await tab.run(() => {
      document.querySelector<HTMLInputElement>(".row-picture input")?.click();
      for (const summary of document.querySelectorAll<HTMLElement>(".row-more summary, .album-settings summary")) summary.click();
    });
    await until(
      tab,
      "all is open",
      () => document.getElementById("selection") !== null && document.getElementById("settings-title") !== null,
    );
    await assertNoViolations();
    const small = await tab.run(() =>
      [...document.querySelectorAll<HTMLElement>(".albums button, .albums .switch, .albums summary")]
        .filter((control) => control.offsetParent !== null && control.getBoundingClientRect().height < 44)
        .map((control) => control.outerHTML),
    );
    assert.deepEqual(small, []);
    await tab.click("#album-export");
    await until(tab, "the dialog", () => document.querySelector<HTMLDialogElement>("#export-dialog")?.open);
    await assertNoViolations(10);
    await tab.press("Escape");
    await tab.run(() => (location.hash = "#/"));
    await until(tab, "the conversation", () => document.getElementById("question") !== null);
  });

  test("settings, shared pictures and the other views cause no violations: in light, dark and forced colours, at three widths, mirrored too", async () => {
    const sections = ["general", "answers", "server", "pictures", "tasks", "data", "privacy", "about"].map(
      (section) => `#/settings/${section}`,
    );
    const choose = (index: number) =>
      tab.run((index) => {
        const field = document.querySelector<HTMLSelectElement>("#language");
        if (field) field.value = String(index);
        field?.dispatchEvent(new Event("change", { bubbles: true }));
      }, index);
    const media = tab.media ? ([{ colorScheme: "light" }, { colorScheme: "dark" }, { forcedColors: "active" }] as const) : [null];
    for (const [index, tag] of [
      [1, "en"],
      [2, "ar"],
    ] as const) {
      await tab.run(() => (location.hash = "#/settings/general"));
      await until(tab, "the choice of languages", () => document.getElementById("language") !== null);
      await choose(index);
      await until(tab, tag, (tag) => document.documentElement.lang === tag, tag);
      for (const features of media) {
        if (features) await tab.media?.(features);
        for (const width of [320, 768, 1440]) {
          await tab.viewport(width, 800);
          for (const view of [...sections, "#/inbox", "#/albums", "#/models", "#/"]) {
            await tab.run((view) => (location.hash = view), view);
            const isShown = (view: string) =>
              document.querySelector(`.sections a[aria-current][href="${view}"]`) !== null ||
              (!view.includes("settings") &&
                document.getElementById(
                  { "#/inbox": "inbox-heading", "#/albums": "new-album-open", "#/models": "known" }[view] ?? "question",
                ) !== null);
            await until(tab, view, isShown, view);
            // Models have their own width of names and sizes, the server its field for an address.
            const sideways = await tab.run(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
            assert.ok(sideways <= 0, `${tag} ${width} ${view} is ${sideways} pixels too wide`);
            await assertNoViolations(10).catch((thrown: Error) =>
              assert.fail(`${tag} ${JSON.stringify(features)} ${width} ${view}: ${thrown.message}`),
            );
          }
        }
        if (features) await tab.media?.({ colorScheme: "light", forcedColors: "none" });
      }
    }
    await tab.viewport(1280, 720);
    await tab.run(() => (location.hash = "#/settings/general"));
    await until(tab, "the choice of languages", () => document.getElementById("language") !== null);
    await choose(1);
    await until(tab, "English", () => document.documentElement.lang === "en");
    const small = await tab.run(() =>
      [...document.querySelectorAll<HTMLElement>(".settings button, .settings .switch, .settings select, .settings .sections a")]
        .filter((control) => control.offsetParent !== null && control.getBoundingClientRect().height < 44)
        .map((control) => control.outerHTML),
    );
    assert.deepEqual(small, []);
    await tab.run(() => document.querySelector<HTMLButtonElement>("#all-keys")?.click());
    await until(tab, "the keys", () => document.querySelector<HTMLDialogElement>("#keys-dialog")?.open);
    await assertNoViolations(10);
    await tab.press("Escape");
    await tab.run(() => (location.hash = "#/"));
    await until(tab, "the conversation", () => document.getElementById("question") !== null);
  });

  test("all controls can be reached with the keyboard and are large enough to touch", async () => {
    const small = await tab.run(() =>
      [...document.querySelectorAll<HTMLElement>("button, label.button, .switch, textarea")]
        .filter((control) => control.offsetParent !== null && control.getBoundingClientRect().height < 44)
        .map((control) => control.outerHTML),
    );
    assert.deepEqual(small, []);
    const reached = new Set<string>();
    await tab.run(() => document.body.focus());
    for (let i = 0; i < 50; i++) {
      await tab.press("Tab");
      reached.add(await tab.run(() => document.activeElement?.id || document.activeElement?.className || ""));
    }
    for (const wanted of ["files", "describe-at-once", "question", "send", "suggestion"]) {
      assert.ok(
        [...reached].some((name) => name.includes(wanted)),
        `${wanted} is not among ${[...reached].join(", ")}`,
      );
    }
  });
});
