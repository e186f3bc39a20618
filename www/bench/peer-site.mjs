/** A page in headless Chromium that has both runtimes, and the server it comes from. */
import { createReadStream, statSync } from "node:fs";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { serve } from "../server.mjs";

const www = fileURLToPath(new URL("..", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/**
 * Opens the page. `folders` are served below their prefixes, beside the built page.
 * `inPage` runs a function there, `callWorker` sends a message to the worker of that name, which is `peer-ort.ts`.
 */
export async function startBrowser(folders) {
  const scripts = await bundle();
  const server = await serve(join(www, "dist"), 0, (path, _, response) => {
    // Isolated, so that WebAssembly may have threads.
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    const script = scripts.get(path);
    if (script !== undefined) {
      response.writeHead(200, { "content-type": TYPES[extname(path)] }).end(script);
      return true;
    }
    const prefix = Object.keys(folders).find((prefix) => path.startsWith(prefix));
    if (!prefix) return false;
    sendFile(folders[prefix], path.slice(prefix.length), response);
    return true;
  });
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--disable-dev-shm-usage", ...QUIET],
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  page.on("console", (message) => message.type() === "error" && console.error(`  ${message.text()}`));
  await page.goto(`${server.url}peer/index.html`);
  return {
    url: server.url,
    version: `Chromium ${browser.version()}`,
    inPage: (act, argument) => page.evaluate(act, argument),
    callWorker: (name, message) => page.evaluate(callWorker, [name, message]),
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

const QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Runs in the page. */
function callWorker([name, message]) {
  globalThis.peers ??= {};
  const worker = (globalThis.peers[name] ??= new Worker("/peer/ort.js", { type: "module" }));
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (typeof data === "string" ? reject(new Error(data)) : resolve(data));
    worker.onerror = (event) => reject(new Error(event.message));
    worker.postMessage(message);
  });
}

/** Generated files by path. The page's script uses the built package, as any page does. */
async function bundle() {
  const builtPackage = {
    name: "built-package",
    setup: ({ onResolve }) => onResolve({ filter: /^\.\.\/src\/index\.js$/ }, () => ({ path: "/ocelli/index.js", external: true })),
  };
  const entryPoints = { page: "bench/peer-page.ts", wllama: "bench/peer-wllama.ts", ort: "bench/peer-ort.ts" };
  const options = { bundle: true, format: "esm", target: "es2022", write: false, absWorkingDir: www, outdir: "peer" };
  const { outputFiles } = await build({ ...options, entryPoints, plugins: [builtPackage] });
  const scripts = outputFiles.map(({ path, text }) => [`/peer/${path.slice(path.lastIndexOf(sep) + 1)}`, text]);
  const modules = ["page", "wllama"].map((name) => `<script type="module" src="/peer/${name}.js"></script>`).join("");
  const html = `<!doctype html><title>peer</title><link rel="icon" href="data:,">${modules}`;
  return new Map([...scripts, ["/peer/index.html", html]]);
}

function sendFile(folder, name, response) {
  const file = normalize(join(folder, name));
  const found = statSync(file, { throwIfNoEntry: false });
  if (!found?.isFile()) return response.writeHead(404).end();
  const type = TYPES[extname(file)] ?? "application/octet-stream";
  response.writeHead(200, { "content-type": type, "content-length": found.size });
  createReadStream(file).pipe(response);
}
