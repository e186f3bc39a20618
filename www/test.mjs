/** Bundles `test/*.test.ts` into `test/out/` and runs them with Node's test runner: all, or those named. */
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const www = fileURLToPath(new URL(".", import.meta.url));
const named = process.argv.slice(2).map((name) => `${name}.test.ts`);
const files = readdirSync(`${www}test`).filter((file) => file.endsWith(".test.ts") && (!named.length || named.includes(file)));

rmSync(`${www}test/out`, { recursive: true, force: true });
await build({
  absWorkingDir: www,
  entryPoints: files.map((file) => `test/${file}`),
  outdir: "test/out",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  // What a test imports from there it imports in the browser.
  external: ["/ocelli/*"],
  // Types are checked by tsc; functions sent to a browser must arrive as they were written.
  keepNames: false,
  logLevel: "warning",
});
// One at a time: all tests share one software GPU, and some measure time.
const built = files.map((file) => `${www}test/out/${file.replace(/\.ts$/, ".mjs")}`);
const options = ["--test", "--test-concurrency=1", "--test-reporter=spec"];
const { status } = spawnSync(process.execPath, [...options, ...built], { stdio: "inherit", cwd: www });
process.exit(status ?? 1);
