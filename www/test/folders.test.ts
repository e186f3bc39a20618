/** Models from folders that the user gave: their handle, and the files that a file input has of them. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { ErrorData } from "../src/index.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const PACKAGE = "tied_two_images-q8_0";
const CHECKPOINT = "fp8";
/** The files of a checkpoint that an import reads. */
const isRead = (name: string) => !name.startsWith("expected") && name !== "cases.json" && name !== "images";

interface Folder {
  name: string;
  /** Address of its files. */
  url: string;
  files: string[];
}
/** Ways to give a folder to the page. */
const WAYS = ["handle", "handle of the folder above", "files"] as const;
type Way = (typeof WAYS)[number];

const FOLDERS: Record<"package" | "safetensors", Folder> = {
  package: { name: "my model", url: `/packages/${PACKAGE}/`, files: readdirSync(resolve(`../target/fixture-packages/${PACKAGE}`)) },
  safetensors: {
    name: CHECKPOINT,
    url: `/checkpoints/${CHECKPOINT}/`,
    files: readdirSync(resolve(`../tests/fixtures/checkpoints/${CHECKPOINT}`)).filter(isRead),
  },
};
type Kind = keyof typeof FOLDERS;
/** Values in the page. */
type Page = typeof globalThis & { given: Record<Kind, Record<Way, FileSystemDirectoryHandle | File[]>> };

inBrowsers("folders", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(makeFolders, FOLDERS);
  });
  beforeEach(() => tab.run(forgetAll));
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  for (const way of WAYS) {
    test(`a package by its ${way} answers as by its address`, async () => {
      const argument = { way, address: FOLDERS.package.url };
      const { local, remote } = await tab.run(async ({ way, address }) => {
        const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const answer = async (source: Parameters<typeof Engine.load>[0]) => {
          const engine = await Engine.load(source, { context: 512 });
          const messages = [{ role: "user" as const, content: "one two three" }];
          const { choices } = await engine.chat.completions.create({ messages, max_tokens: 16, temperature: 0 });
          engine.unload();
          return choices[0]?.message.content ?? "";
        };
        const { given } = globalThis as Page;
        return { local: await answer({ package: given.package[way] }), remote: await answer(address) };
      }, argument);
      assert.ok(remote.length > 0);
      assert.equal(local, remote);
    });

    test(`a checkpoint by its ${way} becomes the package that \`ocelli pack\` makes`, async () => {
      const manifest = await tab.run(async (way) => {
        const { importModel } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
        const { packageUrl } = await importModel({ safetensors: (globalThis as Page).given.safetensors[way] });
        const cache = await caches.open("ocelli-packages-v1");
        return ((await cache.match(`${packageUrl}model.json`)) as Response).text();
      }, way);
      assert.ok(manifest === readFileSync(resolve(`../target/fixture-packages/${CHECKPOINT}-q4_0/model.json`), "utf8"), "another manifest");
    });
  }

  test("a folder without a model is refused", async () => {
    const { code, detail } = await tab.run(async () => {
      const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const root = await navigator.storage.getDirectory();
      const empty = await root.getDirectoryHandle("empty", { create: true });
      return Engine.load({ package: empty }).then(
        () => ({ code: "it did not fail", detail: null }),
        (thrown: unknown) => {
          const { code, detail } = thrown as ErrorData;
          return { code, detail };
        },
      );
    });
    assert.equal(code, "invalid-request");
    assert.equal(detail?.["field"], "package");
  });
});

/** Makes the folders in the page's own file system, and keeps what a page would be given of each. */
async function makeFolders(folders: typeof FOLDERS): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const made = Object.entries(folders).map(async ([kind, { name, url, files }]) => {
    const above = await root.getDirectoryHandle(kind, { create: true });
    const handle = await above.getDirectoryHandle(name, { create: true });
    const listed = files.map(async (file) => {
      const blob = await (await fetch(url + file)).blob();
      const writable = await (await handle.getFileHandle(file, { create: true })).createWritable();
      await writable.write(blob);
      await writable.close();
      // A file input sets it.
      return Object.defineProperty(new File([blob], file), "webkitRelativePath", { value: `${name}/${file}` });
    });
    return [kind, { handle, "handle of the folder above": above, files: await Promise.all(listed) }];
  });
  Object.assign(globalThis, { given: Object.fromEntries((await Promise.all(made)) as [string, object][]) as object });
}

/** Deletes what earlier tests stored. */
async function forgetAll(): Promise<void> {
  const { packages } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
  for (const { url } of await packages.list()) await packages.delete(url);
}
