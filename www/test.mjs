/**
 * Bundles `test/*.test.ts` into `test/out/` and runs them with Node's test runner, in Chromium and Firefox side by side, or in the one
 * that `OCELLI_BROWSER` names: `node test.mjs [FILE...] [-t PATTERN]`. FILE is a name without `.test.ts`; PATTERN selects tests by name.
 * Without FILE Firefox runs the files whose result may depend on the browser; with `OCELLI_TESTS=all` it runs all.
 */
import { spawn } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const www = fileURLToPath(new URL(".", import.meta.url));
const { positionals, values } = parseArgs({ allowPositionals: true, options: { test: { type: "string", short: "t", multiple: true } } });
const named = positionals.map((name) => `${name}.test.ts`);
const existing = readdirSync(`${www}test`).filter((file) => file.endsWith(".test.ts"));
const unknown = named.filter((file) => !existing.includes(file));
if (unknown.length > 0) throw new Error(`no such file in test/: ${unknown.join(", ")}`);
/** Files that take half of Chromium's time, for shaders on a software GPU. */
const longest = ["conformance.test.ts", "kernels.test.ts", "recovery.test.ts"];
/** Files that run only by name: one takes minutes and needs packages that nothing else needs, the other makes pictures. */
const byName = ["bundlers.test.ts", "states.test.ts"];
/** Tests of shaders, storage, events, files, locks and regular expressions; the others test this package's own scripts. */
const browserTests = [
  "api",
  "cache",
  "clients",
  "conformance",
  "conversation-files",
  "find",
  "formats",
  "keys",
  "kernels",
  "keyboard",
  "keyboard-dialogs",
  "languages",
  "looks",
  "opening",
  "page",
  "page-server",
  "quota",
  "saved-conversations",
  "served-page",
  "settings",
  "storage",
  "tabs",
  "tokenizer",
];
const files = named.length > 0 ? named : existing.filter((file) => !byName.includes(file));
const isRunBy = (browser, file) =>
  browser !== "Firefox" || named.length > 0 || process.env.OCELLI_TESTS === "all" || browserTests.includes(file.replace(".test.ts", ""));

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
  // Tests import these in the browser.
  external: ["/ocelli/*", "/test/*"],
  // Types are checked by tsc; functions sent to a browser must arrive as they were written.
  keepNames: false,
  logLevel: "warning",
});
// Side by side, because none keeps two cores busy. One by one Chromium's files would take twice the time of Firefox's.
const browsers = process.env.OCELLI_BROWSER ? [process.env.OCELLI_BROWSER] : ["Chromium", "Firefox"];
const lanes = browsers.flatMap((browser) => {
  const all = files.filter((file) => isRunBy(browser, file));
  const parts =
    browser === "Chromium" ? [all.filter((file) => !longest.includes(file)), all.filter((file) => longest.includes(file))] : [all];
  return parts.filter((part) => part.length > 0).map((part) => ({ browser, files: part }));
});
const runs = await Promise.all(lanes.map((lane, index) => run(lane, index === 0)));
for (const { output } of runs) process.stdout.write(output);
process.exit(runs.every(({ status }) => status === 0) ? 0 : 1);

/** Runs files in a browser. `output` was not shown while it ran. */
function run({ browser, files }, isShown) {
  const patterns = (values.test ?? []).map((pattern) => `--test-name-pattern=${pattern}`);
  const options = ["--test", "--test-concurrency=1", "--test-reporter=spec", ...patterns];
  const built = files.map((file) => `${www}test/out/${file.replace(/\.ts$/, ".mjs")}`);
  const child = spawn(process.execPath, [...options, ...built], {
    stdio: isShown ? "inherit" : ["ignore", "pipe", "pipe"],
    cwd: www,
    env: { ...process.env, OCELLI_BROWSER: browser },
  });
  const pieces = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (piece) => pieces.push(piece));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output: Buffer.concat(pieces) }));
  });
}
