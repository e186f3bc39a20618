import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatCompletion, OcelliError } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

interface Known {
  variants: number[];
  tried: number;
  gflops: number;
}

inBrowsers("tuning", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Loads a small model and asks it something; returns what the load used, the answer, and the stored tuning results. */
  const load = (options: object) =>
    tab.run(async (options) => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const engine = await Engine.load("/packages/untied-q4_0/", { device: "gpu", ...options });
      const { logits } = await engine.score({ input_ids: [1, 3, 65, 66, 67, 4] });
      const messages = [{ role: "user", content: "Count to ten" }];
      const answer = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 8 } as never);
      const said = (answer as unknown as ChatCompletion).choices[0]?.message.content;
      const { selfTest, features } = engine.device;
      engine.unload();
      const kept = await (await caches.open("ocelli-tuning-v1")).match("/ocelli-tuning.json");
      const known = Object.values(((await kept?.json()) ?? {}) as Record<string, Known>);
      return { selfTest, features, logits: [...logits], said, known };
    }, options);

  let plain: Awaited<ReturnType<typeof load>>;

  test("the device reports its features, and an emulated GPU is not tuned unless requested", async () => {
    plain = await load({});
    const { features, selfTest } = plain;
    const expected =
      browser().name === "Firefox"
        ? { f16: true, subgroups: false, largeWorkgroups: true }
        : { f16: false, subgroups: true, largeWorkgroups: false };
    assert.deepEqual(features, { ...expected, dot: true });
    assert.deepEqual([plain.known.map(({ tried }) => tried), selfTest.kernelConfig.variants], [[0], [0, 0, 0, 0]]);
    assert.deepEqual(selfTest.kernelConfig.features, { ...expected, f16: false, dot: false }, "exact unless asked otherwise");
  });

  test("a second load repeats no test", async () => {
    const again = await load({});
    assert.deepEqual([plain.selfTest.earlier, again.selfTest.earlier], [false, true]);
    assert.deepEqual([again.known, again.logits], [plain.known, plain.logits]);
  });

  const apart = (logits: number[]) => {
    const largest = Math.max(...plain.logits.map(Math.abs));
    return Math.max(...logits.map((logit, at) => Math.abs(logit - (plain.logits[at] ?? NaN)))) / largest;
  };

  /** Sets the stored variants, which later loads use. */
  const pick = (variants: number[]) =>
    tab.run(async (variants) => {
      const cache = await caches.open("ocelli-tuning-v1");
      const known = (await (await cache.match("/ocelli-tuning.json"))?.json()) as Record<string, { variants: number[] }>;
      for (const tuned of Object.values(known)) tuned.variants = variants;
      await cache.put("/ocelli-tuning.json", Response.json(known));
    }, variants);

  // Numbered as by `few_rows::Tuning`, `attention_step::Tuning` and `matmul::Tuning`. Rounding changes logits slightly.
  const tiers = [
    { arithmetic: "exact", features: ["subgroups"], pick: () => [3, 3, 0, 0], least: 0, most: 1e-4 },
    { arithmetic: "fast", features: ["dot", "f16"], pick: (f16: boolean) => [13, 0, f16 ? 5 : 3, 0], least: 1e-6, most: 0.05 },
  ] as const;
  for (const { arithmetic, features, pick: pickOf, least, most } of tiers) {
    test(`tuning is stored; kernels with ${features.join(" and ")} are used if supported and give the same results`, async () => {
      // Results are stored for each arithmetic.
      const stored = arithmetic === "fast" ? 2 : 1;
      let tuned = await load({ tune: "always", arithmetic });
      // Nothing is tried while the machine is so busy that an idle device is waited for.
      for (let again = 0; again < 4 && !tuned.known.at(-1)?.tried; again++) tuned = await load({ tune: "always", arithmetic });
      assert.equal(tuned.known.length, stored);
      assert.ok((tuned.known.at(-1)?.tried ?? 0) > 0);
      assert.deepEqual(tuned.selfTest.failed, []);
      assert.ok(apart(tuned.logits) < most, `logits differ by ${apart(tuned.logits)} of the largest`);
      const variants = pickOf(plain.features.f16);
      await pick(variants);
      const forced = await load({ tune: "never", arithmetic });
      assert.deepEqual([forced.selfTest.kernelConfig.variants, forced.selfTest.failed], [variants, []]);
      for (const feature of features) assert.equal(forced.selfTest.kernelConfig.features[feature], plain.features[feature]);
      const off = apart(forced.logits);
      assert.ok(off >= least && off < most, `logits differ by ${off} of the largest`);
      if (arithmetic === "exact") assert.equal(forced.said, plain.said);
    });
  }

  test("invalid choices are refused by name", async () => {
    for (const options of [{ tune: "sometimes" }, { arithmetic: "sloppy" }]) {
      const { code, message } = await tab.run(async (options) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const thrown: unknown = await Engine.load("/packages/untied-q4_0/", options as object).catch((thrown: unknown) => thrown);
        const { code, message } = thrown as OcelliError;
        return { code, message };
      }, options);
      assert.equal(code, "invalid-request");
      assert.match(message, new RegExp(Object.values(options)[0] as string));
    }
  });
});
