/**
 * The packed package in projects of common bundlers: each describes a picture and answers in a format in Chromium.
 * `./build.sh test bundlers` installs the bundlers and runs it.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, type SpawnOptions } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, test } from "node:test";
import { codeBlocks } from "./code-blocks.js";
import { inBrowsers, until, type TestBrowser } from "./driver.js";
import { installInto } from "./tarball.js";
import { cloneInto } from "../bench/clone.mjs";
import { serve } from "../server.mjs";

const bundlers = resolve("../tools/bundlers");
const out = join(bundlers, "out");
const DESCRIBED = /^An orange circle above the purple word "SEA" on a gray background\./;
const ANSWER = new RegExp(`${DESCRIBED.source} (red|green)$`);

/** A project in its own folder, made from `template`, with the package in `node_modules`. */
function project(name: string, template = name): string {
  const folder = join(out, name);
  const projects = join(bundlers, "projects");
  for (const file of ["describe.js", "main.js", "index.html"]) cpSync(join(projects, file), join(folder, file));
  if (existsSync(join(projects, template))) cpSync(join(projects, template), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  cpSync(join(out, "node_modules/ocelli"), join(folder, "node_modules/ocelli"), { recursive: true });
  mkdirSync(join(folder, "public"));
  addModels(join(folder, "public"));
  return folder;
}

function addModels(folder: string): void {
  symlinkSync(resolve("dist/models"), join(folder, "models"));
}

function run(folder: string, tool: string, ...options: string[]): void {
  execFileSync(join(bundlers, "node_modules/.bin", tool), options, { cwd: folder, stdio: ["ignore", "inherit", "inherit"], env: quiet });
}

const quiet = { ...process.env, NO_COLOR: "1", NEXT_TELEMETRY_DISABLED: "1" };

async function describes(browser: TestBrowser, url: string, answer = ANSWER): Promise<void> {
  const tab = await browser.newTab();
  try {
    await tab.goto(url);
    await until(tab, "an answer", () => document.body.innerText.length > 10).catch((thrown) => {
      throw new Error(tab.faults.join("\n"), { cause: thrown });
    });
    assert.match(await tab.run(() => document.body.innerText.trim()), answer);
  } finally {
    await tab.close();
  }
}

/** Serves a folder with the models as a plain host does, whose policies let a page run its own scripts, and checks its page. */
async function servedDescribes(browser: TestBrowser, folder: string): Promise<void> {
  const server = await serve(folder, 0, undefined, () => ({}));
  try {
    await describes(browser, server.url);
  } finally {
    await server.close();
  }
}

/** Runs a development server, and checks its page `times` times. */
function developed(browser: TestBrowser, folder: string, times: number, tool: string, ...options: string[]): Promise<void> {
  return whileRunning(join(bundlers, "node_modules/.bin", tool), options, { cwd: folder }, async (url) => {
    for (let time = 0; time < times; time++) await describes(browser, url);
  });
}

/** Runs a command until `act` has used the address that it prints. */
async function whileRunning(command: string, options: string[], where: SpawnOptions, act: (url: string) => Promise<void>): Promise<void> {
  const server = spawn(command, options, { env: quiet, ...where, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const printed: string[] = [];
  try {
    const url = await new Promise<string>((found, failed) => {
      const read = (piece: Buffer) => {
        printed.push(piece.toString());
        const address = /http:\/\/localhost:\d+\/?/.exec(printed.join(""));
        if (address) found(address[0]);
      };
      server.stdout.on("data", read);
      server.stderr.on("data", read);
      server.on("close", () => failed(new Error(printed.join(""))));
    });
    await act(url);
  } finally {
    if (server.pid !== undefined && server.exitCode === null) process.kill(-server.pid);
  }
}

/** Without a network: the creator of the project and Vite are those that are installed here, and the package comes from its archive. */
const OFFLINE = `
  npm() {
    case $1 in
      create) [[ $3 == vite@* ]] && "$BIN/create-vite" "$4" "\${@:6}" ;;
      install) command npm pkg delete devDependencies && command npm install --offline --no-audit --no-fund "$2" ;;
      *) command npm "$@" ;;
    esac
  }
  npx() { exec "$BIN/$1" --port 0 "\${@:2}"; }
`;

inBrowsers("bundlers", (browser) => {
  let tarball: string;
  before(() => {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out);
    tarball = installInto(out).tarball;
  });

  test("a page without a bundler works", async () => {
    const folder = project("plain");
    addModels(folder);
    await servedDescribes(browser(), folder);
  });

  test("Vite works with its development server, cold and warm", async () => {
    await developed(browser(), project("vite-dev"), 2, "vite", "--port", "0");
  });

  test("the README's web app, made by its lines, describes a picture", async () => {
    const script = codeBlocks("README.md", "").find((block) => block.includes("npm create"));
    assert.ok(script);
    const env = { ...quiet, BIN: join(bundlers, "node_modules/.bin") };
    const options = ["-euo", "pipefail", "-c", `${OFFLINE}\n${script}`];
    const cwd = join(out, "readme/ocelli");
    await cloneInto(cwd, resolve("."));
    await whileRunning("bash", options, { cwd, env }, (url) => describes(browser(), url, DESCRIBED));
  });

  test("Vite works with a build", async () => {
    const folder = project("vite");
    run(folder, "vite", "build", "--logLevel", "warn");
    await servedDescribes(browser(), join(folder, "dist"));
  });

  test("webpack 5 works", async () => {
    const folder = project("webpack");
    run(folder, "webpack");
    await servedBundle(folder);
  });

  /** With the worker and the wasm module beside the bundle, as the README says. */
  for (const [name, options] of [
    ["rollup", ["-c", "--silent"]],
    ["esbuild", ["main.js", "--bundle", "--format=esm", "--outdir=dist", "--log-level=warning"]],
  ] as const) {
    test(name, async () => {
      const folder = project(name);
      run(folder, name, ...options);
      for (const part of ["worker.js", "wasm"]) {
        cpSync(join(folder, "node_modules/ocelli/dist/ocelli", part), join(folder, "dist", part), { recursive: true });
      }
      await servedBundle(folder);
    });
  }

  async function servedBundle(folder: string): Promise<void> {
    cpSync(join(folder, "index.html"), join(folder, "dist/index.html"));
    addModels(join(folder, "dist"));
    await servedDescribes(browser(), join(folder, "dist"));
  }

  test("Next.js works with its development server", async () => {
    await developed(browser(), project("next-dev", "next"), 1, "next", "dev", "--port", "0");
  });

  test("Next.js works with a build", async () => {
    const folder = project("next");
    run(folder, "next", "build");
    await servedDescribes(browser(), join(folder, "out"));
  });

  test("the package's exports and types pass npm's checkers", () => {
    run(out, "publint", "--strict", "node_modules/ocelli");
    run(out, "attw", "--profile", "esm-only", tarball);
  });
});
