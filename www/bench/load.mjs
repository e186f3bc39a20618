/**
 * Times the way from a stored package to verified bytes in headless Chromium: `node bench/load.mjs [SHARDS]`, of 32 MiB each,
 * default 16. Nothing is downloaded and no GPU takes part. On Linux it also tells the processor time that the browser
 * took, which says what a step costs even on a busy machine.
 */
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { processorSeconds } from "./processors.mjs";

const SHARD_BYTES = 32 << 20;
const ROUNDS = 3;

const shards = Number(process.argv[2] ?? 16);
const entry = fileURLToPath(new URL("load-worker.ts", import.meta.url));
const bundle = await build({ entryPoints: [entry], bundle: true, format: "esm", target: "es2022", write: false });
const server = createServer((request, response) => {
  const isScript = request.url === "/worker.js";
  response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
  response.end(isScript ? bundle.outputFiles[0].text : "<!doctype html><title>load</title>");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  await page.goto(`http://localhost:${server.address().port}/`);
  await page.evaluate(() => (window.worker = new Worker("/worker.js", { type: "module" })));
  const ask = (message) =>
    page.evaluate(
      (message) =>
        new Promise((resolve, reject) => {
          window.worker.onmessage = ({ data }) => (typeof data === "string" ? reject(new Error(data)) : resolve(data));
          window.worker.onerror = (event) => reject(new Error(event.message));
          window.worker.postMessage(message);
        }),
      message,
    );
  const gigabytes = (shards * SHARD_BYTES) / 1e9;
  console.log(`${browser.version()}, ${shards} shards of 32 MiB`);
  for (const step of await ask(null)) {
    for (let round = 0; round < (/read|hash/.test(step) ? ROUNDS : 1); round++) {
      const before = processorSeconds();
      const seconds = await ask({ step, shards });
      const busy = before === null ? "" : `   processors ${((processorSeconds() - before) / gigabytes).toFixed(2)} s/GB`;
      console.log(`${step.padEnd(34)} ${seconds.toFixed(2).padStart(6)} s ${(gigabytes / seconds).toFixed(2).padStart(6)} GB/s${busy}`);
    }
  }
} finally {
  await browser.close();
  server.close();
}
