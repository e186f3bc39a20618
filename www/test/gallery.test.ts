import assert from "node:assert/strict";
import { test } from "node:test";
import type { Engine } from "../src/index.js";
import { inBrowsers } from "./driver.js";
import { startSite } from "./site.js";

interface Scene {
  file: string;
  answers: { prompt: string; answer: string }[];
}

inBrowsers("gallery", (browser) => {
  test("every picture is described as transformers describes it", async (t) => {
    const site = await startSite();
    const tab = await browser().newTab();
    try {
      await tab.goto(`${site.url}test/blank.html`);
      const rows = await tab.run(async () => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const engine: Engine = await Engine.load("/models/demo/");
        const folder = "/models/demo/gallery/";
        const rows: { file: string; found: string | undefined; wanted: string | undefined }[] = [];
        for (const { file, answers } of (await (await fetch(`${folder}gallery.json`)).json()) as Scene[]) {
          const text = answers[0]?.prompt ?? "";
          const content = [{ type: "image_url" as const, image_url: { url: folder + file } }, { type: "text" as const, text }];
          const completion = await engine.chat.completions.create({ messages: [{ role: "user", content }], temperature: 0 });
          rows.push({ file, found: completion.choices[0]?.message.content, wanted: answers[0]?.answer });
        }
        return rows;
      });
      assert.ok(rows.length > 3, `${rows.length} pictures`);
      assert.deepEqual(
        rows.map(({ file, found }) => [file, found]),
        rows.map(({ file, wanted }) => [file, wanted]),
      );
      t.diagnostic(`${rows.length} pictures, such as ${JSON.stringify(rows[0])}`);
    } finally {
      await tab.close();
      await site.stop();
    }
  });
});
