import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { codeBlocks } from "./code-blocks.js";
import { inBrowsers } from "./driver.js";
import { MOST_BYTES } from "./module-limits.js";
import { startSite } from "./site.js";
import { installInto } from "./tarball.js";
import { serve, type Server } from "../server.mjs";

/** A project that has installed the package from its tarball. */
let project: string;
let installed: string;

before(() => {
  project = mkdtempSync(join(tmpdir(), "ocelli-package-"));
  ({ installed } = installInto(project));
  writeFileSync(join(project, "package.json"), '{"type":"module"}');
});
after(() => rmSync(project, { recursive: true, force: true }));

/** Compiles a strict project with these source files; returns the errors. */
function compile(...sources: string[]): string {
  const files = sources.map((source, index) => {
    writeFileSync(join(project, `use-${index}.ts`), source);
    return `use-${index}.ts`;
  });
  const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", "--types", ""];
  try {
    execFileSync(resolve("node_modules/.bin/tsc"), [...options, ...files], { cwd: project, encoding: "utf8" });
    return "";
  } catch (failed) {
    return (failed as { stdout: string }).stdout;
  }
}

inBrowsers("package", (browser) => {
  /** Values of each exported type that come from the wasm module. */
  let values: Record<string, unknown>;

  test("the package runs from another origin, as from a CDN", async () => {
    const site = await startSite();
    const cdn: Server = await serve(installed, 0, (_path, _request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      return false;
    });
    const tab = await browser().newTab();
    try {
      await tab.goto(`${site.url}test/blank.html`);
      values = await tab.run(async (cdn) => {
        const { Engine } = (await import(`${cdn}dist/ocelli/index.js`)) as typeof import("../src/index.js");
        const reports: unknown[] = [];
        const engine = await Engine.load("/models/demo/", { onProgress: (report) => reports.push(report) });
        const image = { type: "image_url" as const, image_url: { url: "/models/demo/gallery/scene-01.png" } };
        const request = { messages: [{ role: "user" as const, content: [image] }], max_tokens: 8 };
        const events: unknown[] = [];
        const chunks: unknown[] = [];
        const options = { onProgress: (event: unknown) => events.push(event) };
        const stream = { ...request, stream: true as const, stream_options: { include_usage: true } };
        for await (const chunk of await engine.chat.completions.create(stream, options)) chunks.push(chunk);
        return {
          "LoadReport[]": reports,
          "ChatEvent[]": events,
          "ChatCompletionChunk[]": chunks,
          ChatCompletion: await engine.chat.completions.create(request),
          DeviceReport: engine.device,
          MemoryReport: engine.memory,
          KvPrecision: engine.kvPrecision,
          ErrorData: await engine.chat.completions
            .create({ ...request, messages: [] })
            .catch(({ code, message, detail }) => ({ code, message, detail })),
        };
      }, cdn.url);
      for (const [type, value] of Object.entries(values)) assert.ok(JSON.stringify(value).length > 4, type);
      assert.equal(site.requests.get("/ocelli/worker.js"), undefined, "the page's own copy is not used");
    } finally {
      await tab.close();
      await cdn.close();
      await site.stop();
    }
  });

  test("the worker also runs as a classic script, and missing files are reported", async () => {
    const site = await startSite();
    const tab = await browser().newTab();
    try {
      await tab.goto(`${site.url}test/blank.html`);
      const told = await tab.run(async () => {
        const { Engine, OcelliError } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const failure = async (options: object) =>
          Engine.load("/models/demo/", options).then(
            () => "loaded",
            (thrown: unknown) => (thrown instanceof OcelliError ? `${thrown.code}: ${thrown.message}` : String(thrown)),
          );
        // Modules are expected beside `wasmUrl` unless they have their own address.
        const withoutPictures = async () => {
          const engine = await Engine.load("/models/demo/", { wasmUrl: "/ocelli/wasm/ocelli_bg.wasm", picturesUrl: "/nowhere.wasm" });
          const ask = (content: string | { type: "image_url"; image_url: { url: string } }[]) =>
            engine.chat.completions.create({ messages: [{ role: "user", content }], max_tokens: 1 }).then(
              ({ choices }) => choices.length,
              (thrown: unknown) => (thrown instanceof OcelliError ? `${thrown.code}: ${thrown.message}` : String(thrown)),
            );
          const picture = await ask([{ type: "image_url", image_url: { url: "/models/demo/gallery/scene-01.png" } }]);
          const text = await ask("Hello");
          engine.unload();
          return { picture, text };
        };
        return {
          classic: await failure({ worker: new Worker("/ocelli/worker.js"), wasmUrl: "../ocelli/wasm/ocelli_bg.wasm" }),
          noWorker: await failure({ workerUrl: "/nowhere.js" }),
          noModule: await failure({ workerUrl: "/ocelli/worker.js", wasmUrl: "/nowhere.wasm" }),
          noAddress: await failure({ wasmUrl: "http://" }),
          ...(await withoutPictures()),
        };
      });
      assert.equal(told.classic, "loaded");
      assert.match(told.noWorker, /^internal: the worker script could not be loaded/);
      assert.match(told.noModule, /^internal: the wasm module could not be loaded from http:.*nowhere\.wasm; `wasmUrl`/);
      assert.match(
        String(told.picture),
        /^internal: .*the module for picture files could not be loaded from http:.*nowhere\.wasm; `picturesUrl`/,
      );
      assert.equal(told.text, 1);
      assert.match(told.noAddress, /^invalid-request: http:\/\/ is not an address/);
    } finally {
      await tab.close();
      await site.stop();
    }
  });

  test("the package has the licences of all that it ships, and its React module is for the client side", () => {
    for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"])
      assert.ok(readFileSync(join(installed, "dist/ocelli", licence), "utf8").length > 1000);
    const notices = readFileSync(join(installed, "dist/ocelli/THIRD-PARTY.txt"), "utf8");
    assert.equal(notices, readFileSync(resolve("../THIRD-PARTY.txt"), "utf8"));
    for (const crate of ["wasm-bindgen", "wgpu", "tokenizers", "llguidance", "image"])
      assert.match(notices, new RegExp(`^ {2}${crate} \\d`, "m"));
    assert.match(readFileSync(join(installed, "dist/ocelli/react/index.js"), "utf8"), /^"use client";\n/);
  });

  test("the package can be imported on a server and changes nothing there", () => {
    const script = `
      const before = Object.keys(globalThis).length;
      const { Engine, importModel, OcelliError, packages, registry } = await import("ocelli");
      const failure = (promise) => promise.then(() => "no", (error) => error instanceof OcelliError && error.code);
      console.log(JSON.stringify([
        Object.keys(globalThis).length - before,
        ...(await Promise.all([
          failure(Engine.load("https://host.invalid/model/")),
          failure(Engine.load("model/")),
          failure(importModel({ gguf: "https://host.invalid/model.gguf" })),
        ])),
        await packages.list(),
        (await Engine.check()).reasons.map(({ code }) => code),
      ]));`;
    const printed = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: project, encoding: "utf8" });
    assert.deepEqual(JSON.parse(printed), [0, "io", "io", "io", [], ["no-webgpu"]]);
  });

  test("downloads of a page are not larger than their limits", async (context) => {
    if (process.env["OCELLI_PUBLISHED"] !== "1") return context.skip("modules for local pages: `./build.sh package` makes small ones");
    const compressed = (file: string) => brotliCompressSync(readFileSync(join(installed, "dist/ocelli", file))).length;
    const [page, worker, wasm] = [compressed("index.js"), compressed("worker.js"), compressed("wasm/ocelli_bg.wasm")];
    const part = (name: string) => compressed(`wasm/ocelli_${name}_bg.wasm`);
    const bytes = {
      engine: page + worker + wasm,
      pictures: part("pictures"),
      grammar: part("grammar"),
      import: part("import"),
      cpu: Math.max(...["cpu", "cpu_relaxed", "cpu_threads", "cpu_relaxed_threads"].map(part)),
    };
    console.log(`package: bytes after brotli: page ${page}, worker ${worker}, engine ${wasm}; in all ${JSON.stringify(bytes)}`);
    for (const [name, most] of Object.entries(MOST_BYTES)) {
      const actual = bytes[name as keyof typeof bytes];
      assert.ok(actual <= most, `${name}: ${actual} bytes, at most ${most}`);
    }
  });

  test("the examples of the READMEs compile in a strict TypeScript project", () => {
    const given = "declare const photo: Blob, output: HTMLElement;\n";
    const imported = (code: string) => (/import .*\bEngine\b/.test(code) ? code : `import { Engine } from "ocelli";\n${code}`);
    const blocks = ["README.md", "www/README.md"].flatMap((file) => codeBlocks(file, "ts"));
    assert.equal(blocks.length, 4);
    assert.equal(compile(...blocks.map((code) => given + imported(code))), "");
  });

  test("a strict TypeScript project compiles, real values have the declared types, and mistakes are reported", () => {
    const head =
      'import { Engine, OcelliError } from "ocelli";\nimport type * as ocelli from "ocelli";\n' +
      'const engine = await Engine.load("/m/");\nconst { create } = engine.chat.completions;\n';
    const ask = '{ messages: [{ role: "user", content: "hi" }]';
    const uses = [
      `for await (const c of await create(${ask}, stream: true })) { const t: string | undefined = c.choices[0]?.delta.content; void t; }`,
      `const c = await create(${ask} }); const t: string | null = c.choices[0]!.message.content; void t; void OcelliError;`,
      ...Object.entries(values).map(([type, value], index) => `export const v${index}: ocelli.${type} = ${JSON.stringify(value)};`),
    ];
    assert.equal(compile(head + uses.join("\n")), "");
    const missing = JSON.stringify({ ...(values["DeviceReport"] as object), name: undefined });
    const mistakes = [
      `await create(${ask}, colour: 1 });`,
      `await create({ messages: [{ role: "nobody", content: "hi" }] });`,
      `export const device: ocelli.DeviceReport = ${missing};`,
    ];
    const reported = compile(head + mistakes.join("\n"));
    for (const mistake of [/colour/, /nobody/, /'name' is missing/]) assert.match(reported, mistake);
  });
});
