import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { inBrowsers } from "./driver.js";
import { startSite } from "./site.js";
import { serve, type Server } from "../server.mjs";

/** A project of somebody else's that has installed the package from its tarball. */
let project: string;
const installed = () => join(project, "node_modules/ocelli");

before(() => {
  project = mkdtempSync(join(tmpdir(), "ocelli-package-"));
  mkdirSync(installed(), { recursive: true });
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", project], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })) as [{ filename: string }];
  execFileSync("tar", ["-xzf", join(project, filename), "--strip-components=1", "-C", installed()]);
});
after(() => rmSync(project, { recursive: true, force: true }));

test("a strict TypeScript project compiles against it, and is told of mistakes", () => {
  const compile = (source: string) => {
    writeFileSync(join(project, "use.ts"), source);
    const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", "--types", ""];
    try {
      execFileSync(resolve("node_modules/.bin/tsc"), [...options, join(project, "use.ts")], { cwd: project, encoding: "utf8" });
      return "";
    } catch (failed) {
      return (failed as { stdout: string }).stdout;
    }
  };
  writeFileSync(join(project, "package.json"), '{"type":"module"}');
  const head = 'import { Engine, OcelliError } from "ocelli";\nconst engine = await Engine.load("/m/");\nconst { create } = engine.chat.completions;\n';
  const ask = '{ messages: [{ role: "user", content: "hi" }]';
  assert.equal(compile(`${head}for await (const c of await create(${ask}, stream: true })) { const t: string | undefined = c.choices[0]?.delta.content; void t; }`), "");
  assert.equal(compile(`${head}const c = await create(${ask} }); const t: string = c.choices[0]!.message.content; void t; void OcelliError;`), "");
  assert.match(compile(`${head}await create(${ask}, colour: 1 });`), /colour/);
  assert.match(compile(`${head}await create({ messages: [{ role: "nobody", content: "hi" }] });`), /nobody/);
});

inBrowsers("package", (browser) => {
  test("runs when it comes from another origin, as from a CDN", async () => {
    const site = await startSite();
    const cdn: Server = await serve(installed(), 0, (_path, _request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      return false;
    });
    const tab = await browser().newTab();
    try {
      await tab.goto(`${site.url}test/blank.html`);
      const answer = await tab.run(async (cdn) => {
        const { Engine } = (await import(`${cdn}dist/ocelli/index.js`)) as typeof import("../src/index.js");
        const engine = await Engine.load("/models/demo/");
        const completion = await engine.chat.completions.create({ messages: [{ role: "user", content: "Hello" }], max_tokens: 8 });
        return completion.choices[0]?.message.content;
      }, cdn.url);
      assert.match(answer ?? "", /\w/);
      assert.equal(site.requests.get("/ocelli/worker.js"), undefined, "the page's own copy is not used");
    } finally {
      await tab.close();
      await cdn.close();
      await site.stop();
    }
  });
});
