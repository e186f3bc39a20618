import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MemoryReport, OcelliError } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const PICTURE = "/models/demo/gallery/scene-01.png";

interface Told {
  said: string | null;
  memory: MemoryReport;
}

inBrowsers("memory", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const ask = async (options: object, url: string): Promise<Told> => {
        const engine = await Engine.load("/models/demo/", { device: "gpu", kvPrecision: "f32", ...options });
        const content = [
          { type: "image_url" as const, image_url: { url } },
          { type: "text" as const, text: "Describe this image." },
        ];
        const { choices } = await engine.chat.completions.create({ messages: [{ role: "user", content }], temperature: 0, max_tokens: 8 });
        const memory = await engine.memoryNow();
        engine.unload();
        return { said: choices[0]?.message.content ?? null, memory };
      };
      const refusal = async (options: object) => {
        const thrown: unknown = await Engine.load("/models/demo/", { device: "gpu", ...options }).catch((thrown: unknown) => thrown);
        const { code, detail } = thrown as OcelliError;
        return { code, detail };
      };
      Object.assign(window, { ask, refusal });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  const ask = (options: object) =>
    tab.run(({ options, url }) => (window as unknown as { ask(options: object, url: string): Promise<Told> }).ask(options, url), {
      options,
      url: PICTURE,
    });
  const refusal = (options: object) =>
    tab.run(
      (options) =>
        (window as unknown as { refusal(options: object): Promise<{ code: string; detail: Record<string, unknown> }> }).refusal(options),
      options,
    );

  test("too small budgets are refused with the numbers", async () => {
    const { code, detail } = await refusal({ gpuMemoryBudget: 1_000_000, kvPrecision: "f32" });
    assert.equal(code, "budget-too-small");
    const { budget, needed, parts } = detail as { budget: number; needed: number; parts: [string, number][] };
    assert.equal(budget, 1_000_000);
    assert.ok(needed > budget, `${needed}`);
    assert.equal(
      parts.reduce((sum, [, bytes]) => sum + bytes, 0),
      needed,
    );
    assert.equal((await refusal({ gpuMemoryBudget: -1 })).code, "invalid-request");
  });

  test("a streamed tower gives the same results as a resident one, within the plan", async () => {
    const resident = await ask({});
    assert.equal(resident.memory.plan.vision, "resident");
    for (const vision of ["dropped", "streamed"]) {
      const told = await ask({ vision });
      assert.equal(told.said, resident.said);
      assert.equal(told.memory.plan.vision, vision);
      assert.ok(told.memory.peak <= told.memory.plan.peak, JSON.stringify(told.memory));
      assert.ok(told.memory.peak < resident.memory.peak, `${told.memory.peak} of ${resident.memory.peak}`);
      const tower = told.memory.purposes.find(({ purpose }) => purpose === "vision_weights");
      assert.equal(tower?.current, 0);
    }
  });
});
