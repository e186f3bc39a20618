/** Size of pictures for the model, by `detail` and the engine's limits, as reported by events and usage. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatEvent, Detail, LoadOptions, OcelliError, ShownPicture } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

type Told = Extract<ChatEvent, { kind: "picture" }>;

inBrowsers("picture size", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Shows a picture of 700 x 300 pixels to a model that accepts at most 1540, once for each detail. */
  const show = (options: LoadOptions, details: (Detail | null)[]) =>
    tab.run(
      async ({ options, details }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const engine = await Engine.load("/packages/like_8b-q8_0/", { context: 1024, ...options });
        const all: { told: Told[]; pictures: ShownPicture[] }[] = [];
        for (const detail of details) {
          const image_url = { url: new ImageData(700, 300), ...(detail && { detail }) };
          const content = [
            { type: "image_url" as const, image_url },
            { type: "text" as const, text: "What is this?" },
          ];
          const told: Told[] = [];
          const onProgress = (event: ChatEvent) => event.kind === "picture" && told.push(event);
          const request = { messages: [{ role: "user" as const, content }], max_tokens: 1 };
          const { usage } = await engine.chat.completions.create(request, { onProgress });
          all.push({ told, pictures: usage.ocelli?.pictures ?? [] });
        }
        const text = { messages: [{ role: "user" as const, content: "Hi" }], max_tokens: 1 };
        const { usage } = await engine.chat.completions.create(text);
        engine.unload();
        return { all, plain: Object.keys(usage.ocelli) };
      },
      { options, details },
    );

  const FULL = { width: 700, height: 308, tokens: 286 };
  const LOW = { width: 532, height: 224, tokens: 160 };

  test("low detail is 512 pixels, high detail the maximum of the model, and sizes are reported", async () => {
    const { all, plain } = await show({}, ["low", "high", null]);
    const expected = [
      { detail: "low", ...LOW },
      { detail: "high", ...FULL },
      { detail: "auto", ...FULL },
    ];
    assert.deepEqual(
      all.map(({ pictures }) => pictures),
      expected.map((shown) => [shown]),
    );
    assert.deepEqual(
      all.map(({ told }) => told),
      expected.map((shown) => [{ kind: "picture", picture: 0, ...shown }]),
    );
    assert.deepEqual(plain, ["prepare_ms", "vision_ms", "prefill_ms", "decode_ms"], "no word of pictures where there is none");
  });

  test("auto detail respects the caller's seconds, and every detail the caller's pixels", async () => {
    const { all: hurried } = await show({ maxPictureSeconds: 1e-9 }, ["auto", "high"]);
    assert.deepEqual(
      hurried.map(({ pictures }) => pictures),
      [[{ detail: "auto", ...LOW }], [{ detail: "high", ...FULL }]],
    );
    const { all: small } = await show({ maxPixels: 90_000 }, ["auto", "high"]);
    for (const { pictures } of small) assert.deepEqual([pictures[0]?.width, pictures[0]?.height], [448, 196]);
  });

  test("invalid sizes are refused by name", async () => {
    const refused = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const fields: unknown[] = [];
      for (const options of [{ maxPixels: 0 }, { maxPictureSeconds: -1 }, { maxPictureSeconds: Number.NaN }]) {
        const thrown: unknown = await Engine.load("/packages/like_8b-q8_0/", options).catch((thrown: unknown) => thrown);
        const { code, detail } = thrown as OcelliError;
        fields.push([code, detail?.["field"]]);
      }
      return fields;
    });
    const invalid = (field: string) => ["invalid-request", field];
    assert.deepEqual(refused, [invalid("maxPixels"), invalid("maxPictureSeconds"), invalid("maxPictureSeconds")]);
  });
});
