/** Without a browser: the npm package in a process of Node. `OCELLI_NODE` names another one. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { WANTED } from "./client-page.js";
import { startSite, type Site } from "./site.js";
import { installInto } from "./tarball.js";

const NODE = process.env["OCELLI_NODE"] ?? process.execPath;
const DEMO = pathToFileURL(resolve("models/demo/")).href;

let project: string;
let site: Site;
before(async () => {
  project = mkdtempSync(join(tmpdir(), "ocelli-node-"));
  installInto(project);
  writeFileSync(join(project, "package.json"), '{"type":"module"}');
  site = await startSite();
});
after(async () => {
  rmSync(project, { recursive: true, force: true });
  await site?.stop();
});

/** Runs a module that imports the package, which must end by itself; the last line that it prints is JSON. */
function run<Result>(script: string): Result {
  const head = `
    import { openAsBlob } from "node:fs";
    import { Engine } from "ocelli";
    const picture = await openAsBlob(${JSON.stringify(resolve("models/demo/gallery/scene-01.png"))});
    const about = (url) => ({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }, { type: "text", text: "Describe this image." }] }], temperature: 0, max_tokens: 40 });
    const failure = (promise) => promise.then(() => "no failure", ({ code }) => code);\n`;
  writeFileSync(join(project, "use.js"), head + script);
  const printed = execFileSync(NODE, ["use.js"], { cwd: project, encoding: "utf8", timeout: 120_000 });
  return JSON.parse(printed.trim().split("\n").at(-1) ?? "") as Result;
}

test("a picture is described from a folder, with the same words by any number of threads", () => {
  const said = run<[string, number][]>(`
    const said = [];
    for (const threads of [1, 2, 3]) {
      const engine = await Engine.load(${JSON.stringify(DEMO)}, { threads });
      const { choices } = await engine.chat.completions.create(about(picture));
      said.push([choices[0].message.content, engine.device.threads]);
      engine.unload();
    }
    console.log(JSON.stringify(said));`);
  assert.deepEqual(said, [
    [WANTED, 1],
    [WANTED, 2],
    [WANTED, 3],
  ]);
});

test("a model of a server answers in a stream and in a format, to a process that does not wait for it to end", async () => {
  // The server is of this process, which is not to wait for the other one.
  const script = join(project, "stream.js");
  writeFileSync(
    script,
    `import { Engine } from "ocelli";
    const engine = await Engine.load(${JSON.stringify(`${site.url}models/demo/`)}, { share: true });
    const messages = [{ role: "user", content: "Say something." }];
    let chunks = 0;
    for await (const chunk of await engine.chat.completions.create({ messages, stream: true, max_tokens: 8 })) chunks += chunk.choices.length;
    const schema = { type: "object", properties: { colour: { enum: ["red", "green"] } }, required: ["colour"], additionalProperties: false };
    const response_format = { type: "json_schema", json_schema: { name: "a", schema } };
    const { choices } = await engine.chat.completions.create({ messages, response_format, max_tokens: 40 });
    console.log(JSON.stringify({ chunks, colour: JSON.parse(choices[0].message.content).colour, kind: engine.device.class, reason: engine.device.reason }));`,
  );
  const { execFile } = await import("node:child_process");
  const printed = await new Promise<string>((done, fail) =>
    execFile(NODE, [script], { cwd: project, timeout: 120_000 }, (error, stdout) => (error ? fail(error) : done(stdout))),
  );
  const { chunks, colour, kind, reason } = JSON.parse(printed) as { chunks: number; colour: string; kind: string; reason: string };
  assert.ok(chunks > 2, printed);
  assert.match(colour, /^(red|green)$/);
  assert.deepEqual([kind, /no WebGPU/.test(reason)], ["processor", true]);
});

test("what cannot be done is refused with a reason, and `Engine.check` reports the processor", () => {
  const found = run<{ codes: string[]; runsOn: string; reasons: string[]; threads: number }>(`
    const engine = await Engine.load(${JSON.stringify(DEMO)});
    const codes = [
      await failure(Engine.load(${JSON.stringify(DEMO)}, { device: "gpu" })),
      await failure(Engine.load("nowhere/")),
      await failure(engine.chat.completions.create(about({}))),
      await failure(engine.chat.completions.create(about("file:///etc/passwd"))),
    ];
    const { runsOn, reasons, threads } = await Engine.check();
    console.log(JSON.stringify({ codes, runsOn, reasons: reasons.map(({ code }) => code), threads }));`);
  assert.deepEqual(found.codes, ["webgpu-unavailable", "io", "invalid-request", "invalid-request"]);
  assert.deepEqual([found.runsOn, found.reasons, found.threads > 0], ["processor", ["no-webgpu"], true]);
});
