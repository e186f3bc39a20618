/**
 * The README's ways to a described picture, with its own lines, from what is built: `node bench/newcomers.mjs [OCELLI]`, where `OCELLI` is the
 * command with the page in it, by default `../target/release/ocelli`. Prints steps and seconds as a table. Packages come from npm.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { cloneInto } from "./clone.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const ocelli = resolve(process.argv[2] ?? join(root, "target/release/ocelli"));
const MOST_MS = 600_000;

const readme = await readFile(join(root, "README.md"), "utf8");
const [page, app, command] = [...readme.matchAll(/^```\n(.*?)^```$/gms)].map(([, lines]) => lines);
const folder = await mkdtemp(join(tmpdir(), "ocelli-newcomers-"));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
});
try {
  const rows = [
    ["the page", 1 + 2, await viaPage()],
    ["a web app of Vite", linesOf(app) + 1, await viaApp()],
    ["the command", linesOf(command), await viaCommand()],
    ["a server, and a phone in its network", 1 + 2, await viaPhone()],
  ];
  console.log("| way | steps | seconds |\n|---|---|---|");
  for (const [way, steps, seconds] of rows) console.log(`| ${way} | ${steps} | ${seconds} |`);
} finally {
  await browser.close();
  await rm(folder, { recursive: true, force: true });
}

/** Commands of a block: a quoted text may have several lines. */
function linesOf(block) {
  return block
    .replace(/'[^']*'/g, "''")
    .trim()
    .split("\n").length;
}

/** The first line, then the address and an example. */
async function viaPage() {
  if (!page.startsWith("./build.sh serve")) throw new Error(`not the way to the page: ${page}`);
  return whileServing(process.execPath, [join(root, "www/serve.mjs"), "0"], root, async (tab) => {
    await tab.click("#gallery li:first-child button", { timeout: MOST_MS });
    await tab.waitForSelector("#log .turn.model", { timeout: MOST_MS });
    return tab.textContent("#log .turn.model .words");
  });
}

async function viaApp() {
  const clone = join(folder, "ocelli");
  await cloneInto(clone, join(root, "www"));
  return whileServing("bash", ["-euo", "pipefail", "-c", app], clone, async (tab) => {
    await tab.waitForFunction(() => document.body.innerText.length > 10, undefined, { timeout: MOST_MS });
    return tab.innerText("body");
  });
}

async function viaCommand() {
  const [, describe] = command.trim().split("\n");
  const env = { ...process.env, PATH: `${dirname(ocelli)}:${process.env.PATH}` };
  const started = performance.now();
  assertDescribed(execFileSync("bash", ["-euc", describe], { cwd: root, env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  return secondsSince(started);
}

/** The line for a phone, then the link that it prints, and a picture of the phone. */
async function viaPhone() {
  const [line] = /^ocelli serve PKG --host 0\.0\.0\.0 --api-key KEY/m.exec(readme);
  const key = "key-of-16-signs-";
  const args = line.replace("PKG", "www/models/demo").replace("KEY", key).split(" ").slice(1);
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
  const words = async (tab) => {
    await tab.setInputFiles("#files", join(root, "www/models/demo/gallery/scene-01.png"), { timeout: MOST_MS });
    await tab.waitForSelector("#log .turn.model", { timeout: MOST_MS });
    return tab.textContent("#log .turn.model .words");
  };
  // A terminal shows a link, and a code for the camera, with the key at the end.
  const end = `#key=${key}`;
  // A server samples the words of the demo model.
  return whileServing(ocelli, [...args, "--port", "0"], root, words, { device: phone, end, wanted: /"SEA"/ });
}

/** Runs a command until the page at the address that it prints has said `words`; returns the seconds until the address, and until the words. */
async function whileServing(program, args, cwd, words, { device = {}, end = "", wanted } = {}) {
  const started = performance.now();
  const server = spawn(program, args, { cwd, env: { ...process.env, NO_COLOR: "1" }, detached: true });
  const context = await browser.newContext(device);
  try {
    const address = await addressOf(server);
    const served = secondsSince(started);
    const tab = await context.newPage();
    await tab.goto(address + end);
    assertDescribed(await words(tab), wanted);
    return `${secondsSince(started)} (${served} until the address)`;
  } finally {
    await context.close();
    process.kill(-server.pid);
  }
}

function addressOf(server) {
  return new Promise((found, failed) => {
    let printed = "";
    const read = (piece) => {
      printed += piece;
      const [address] = /http:\/\/localhost:\d+\/?(?=\s)/.exec(printed) ?? /(?<=its page is at )\S+/.exec(printed) ?? [];
      if (address) found(address);
    };
    server.stdout.on("data", read);
    server.stderr.on("data", read);
    server.on("close", () => failed(new Error(printed)));
  });
}

function assertDescribed(text, wanted = /circle .*"SEA"/) {
  if (!wanted.test(text)) throw new Error(`not a description: ${text}`);
}

function secondsSince(started) {
  return ((performance.now() - started) / 1000).toFixed(1);
}
