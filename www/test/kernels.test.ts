import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import { inBrowsers, type Tab } from "./driver.js";
import { openReplay, type Outcome, type Replay, type Row } from "./kernel-replay.js";
import { startSite, type Site } from "./site.js";

/** Rows run at a time: a browser compiles their shaders in parallel. */
const AT_ONCE = 12;
/** All rows run natively. Here, unless all are asked for, one row runs of every second kind (kernel, layout, tier) with features, and of every fifth without. */
const ALL = process.env["OCELLI_KERNELS"] === "all" || process.env["OCELLI_TESTS"] === "all";

/** Only rows whose name starts with this. */
const ONLY = process.env["OCELLI_KERNEL"];

/**
 * Rows that SwiftShader compiles for minutes, with 13 GB of memory: steps of eight rows and four positions a thread over a window. No model has
 * them; lavapipe and Firefox run them.
 */
const SLOW = /^attention_step<\d+,\w+,8,[^>]*window.* positions: 4,/;

const FEATURES = ["f16", "subgroups", "dot", "largeWorkgroups"] as const;

/** The features of each browser: without this check a tier that a browser lost would silently not be tested. */
const TIERS: Record<string, Row["uses"]> = {
  Chromium: { f16: false, subgroups: true, dot: true, largeWorkgroups: false },
  Firefox: { f16: true, subgroups: false, dot: true, largeWorkgroups: true },
};

inBrowsers("the kernel table", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    if (!existsSync(resolve("../target/tmp/kernel-table/table.json"))) {
      throw new Error("target/tmp/kernel-table is missing: run ./build.sh test kernels");
    }
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("kernels of all tiers that the browser supports agree with the references", async (context) => {
    const { features, hasLargeWorkgroups, language, rows: all } = await tab.run(openReplay, "/kernel-table/");
    const subgroups = features.includes("subgroups") && language.includes("subgroup_id");
    const has = {
      f16: features.includes("shader-f16"),
      subgroups,
      dot: language.includes("packed_4x8_integer_dot_product"),
      largeWorkgroups: hasLargeWorkgroups,
    };
    assert.deepEqual(has, TIERS[browser().name], "the tiers of this browser");
    const can = (of: Row["uses"]) => FEATURES.every((feature) => has[feature] || !of[feature]);
    const isPlain = (of: Row["uses"]) => !FEATURES.some((feature) => of[feature]);
    const isWanted = (name: string) => (ONLY === undefined || name.startsWith(ONLY)) && !(browser().name === "Chromium" && SLOW.test(name));
    const kinds = new Set<string>();
    const isNew = ({ name, uses }: (typeof all)[number]) => {
      const kind = JSON.stringify([name.split(" ", 2), uses]);
      return ALL || (!kinds.has(kind) && kinds.add(kind) && kinds.size % (isPlain(uses) ? 5 : 2) === 0);
    };
    const rows = all.flatMap((row, at) => (isWanted(row.name) && can(row.uses) && isNew(row) ? [at] : []));
    for (const feature of FEATURES) {
      const count = rows.filter((at) => all[at]?.uses[feature]).length;
      if (ONLY === undefined) assert.equal(count > 0, has[feature], `rows with ${feature}`);
      context.diagnostic(`${feature}: ${count} rows`);
    }
    const outcomes: Outcome[] = [];
    for (let first = 0; first < rows.length; first += AT_ONCE) {
      const some = rows.slice(first, first + AT_ONCE);
      outcomes.push(...(await tab.run((some) => (window as unknown as { replay: Replay }).replay.run(some), some)));
    }
    const faults = outcomes.filter(({ fault }) => fault !== null).map(({ name, fault }) => `${name}: ${fault}`);
    const numbers = outcomes.reduce((sum, { checked }) => sum + checked, 0);
    context.diagnostic(`${rows.length} of ${all.length} rows, ${numbers} numbers`);
    assert.deepEqual(faults, []);
  });
});
