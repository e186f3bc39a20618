/** One request through every entry point: the engine, `engine.fetch`, the clients, the Prompt API, `ocelli serve` and `ocelli batch`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import type { ChatCompletion } from "../src/index.js";
import { addScript, openClientPage, PICTURE, WANTED, type Kept } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startServer, type ModelServer } from "./model-server.js";
import { startSite, type Site } from "./site.js";

const SCENES = [PICTURE, PICTURE.replace("01", "03")];

/** Answers of the command to requests, over HTTP and from a file. */
async function native(server: ModelServer, bodies: object[]): Promise<{ served: string[]; batched: string[] }> {
  const served: string[] = [];
  for (const body of bodies) {
    const reply = await fetch(`${server.baseURL}/chat/completions`, {
      method: "POST",
      headers: server.headers,
      body: JSON.stringify(body),
    });
    served.push(contentOf((await reply.json()) as ChatCompletion));
  }
  const folder = mkdtempSync(join(tmpdir(), "ocelli-entry-points-"));
  try {
    const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
    const line = (body: object, index: number) =>
      JSON.stringify({ custom_id: `${index}`, method: "POST", url: "/v1/chat/completions", body });
    writeFileSync(input, bodies.map(line).join("\n"));
    const run = spawnSync(resolve("../target/debug/ocelli"), ["batch", input, output, "--package", "models/demo"], { encoding: "utf8" });
    assert.equal(run.status, 0, run.stderr);
    const lines = readFileSync(output, "utf8").trim().split("\n");
    const answers = lines.map((line) => JSON.parse(line) as { custom_id: string; response: { body: ChatCompletion } });
    answers.sort((one, other) => Number(one.custom_id) - Number(other.custom_id));
    return { served, batched: answers.map(({ response }) => contentOf(response.body)) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function contentOf({ choices }: ChatCompletion): string {
  return choices[0]?.message.content ?? "";
}

function asData(path: string): string {
  return `data:image/png;base64,${readFileSync(resolve(`.${path}`)).toString("base64")}`;
}

inBrowsers("entry points", (browser) => {
  let site: Site;
  let tab: Tab;
  let server: ModelServer;
  before(async () => {
    [site, server] = await Promise.all([startSite(), startServer()]);
    await addScript(site, "/test/ai.js", { file: "test/ai-page.ts" });
    tab = await openClientPage(browser(), site);
  });
  after(async () => {
    server?.stop();
    await tab?.close();
    await site?.stop();
  });

  test("greedy answers about a picture are the same through every entry point", async () => {
    const question = "Describe this image.";
    const bodies = SCENES.map((scene) => ({
      messages: [
        {
          role: "user",
          content: [
            { type: "image_url", image_url: { url: asData(scene) } },
            { type: "text", text: question },
          ],
        },
      ],
      temperature: 0,
      max_tokens: 40,
    }));
    const { served, batched } = await native(server, bodies);
    for (const [index, scene] of SCENES.entries()) {
      const said = await tab.run(throughEveryEntryPoint, { scene, question });
      const wanted = served[index] ?? "";
      assert.match(wanted, /\w+ \w+/);
      const all: Record<string, string | undefined> = { ...said, batch: batched[index] };
      assert.deepEqual(all, Object.fromEntries(Object.keys(all).map((name) => [name, wanted])));
      if (index === 0) assert.equal(wanted, WANTED);
    }
  });
});

/** Runs in the page: answers of all entry points to a question about a picture. */
async function throughEveryEntryPoint({ scene, question }: { scene: string; question: string }): Promise<Record<string, string>> {
  const { engine, client, about } = window as unknown as Kept;
  const { createOpenAICompatible, describe } = (await import("/test/ai.js" as string)) as typeof import("./ai-page.js");
  const { languageModel } = (await import("/ocelli/prompt-api/index.js" as string)) as typeof import("../src/prompt-api/index.js");
  const picture = new URL(scene, location.href);
  const blob = await (await fetch(picture)).blob();
  const asked = about(scene);
  const text = ({ choices }: { choices: { message: { content: string | null } }[] }) => choices[0]?.message.content ?? "";
  const { create } = engine.chat.completions;
  const reply = await engine.fetch("/v1/chat/completions", { method: "POST", body: JSON.stringify(asked) });
  const input = [
    {
      role: "user" as const,
      content: [
        { type: "input_image" as const, image_url: picture.href, detail: "auto" as const },
        { type: "input_text" as const, text: question },
      ],
    },
  ];
  const response = await client.responses.create({ model: engine.model, input, temperature: 0, max_output_tokens: 40 });
  const [whole, streamed, drawn] = (await describe(createOpenAICompatible(engine.aiSdk())(engine.model), picture)).texts;
  const session = await languageModel(engine).create({ samplingMode: "most-predictable", expectedInputs: [{ type: "image" }] });
  const prompt = [
    {
      role: "user" as const,
      content: [
        { type: "image" as const, value: blob },
        { type: "text" as const, value: question },
      ],
    },
  ];
  return {
    engine: text(await create({ ...asked, stream: false })),
    stream: await (await create({ ...asked, stream: true })).text(),
    fetch: text((await reply.json()) as ChatCompletion),
    openai: text(await client.chat.completions.create(asked)),
    helper: (await client.chat.completions.stream(asked).finalContent()) ?? "",
    responses: response.output_text,
    generateText: whole ?? "",
    streamText: streamed ?? "",
    topK: drawn ?? "",
    prompt: await session.prompt(prompt),
  };
}
