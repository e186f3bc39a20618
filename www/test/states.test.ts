/** Writes a screenshot of every state of the page, in both themes and at three widths, to `target/page/`. It runs by name only. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { stubFiles } from "./album-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";
import { STATES } from "./states.js";

const WIDTHS = [320, 768, 1440];

/** Runs in the page: the layout is that of this width, and nothing of it moves any more. */
const isSettled = (width: number) =>
  innerWidth === width &&
  document.documentElement.scrollWidth <= width &&
  document.getAnimations().every((animation) => animation.playState !== "running" || animation.effect?.getTiming().iterations === Infinity);

inBrowsers("states", (browser) => {
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

  for (const { name, isDialog, enter } of STATES) {
    test(name, async () => {
      const folder = resolve("../target/page", browser().name);
      mkdirSync(folder, { recursive: true });
      await tab.viewport(1440, 900);
      await enter(tab, site.url);
      for (const colorScheme of tab.media ? (["light", "dark"] as const) : (["light"] as const)) {
        await tab.media?.({ colorScheme });
        for (const width of WIDTHS) {
          await tab.viewport(width, 900);
          await until(tab, `${width} pixels`, isSettled, width);
          const path = join(folder, `${name}-${colorScheme}-${width}.png`);
          await (isDialog ? tab.view(path) : tab.screenshot(path));
        }
      }
      await tab.media?.({ colorScheme: "light" });
      assert.deepEqual(tab.faults, []);
    });
  }
});
