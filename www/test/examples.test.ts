/** Runs the examples in `docs/guides` unchanged. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { addScript } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startServer } from "./model-server.js";
import { startSite, type Site } from "./site.js";

const FOLDER = resolve("../docs/guides");

/** Modules that examples import besides the package itself. */
const MODULES = [
  "openai",
  "openai/helpers/zod",
  "zod",
  "ai",
  "@ai-sdk/openai-compatible",
  "react",
  "react-dom/client",
  "ocelli/ai-sdk",
  "ocelli/prompt-api",
  "ocelli/react",
  "ocelli/img-alt",
];

/** The code blocks of a page in a language. */
function examples(page: string, language: string): string[] {
  const text = readFileSync(join(FOLDER, page), "utf8");
  return [...text.matchAll(/```(\w*)\n(.*?)```/gs)].filter(([, of]) => of === language).map(([, , code]) => code as string);
}

/** A function that runs the code, with its imports from an object. */
function runnable(code: string): string {
  const bindings = (names: string) => (names.startsWith("{") ? names.replace(/ as /g, ": ") : `{ default: ${names} }`);
  return code.replace(/^import (.+) from "(.+)";$/gm, (_, names: string, from: string) => `const ${bindings(names)} = modules["${from}"];`);
}

inBrowsers("examples", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    const lines = MODULES.map((name, index) => {
      const own = /^ocelli\/(.*)$/.exec(name);
      return `import * as m${index} from "${own ? `./src/${own[1]}/index.js` : name}";`;
    });
    const all = MODULES.map((name, index) => `"${name}": m${index}`).join();
    await addScript(site, "/test/modules.js", { text: `${lines.join("\n")}\nexport const modules = { ${all} };` });
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { modules } = (await import("/test/modules.js" as string)) as { modules: Record<string, object> };
      const ocelli = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const engine = await ocelli.Engine.load("/models/demo/");
      // Loaded once for all examples.
      const shared = { load: async () => engine, check: ocelli.Engine.check };
      Object.assign(window, { engine, modules: { ...modules, ocelli: { ...ocelli, Engine: shared } } });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  for (const page of readdirSync(FOLDER)) {
    const inPage = examples(page, "js").map(runnable);
    if (inPage.length > 0) {
      test(`examples of ${page} run`, async () => {
        for (const code of inPage) {
          assert.ok(code.trim().split("\n").length <= 20, "an example has 20 lines at most");
          const lines = await tab.run(async (code) => {
            const { engine, modules } = window as unknown as Record<string, unknown>;
            const lines: string[] = [];
            const console = { log: (...values: unknown[]) => lines.push(values.map((value) => JSON.stringify(value)).join(" ")) };
            const run = new Function("engine", "modules", "console", `return (async () => {${code}})();`);
            await (run(engine, modules, console) as Promise<void>);
            // Output of a component comes later.
            while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
            return lines;
          }, code);
          assert.ok(
            lines.every((line) => line !== "" && !line.includes("undefined")),
            `${code}\n${lines.join("\n")}`,
          );
        }
      });
    }

    const commands = examples(page, "sh");
    if (commands.length > 0) {
      test(`commands of ${page} run`, async (context) => {
        if (browser().name !== "Chromium") return context.skip("no browser takes part");
        const folder = mkdtempSync(join(tmpdir(), "ocelli-examples-"));
        const server = page === "serve.md" ? await startServer({ key: null }) : null;
        try {
          mkdirSync(join(folder, "bin"));
          symlinkSync(resolve("../target/debug/ocelli"), join(folder, "bin/ocelli"));
          symlinkSync(resolve("models/demo"), join(folder, "PKG"));
          const env = { ...process.env, PATH: `${join(folder, "bin")}${delimiter}${process.env["PATH"]}` };
          for (const command of commands) {
            const script = server ? command.replaceAll("http://127.0.0.1:8080", new URL(server.baseURL).origin) : command;
            const printed = execFileSync("bash", ["-euo", "pipefail", "-c", script], {
              cwd: folder,
              encoding: "utf8",
              env,
              stdio: ["ignore", "pipe", "ignore"],
            });
            assert.match(printed, /"object":"(chat\.completion|list)"/);
            assert.doesNotMatch(printed, /"error":\{/);
          }
        } finally {
          server?.stop();
          rmSync(folder, { recursive: true });
        }
      });
    }
  }
});
