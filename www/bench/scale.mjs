/**
 * A model of full size in headless Chromium: `node bench/scale.mjs TEXT.gguf MMPROJ.gguf [LOADS]`. The GGUF pair is served from a
 * local address, imported into Cache Storage, loaded from there within 2 GiB of GPU memory, and asked about a small picture.
 * Prints JSON: seconds, the wasm module's memory, and the GPU's by purpose. Takes a while where the GPU is software.
 */
import { createReadStream, mkdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join, resolve } from "node:path";
import { chromium } from "playwright-core";

const [text, mmproj, loads = "2"] = process.argv.slice(2);
if (!text || !mmproj) throw new Error("usage: node bench/scale.mjs TEXT.gguf MMPROJ.gguf [LOADS]");
const BUDGET = 2 ** 31;
const CONTEXT = 4096;
const dist = resolve("dist");
const files = new Map([text, mmproj].map((path) => [`/checkpoint/${basename(path)}`, resolve(path)]));
const types = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };

const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/blank.html") return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>scale</title>");
  const file = files.get(path) ?? join(dist, path);
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return response.writeHead(404).end();
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const [start, end] = range ? [Number(range[1]), range[2] ? Number(range[2]) : size - 1] : [0, size - 1];
  const partial = range ? { "content-range": `bytes ${start}-${end}/${size}` } : {};
  const type = types[file.slice(file.lastIndexOf("."))] ?? "application/octet-stream";
  const headers = { "content-type": type, "content-length": end - start + 1, "accept-ranges": "bytes", etag: `"${size}"`, ...partial };
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
  const names = [...files.keys()];
  const imported = await inPage(async ([gguf, mmproj]) => {
    const { importModel } = await import("/ocelli/index.js");
    const started = performance.now();
    const options = { import: { layout: "compact", visionLayout: "q4_64" } };
    const { packageUrl, wasmBytes } = await importModel({ gguf, mmproj }, options);
    return { packageUrl, wasmBytes, seconds: (performance.now() - started) / 1000 };
  }, names);
  note("import", imported);

  const ask = async ([packageUrl, context, gpuMemoryBudget, asks]) => {
    const { Engine } = await import("/ocelli/index.js");
    const started = performance.now();
    const seconds = () => Math.round((performance.now() - started) / 10) / 100;
    let stored = null;
    const onProgress = (report) => {
      if (report.kind === "progress" && report.stage === "prepare") stored ??= seconds();
    };
    const engine = await Engine.load(packageUrl, { device: "gpu", context, gpuMemoryBudget, onProgress });
    const loaded = seconds();
    const { plan, ...memory } = engine.memory;
    const figures = { device: engine.device, shardsSeconds: stored, loadSeconds: loaded, memory, plan };
    if (!asks) return figures;
    const { plan: __, ...preallocated } = await engine.preallocate({ width: 1024, height: 1024 });
    const preallocatedSeconds = seconds();
    const canvas = new OffscreenCanvas(56, 56);
    const paint = canvas.getContext("2d");
    paint.fillStyle = "teal";
    paint.fillRect(0, 0, 56, 56);
    const url = await canvas.convertToBlob().then((blob) => URL.createObjectURL(blob));
    const content = [
      { type: "image_url", image_url: { url } },
      { type: "text", text: "?" },
    ];
    const stages = {};
    const onStage = (event) => event.kind === "progress" && (stages[event.stage] = seconds());
    const request = {
      messages: [
        { role: "system", content: "" },
        { role: "user", content },
      ],
      max_tokens: 2,
      temperature: 0,
    };
    const answer = await engine.chat.completions.create(request, { onProgress: onStage });
    const { plan: _, ...after } = await engine.memoryNow();
    return { ...figures, preallocated, preallocatedSeconds, stages, answerSeconds: seconds(), usage: answer.usage, after };
  };
  for (let load = 1; load <= Number(loads); load++) {
    note(`load ${load} from Cache Storage`, await inPage(ask, [imported.packageUrl, CONTEXT, BUDGET, load === Number(loads)]));
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
