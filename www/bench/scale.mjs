/**
 * A model of full size in headless Chromium: `node bench/scale.mjs PKG | TEXT.gguf MMPROJ.gguf [--loads 2] [--device gpu] [--context 4096]
 * [--budget BYTES] [--tokens 2] [--picture 56] [--detail low]`. A package is stored in Cache Storage by its first load, a GGUF pair is imported into it; the model is
 * loaded from there within 2 GiB of GPU memory or the budget, and asked about a square picture of so many pixels.
 * Prints JSON: seconds, the memory of the wasm modules, the GPU's by purpose, and what was read from shards during the answer. Takes a
 * while where the GPU is software.
 */
import { createReadStream, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { meter } from "./meter.mjs";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    loads: { type: "string", default: "2" },
    device: { type: "string", default: "gpu" },
    context: { type: "string", default: "4096" },
    budget: { type: "string", default: String(2 ** 31) },
    tokens: { type: "string", default: "2" },
    picture: { type: "string", default: "56" },
    detail: { type: "string", default: "low" },
  },
});
const [first, mmproj] = positionals;
const isPackage = first !== undefined && statSync(first).isDirectory();
if (!first || isPackage !== (mmproj === undefined)) throw new Error("usage: node bench/scale.mjs PKG | TEXT.gguf MMPROJ.gguf [OPTIONS]");
const { device, detail } = values;
const numbers = [values.loads, values.context, values.budget, values.tokens, values.picture];
const [loads, context, budget, tokens, edge] = numbers.map(Number);
const dist = resolve("dist");
const paths = isPackage ? readdirSync(first).map((name) => join(first, name)) : positionals;
const files = new Map(paths.map((path) => [`/checkpoint/${basename(path)}`, resolve(path)]));
/** Shared memory, which threads of the processor need, asks for these. */
const isolated = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
const types = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/blank.html")
    return response.writeHead(200, { "content-type": "text/html", ...isolated }).end("<!doctype html><title>scale</title>");
  if (path === "/ocelli/worker.js") {
    const code = `(${meter})();\n${readFileSync(join(dist, path), "utf8")}`;
    return response.writeHead(200, { "content-type": types[".js"], ...isolated }).end(code);
  }
  const file = files.get(path) ?? join(dist, path);
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return response.writeHead(404).end();
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const [start, end] = range ? [Number(range[1]), range[2] ? Number(range[2]) : size - 1] : [0, size - 1];
  const partial = range ? { "content-range": `bytes ${start}-${end}/${size}` } : {};
  const type = types[file.slice(file.lastIndexOf("."))] ?? "application/octet-stream";
  const headers = {
    "content-type": type,
    "content-length": end - start + 1,
    "accept-ranges": "bytes",
    etag: `"${size}"`,
    ...partial,
    ...isolated,
  };
  response.writeHead(range ? 206 : 200, headers);
  createReadStream(file, { start, end }).pipe(response);
});
await new Promise((done) => server.listen(0, "localhost", done));
const site = `http://localhost:${server.address().port}`;

const profile = resolve("../target/scale-profile");
rmSync(profile, { recursive: true, force: true });
mkdirSync(profile, { recursive: true });
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--disable-dev-shm-usage"],
});
const report = { date: new Date().toISOString(), browser: `Chromium ${browser.browser()?.version() ?? ""}`, steps: [] };
const note = (name, figures) => {
  report.steps.push({ name, ...figures });
  console.error(name, JSON.stringify(figures));
};

try {
  const importPair = async ([gguf, mmproj]) => {
    const { importModel } = await import("/ocelli/index.js");
    const started = performance.now();
    const options = { import: { layout: "compact", visionLayout: "q4_64" } };
    const { packageUrl, wasmBytes } = await importModel({ gguf, mmproj }, options);
    return { packageUrl, wasmBytes, seconds: (performance.now() - started) / 1000 };
  };
  const imported = isPackage ? { packageUrl: `${site}/checkpoint/` } : await inPage(importPair, [...files.keys()]);
  note(isPackage ? "package" : "import", imported);

  const ask = async ({ packageUrl, device, context, gpuMemoryBudget, max_tokens, edge, detail, asks }) => {
    const { Engine } = await import("/ocelli/index.js");
    const started = performance.now();
    const seconds = () => Math.round((performance.now() - started) / 10) / 100;
    let stored = null;
    const onProgress = (report) => {
      if (report.kind === "progress" && report.stage === "prepare") stored ??= seconds();
    };
    const channel = new BroadcastChannel("meter");
    const metered = () => {
      const told = new Promise((done) => channel.addEventListener("message", ({ data }) => done(data), { once: true }));
      channel.postMessage("tell");
      return told;
    };
    const engine = await Engine.load(packageUrl, { device, context, gpuMemoryBudget, onProgress });
    const loaded = seconds();
    const { plan, ...memory } = engine.memory;
    const figures = { device: engine.device, shardsSeconds: stored, loadSeconds: loaded, memory, plan };
    if (!asks) return figures;
    const { plan: __, ...preallocated } = await engine.preallocate({ width: plan.longestEdge, height: plan.longestEdge });
    const preallocatedSeconds = seconds();
    const canvas = new OffscreenCanvas(edge, edge);
    const paint = canvas.getContext("2d");
    paint.fillStyle = "teal";
    paint.fillRect(0, 0, edge, edge);
    const url = await canvas.convertToBlob().then((blob) => URL.createObjectURL(blob));
    const content = [
      { type: "image_url", image_url: { url, detail } },
      { type: "text", text: "?" },
    ];
    const stages = {};
    const onStage = (event) => event.kind === "progress" && (stages[event.stage] = seconds());
    const request = {
      messages: [
        { role: "system", content: "" },
        { role: "user", content },
      ],
      max_tokens,
      temperature: 0,
    };
    const before = await metered();
    const answer = await engine.chat.completions.create(request, { onProgress: onStage });
    const { plan: _, ...after } = await engine.memoryNow();
    const meters = { before, after: await metered() };
    const ledgerOfPlan = Math.max(preallocated.peak, after.peak) / plan.peak;
    const answerSeconds = seconds();
    return { ...figures, preallocated, preallocatedSeconds, stages, answerSeconds, usage: answer.usage, after, ledgerOfPlan, meters };
  };
  for (let load = 1; load <= loads; load++) {
    const from = isPackage && load === 1 ? "a local address" : "Cache Storage";
    const request = { device, context, gpuMemoryBudget: budget, max_tokens: tokens, edge, detail };
    note(`load ${load} from ${from}`, await inPage(ask, { packageUrl: imported.packageUrl, asks: load === loads, ...request }));
  }
  console.log(JSON.stringify(report, null, 2));
} finally {
  await browser.close();
  server.close();
  rmSync(profile, { recursive: true, force: true });
}

/** Runs `act` in a fresh page. */
async function inPage(act, argument) {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  try {
    await page.goto(`${site}/blank.html`);
    return await page.evaluate(act, argument);
  } finally {
    await page.close();
  }
}
