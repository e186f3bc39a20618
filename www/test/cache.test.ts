/** Conversations in files: after a reload only new tokens are computed. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ChatMessage, Engine, LoadReport } from "../src/index.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const PICTURE: ChatMessage = {
  role: "user",
  content: [
    { type: "image_url", image_url: { url: "/models/demo/gallery/scene-01.png" } },
    { type: "text", text: "Describe this image." },
  ],
};
const LONG: ChatMessage = { role: "user", content: "What is above the word, and what is below it? ".repeat(12) };

interface Told {
  text: string;
  prompt: number;
  cached: number;
}

/** Runs in the page: the files of conversations. */
declare function names(): Promise<string[]>;

inBrowsers("cache", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  const open = async (cache: boolean | { bytes: number }) => {
    await tab.goto(`${site.url}test/blank.html`);
    return tab.run(async (cache) => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const reports: LoadReport[] = [];
      // Conversations are kept where reading takes less time than computing: always on an emulated GPU, by chance on a processor.
      const engine = await Engine.load("/models/demo/", { cache, device: "gpu", onProgress: (report) => reports.push(report) });
      const names = async () => {
        const root = await navigator.storage.getDirectory();
        const folder = await root.getDirectoryHandle("ocelli-conversations", { create: true });
        const names: string[] = [];
        for await (const [name, handle] of folder.entries()) {
          // Chromium lists the file of a stream until it is closed.
          if (handle.kind !== "file" || /\.(used|crswap)$/.test(name)) continue;
          if ((await (handle as FileSystemFileHandle).getFile()).size > 0) names.push(name);
        }
        return names;
      };
      Object.assign(window, { engine, names });
      return reports.filter(({ kind }) => kind === "warning");
    }, cache);
  };
  const ask = (messages: ChatMessage[]): Promise<Told> =>
    tab.run(async (messages) => {
      const { engine } = window as unknown as { engine: Engine };
      const { choices, usage } = await engine.chat.completions.create({ messages, temperature: 0, max_tokens: 12 });
      const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
      return { text: choices[0]?.message.content ?? "", prompt: usage.prompt_tokens, cached };
    }, messages);
  /** Waits until a conversation has been written to a file that is not in `before`; resolves to all names. */
  const kept = async (before: string[]): Promise<string[]> => {
    await until(tab, "the conversation is kept", async (before) => (await names()).some((name) => !before.includes(name)), before);
    return tab.run(() => names());
  };

  test("conversations from before a reload are not computed again, and answers are the same", async () => {
    assert.deepEqual(await open(true), []);
    const first = await ask([PICTURE]);
    const second: ChatMessage[] = [PICTURE, { role: "assistant", content: first.text }, LONG];
    const before = await kept([]);
    const cold = await ask(second);
    await kept(before);
    assert.deepEqual(await open(true), []);
    const warm = await ask(second);
    assert.equal(warm.text, cold.text);
    assert.ok(warm.cached > warm.prompt - 16, JSON.stringify(warm));
    const edited = await ask([PICTURE, { role: "assistant", content: first.text }, { role: "user", content: "Which colour?" }]);
    assert.ok(edited.cached > 60 && edited.cached < edited.prompt, JSON.stringify(edited));
  });

  test("files of conversations are not read without the option, and can be removed", async () => {
    await open(false);
    assert.equal((await ask([PICTURE])).cached, 0);
    assert.deepEqual(await open(true), []);
    const freed = await tab.run(() => (window as unknown as { engine: Engine }).engine.clearCache());
    assert.ok(freed > 10_000, String(freed));
    await open(true);
    assert.equal((await ask([PICTURE])).cached, 0);
    const refused = await open({ bytes: 0 }).catch((thrown: unknown) => String(thrown));
    assert.match(String(refused), /cache: expected a number of bytes, got 0/);
  });
});
