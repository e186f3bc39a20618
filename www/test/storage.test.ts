import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { drop, galleryFiles, nextAnswer, openPage, problem } from "./demo-page.js";
import { download, fill, keptRows, makeAlbum, stubFiles, written } from "./album-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";
import { serve } from "../server.mjs";

inBrowsers("storage", (browser) => {
  let site: Site;
  let tab: Tab;
  beforeEach(async () => {
    site = await startSite();
    tab = await browser().newTab();
  });
  afterEach(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("a second visit fetches only damaged weights, and the next one needs no server", async () => {
    await openPage(tab, site.url);
    const weights = weightPaths(site);
    assert.ok(weights.length > 1);
    for (const path of weights) assert.equal(site.requests.get(path), 1, path);
    const damaged = await flipByte(tab);
    site.requests.clear();
    await openPage(tab, site.url);
    assert.deepEqual(weightPaths(site), [`/models/demo/${damaged}`]);
    assert.equal(site.requests.get("/models/demo/model.json"), 1);
    await until(tab, "the page is stored", () => document.getElementById("offline")?.hidden === false);
    const [picture] = await galleryFiles(tab);

    await site.stop();
    await openPage(tab, site.url);
    await until(tab, "the gallery is stored too", () => (document.querySelector<HTMLImageElement>("#gallery img")?.naturalWidth ?? 0) > 0);
    await drop(tab, { from: picture as string, name: "scene.png" });
    assert.match(await nextAnswer(tab), /\w/, "the repaired file was stored");
  });

  test("a page that was opened once works without a network", async () => {
    await openPage(tab, site.url);
    await until(tab, "the page is stored", () => document.getElementById("offline")?.hidden === false);
    const [picture] = await galleryFiles(tab);
    await site.stop();
    await openPage(tab, site.url);
    await drop(tab, { from: picture as string, name: "scene.png" });
    assert.match(await nextAnswer(tab), /\w/);
  });

  test("a reload without a network leads into a conversation and into an album, which is exported", async () => {
    for (const stub of [fakeWorker, stubFiles]) await tab.beforeLoad(stub);
    await openPage(tab, site.url);
    await until(tab, "the page is stored", () => document.getElementById("offline")?.hidden === false);
    const [picture] = await galleryFiles(tab);
    await drop(tab, { from: picture as string, name: "scene.png" });
    await nextAnswer(tab);
    const conversation = await tab.run(() => location.href);
    await fill(tab, { "one.png": { from: picture as string }, "two.png": "picture two" });
    await makeAlbum(tab);
    await written(tab, 2);
    const album = await tab.run(() => location.href);
    assert.notEqual(conversation, album);

    await site.stop();
    await tab.goto("about:blank");
    await openPage(tab, conversation);
    await until(tab, "its turns", () => document.querySelectorAll("#log .turn").length === 2);
    await until(tab, "its picture", () => (document.querySelector<HTMLImageElement>("#log .turn.user img")?.naturalWidth ?? 0) > 0);
    await tab.goto("about:blank");
    await openPage(tab, album);
    await until(tab, "its rows", () => document.querySelectorAll(".album-row textarea").length === 2);
    const texts = await tab.run(() => [...document.querySelectorAll<HTMLTextAreaElement>(".album-row textarea")].map(({ value }) => value));
    assert.deepEqual(
      texts,
      (await keptRows(tab)).map(({ alt }) => alt),
    );
    assert.match(texts[1] ?? "", /picture two/);
    await until(tab, "its thumbnail", () => (document.querySelector<HTMLImageElement>(".album-row img")?.naturalWidth ?? 0) > 0);
    for (const format of ["csv", "xmp"]) {
      const { name, base64 } = await download(tab, format);
      assert.match(name, format === "csv" ? /\.csv$/ : /\.zip$/);
      assert.ok(base64.length > 100, format);
    }
    assert.deepEqual(tab.faults, []);
  });

  test("in a folder of a plain server, which sends no headers, the page describes a picture, and again without a network", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ocelli-folder-"));
    const asked: string[] = [];
    const plain = await serve(
      folder,
      0,
      (path) => asked.push(path) === 0,
      () => ({}),
    );
    try {
      mkdirSync(join(folder, "a"));
      symlinkSync(resolve("dist"), join(folder, "a/b"));
      const described = async () => {
        await openPage(tab, `${plain.url}a/b/`);
        await until(tab, "the examples", () => document.querySelector("#gallery button") !== null);
        assert.equal(await tab.run(() => document.querySelectorAll("#log .turn").length), 0, "a page of its own");
        await tab.click("#gallery button");
        assert.match(await nextAnswer(tab), /circle .*"SEA"/);
      };
      await described();
      await until(tab, "the page is stored", () => document.getElementById("offline")?.hidden === false);
      assert.deepEqual(
        asked.filter((path) => !path.startsWith("/a/b/")),
        [],
      );
      assert.ok(asked.includes("/a/b/models/demo/model.json") && asked.includes("/a/b/sw.js"));
      await plain.close();
      await described();
      assert.deepEqual(tab.faults, []);
    } finally {
      await plain.close().catch(() => undefined);
      rmSync(folder, { recursive: true });
    }
  });

  test("a download resumes at the first missing file; a file that is wrong once is silently fetched again", async () => {
    const missing = "/models/demo/shard-0000.bin";
    const [shard] = await shardsOf(site);
    assert.equal(`/models/demo/${shard}`, missing);
    site.replaced.set(missing, new Uint8Array(7));
    await tab.goto(site.url);
    assert.equal((await problem(tab)).code, "integrity");
    assert.equal(site.requests.get(missing), 2, "a wrong file is tried twice");
    site.replaced.delete(missing);
    site.replacedOnce.set(missing, new Uint8Array(7));
    site.requests.clear();
    await openPage(tab, site.url);
    assert.equal(await tab.run(() => document.getElementById("problem")?.textContent), "");
    assert.equal(site.requests.get("/models/demo/tokenizer.json"), undefined, "what was whole is not fetched again");
    assert.equal(site.requests.get(missing), 2);
  });

  test("the page runs from memory with a warning if nothing can be stored", async () => {
    // Storage fails in the worker, as in private windows of some browsers.
    const script = await (await fetch(`${site.url}ocelli/worker.js`)).text();
    const refusing = `CacheStorage.prototype.open = () => Promise.reject(new DOMException("no", "SecurityError"));\n`;
    // An isolated page accepts no worker without it.
    site.headers = { "cross-origin-embedder-policy": "require-corp" };
    site.replaced.set("/ocelli/worker.js", new TextEncoder().encode(refusing + script));
    await openPage(tab, site.url);
    assert.match(await tab.run(() => document.getElementById("device")?.textContent ?? ""), /keeps no files/);
  });

  /** Waits until the page is stored: the cache of its files, and its service worker's script with the name of another version. */
  async function storedPage(): Promise<{ shell: string; next: (name: string) => string }> {
    // The page's own files are stored independently of the model.
    await tab.beforeLoad(fakeWorker);
    await openPage(tab, site.url);
    await until(tab, "the page is stored", () => document.getElementById("offline")?.hidden === false);
    const script = await (await fetch(`${site.url}sw.js`)).text();
    const [shell = ""] = await shells(tab);
    return { shell, next: (name) => script.replaceAll(shell.replace("ocelli-shell-", ""), name) };
  }

  test("a new version of the page waits until the visitor agrees", async () => {
    const { shell, next } = await storedPage();
    site.replaced.set("/sw.js", new TextEncoder().encode(next("the-next-one")));
    await openPage(tab, site.url);
    await until(tab, "the new version is offered", () => document.getElementById("update")?.hidden === false);
    assert.ok((await shells(tab)).includes(shell), "the old version stays until then");
    await tab.click("#update-now");
    await until(tab, "only the new version is left", async () => {
      const names = (await caches.keys()).filter((name) => name.startsWith("ocelli-shell-"));
      return names.join() === "ocelli-shell-the-next-one";
    });
    const isAnew = () => ["load", "update"].every((id) => document.getElementById(id)?.hidden === true);
    await until(tab, "the page is loaded anew and offers nothing", isAnew);
  });

  test("an update with a file of another version changes nothing, and after a whole one the page works without a network", async () => {
    const { shell, next } = await storedPage();
    const halfway = next("half-deployed").replace(/("?style\.css"?,"?integrity"?:"sha256-)[^"]+/, `$1${"A".repeat(43)}=`);
    assert.notEqual(halfway, next("half-deployed"));
    site.replaced.set("/sw.js", new TextEncoder().encode(halfway));
    const registered = await tab.run(async () => {
      const registration = await navigator.serviceWorker.ready;
      const states: string[] = [];
      const found = new Promise<void>((resolve) =>
        registration.addEventListener("updatefound", () => {
          const { installing } = registration;
          installing?.addEventListener("statechange", () => {
            states.push(installing.state);
            resolve();
          });
        }),
      );
      await registration.update().catch(() => undefined);
      await found;
      return states[0];
    });
    assert.equal(registered, "redundant");
    assert.equal(await tab.run(() => document.getElementById("update")?.hidden), true, "it is not offered");
    await openPage(tab, site.url);
    assert.ok((await shells(tab)).includes(shell), "the old version stays in use");

    site.replaced.set("/sw.js", new TextEncoder().encode(next("whole")));
    await openPage(tab, site.url);
    await until(tab, "the new version is offered", () => document.getElementById("update")?.hidden === false);
    await tab.click("#update-now");
    await until(tab, "only the new version is left", async () => {
      const names = (await caches.keys()).filter((name) => name.startsWith("ocelli-shell-"));
      return names.join() === "ocelli-shell-whole";
    });
    const isAnew = () => ["load", "update"].every((id) => document.getElementById(id)?.hidden === true);
    await until(tab, "the page is loaded anew", isAnew);
    // Requests that are under way when the page is left would be reported as failed.
    await until(tab, "its examples, too", () => [...document.images].length > 5 && [...document.images].every(({ complete }) => complete));
    await site.stop();
    await tab.goto("about:blank");
    await openPage(tab, site.url);
    await tab.run(() => (location.hash = "#/settings/general"));
    await until(tab, "the settings", () => document.getElementById("settings-heading") !== null);
    await tab.run(() => (location.hash = "#/albums"));
    await until(tab, "the albums", () => document.getElementById("new-album-open") !== null);
    assert.deepEqual(tab.faults, []);
  });

  test("every page of the shell opens under its own address, also without a network", async () => {
    await tab.beforeLoad(fakeWorker);
    await openPage(tab, site.url);
    await until(tab, "the page is stored", () => document.getElementById("offline")?.hidden === false);
    await site.stop();
    for (const [path, title] of [
      ["bench.html?a=b", "test this device"],
      ["", "ask about"],
      ["index.html", "ask about"],
    ] as const) {
      await tab.goto(`${site.url}${path}`);
      assert.match(await tab.run(() => document.title), new RegExp(title), path);
    }
  });

  test("the module for formats is stored when it is first needed", async () => {
    await tab.beforeLoad(fakeWorker);
    await openPage(tab, site.url);
    await until(tab, "the page is stored", () => document.getElementById("offline")?.hidden === false);
    await openPage(tab, site.url);
    const path = "/ocelli/wasm/ocelli_grammar_bg.wasm";
    assert.equal(site.requests.get(path), undefined);
    const size = () => tab.run(async (path) => (await (await fetch(path)).arrayBuffer()).byteLength, path);
    const bytes = await size();
    assert.ok(bytes > 100_000);
    await site.stop();
    assert.equal(await size(), bytes);
  });

  test("a mirror replaces a server that has nothing but the manifest; stored files can be listed and deleted", async () => {
    const manifest = await fetch(`${site.url}models/demo/model.json`);
    site.replaced.set("/models/half/model.json", new Uint8Array(await manifest.arrayBuffer()));
    await tab.goto(`${site.url}test/blank.html`);
    const { answer, stored, size, left } = await tab.run(async () => {
      const { Engine, packages } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const engine = await Engine.load("/models/half/", { mirrors: ["/models/demo/model.json"], storage: "require" });
      const { choices } = await engine.chat.completions.create({ messages: [{ role: "user", content: "Hello" }], max_tokens: 4 });
      engine.unload();
      const stored = await packages.list();
      const size = await packages.size();
      await packages.delete("/models/half/");
      return { answer: choices[0]?.message.content, stored, size, left: await packages.list() };
    });
    assert.match(answer ?? "", /\w/);
    assert.deepEqual(
      stored.map(({ url, complete }) => [url, complete]),
      [[`${site.url}models/half/`, true]],
    );
    assert.equal(stored[0]?.bytes, size);
    assert.deepEqual(left, []);
    assert.equal(site.requests.get("/models/demo/shard-0000.bin"), 1);
  });

  test("a missing package is reported with the next step", async () => {
    await tab.goto(`${site.url}?model=models/nowhere/`);
    const { code, text } = await problem(tab);
    assert.equal(code, "io");
    assert.match(text, /could not be downloaded/);
    assert.match(await tab.run(() => document.querySelector("#problem code")?.textContent ?? ""), /HTTP 404/);
  });
});

/** The versions of the page that are stored. */
function shells(tab: Tab): Promise<string[]> {
  return tab.run(async () => (await caches.keys()).filter((name) => name.startsWith("ocelli-shell-")));
}

/** The weight files that were requested. */
function weightPaths(site: Site): string[] {
  return [...site.requests.keys()].filter((path) => /shard-\d+\.bin$|tokenizer\.json$/.test(path));
}

async function shardsOf(site: Site): Promise<string[]> {
  const manifest = (await (await fetch(`${site.url}models/demo/model.json`)).json()) as { shards: { file: string }[] };
  site.requests.clear();
  return manifest.shards.map(({ file }) => file);
}

/** Flips a bit in the last stored shard; returns its name. */
function flipByte(tab: Tab): Promise<string> {
  return tab.run(async () => {
    const cache = await caches.open("ocelli-packages-v1");
    const entry = (await cache.keys()).filter(({ url }) => url.includes("shard-")).at(-1) as Request;
    const bytes = new Uint8Array(await ((await cache.match(entry)) as Response).arrayBuffer());
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    await cache.put(entry, new Response(bytes));
    return new URL(entry.url).pathname.split("/").at(-1) as string;
  });
}
