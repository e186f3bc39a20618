/** Runs the examples of `docs/guides` and of the READMEs; the demo model takes the place of models that are downloaded. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { addScript } from "./client-page.js";
import { codeBlocks } from "./code-blocks.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startServer } from "./model-server.js";
import { startSite, type Site } from "./site.js";

const GUIDES = readdirSync(resolve("../docs/guides")).map((name) => `docs/guides/${name}`);
/** Languages of the examples of documents; the types in them are those of the package, so they are scripts as they are. */
const DOCUMENTS: [string, "js" | "ts"][] = [
  ["README.md", "ts"],
  ["www/README.md", "ts"],
  ["docs/memory.md", "js"],
  ...GUIDES.map((page): [string, "js"] => [page, "js"]),
];
const SCENE = "/models/demo/gallery/scene-01.png";

/** Modules that examples import besides the package itself. */
const MODULES = [
  "@anthropic-ai/sdk",
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

const IDS = (JSON.parse(readFileSync(resolve("src/api/models.json"), "utf8")) as { id: string }[]).map(({ id }) => id);

/** The code with its imports from an object, and with the demo model in place of known ones. */
function runnable(code: string): string {
  const bindings = (names: string) => (names.startsWith("{") ? names.replace(/ as /g, ": ") : `{ default: ${names} }`);
  const imported = code.replace(
    /^ *import (.+) from "(.+)";$/gm,
    (_, names: string, from: string) => `const ${bindings(names)} = modules["${from}"];`,
  );
  return IDS.reduce((changed, id) => changed.replaceAll(`"${id}"`, '"/models/demo/"'), imported);
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
    site.replaced.set("/test/scene.png", readFileSync(resolve(`.${SCENE}`)));
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { modules } = (await import("/test/modules.js" as string)) as { modules: Record<string, object> };
      const ocelli = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const engine = await ocelli.Engine.load("/models/demo/");
      // Loaded once for all examples.
      const load = async (source: unknown) => {
        if (typeof source === "string" && !source.endsWith("/")) throw new Error(`${source} is no id of a known model`);
        return engine;
      };
      const shared = { load, check: ocelli.Engine.check };
      Object.assign(window, { engine, modules: { ...modules, ocelli: { ...ocelli, Engine: shared } } });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Runs an example; returns what it prints and what it writes into the page. */
  function run(code: string): Promise<string[]> {
    return tab.run(
      async ({ code, isSilent }) => {
        const { engine, modules } = window as unknown as { engine: object; modules: { ocelli: { Engine: object } } };
        const lines: string[] = [];
        const print = (...values: unknown[]) => void lines.push(values.map((value) => JSON.stringify(value)).join(" "));
        const output = document.body.appendChild(document.createElement("p"));
        const photo = await (await fetch("scene.png")).blob();
        const before = document.body.textContent.length;
        const given = { engine, modules, console: { log: print }, output, photo, url: "/models/demo/" };
        const imported = /\bconst \{[^}]*\bEngine\b[^}]*\} = modules/.test(code) ? {} : { Engine: modules.ocelli.Engine };
        const names = Object.keys({ ...given, ...imported });
        const run = new Function(...names, `return (async () => {${code}})();`);
        await (run(...Object.values({ ...given, ...imported })) as Promise<void>);
        const written = document.body.textContent.slice(before).trim();
        if (written !== "") lines.push(written);
        // Output of a component comes later.
        while (!isSilent && lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
        return lines;
      },
      { code, isSilent: !/console|append/.test(code) },
    );
  }

  for (const [page, language] of DOCUMENTS) {
    const inPage = codeBlocks(page, language).map(runnable);
    if (inPage.length > 0) {
      test(`examples of ${page} run`, async () => {
        for (const code of inPage) {
          assert.ok(code.trim().split("\n").length <= 20, "an example has 20 lines at most");
          const lines = await run(code);
          assert.ok(
            lines.every((line) => line !== "" && !line.includes("undefined")),
            `${code}\n${lines.join("\n")}`,
          );
        }
      });
    }
  }

  for (const page of GUIDES) {
    const commands = codeBlocks(page, "sh");
    if (commands.length > 0) {
      test(`commands of ${page} run`, async (context) => {
        if (browser().name !== "Chromium") return context.skip("no browser takes part");
        const folder = mkdtempSync(join(tmpdir(), "ocelli-examples-"));
        const server = page === "docs/guides/serve.md" ? await startServer({ key: null }) : null;
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
