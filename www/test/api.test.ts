import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatCompletionChunk, ChatCompletionRequest, Engine, ErrorData, LoadReport } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** State of the tests in the page. */
interface Kept {
  engine: Engine;
  /** Number of compiled and of all pipelines in every report. */
  kernels: number[][];
  /** A greedy question about the picture at `url`. */
  about(url: unknown): ChatCompletionRequest & { stream?: false };
  /** The answer to that question, computed once for each picture. */
  answerTo(url: string): Promise<string>;
  /** The error of a promise that must fail. */
  failure(promise: Promise<unknown>): Promise<ErrorData | string>;
}

const PICTURE = "/models/demo/gallery/scene-01.png";

/** Enough tokens to tell the answers about two pictures apart. */
const FEW = 8;

interface Scene {
  file: string;
  answers: { prompt: string; answer: string }[];
}

inBrowsers("package", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const kernels: number[][] = [];
      const onProgress = (report: LoadReport) => {
        if (report.kind === "progress" && report.stage === "kernels") kernels.push([report.loaded, report.total]);
      };
      const engine = await Engine.load("/models/demo/", { onProgress });
      const about = (url: unknown) => ({
        messages: [
          {
            role: "user" as const,
            content: [
              { type: "image_url" as const, image_url: { url: url as string } },
              { type: "text" as const, text: "Describe this image." },
            ],
          },
        ],
        temperature: 0,
        max_tokens: 40,
      });
      const answers = new Map<string, Promise<string>>();
      const answerTo = (url: string) => {
        const asked = async () => (await engine.chat.completions.create(about(url))).choices[0]?.message.content ?? "";
        const answer = answers.get(url) ?? asked();
        answers.set(url, answer);
        return answer;
      };
      const failure = async (promise: Promise<unknown>) => {
        const thrown: unknown = await promise.then(
          () => "it did not fail",
          (thrown: unknown) => thrown,
        );
        if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return String(thrown);
        const { code, message, detail } = thrown as ErrorData;
        return { code, message, detail };
      };
      Object.assign(window, { engine, kernels, about, answerTo, failure });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("loading reports how many kernels are compiled", async () => {
    const kernels = await tab.run(() => (window as unknown as Kept).kernels);
    const total = kernels[0]?.[1] ?? 0;
    assert.ok(total > 10, JSON.stringify(kernels));
    assert.deepEqual(kernels.at(-1), [total, total]);
    const counts = kernels.map(([done]) => done ?? 0);
    assert.deepEqual(
      counts,
      [...new Set(counts)].sort((a, b) => a - b),
      "never fewer than before",
    );
  });

  test("completions have OpenAI's shape", async () => {
    const { completion } = await tab.run(async (url) => {
      const { engine, about } = window as unknown as Kept;
      return { completion: await engine.chat.completions.create(about(url)) };
    }, PICTURE);
    assert.match(completion.id, /^chatcmpl-\w{21}$/);
    assert.equal(completion.object, "chat.completion");
    assert.ok(Math.abs(completion.created - Date.now() / 1000) < 60);
    assert.equal(completion.model, "demo");
    const [choice] = completion.choices;
    assert.equal(choice?.message.role, "assistant");
    assert.match(choice?.message.content ?? "", /\w/);
    assert.equal(choice?.finish_reason, "stop");
    const { prompt_tokens, completion_tokens, total_tokens } = completion.usage;
    assert.ok(prompt_tokens > 5 && completion_tokens > 0 && total_tokens === prompt_tokens + completion_tokens);
  });

  test("streams have OpenAI's chunks, which add up to the completion", async () => {
    const { chunks, whole } = await tab.run(async (url) => {
      const { engine, about, answerTo } = window as unknown as Kept;
      const chunks: ChatCompletionChunk[] = [];
      const stream = await engine.chat.completions.create({ ...about(url), stream: true, stream_options: { include_usage: true } });
      for await (const chunk of stream) chunks.push(chunk);
      return { chunks, whole: await answerTo(url) };
    }, PICTURE);
    assert.deepEqual(chunks[0]?.choices[0]?.delta, { role: "assistant", content: "" });
    assert.ok(chunks.length > 4, `${chunks.length} chunks`);
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), whole);
    assert.equal(chunks.at(-2)?.choices[0]?.finish_reason, "stop");
    assert.deepEqual(chunks.at(-1)?.choices, []);
    assert.ok((chunks.at(-1)?.usage?.completion_tokens ?? 0) > 0);
    assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
  });

  test("streams can be read as text, or as lines of JSON", async () => {
    const { text, lines, whole } = await tab.run(async (url) => {
      const { engine, about, answerTo } = window as unknown as Kept;
      const { create } = engine.chat.completions;
      const text = await (await create({ ...about(url), stream: true })).text();
      const readable = (await create({ ...about(url), stream: true })).toReadableStream();
      const lines = (await new Response(readable).text()).trim().split("\n");
      return { text, lines, whole: await answerTo(url) };
    }, PICTURE);
    assert.equal(text, whole);
    const chunks = lines.map((line) => JSON.parse(line) as ChatCompletionChunk);
    assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), whole);
  });

  test("speculative decoding drafts repeated tokens, and the answer is the same", async () => {
    const { whole, again, plain, usage } = await tab.run(async (url) => {
      const { engine, about, answerTo } = window as unknown as Kept;
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      // Drafts whenever possible, even if that is slower: an option only for tests.
      const guessing = await Engine.load("/models/demo/", { speculation: "always" as "auto" });
      const whole = await answerTo(url);
      const question = about(url);
      const messages = [...question.messages, { role: "assistant" as const, content: whole }, ...question.messages];
      const answers = [guessing, engine].map((one) => one.chat.completions.create({ ...question, messages }));
      const [again, plain] = await Promise.all(answers);
      guessing.unload();
      const text = (answer: typeof again) => answer?.choices[0]?.message.content;
      return { whole, again: text(again), plain: text(plain), usage: again?.usage };
    }, PICTURE);
    assert.ok(whole && again);
    assert.equal(again, plain);
    assert.ok(usage);
    const { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected } = usage.completion_tokens_details;
    assert.ok(accepted > 0 && rejected >= 0 && accepted <= usage.completion_tokens, JSON.stringify(usage));
  });

  test("leaving the loop stops the engine, which then answers the next request from its cache", async () => {
    const { seen, again, whole } = await tab.run(async (url) => {
      const { engine, about } = window as unknown as Kept;
      let seen = "";
      for await (const chunk of await engine.chat.completions.create({ ...about(url), stream: true })) {
        seen += chunk.choices[0]?.delta.content ?? "";
        if (seen) break;
      }
      const again = await engine.chat.completions.create(about(url));
      return { seen, again: again.usage, whole: again.choices[0]?.message.content ?? "" };
    }, PICTURE);
    assert.ok(whole.startsWith(seen) && seen.length < whole.length, `${seen} | ${whole}`);
    assert.equal(again.prompt_tokens_details.cached_tokens, again.prompt_tokens - 1);
  });

  test("an aborted request rejects with the signal's reason and leaves the engine usable", async () => {
    const { early, late, answer } = await tab.run(async (url) => {
      const { engine, about, answerTo, failure } = window as unknown as Kept;
      const { create } = engine.chat.completions;
      const early = await failure(create(about(url), { signal: AbortSignal.abort("before") }));
      const controller = new AbortController();
      const under = create(about(url), { signal: controller.signal, onProgress: () => controller.abort("half way") });
      return { early, late: await failure(under), answer: await answerTo(url) };
    }, "/models/demo/gallery/scene-02.png");
    assert.equal(early, "before");
    assert.equal(late, "half way");
    assert.match(answer ?? "", /\w/);
  });

  test("requests made at once are answered one after another", async () => {
    const { both, alone } = await tab.run(async (url) => {
      const { engine, about, answerTo } = window as unknown as Kept;
      const text = async (url: string) => (await engine.chat.completions.create(about(url))).choices[0]?.message.content;
      const other = url.replace("01", "02");
      return { both: await Promise.all([text(url), text(other)]), alone: [await answerTo(url), await answerTo(other)] };
    }, PICTURE);
    assert.deepEqual(both, alone);
    assert.notEqual(both[0], both[1]);
  });

  test("pictures as addresses and as all sources that a page can draw give the same answer", async () => {
    const answers = await tab.run(
      async ({ url, few }) => {
        const { engine, about } = window as unknown as Kept;
        const blob = await (await fetch(url)).blob();
        const bitmap = await createImageBitmap(blob);
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
        const context = canvas.getContext("2d") as CanvasRenderingContext2D;
        context.drawImage(bitmap, 0, 0);
        const image = context.getImageData(0, 0, canvas.width, canvas.height);
        const element = Object.assign(new Image(), { src: url });
        const offscreen = new OffscreenCanvas(bitmap.width, bitmap.height);
        (offscreen.getContext("2d") as OffscreenCanvasRenderingContext2D).drawImage(bitmap, 0, 0);
        const frame = new VideoFrame(canvas, { timestamp: 0 });
        const video = Object.assign(document.createElement("video"), { muted: true, srcObject: canvas.captureStream() });
        // A canvas gives frames only while it is drawn to.
        const drawing = setInterval(() => context.drawImage(bitmap, 0, 0), 50);
        await video.play();
        const addresses = { url, absolute: new URL(url, location.href).href, data: canvas.toDataURL() };
        const inputs = { ...addresses, blob, bitmap, image, canvas, element, offscreen, frame, video };
        const answers: Record<string, string | undefined> = {};
        for (const [name, input] of Object.entries({ ...inputs, object: URL.createObjectURL(blob) })) {
          const { choices } = await engine.chat.completions.create({ ...about(input), max_tokens: few });
          answers[name] = choices[0]?.message.content ?? "";
        }
        clearInterval(drawing);
        frame.close();
        return answers;
      },
      { url: PICTURE, few: FEW },
    );
    assert.equal(new Set(Object.values(answers)).size, 1, JSON.stringify(answers));
    assert.match(answers["url"] ?? "", /\w/);
  });

  test("other picture formats are decoded by the browser", async () => {
    const { bmp, png } = await tab.run(
      async ({ url, few }) => {
        const { engine, about } = window as unknown as Kept;
        const bitmap = await createImageBitmap(await (await fetch(url)).blob());
        const { width, height } = bitmap;
        const context = new OffscreenCanvas(width, height).getContext("2d") as OffscreenCanvasRenderingContext2D;
        context.drawImage(bitmap, 0, 0);
        const { data } = context.getImageData(0, 0, width, height);
        // A BMP: two headers, then rows of BGRA from the bottom.
        const file = new DataView(new ArrayBuffer(54 + 4 * width * height));
        file.setUint16(0, 0x424d);
        for (const [at, value] of [
          [2, file.byteLength],
          [10, 54],
          [14, 40],
          [18, width],
          [22, height],
        ] as const)
          file.setUint32(at, value, true);
        file.setUint16(26, 1, true);
        file.setUint16(28, 32, true);
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            const [from, to] = [4 * (y * width + x), 54 + 4 * ((height - 1 - y) * width + x)];
            for (const [byte, channel] of [2, 1, 0, 3].entries()) file.setUint8(to + byte, data[from + channel] as number);
          }
        }
        const answer = async (picture: unknown) => {
          const { choices } = await engine.chat.completions.create({ ...about(picture), max_tokens: few });
          return choices[0]?.message.content;
        };
        return { bmp: await answer(new Blob([file])), png: await answer(url) };
      },
      { url: PICTURE, few: FEW },
    );
    assert.equal(bmp, png);
    assert.match(png ?? "", /\w/);
  });

  test("a picture that needs much memory is decoded, and the next one too", async () => {
    const { large, next, expected } = await tab.run(async (url) => {
      const { engine, about, answerTo } = window as unknown as Kept;
      const canvas = new OffscreenCanvas(5000, 4000);
      canvas.getContext("2d")?.fillRect(0, 0, 2500, 4000);
      const large = await engine.chat.completions.create({ ...about(await canvas.convertToBlob()), max_tokens: 1 });
      const next = await engine.chat.completions.create(about(url));
      return { large: large.usage?.completion_tokens, next: next.choices[0]?.message.content, expected: await answerTo(url) };
    }, PICTURE);
    assert.equal(large, 1);
    assert.equal(next, expected);
  });

  test("invalid requests are refused with the name of the field", async () => {
    const told = await tab.run(async (url) => {
      const { engine, about, failure } = window as unknown as Kept;
      const create = (request: object) => failure(engine.chat.completions.create({ ...about(url), ...request }));
      return {
        unknown: await create({ colour: "red" }),
        tools: await create({ tools: [{ type: "custom" }] }),
        temperature: await create({ temperature: -1 }),
        messages: await create({ messages: "hello" }),
        scheme: await failure(engine.chat.completions.create(about("ftp://host/a.png"))),
        missing: await failure(engine.chat.completions.create(about("/nowhere.png"))),
        data: await failure(engine.chat.completions.create(about("data:image/png;base64,AAAA"))),
        broken: await failure(engine.chat.completions.create(about(new Blob(["GIF89a"])))),
      };
    }, PICTURE);
    const codes = Object.fromEntries(
      Object.entries(told).map(([name, error]) => [
        name,
        typeof error === "string" ? error : [error.code, error.detail?.["field"] ?? null],
      ]),
    );
    assert.deepEqual(codes, {
      unknown: ["unsupported-option", "colour"],
      tools: ["unsupported-option", "tools[0].type"],
      temperature: ["invalid-request", "temperature"],
      messages: ["invalid-request", "messages"],
      scheme: ["invalid-request", "messages[0].content[0].image_url.url"],
      missing: ["io", "messages[0].content[0].image_url.url"],
      data: ["invalid-image", "messages[0].content[0].image_url.url"],
      broken: ["invalid-image", "messages[0].content[0].image_url.url"],
    });
  });

  test("all pictures of the gallery are described as by transformers", async () => {
    const rows = await tab.run(async () => {
      const { engine } = window as unknown as Kept;
      const folder = "/models/demo/gallery/";
      const rows: { file: string; found: string | undefined; wanted: string | undefined }[] = [];
      for (const { file, answers } of (await (await fetch(`${folder}gallery.json`)).json()) as Scene[]) {
        const text = answers[0]?.prompt ?? "";
        const content = [
          { type: "image_url" as const, image_url: { url: folder + file } },
          { type: "text" as const, text },
        ];
        const { choices } = await engine.chat.completions.create({ messages: [{ role: "user", content }], temperature: 0 });
        rows.push({ file, found: choices[0]?.message.content ?? "", wanted: answers[0]?.answer });
      }
      return rows;
    });
    assert.ok(rows.length > 3, `${rows.length} pictures`);
    assert.deepEqual(
      rows.map(({ file, found }) => [file, found]),
      rows.map(({ file, wanted }) => [file, wanted]),
    );
  });

  test("equal seeds give equal answers, and requests without a seed different ones", async () => {
    // A model with random weights, because the demo model gives one answer with near certainty.
    const { seeded, free } = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const engine = await Engine.load("/packages/untied-f32/");
      const text = async (seed?: number) => {
        const request = { messages: [{ role: "user" as const, content: "Hello" }], max_tokens: 12 };
        const completion = await engine.chat.completions.create(seed === undefined ? request : { ...request, seed });
        return completion.choices[0]?.message.content;
      };
      const answers = { seeded: [await text(7), await text(7)], free: [await text(), await text(), await text()] };
      engine.unload();
      return answers;
    });
    assert.equal(seeded[0], seeded[1]);
    assert.ok(new Set(free).size > 1, JSON.stringify(free));
  });

  test("loading can be aborted", async () => {
    const told = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const { failure } = window as unknown as Kept;
      const controller = new AbortController();
      const onProgress = () => controller.abort("changed my mind");
      return failure(Engine.load("/models/demo/", { signal: controller.signal, onProgress }));
    });
    assert.equal(told, "changed my mind");
  });

  test("a missing worker script is reported at once", async () => {
    const told = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const { failure } = window as unknown as Kept;
      return failure(Engine.load("/models/demo/", { worker: new Worker("/nowhere.js", { type: "module" }) }));
    });
    assert.equal((told as ErrorData).code, "internal");
  });

  test("unloading rejects running and later requests", async () => {
    const { under, later, closed } = await tab.run(async (url) => {
      const { engine, about, failure } = window as unknown as Kept;
      // In its first event: the answer itself takes milliseconds.
      const under = failure(engine.chat.completions.create(about(url), { onProgress: () => engine.unload() }));
      const later = await failure(engine.chat.completions.create(about(url)));
      return { under: await under, later, closed: (await engine.closed).code };
    }, PICTURE);
    assert.equal(closed, "unloaded");
    assert.equal((under as ErrorData).code, "unloaded");
    assert.equal((later as ErrorData).code, "unloaded");
  });
});
