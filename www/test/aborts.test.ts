/** Requests that are aborted, and streams that nobody reads. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatEvent } from "../src/index.js";
import { openClientPage, PICTURE, type Kept } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** `OCELLI_ABORTS=300 OCELLI_SEED=7` changes number and choice of the aborts. At least six, so that each stage occurs. */
const ROUNDS = Number(process.env["OCELLI_ABORTS"] ?? 18);
const SEED = Number(process.env["OCELLI_SEED"] ?? 1);

inBrowsers("aborts", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await openClientPage(browser(), site);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("an abort before the request, while the picture is encoded, or in the stream ends only that request", async () => {
    const { before, encoding, within, seen, answer, whole } = await tab.run(async (url) => {
      const { client, about, answerTo, failure } = window as unknown as Kept;
      const other = url.replace("01", "03");
      const before = await failure(client.chat.completions.create(about(url), { signal: AbortSignal.abort() }));
      const soon = new AbortController();
      setTimeout(() => soon.abort(), 30);
      const long = { ...about(other), temperature: 1, max_tokens: 900, logit_bias: { 2: -100 } };
      const encoding = await failure(client.chat.completions.create(long, { signal: soon.signal }));
      let seen = 0;
      const stream = await client.chat.completions.create({ ...about(url), stream: true });
      // The client leaves the loop without an abort.
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content && ++seen === 2) stream.controller.abort();
      const stop = new AbortController();
      const second = await client.chat.completions.create({ ...about(url), stream: true }, { signal: stop.signal });
      const reading = async () => {
        for await (const _ of second) stop.abort();
      };
      const within = await reading().then(
        () => "ended",
        (thrown: unknown) => String(thrown),
      );
      const answer = (await client.chat.completions.create(about(other))).choices[0]?.message.content;
      return { before: before.name, encoding: encoding.name, within, seen, answer, whole: await answerTo(other) };
    }, PICTURE);
    assert.deepEqual([before, encoding], ["APIUserAbortError", "APIUserAbortError"]);
    assert.equal(within, "ended");
    assert.ok(seen >= 2);
    assert.equal(answer, whole);
  });

  test("an unread stream pauses its own request and no other", async () => {
    const { frames, other, text, whole, cancelled } = await tab.run(async (url) => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const { about } = window as unknown as Kept;
      const worker = new Worker("/ocelli/worker.js", { type: "module" });
      let frames = 0;
      worker.addEventListener("message", ({ data }) => {
        if (data.kind === "event" && data.event.kind === "frame") frames++;
      });
      const engine = await Engine.load("/models/demo/", { worker });
      const long = {
        messages: [{ role: "user" as const, content: "Hello" }],
        temperature: 1,
        seed: 3,
        max_tokens: 60,
        logit_bias: { 2: -100 },
      };
      const whole = (await engine.chat.completions.create(long)).choices[0]?.message.content;
      const idle = await engine.chat.completions.create({ ...long, stream: true });
      const unread = await engine.fetch("/v1/chat/completions", { method: "POST", body: JSON.stringify({ ...long, stream: true }) });
      const other = await engine.chat.completions.create({ ...about(url), model: "demo", max_tokens: 3, stream: false });
      // Both reach their limits before this is answered, if they have not already.
      await engine.chat.completions.create({ ...about(url), model: "demo", max_tokens: 1, stream: false });
      const held = frames;
      await unread.body?.cancel();
      const text = await idle.text();
      const cancelled = await engine.memoryNow().then(() => true);
      engine.unload();
      return { frames: held, other: other.choices[0]?.message.content, text, whole, cancelled };
    }, PICTURE);
    assert.ok(frames > 8 && frames <= 2 * 16 + 2, `${frames} frames`);
    assert.match(other ?? "", /\w/);
    assert.equal(text, whole);
    assert.ok(cancelled);
  });

  test("requests aborted at random stages leave no trace, and the next answer is correct", async () => {
    const told = await tab.run(abortAtRandom, { rounds: ROUNDS, seed: SEED });
    console.log(`aborts: ${JSON.stringify(told.stages)} of seed ${SEED}`);
    assert.deepEqual(told.faults, []);
    for (const stage of ["queue", "format", "vision", "prefill", "decode"]) assert.ok(told.stages[stage], `none in ${stage}`);
    assert.deepEqual(told.after, told.before, "the ledger is as it was");
  });
});

/**
 * Runs in the page. Each round aborts a request at a random stage, and then asks a greedy question with a known answer.
 * The first rounds request a format, whose module is not loaded yet.
 */
async function abortAtRandom({ rounds, seed }: { rounds: number; seed: number }) {
  const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
  const worker = new Worker("/ocelli/worker.js", { type: "module" });
  /** Called once, after the aborted request was posted to the worker and before the worker sees it. */
  let onPosted: (() => void) | null = null;
  const post = worker.postMessage.bind(worker) as Worker["postMessage"];
  worker.postMessage = (message: { body?: unknown }, ...rest: unknown[]) => {
    (post as (...all: unknown[]) => void)(message, ...rest);
    if (!onPosted || !String(message.body).includes("logit_bias")) return;
    queueMicrotask(onPosted);
    onPosted = null;
  };
  const engine = await Engine.load("/models/demo/", { worker });
  let state = seed;
  /** A whole number below `end`: mulberry32. */
  const below = (end: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  };
  /** A picture of random colour, so that no picture occurs twice. */
  const picture = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [224, 224];
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    context.fillStyle = `rgb(${below(256)} ${below(256)} ${below(256)})`;
    context.fillRect(0, 0, 224, 224);
    return canvas;
  };
  const user = (content: unknown) => [{ role: "user" as const, content: content as string }];
  const greedy = async (words: string) => {
    const { choices } = await engine.chat.completions.create({ messages: user(words), temperature: 0, max_tokens: 8, stream: false });
    return choices[0]?.message.content ?? "";
  };
  const questions = ["Describe a picture.", "What color is the star?", "How many shapes are there?"] as const;
  const known = new Map<string, string>();
  const schema = (names: number) => ({
    type: "object",
    properties: Object.fromEntries(Array.from({ length: names }, (_, index) => [`name${index}`, { enum: ["a", "b", String(below(1e6))] }])),
  });
  const request = (hasPicture: boolean, asksFormat: boolean) => {
    const content = hasPicture
      ? [
          { type: "image_url", image_url: { url: picture() } },
          { type: "text", text: "Describe this image." },
        ]
      : `${"word ".repeat(below(100))}Hello`;
    const format = { type: "json_schema" as const, json_schema: { name: "a", schema: schema(1 + below(20)) } };
    const logit_bias = { 2: -100 };
    const asked = { messages: user(content), max_tokens: 24, temperature: below(2), n: 1 + below(2), logprobs: below(2) === 0, logit_bias };
    return { ...asked, stream: true as const, ...(asksFormat ? { response_format: format } : {}) };
  };
  /** Bytes by purpose, without the cached features of earlier pictures. */
  const ledger = async () => {
    await engine.preallocate({ width: 28, height: 28 });
    await greedy(questions[0]);
    return (await engine.memoryNow()).purposes.map(({ purpose, current }) => [purpose, current]);
  };

  const stages: Record<string, number> = {};
  const faults: string[] = [];
  const abortOne = async (round: number) => {
    /** The abort happens after some events of that stage, or after some time. In the first rounds the module for formats is not loaded. */
    const target = ["format", "queue", "vision", "prefill", "decode", "any"][round % 6];
    const asksFormat = target === "format" || below(4) === 0;
    const asked = request(target === "vision" || below(2) === 0, asksFormat);
    const stop = new AbortController();
    let stage = asksFormat ? "format" : "queue";
    let countdown = round < 6 ? 0 : below(3);
    const reach = (now: string) => {
      stage = now;
      if (now === target && countdown-- === 0) stop.abort();
    };
    // The module for formats takes longer to load than the timer of the first round.
    if (target === "queue" || (target === "format" && round > 0)) onPosted = () => stop.abort();
    else if (target === "format") setTimeout(() => stop.abort(), below(6));
    if (target === "any") setTimeout(() => stop.abort(), below(400));
    // Another request is answered meanwhile.
    const other = target === "queue" ? greedy(questions[0]) : null;
    const onProgress = (event: ChatEvent) => event.kind === "progress" && reach(event.stage);
    try {
      for await (const { choices } of await engine.chat.completions.create(asked, { signal: stop.signal, onProgress })) {
        if (choices[0]?.delta.content) reach("decode");
      }
      stage = "none";
    } catch (thrown) {
      if (!stop.signal.aborted || thrown !== stop.signal.reason) faults.push(`round ${round}, ${stage}: ${String(thrown)}`);
    }
    stages[stage] = (stages[stage] ?? 0) + 1;
    if (other && (await other) !== known.get(questions[0])) faults.push(`round ${round}: the other answer`);
  };

  await abortOne(0);
  for (const question of questions) known.set(question, await greedy(question));
  const before = await ledger();
  for (let round = 1; round < rounds; round++) {
    await abortOne(round);
    const question = questions[below(questions.length)] as string;
    const said = await greedy(question);
    if (said !== known.get(question)) faults.push(`round ${round}: "${said}" in the place of "${known.get(question)}"`);
  }
  const after = await ledger();
  engine.unload();
  return { stages, faults, before, after };
}
