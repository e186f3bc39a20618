/** The package's other entries: Chrome's Prompt API, the React hook and `<img-alt>`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatCompletionRequest, Engine } from "../src/index.js";
import type { LanguageModelFactory } from "../src/prompt-api/index.js";
import { addScript, WANTED } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

/** State of the tests in the page. */
interface Kept {
  ours: LanguageModelFactory;
  failure(promise: PromiseLike<unknown>): Promise<string>;
}

inBrowsers("subpaths", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    await addScript(site, "/test/react-page.js", { file: "test/react-page.ts" });
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const { languageModel } = (await import("/ocelli/prompt-api/index.js" as string)) as typeof import("../src/prompt-api/index.js");
      const LanguageModel = languageModel("/models/demo/");
      const failure = async (promise: PromiseLike<unknown>): Promise<string> => {
        const thrown = await promise.then(
          () => ({ name: "none: it went well" }),
          (thrown: unknown) => thrown,
        );
        return (thrown as Error).name;
      };
      Object.assign(window, { ours: LanguageModel, failure });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("the Prompt API loads once, reports progress, and answers about a picture", async () => {
    const told = await tab.run(async () => {
      const { ours: LanguageModel } = window as unknown as Kept;
      const before = await LanguageModel.availability();
      const audio = await LanguageModel.availability({ expectedInputs: [{ type: "audio" }] });
      const loaded: number[] = [];
      const options = { temperature: 0, topK: 1, expectedInputs: [{ type: "image" as const }] };
      const monitor = (monitor: EventTarget) => {
        monitor.addEventListener("downloadprogress", (event) => loaded.push((event as ProgressEvent).loaded));
      };
      const [session, other] = await Promise.all([LanguageModel.create({ ...options, monitor }), LanguageModel.create(options)]);
      const value = await (await fetch("/models/demo/gallery/scene-01.png")).blob();
      const bitmap = await createImageBitmap(value);
      const ask = (value: ImageBitmapSource) => [
        {
          role: "user" as const,
          content: [
            { type: "image" as const, value },
            { type: "text" as const, value: "Describe this image." },
          ],
        },
      ];
      const usage = await session.measureContextUsage(ask(value));
      const text = await session.prompt(ask(value));
      const asked = other.prompt(ask(bitmap));
      let streamed = "";
      let pieces = 0;
      const reader = session.promptStreaming("Describe this image.").getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read(), pieces++) streamed += next.value;
      const twin = await other.clone();
      return {
        before,
        audio,
        text,
        fromBitmap: await asked,
        usage,
        streamed,
        pieces,
        used: [session.contextUsage, other.contextUsage, twin.contextUsage],
        window: session.contextWindow,
        after: await LanguageModel.availability(),
        loaded: [loaded[0], loaded.at(-1), loaded.every((value, index) => index === 0 || value >= (loaded[index - 1] ?? 0))],
        isGlobal: (globalThis as { LanguageModel?: unknown }).LanguageModel === LanguageModel,
      };
    });
    assert.match(told.before, /^(downloadable|available)$/);
    assert.equal(told.isGlobal, false, "no global is touched");
    assert.deepEqual([told.audio, told.after, told.text, told.fromBitmap], ["unavailable", "available", WANTED, WANTED]);
    assert.deepEqual(told.loaded, [0, 1, true]);
    assert.ok(told.usage > 10 && told.pieces > 1 && told.streamed.length > 0);
    const [two = 0, one = 0, copy] = told.used;
    assert.ok(one > 0 && two > one && copy === told.used[1] && two < told.window, told.used.join());
  });

  test("a failed load is repeated for the next session, once for all that wait", async () => {
    site.requests.clear();
    const names = await tab.run(async () => {
      const { languageModel } = (await import("/ocelli/prompt-api/index.js" as string)) as typeof import("../src/prompt-api/index.js");
      const { failure } = window as unknown as Kept;
      const nowhere = languageModel("/nowhere/");
      const first = await Promise.all([failure(nowhere.create()), failure(nowhere.create())]);
      return [...first, await failure(nowhere.create())];
    });
    assert.ok(
      names.every((name) => name !== "none: it went well"),
      names.join(),
    );
    assert.equal(site.requests.get("/nowhere/model.json"), 2);
  });

  test("sessions remember, append, constrain, and drop aborted prompts", async () => {
    const told = await tab.run(async () => {
      const { ours: LanguageModel, failure } = window as unknown as Kept;
      const session = await LanguageModel.create({ initialPrompts: [{ role: "user", content: "Hi" }], samplingMode: "most-predictable" });
      const start = session.contextUsage;
      await session.append([{ role: "assistant", content: "Hello." }]);
      const appended = session.contextUsage;
      const left = new AbortController();
      const aborted = session.prompt("Describe an image.", { signal: left.signal });
      const queued = session.prompt("What?");
      left.abort();
      const names = [await failure(aborted)];
      await queued;
      const used = session.contextUsage;
      const twin = await LanguageModel.create({ initialPrompts: [{ role: "user", content: "Hi" }], samplingMode: "most-predictable" });
      await twin.append([{ role: "assistant", content: "Hello." }]);
      await twin.prompt("What?");
      const schema = { type: "object", properties: { shape: { enum: ["circle", "star"] } }, required: ["shape"] };
      const object = await session.prompt("Which shape?", { responseConstraint: schema });
      const word = await session.prompt("Which colour?", {
        responseConstraint: /(red|blue) (circle|star)/,
        omitResponseConstraintInput: true,
      });
      const prefixed = await session.prompt([
        { role: "user", content: "Describe" },
        { role: "assistant", content: "An orange", prefix: true },
      ]);
      const picture = [{ role: "user" as const, content: [{ type: "image" as const, value: new Blob(["x"]) }] }];
      names.push(await failure(session.prompt(picture)));
      names.push(await failure(session.prompt([{ role: "system", content: "late" }])));
      names.push(await failure(session.prompt("a", { omitResponseConstraintInput: true })));
      names.push(await failure(session.prompt("a", { responseConstraint: { not: {} } })));
      names.push(await failure(LanguageModel.create({ temperature: 1, samplingMode: "creative" })));
      names.push(await failure(LanguageModel.create({ initialPrompts: [{ role: "user", content: "word ".repeat(9000) }] })));
      const [stream, gone] = [session.promptStreaming("Describe"), session.prompt("b")];
      session.destroy();
      names.push(await failure(stream.getReader().read()), await failure(gone), await failure(session.prompt("c")));
      return { start, appended, used, twin: twin.contextUsage, object, word, prefixed, names };
    });
    assert.ok(told.start > 0 && told.appended > told.start);
    assert.equal(told.used, told.twin, "an aborted prompt leaves nothing");
    assert.match(told.object, /^\{"shape": "(circle|star)"\}$/);
    assert.match(told.word, /^(red|blue) (circle|star)$/);
    assert.ok(told.prefixed.length > 0);
    const wanted = ["AbortError", "NotSupportedError", "TypeError", "TypeError", "NotSupportedError", "TypeError", "QuotaExceededError"];
    assert.deepEqual(told.names, [...wanted, "AbortError", "AbortError", "InvalidStateError"]);
  });

  test("a full session drops its oldest prompts and reports it", async () => {
    const told = await tab.run(async () => {
      const { ours: LanguageModel } = window as unknown as Kept;
      const session = await LanguageModel.create({
        initialPrompts: [{ role: "system", content: "Be brief." }],
        samplingMode: "most-predictable",
      });
      let overflows = 0;
      session.addEventListener("contextoverflow", () => overflows++);
      const words = (count: number) => "a ".repeat(count);
      const half = Math.floor(session.contextWindow / 4);
      const usages: number[] = [];
      for (let turn = 0; turn < 6; turn++) {
        await session.append(words(half));
        usages.push(session.contextUsage);
      }
      await session.prompt(words(half));
      return {
        overflows,
        fits: usages.every((usage) => usage <= session.contextWindow),
        used: session.contextUsage,
        window: session.contextWindow,
      };
    });
    assert.ok(told.overflows > 1 && told.fits && told.used <= told.window, JSON.stringify(told));
  });

  test("tools are called with valid arguments, and their results are answered", async () => {
    const told = await tab.run(async () => {
      const { ours: LanguageModel } = window as unknown as Kept;
      const engine = (await LanguageModel.engine) as Engine;
      // A model of this size calls a tool only if it must.
      const { completions } = engine.chat;
      const create = completions.create.bind(completions) as (request: ChatCompletionRequest, options: object) => Promise<never>;
      let requests = 0;
      completions.create = (request: ChatCompletionRequest, options: object) => {
        requests++;
        const must = { tool_choice: "required" as const, parallel_tool_calls: false };
        return create({ ...request, ...(request.messages.at(-1)?.role === "tool" ? {} : must) }, options);
      };
      const inputs: { shape: string }[] = [];
      const inputSchema = {
        type: "object",
        properties: { shape: { enum: ["circle", "star"] } },
        required: ["shape"],
        additionalProperties: false,
      };
      const execute = async (input: never) => {
        inputs.push(input);
        return "painted";
      };
      const tools = [{ name: "paint", description: "Paints a shape.", inputSchema, execute }];
      const session = await LanguageModel.create({ tools, samplingMode: "most-predictable" });
      const text = await session.prompt("Paint something.");
      completions.create = create;
      return { inputs, requests, text, used: session.contextUsage };
    });
    assert.equal(told.requests, 2);
    assert.equal(told.inputs.length, 1);
    assert.match(told.inputs[0]?.shape ?? "", /^(circle|star)$/);
    assert.ok(told.used > 0);
  });

  test("React components share one load, also in StrictMode, and an unused model stays for a while", async () => {
    const told = await tab.run(async () => {
      const { mount, seen } = (await import("/test/react-page.js" as string)) as typeof import("./react-page.js");
      const root = document.body.appendChild(document.createElement("div"));
      mount(root);
      const until = async (check: () => boolean) => {
        while (!check()) await new Promise((resolve) => setTimeout(resolve, 50));
      };
      const texts = () => [...root.querySelectorAll("p")].map(({ textContent }) => textContent);
      await until(() => texts().length === 3 && texts().every((text) => text !== "loading"));
      const loaded = texts();
      const toggle = root.querySelector("button") as HTMLButtonElement;
      toggle.click();
      await until(() => texts().length === 0);
      toggle.click();
      await until(() => texts().length === 3);
      const again = texts();
      const [engine] = seen.engines as Set<Engine>;
      const answer = await engine?.chat.completions.create({ messages: [{ role: "user", content: "Hi" }], max_tokens: 2 });
      engine?.unload();
      await until(() => texts().every((text) => text?.includes("unloaded")));
      return { loaded, again, engines: seen.engines.size, first: seen.states[0], tokens: answer?.usage.completion_tokens };
    });
    assert.deepEqual(told, {
      loaded: Array(3).fill("ready"),
      again: Array(3).fill("ready"),
      engines: 1,
      first: "loading",
      tokens: told.tokens,
    });
    assert.ok(told.tokens);
  });

  test("a React component loads after consent, can cancel and load again, and shows an answer as it streams", async () => {
    site.requests.clear();
    const told = await tab.run(async () => {
      const { mountAsking } = (await import("/test/react-page.js" as string)) as typeof import("./react-page.js");
      const root = document.body.appendChild(document.createElement("div"));
      mountAsking(root);
      const text = (id: string) => root.querySelector(`#${id}`)?.textContent ?? "";
      const until = async (check: () => boolean) => {
        while (!check()) await new Promise((resolve) => setTimeout(resolve, 20));
      };
      const click = (id: string) => (root.querySelector(`button#${id}`) as HTMLButtonElement).click();
      await until(() => text("state") !== "");
      const states = [text("state")];
      await new Promise((resolve) => setTimeout(resolve, 200));
      states.push(text("state"));
      click("ask");
      await until(() => text("answer").startsWith("failed"));
      for (const [id, wanted] of [
        ["load", "loading"],
        ["cancel", "idle"],
        ["load", "ready"],
      ] as const) {
        click(id);
        await until(() => text("state") === wanted);
        states.push(text("state"));
      }
      click("ask");
      await until(() => text("answer").startsWith("done"));
      return { states, answer: text("answer") };
    });
    assert.deepEqual(told.states, ["idle", "idle", "loading", "idle", "ready"]);
    assert.match(told.answer, /^done: \S/);
  });

  test("<img-alt> asks for consent once, and describes a picture only when it comes near", async () => {
    const told = await tab.run(async () => {
      const { defineImgAlt } = (await import("/ocelli/img-alt/index.js" as string)) as typeof import("../src/img-alt/index.js");
      const { ours: LanguageModel } = window as unknown as Kept;
      const engine = (await LanguageModel.engine) as Engine;
      let asked = 0;
      defineImgAlt("/nowhere/", { name: "img-alt-refused", consent: () => ++asked < 0 });
      defineImgAlt(engine, { name: "img-alt-near" });
      const make = (name: string) => {
        const element = document.createElement(name);
        element.innerHTML = '<img src="/models/demo/gallery/scene-01.png">';
        document.body.append(element);
        return element.querySelector("img") as HTMLImageElement;
      };
      const refused = [make("img-alt-refused"), make("img-alt-refused")];
      document.body.append(Object.assign(document.createElement("div"), { style: "height: 500vh" }));
      const far = make("img-alt-near");
      while (asked === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      await new Promise((resolve) => setTimeout(resolve, 300));
      const before = far.hasAttribute("alt");
      const written = new Promise((resolve) => document.body.addEventListener("alt", resolve, { once: true }));
      far.scrollIntoView();
      await written;
      return { asked, refused: refused.map((image) => image.hasAttribute("alt")), before, alt: far.alt };
    });
    assert.deepEqual([told.asked, told.refused, told.before], [1, [false, false], false]);
    assert.ok(told.alt);
  });

  test("<img-alt> writes missing texts, keeps existing ones, and reports failures", async () => {
    const told = await tab.run(async () => {
      const { defineImgAlt } = (await import("/ocelli/img-alt/index.js" as string)) as typeof import("../src/img-alt/index.js");
      const { ours: LanguageModel } = window as unknown as Kept;
      defineImgAlt((await LanguageModel.engine) as Engine);
      const element = document.createElement("img-alt");
      const events: string[] = [];
      element.innerHTML =
        '<img id="a" src="/models/demo/gallery/scene-01.png"><img id="b" alt="" src="/models/demo/gallery/scene-02.png"><img id="c" src="/nowhere.png">';
      const done = new Promise<void>((resolve) => {
        const note = (event: Event) => {
          const { image } = (event as CustomEvent<{ image: HTMLImageElement }>).detail;
          events.push(`${event.type} ${image.id}`);
          if (events.length === 3) resolve();
        };
        for (const name of ["alt", "alterror"]) element.addEventListener(name, note);
      });
      // All of them are near.
      Object.assign(element.style, { position: "fixed", top: "0", display: "flex", width: "400px" });
      document.body.append(element);
      const later = new Image();
      later.id = "d";
      later.src = "/models/demo/gallery/scene-03.png";
      element.append(later);
      await done;
      return { events: events.sort(), alts: [...element.querySelectorAll("img")].map((image) => [image.id, image.getAttribute("alt")]) };
    });
    assert.deepEqual(told.events, ["alt a", "alt d", "alterror c"]);
    const alts = Object.fromEntries(told.alts) as Record<string, string | null>;
    assert.deepEqual([alts["b"], alts["c"]], ["", null]);
    assert.ok(alts["a"] && alts["d"]);
  });
});
