/** Builds the npm package and the page into `dist/`. `build.sh` has put the wasm modules into `dist/ocelli/wasm/` before. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { headersFile } from "./headers.mjs";

const www = fileURLToPath(new URL(".", import.meta.url));
const dist = join(www, "dist");
const shared = { bundle: true, format: "esm", target: "es2022", sourcemap: true, logLevel: "warning", absWorkingDir: www };

await buildPackage();
await buildPage();
await buildServiceWorker();

/** The contents of the npm package. The worker is one script without imports, valid as a module and as a classic script. */
async function buildPackage() {
  for (const entry of await readdir(join(dist, "ocelli"))) {
    if (entry !== "wasm") await rm(join(dist, "ocelli", entry), { recursive: true });
  }
  execFileSync(join(www, "node_modules/.bin/tsc"), ["-p", "tsconfig.types.json"], { cwd: www, stdio: "inherit" });
  await build({ ...shared, entryPoints: ["src/index.ts"], outdir: "dist/ocelli", minify: true });
  await buildWorker("src/worker.ts", "dist/ocelli/worker.js", (name) => name);
  await build({
    ...shared,
    entryPoints: ["node/worker.ts"],
    outfile: "dist/ocelli/node-worker.js",
    platform: "node",
    target: "node20",
    minify: true,
  });
  const own = external("own-package", /^\.\.\/index\.js$/, "../index.js");
  const entryPoints = ["ai-sdk", "react", "img-alt", "prompt-api"].map((name) => `src/${name}/index.ts`);
  await build({ ...shared, entryPoints, outbase: "src", outdir: "dist/ocelli", external: ["react"], plugins: [own] });
  // Hooks run in the browser alone: frameworks with server components refuse them without this mark.
  const react = join(dist, "ocelli/react/index.js");
  await writeFile(react, `"use client";\n${await readFile(react, "utf8")}`);
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY.txt"]) {
    await cp(join(www, "..", licence), join(dist, "ocelli", licence));
  }
}

/** Builds a worker script without imports. `glueOf` maps the name of an imported wasm module's script to the script that is bundled. */
function buildWorker(entry, outfile, glueOf) {
  const resolve = ({ path }) => ({ path: join(dist, "ocelli/wasm", glueOf(basename(path))) });
  const glue = { name: "wasm-glue", setup: ({ onResolve }) => onResolve({ filter: /\/wasm\/ocelli\w*\.js$/ }, resolve) };
  return build({ ...shared, entryPoints: [entry], outfile, format: "iife", minify: true, plugins: [glue] });
}

/** An esbuild plugin: imports that match `filter` are not bundled, and import `path` from the output. */
function external(name, filter, path) {
  return { name, setup: ({ onResolve }) => onResolve({ filter }, () => ({ path, external: true })) };
}

/**
 * An esbuild plugin: of `marked` the page needs only the lexer. Its published script is one piece, of which unused parts cannot be left out, so the
 * modules in its source map are bundled.
 */
async function markedLexer() {
  const map = JSON.parse(await readFile(join(www, "node_modules/marked/lib/marked.esm.js.map"), "utf8"));
  const modules = new Map(map.sources.map((source, index) => [basename(source), map.sourcesContent[index]]));
  const entry = 'export { _Lexer as Lexer } from "./Lexer.ts"; export { _Tokenizer as Tokenizer } from "./Tokenizer.ts";';
  const namespace = "marked";
  return {
    name: "marked-lexer",
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^marked$/ }, () => ({ path: "index.ts", namespace }));
      onResolve({ filter: /^\.\//, namespace }, ({ path }) => ({ path: basename(path), namespace, sideEffects: false }));
      onLoad({ filter: /.*/, namespace }, ({ path }) => ({ contents: modules.get(path) ?? entry, loader: "ts" }));
    },
  };
}

/** The page uses the built package, as any other page does. */
async function buildPage() {
  // The module of the benchmark has all exports of the engine's. It is not part of the npm package.
  if (existsSync(join(dist, "ocelli/wasm/ocelli_bench.js")))
    await buildWorker("src/bench-worker.ts", "dist/bench-worker.js", (name) => (name === "ocelli.js" ? "ocelli_bench.js" : name));
  const builtPackage = external("built-package", /^\.\.\/\.\.\/src\/index\.js$/, "./ocelli/index.js");
  for (const file of await readdir(dist)) if (/-[A-Z0-9]{8}\.js(\.map)?$/.test(file)) await rm(join(dist, file));
  // Visitors do not download the addresses of the maps, which lie beside the scripts.
  const options = { ...shared, sourcemap: "external", outdir: "dist", minify: true, plugins: [builtPackage, await markedLexer()] };
  await build({ ...options, entryPoints: ["page/bench/bench.ts"] });
  await build({ ...options, entryPoints: { "server-worker": "page/server/worker.ts" }, format: "iife" });
  // Chunks are loaded when they are first wanted. They lie beside the page, so that the package has the same address for all.
  const split = { splitting: true, chunkNames: "[name]-[hash]", metafile: true };
  const { version } = JSON.parse(await readFile(join(www, "package.json"), "utf8"));
  const jsx = { jsx: "automatic", jsxImportSource: "preact", define: { PAGE_VERSION: JSON.stringify(version) } };
  const { metafile } = await build({ ...options, ...split, ...jsx, entryPoints: ["page/page.tsx"] });
  await writeFile(join(dist, "index.html"), await indexHtml(metafile.outputs["dist/page.js"].imports));
  const styles = ["style", "models", "albums", "looks", "settings", "bench/bench"].map((name) => `page/${name}.css`);
  await build({ ...shared, entryPoints: styles, entryNames: "[name]", outdir: "dist", minify: true, sourcemap: false });
  const icons = ["icon.svg", "icon-180.png", "icon-192.png", "icon-512.png", "icon-maskable-512.png"];
  const screenshots = ["wide", "narrow"].map((name) => `screenshot-${name}.webp`);
  for (const file of [...icons, ...screenshots, "manifest.webmanifest", "bench/bench.html"]) {
    await cp(join(www, "page", file), join(dist, basename(file)));
  }
  await writeFile(join(dist, "_headers"), headersFile());
  const libraries = ["preact", "@preact/signals", "@preact/signals-core", "idb", "marked", "@cfworker/json-schema"];
  const licences = await Promise.all(libraries.map(async (name) => `${name}\n\n${await licenceOf(name)}`));
  await writeFile(join(dist, "LICENSES-page.txt"), licences.join("\n\n"));
  await rm(join(dist, "models"), { recursive: true, force: true });
  await mkdir(join(dist, "models"), { recursive: true });
  await cp(join(www, "models"), join(dist, "models"), { recursive: true });
}

/** The page's document. Scripts that the first one imports are requested at the same time as it. */
async function indexHtml(imports) {
  const first = imports.filter(({ kind, external }) => kind === "import-statement" && !external).map(({ path }) => basename(path));
  const preloads = first.map((file) => `<link rel="modulepreload" href="${file}" />\n    `).join("");
  const html = await readFile(join(www, "page/index.html"), "utf8");
  return html.replace('<script type="module"', `${preloads}<script type="module"`);
}

/** The text of a library's licence, or what its `package.json` says if it comes without one. */
async function licenceOf(name) {
  const folder = join(www, "node_modules", name);
  if (existsSync(join(folder, "LICENSE"))) return readFile(join(folder, "LICENSE"), "utf8");
  const { author, license, homepage } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  return `Licence: ${license}. Author: ${author?.name ?? author}. ${homepage}\n`;
}

/** The service worker with the list of files to precache: the page, the package, the example pictures; not the weights, which the engine stores. */
async function buildServiceWorker() {
  const shell = [];
  for (const file of await filesBelow(dist)) {
    if (!isShell(file)) continue;
    const integrity = `sha256-${createHash("sha256")
      .update(await readFile(join(dist, file)))
      .digest("base64")}`;
    // Formats, importers, the benchmark and languages other than English are loaded on demand.
    shell.push({
      url: file,
      integrity,
      isLate: /(^bench-worker\.js$|^(main|late|xx)-[A-Z0-9]{8}\.js$|\/ocelli_(bench|cpu\w*|grammar|import)_bg\.wasm)$/.test(file),
    });
  }
  const version = createHash("sha256").update(JSON.stringify(shell)).digest("hex").slice(0, 16);
  await build({
    ...shared,
    // Not every browser with WebGPU supports service workers that are modules.
    format: "iife",
    entryPoints: ["page/sw.ts"],
    outdir: "dist",
    minify: true,
    sourcemap: false,
    define: { SHELL: JSON.stringify(shell), VERSION: JSON.stringify(version) },
  });
  await writeFile(join(dist, "version.txt"), `${version}\n`);
}

function isShell(file) {
  if (file.startsWith("api/")) return false;
  if (file.startsWith("models/")) return file.includes("/gallery/");
  return !/(^sw\.js|^_headers|^screenshot-\w+\.webp|\/node-worker\.js|wasm\/ocelli\w*\.js|\.map|\.d\.ts|LICENSE-\w+|LICENSES-page\.txt|THIRD-PARTY\.txt|version\.txt)$/.test(
    file,
  );
}

async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  return files.sort();
}
