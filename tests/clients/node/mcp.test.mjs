import assert from "node:assert/strict";
import { dirname } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { aborted, COMMAND, DEMO, features, PARAMETERS, PICTURE, PICTURE_FILE, ROOT, Scene, TOOLS, WANTED } from "./common.mjs";

const LONG = { type: "object", required: ["text"], properties: { text: { type: "string", minLength: 3000 } } };
const overHttp = (server) => new StreamableHTTPClientTransport(new URL(`${server}/mcp`));
const overStdio = () => {
  const args = ["mcp", `${ROOT}www/models/demo`, "--root", dirname(PICTURE_FILE), "--quiet"];
  return new StdioClientTransport({ command: COMMAND, args, stderr: "ignore" });
};

async function connected(transport, body, image) {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  try {
    await body((name, args, options) => client.callTool({ name, arguments: args }, undefined, options), image, client);
  } finally {
    await client.close();
  }
}

/** A test over standard input and output, and over HTTP. */
const both = (body) => async () => {
  await connected(overStdio(), body, "scene-01.png");
  await connected(overHttp(DEMO), body, PICTURE);
};

features("@modelcontextprotocol/sdk (Node)", ["@modelcontextprotocol/sdk"], {
  tools: both(async (_, __, client) => {
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), ["compare", "describe", "extract", "find_in_folder", "read_text"]);
  }),
  picture: both(async (call, image) => assert.equal((await call("describe", { image })).content[0].text, WANTED)),
  schema: both(async (call, image) => {
    const { content, structuredContent } = await call("extract", { image, schema: PARAMETERS });
    assert.deepEqual(Scene.parse(structuredContent), JSON.parse(content[0].text));
  }),
  refusal: both(async (call) => {
    const { isError, content } = await call("describe", { image: "/etc/passwd" });
    assert.ok(isError && content[0].text.includes("is no file"), content[0].text);
  }),
  async progress() {
    const heard = [];
    const onprogress = ({ progress }) => heard.push(progress);
    await connected(overHttp(TOOLS), (call) => call("extract", { image: PICTURE, schema: LONG }, { onprogress }));
    assert.ok(heard.length > 2 && heard.every((progress, i) => i === 0 || progress > heard[i - 1]), String(heard));
  },
  async abort() {
    await connected(overHttp(TOOLS), async (call) => {
      await aborted(async () => {
        const control = new AbortController();
        let hear;
        const heard = new Promise((resolve) => {
          hear = resolve;
        });
        const result = call("extract", { image: PICTURE, schema: LONG }, { signal: control.signal, onprogress: hear });
        const failed = assert.rejects(result);
        await heard;
        return async () => {
          control.abort();
          await failed;
        };
      });
    });
  },
});
