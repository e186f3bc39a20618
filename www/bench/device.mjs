/**
 * "Test this device" in headless Chromium: `node bench/device.mjs [--package DIR] [--size quick|full] [--out FILE] [--flag FLAG]...`, with the
 * flags that make Chromium take this machine's GPU, or `--flag=--use-webgpu-adapter=swiftshader`. Without a package it tests the demo model.
 * Prints the report for docs/devices.md and writes it to FILE.
 */
import { createReadStream, statSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { serve } from "../server.mjs";

const { values: options } = parseArgs({
  options: {
    package: { type: "string" },
    size: { type: "string", default: "quick" },
    out: { type: "string" },
    flag: { type: "string", multiple: true, default: [] },
  },
});
const PREFIX = "/device/";
const MINUTES = 15;

const server = await serve(fileURLToPath(new URL("../dist", import.meta.url)), 0, (path, request, response) => {
  if (!options.package || !path.startsWith(PREFIX)) return false;
  const file = join(options.package, normalize(path.slice(PREFIX.length)));
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) {
    response.writeHead(404).end();
    return true;
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const [start, end] = range ? [Number(range[1]), range[2] ? Number(range[2]) : size - 1] : [0, size - 1];
  const partial = range ? { "content-range": `bytes ${start}-${end}/${size}` } : {};
  response.writeHead(range ? 206 : 200, { "content-length": end - start + 1, "accept-ranges": "bytes", ...partial });
  createReadStream(file, { start, end }).pipe(response);
  return true;
});
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--enable-unsafe-webgpu", "--disable-dev-shm-usage", ...options.flag],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000 * MINUTES);
  page.on("console", (message) => message.type() === "error" && console.error(message.text()));
  await page.goto(`${server.url}bench.html?device=gpu`);
  console.error(browser.version(), await page.evaluate(adapter));
  if (options.package) await page.fill("#package", PREFIX);
  await page.selectOption("#size", options.size);
  await page.click("#start");
  await page.waitForFunction(() => document.getElementById("report") || document.getElementById("problem")?.textContent);
  console.error(await page.textContent("#log"));
  const problem = await page.textContent("#problem");
  if (problem) throw new Error(problem);
  const report = await page.inputValue("#markdown");
  console.log(report);
  if (options.out) writeFileSync(options.out, report);
} finally {
  await browser.close();
  await server.close();
}

/** Runs in the page. */
async function adapter() {
  const found = await navigator.gpu?.requestAdapter();
  if (!found) return "no adapter";
  const { vendor, architecture, description } = found.info;
  return [vendor, architecture, description, ...found.features].join(" ");
}
