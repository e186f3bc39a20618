import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { stubFiles } from "./album-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startEndpoint } from "./fake-endpoint.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";
import { STATES } from "./states.js";

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

  /** Further checks in a state. */
  const also: Record<string, () => Promise<void>> = {
    async "answer-under-way"() {
      const turn = await tab.run(() => {
        const turn = document.querySelector("#underway .turn");
        return { busy: turn?.getAttribute("aria-busy"), live: turn?.closest("[role=log],[role=status],[role=alert],[aria-live]") !== null };
      });
      assert.deepEqual(turn, { busy: "true", live: false }, "a streaming answer is outside any live region");
    },
    async "stopped-answer"() {
      assert.equal(await tab.run(() => document.querySelectorAll("#log [aria-busy]").length), 0);
    },
    async error() {
      assert.equal(await tab.run(() => document.activeElement?.id), "question", "the focus stays where the user types");
    },
    async album() {
      const small = await tab.run(() =>
        [...document.querySelectorAll<HTMLElement>(".albums button, .albums .switch, .albums summary")]
          .filter((control) => control.offsetParent !== null && control.getBoundingClientRect().height < 44)
          .map((control) => control.outerHTML),
      );
      assert.deepEqual(small, []);
    },
  };
  const isKnown = (name: string) => STATES.some((state) => state.name === name);
  assert.ok(Object.keys(also).every(isKnown));
  for (const { name, isDialog, enter } of STATES) {
    test(`the state "${name}" has no violations`, async () => {
      await enter(tab, site.url);
      // Only the dialog can be reached.
      await assertNoViolations(isDialog ? 10 : 20);
      await also[name]?.();
    });
  }

  test("the focus returns to the button that opened a dialog", async () => {
    await tab.press("Escape");
    await tab.run(() => (location.hash = "#/albums"));
    await until(tab, "the list", () => document.getElementById("new-album-open") !== null);
    await tab.click("#new-album-open");
    await until(tab, "the dialog", () => document.querySelector<HTMLDialogElement>("#new-album")?.open);
    await tab.press("Escape");
    await until(tab, "the dialog is closed", () => !document.getElementById("new-album"));
    assert.equal(await tab.run(() => document.activeElement?.id), "new-album-open");
  });

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
            const isWhole = () => document.documentElement.scrollWidth <= document.documentElement.clientWidth;
            await until(tab, `${tag} ${width} ${view} is not too wide`, isWhole);
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
    const wanted = ["files", "describe-at-once", "question", "send", "suggestion"];
    const reached = new Set<string>();
    const isMissing = (name: string) => ![...reached].some((other) => other.includes(name));
    await tab.run(() => document.body.focus());
    for (let i = 0; i < 200 && wanted.some(isMissing); i++) {
      await tab.press("Tab");
      reached.add(await tab.run(() => document.activeElement?.id || document.activeElement?.className || ""));
    }
    assert.deepEqual(wanted.filter(isMissing), [], `not among ${[...reached].join(", ")}`);
  });
});
