/** Tools for agents, by the official client of the Model Context Protocol: over standard input and output, and over HTTP. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";
import { type ModelServer, startServer } from "./model-server.js";

const TOOLS = ["describe", "read_text", "extract", "compare", "find_in_folder"];
/** Pictures of the gallery, some with a circle. */
const SCENES = ["scene-01.png", "scene-02.png", "scene-03.png", "scene-04.png"];
const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["shape", "count"],
  properties: { shape: { enum: ["circle", "star"] }, count: { type: "integer", minimum: 0, maximum: 9 } },
};

interface Findings {
  found: { path: string; answer: string }[];
  looked_at: number;
  pictures: number;
  skipped: number;
  failed: { path: string }[];
}

let folder: string;
let root: string;
let client: Client;
let remarks = "";

before(async () => {
  // Paths in results have no symbolic links, which the folder of temporary files may have.
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ocelli-mcp-")));
  root = join(folder, "root");
  mkdirSync(join(root, "inner"), { recursive: true });
  for (const name of SCENES) copyFileSync(resolve("models/demo/gallery", name), join(root, name));
  copyFileSync(resolve("models/demo/gallery/scene-05.png"), join(root, "inner/scene-05.png"));
  copyFileSync(resolve("models/demo/gallery/scene-06.png"), join(folder, "outside.png"));
  symlinkSync(join(folder, "outside.png"), join(root, "link.png"));
  writeFileSync(join(root, "broken.png"), "no picture");
  writeFileSync(join(root, "notes.txt"), "no picture either");
  client = new Client({ name: "test", version: "1" });
  const args = ["mcp", "models/demo", "--root", root, "--idle-unload", "1"];
  const transport = new StdioClientTransport({ command: resolve("../target/debug/ocelli"), args, stderr: "pipe" });
  (transport.stderr as Readable).on("data", (text) => {
    remarks += text;
  });
  await client.connect(transport);
});

after(async () => {
  await client.close();
  rmSync(folder, { recursive: true });
});

async function call(of: Client, name: string, args: Record<string, unknown>, options = {}): Promise<CallToolResult> {
  return (await of.callTool({ name, arguments: args }, undefined, options)) as CallToolResult;
}

function text(result: CallToolResult): string {
  const part = result.content[0];
  assert.equal(part?.type, "text");
  return part.type === "text" ? part.text : "";
}

/** Passes the progress messages of a client's calls to `heed`. The client itself forgets one that arrives together with the result. */
function watchProgress(of: Client, heed: (params: Record<string, unknown>) => void): () => void {
  const transport = of.transport as Transport;
  const { onmessage } = transport;
  transport.onmessage = (message, extra) => {
    if ("method" in message && message.method === "notifications/progress") heed(message.params ?? {});
    onmessage?.(message, extra);
  };
  return () => {
    if (onmessage) transport.onmessage = onmessage;
  };
}

/** Makes a folder `many` of pictures that differ: a search in it takes seconds. */
function fillMany(): void {
  mkdirSync(join(root, "many"), { recursive: true });
  const picture = readFileSync(resolve("models/demo/gallery/scene-01.png"));
  for (let number = 0; number < 200; number++)
    writeFileSync(join(root, "many", `${number}.png`), Buffer.concat([picture, Buffer.from([number])]));
}

/** Cancels a search at its first progress, when almost all pictures are still to be looked at. */
async function cancelSearch(of: Client): Promise<void> {
  fillMany();
  const cancelling = new AbortController();
  const unwatch = watchProgress(of, () => cancelling.abort("enough"));
  const options = { signal: cancelling.signal, onprogress: () => {} };
  await assert.rejects(call(of, "find_in_folder", { folder: "many", question: "Do you see a circle?" }, options), /enough/);
  unwatch();
}

const answered = async (name: string, args: Record<string, unknown>, options = {}) => {
  const result = await call(client, name, args, options);
  assert.ok(!result.isError, text(result));
  return result;
};

const refused = async (name: string, args: Record<string, unknown>) => {
  const result = await call(client, name, args);
  assert.ok(result.isError, text(result));
  return text(result);
};

test("the tools are listed, and change nothing", async () => {
  assert.equal(client.getServerVersion()?.name, "ocelli");
  assert.ok(client.getInstructions()?.includes(root));
  const { tools } = await client.listTools();
  assert.deepEqual(
    tools.map(({ name }) => name),
    TOOLS,
  );
  for (const tool of tools) assert.ok(tool.annotations?.readOnlyHint && tool.description && tool.inputSchema.properties, tool.name);
  assert.ok(tools.at(-1)?.outputSchema);
});

test("a picture is described, with progress that grows", async () => {
  const steps: number[] = [];
  const unwatch = watchProgress(client, ({ progress }) => void steps.push(Number(progress)));
  const described = await answered("describe", { image: "scene-01.png" }, { onprogress: () => {} });
  unwatch();
  assert.equal(text(described), 'An orange circle above the purple word "SEA" on a gray background.');
  assert.ok(steps.length > 0 && steps.every((step, at) => at === 0 || step > (steps[at - 1] ?? 0)), String(steps));
  const asked = await answered("describe", { image: `file://${root}/scene-01.png`, question: "What color is the circle?" });
  assert.equal(text(asked), "The circle is orange.");
  const data = `data:image/png;base64,${readFileSync(join(root, "scene-01.png")).toString("base64")}`;
  assert.equal(text(await answered("describe", { image: data, question: "Do you see a circle?", detail: "low" })), "Yes.");
});

test("data is extracted by a schema, which the result always matches", async () => {
  const result = await answered("extract", { image: "scene-01.png", schema: SCHEMA });
  const { shape, count } = result.structuredContent as { shape: string; count: number };
  assert.ok(["circle", "star"].includes(shape) && Number.isInteger(count) && count >= 0 && count <= 9);
  assert.deepEqual(JSON.parse(text(result)), result.structuredContent);
  assert.match(await refused("extract", { image: "scene-01.png", schema: { type: "no type" } }), /^error\[[a-z-]+\]/);
});

test("an agent finds, reads and compares pictures", async () => {
  const progress: unknown[] = [];
  const unwatch = watchProgress(client, (params) => void progress.push([params["progress"], params["total"]]));
  const result = await answered("find_in_folder", { folder: ".", question: "Do you see a circle?" }, { onprogress: () => {} });
  unwatch();
  const findings = result.structuredContent as unknown as Findings;
  assert.deepEqual([findings.pictures, findings.looked_at, findings.skipped], [5, 5, 1]);
  const whole = [1, 2, 3, 4, 5].map((done) => [done, 5]);
  assert.deepEqual(progress, whole);
  assert.deepEqual(
    findings.failed.map(({ path }) => path),
    [join(root, "broken.png")],
  );
  const wanted = SCENES.filter((name) => alt(name).includes("circle")).map((name) => join(root, name));
  assert.ok(wanted.length > 0 && wanted.length < SCENES.length);
  assert.deepEqual(
    findings.found.map(({ path }) => path),
    wanted,
  );
  const paths = findings.found.map(({ path }) => path);
  assert.match(text(await answered("read_text", { image: paths[0] })), /SEA/);
  const compared = await answered("compare", { images: ["scene-01.png", "scene-02.png"], question: "Describe the images." });
  assert.ok(text(compared).length > 0);
  const deep = await answered("find_in_folder", { folder: ".", question: "Do you see a circle?", recursive: true, limit: 1 });
  const { found, pictures } = deep.structuredContent as unknown as Findings;
  assert.deepEqual([found.length, pictures], [1, 6]);
});

test("paths outside of the roots are refused with the same words as missing files", async () => {
  for (const image of [
    "../outside.png",
    "link.png",
    "/etc/passwd",
    join(folder, "outside.png"),
    "missing.png",
    `file://${folder}/outside.png`,
  ]) {
    const words = await refused("describe", { image });
    assert.equal(words, `error[invalid-request]: file: ${JSON.stringify(image)} is no file below the folders that may be read: ${root}`);
  }
  assert.match(await refused("find_in_folder", { folder: "..", question: "?" }), /is no folder below/);
  assert.match(await refused("describe", { image: "https://example.com/a.png" }), /is no file below/);
});

test("wrong arguments and pictures are results that an agent can read; unknown tools are errors of the protocol", async () => {
  assert.match(await refused("describe", {}), /missing field `image`/);
  assert.match(await refused("describe", { image: "scene-01.png", size: 3 }), /unknown field `size`/);
  assert.match(await refused("describe", { image: "broken.png" }), /^error\[invalid-image\]/);
  assert.match(await refused("compare", { images: ["scene-01.png"] }), /has 1 pictures, not 2 to 8/);
  await assert.rejects(call(client, "destroy", {}), /there is no tool/);
});

test("a call that is cancelled ends, and others are answered", async () => {
  await cancelSearch(client);
  assert.equal(text(await answered("describe", { image: "scene-01.png", question: "Do you see a circle?" })), "Yes.");
});

test("the model is released when idle, and opened again", async () => {
  const released = () => remarks.split("the model is released").length - 1;
  const before = released();
  // It may have been released already, since the last call.
  assert.equal(text(await answered("describe", { image: "scene-01.png", question: "Do you see a circle?" })), "Yes.");
  for (let waited = 0; released() === before && waited < 600; waited++) await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(released() > before, remarks);
  assert.equal(text(await answered("describe", { image: "scene-01.png", question: "Do you see a circle?" })), "Yes.");
});

test("a server has the same tools at /mcp, protected by its key", async () => {
  const server = await startServer({ key: "secret", more: ["--media-path", root] });
  try {
    const other = await connect(server, server.headers);
    const { tools } = await other.listTools();
    assert.deepEqual(
      tools.map(({ name }) => name),
      TOOLS,
    );
    let steps = 0;
    const unwatch = watchProgress(other, () => void steps++);
    const described = await call(other, "describe", { image: "scene-01.png" }, { onprogress: () => {} });
    unwatch();
    assert.equal(text(described), 'An orange circle above the purple word "SEA" on a gray background.');
    assert.ok(steps > 0);
    assert.ok((await call(other, "describe", { image: "link.png" })).isError);
    await cancelSearch(other);
    assert.equal(text(await call(other, "describe", { image: "scene-01.png", question: "Do you see a circle?" })), "Yes.");
    await other.close();
    await assert.rejects(connect(server, { authorization: "Bearer wrong" }), /401|incorrect API key/);
    await assert.rejects(
      connect(server, { ...server.headers, origin: "https://evil.example", authorization: "" }),
      /this origin|incorrect API key/,
    );
  } finally {
    server.stop();
  }
});

async function connect(server: ModelServer, headers: Record<string, string>): Promise<Client> {
  const other = new Client({ name: "test", version: "1" });
  await other.connect(new StreamableHTTPClientTransport(new URL("/mcp", server.baseURL), { requestInit: { headers } }));
  return other;
}

/** Alternative text of a picture of the gallery. */
function alt(name: string): string {
  const gallery = JSON.parse(readFileSync("models/demo/gallery/gallery.json", "utf8")) as { file: string; alt: string }[];
  return gallery.find(({ file }) => file === name)?.alt ?? "";
}
