/** The examples in the documentation run, as they stand there. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, test } from "node:test";
import { openClientPage, PICTURE, type Kept } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

inBrowsers("examples", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await openClientPage(browser(), site);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("the examples of docs/api.md run", async () => {
    const text = readFileSync(resolve("../docs/api.md"), "utf8");
    const examples = [...text.matchAll(/```js\n(.*?)```/gs)].map(([, code]) => (code ?? "").replace(/^import .*\n/gm, ""));
    const printed = await tab.run(
      async ({ examples, picture }) => {
        const { OpenAI } = (await import("/test/openai.js" as string)) as typeof import("openai");
        const { engine } = window as unknown as Kept;
        const printed: unknown[][] = [];
        for (const code of examples) {
          const lines: unknown[] = [];
          const console = { log: (...values: unknown[]) => lines.push(...values) };
          const run = new Function("engine", "OpenAI", "picture", "console", `return (async () => {${code}})();`);
          await (run(engine, OpenAI, picture, console) as Promise<void>);
          printed.push(lines);
        }
        return printed;
      },
      { examples, picture: PICTURE },
    );
    assert.equal(printed.length, 4);
    for (const lines of printed) assert.ok(lines.length > 0 && lines.some(Boolean), JSON.stringify(printed));
  });
});
