/** The skeleton of an extension in `examples/extension`, with the packed package and the demo model, in Chromium. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium, type BrowserContext, type Page, type Worker } from "playwright-core";
import { WANTED } from "./client-page.js";
import { chromiumOptions } from "./driver.js";
import { installInto } from "./tarball.js";

/** Firefox's extensions have no offscreen documents. */
const isRun = process.env["OCELLI_BROWSER"] !== "Firefox";
const SCENE = "models/demo/gallery/scene-01.png";
const LATE = 300_000;

/** Parts of Chrome's interface that run in the service worker. */
declare const chrome: {
  contextMenus: { onClicked: { dispatch(info: object, tab: object): void } };
  tabs: { query(about: object): Promise<{ id: number; windowId: number }[]> };
  sidePanel: { getOptions(of: object): Promise<{ path?: string }> };
  windows: { create(options: object): Promise<unknown> };
  runtime: { getURL(path: string): string; getContexts(of: { contextTypes: string[] }): Promise<unknown[]> };
};

/** A connection to the browser. */
interface Protocol {
  send(method: string, about: object): Promise<{ targetInfos?: { url: string; targetId: string }[] }>;
}

interface Pictures {
  server: Server;
  port: number;
  /** Lets scripts read the picture that was held. */
  release(): void;
}

/** Serves a page, and pictures that say by their name who may read them. */
async function startPictures(): Promise<Pictures> {
  const scene = readFileSync(SCENE);
  /** Null once they were released. */
  let held: (() => void)[] | null = [];
  const server = createServer(({ url = "", headers }, response) => {
    const path = url.replace(/\?.*/, "");
    const isShown = headers["sec-fetch-dest"] === "image";
    const isForbidden = path === "/forbidden.png" && !isShown;
    if (path.endsWith(".html"))
      response.writeHead(200, { "content-type": "text/html" }).end(pageOf(url, (server.address() as AddressInfo).port));
    else if (path.startsWith("/models/"))
      response.writeHead(200, { "access-control-allow-origin": "*" }).end(readFileSync(join("dist", path)));
    else if (path === "/held.png" && !isShown && held) held.push(() => response.writeHead(200, { "content-type": "image/png" }).end(scene));
    else if (path === "/broken.png" || isForbidden) response.writeHead(isForbidden ? 403 : 404).end();
    else
      response
        .writeHead(200, { "content-type": "image/png", ...(path === "/cors.png" && { "access-control-allow-origin": "*" }) })
        .end(scene);
  });
  await new Promise<void>((listening) => void server.listen(0, listening));
  const release = () => {
    for (const send of held ?? []) send();
    held = null;
  };
  return { server, port: (server.address() as AddressInfo).port, release };
}

/** Pictures of this origin, of another one, in the address itself, and one that only the page may show. */
function pageOf(url: string, port: number): string {
  const other = `http://localhost:${port}`;
  const data = `data:image/png;base64,${readFileSync(SCENE, "base64")}`;
  if (url.startsWith("/frame.html")) return '<!doctype html><img id="framed" src="framed.png">';
  const all: Record<string, string> = {
    far: '<img id="far" src="far.png"><p style="height: 300vh"></p>',
    held: '<img id="held" src="held.png">',
    own: '<img id="own" src="own.png">',
    cors: `<img id="cors" src="${other}/cors.png">`,
    data: `<img id="data" src="${data}">`,
    plain: `<img id="plain" src="${other}/plain.png">`,
    forbidden: `<p style="height: 150vh"></p><img id="forbidden" src="${other}/forbidden.png">`,
    kept: '<img id="decorative" alt="" src="a.png"><img id="given" alt="Given" src="b.png">',
    small: '<img id="small" src="small.png" width="40" height="40">',
    broken: '<img id="broken" src="broken.png" width="60" height="60">',
    frame: '<iframe src="frame.html"></iframe>',
  };
  const wanted = new URL(url, other).searchParams.get("with")?.split(" ") ?? [];
  return `<!doctype html><html lang="en"><title>Scenes</title><body>${wanted.map((name) => all[name]).join("")}`;
}

describe("extension", { skip: !isRun && "it runs only in Chromium" }, () => {
  let folder: string;
  let context: BrowserContext;
  let pictures: Pictures;
  /** The extension as it is in the repository, with a model. */
  let extension: string;
  before(async () => {
    pictures = await startPictures();
    folder = mkdtempSync(join(tmpdir(), "ocelli-extension-"));
    extension = join(folder, "extension");
    cpSync(resolve("examples/extension"), extension, { recursive: true });
    cpSync(join(installInto(folder).installed, "dist/ocelli"), join(extension, "ocelli"), { recursive: true });
    cpSync(resolve("dist/models/demo"), join(extension, "models/demo"), { recursive: true });
    context = await launch(extension, "profile");
  });
  after(async () => {
    await context?.close();
    pictures?.server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function launch(extension: string, profile: string, more: string[] = []): Promise<BrowserContext> {
    const { executablePath, args } = chromiumOptions();
    return chromium.launchPersistentContext(join(folder, profile), {
      executablePath,
      args: [...args, ...more, `--disable-extensions-except=${extension}`, `--load-extension=${extension}`],
      ignoreDefaultArgs: ["--disable-extensions"],
    });
  }
  /** A copy of the extension with another manifest. */
  function variant(name: string, more: object): string {
    const copy = join(folder, name);
    cpSync(extension, copy, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(copy, "manifest.json"), "utf8")) as object;
    writeFileSync(join(copy, "manifest.json"), JSON.stringify({ ...manifest, ...more }));
    return copy;
  }

  const backgroundOf = async (context: BrowserContext): Promise<Worker> =>
    context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
  const openPopup = async (of = context) => {
    const popup = await of.newPage();
    await popup.goto(new URL("popup.html", (await backgroundOf(of)).url()).href);
    return popup;
  };
  async function describedByPopup(popup: Page): Promise<string | null> {
    await popup.setInputFiles("#file", resolve(SCENE));
    await popup.waitForSelector('#answer[data-state="done"], #answer[data-state="failed"]', { timeout: LATE });
    return popup.textContent("#answer");
  }

  test("the popup describes a picture with the model in the offscreen document", async () => {
    const popup = await openPopup();
    const faults: string[] = [];
    popup.on("pageerror", (error) => faults.push(error.message));
    for (const time of ["first", "second"]) {
      assert.equal(await describedByPopup(popup), WANTED, time);
      await popup.reload();
    }
    assert.deepEqual(faults, []);
  });

  test("files from the user are imported, stored, and found again by the next page", async () => {
    const popup = await openPopup();
    await popup.evaluate(() => {
      const input = document.createElement("input");
      Object.assign(input, { type: "file", multiple: true, id: "own" });
      document.body.append(input);
    });
    await popup.setInputFiles(
      "#own",
      ["q4_k", "mmproj"].map((name) => resolve(`../tests/fixtures/gguf/${name}.gguf`)),
    );
    const url = await popup.evaluate(async () => {
      const { importModel } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const [gguf, mmproj] = [...((document.getElementById("own") as HTMLInputElement).files ?? [])];
      return (await importModel({ gguf: gguf as File, mmproj: mmproj as File }, { storage: "require" })).packageUrl;
    });
    await popup.close();
    const page = await openPopup();
    const [isStored, manifest, tokens] = await page.evaluate(async (url) => {
      const { Engine, packages } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
      const isStored = (await packages.list()).some((stored) => stored.url === url && stored.complete);
      const engine = await Engine.load(url);
      const { usage } = await engine.chat.completions.create({ messages: [{ role: "user", content: "hi" }], max_tokens: 3 });
      engine.unload();
      const manifest = await (await caches.match(`${url}model.json`))?.text();
      await packages.delete(url);
      return [isStored, manifest, usage.completion_tokens] as const;
    }, url);
    assert.deepEqual([isStored, tokens], [true, 3]);
    assert.equal(manifest, readFileSync(resolve("../target/fixture-packages/gguf-q4_k/model.json"), "utf8"));
  });

  test("a model that was downloaded once describes a picture without a network, also after a restart", async () => {
    const remote = await startPictures();
    const copy = variant("remote", {});
    const script = readFileSync(join(copy, "offscreen.js"), "utf8");
    const address = `http://127.0.0.1:${remote.port}/models/demo/`;
    writeFileSync(join(copy, "offscreen.js"), script.replace('"models/demo/"', JSON.stringify(address)));
    rmSync(join(copy, "models"), { recursive: true });
    let browser = await launch(copy, "remote-profile");
    try {
      assert.equal(await describedByPopup(await openPopup(browser)), WANTED);
      await browser.close();
      remote.server.closeAllConnections();
      remote.server.close();
      browser = await launch(copy, "remote-profile");
      await browser.setOffline(true);
      assert.equal(await describedByPopup(await openPopup(browser)), WANTED);
    } finally {
      await browser.close();
      remote.server.close();
    }
  });

  test("the document with the model closes itself when no question comes, and is opened for the next one", async () => {
    const copy = variant("idle", {});
    const script = readFileSync(join(copy, "offscreen.js"), "utf8");
    assert.match(script, /IDLE_MS = 5 \* 60_000/);
    writeFileSync(join(copy, "offscreen.js"), script.replace("5 * 60_000", "1000"));
    const browser = await launch(copy, "idle-profile");
    try {
      const popup = await openPopup(browser);
      const documents = async () =>
        (await backgroundOf(browser)).evaluate(
          async () => (await chrome.runtime.getContexts({ contextTypes: ["OFFSCREEN_DOCUMENT"] })).length,
        );
      for (const time of ["first", "second"]) {
        assert.equal(await describedByPopup(popup), WANTED, time);
        for (let wait = 0; (await documents()) > 0; wait += 100) {
          assert.ok(wait < LATE, "it stays open");
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        await popup.reload();
      }
    } finally {
      await browser.close();
    }
  });

  describe("menus", () => {
    let browser: BrowserContext;
    let page: Page;
    before(async () => {
      // No person clicks a menu here, which would permit the extension to read the tab.
      browser = await launch(variant("menus", { host_permissions: ["<all_urls>"] }), "menus-profile");
      page = await browser.newPage();
    });
    after(() => browser?.close());

    /** Opens a page with these pictures, and the panel of its tab, in a window of its own, so that the page stays visible. */
    async function openPanel(
      pictured: string,
      at = { browser, page },
    ): Promise<{ panel: Page; choose(menu: string, of?: string): Promise<void> }> {
      const { browser, page } = at;
      const background = await backgroundOf(browser);
      await page.goto(`http://127.0.0.1:${pictures.port}/page.html?with=${encodeURIComponent(pictured)}`);
      const [tab] = await background.evaluate(() => chrome.tabs.query({ active: true }));
      assert.ok(tab);
      const opened = browser.waitForEvent("page");
      await background.evaluate((id) => chrome.windows.create({ url: chrome.runtime.getURL(`panel.html?tab=${id}`) }), tab.id);
      const panel = await opened;
      await panel.waitForLoadState();
      const choose = async (menuItemId: string, of?: string) => {
        const srcUrl = of && (await page.evaluate((of) => (document.getElementById(of) as HTMLImageElement).currentSrc, of));
        await background.evaluate(([info, tab]) => chrome.contextMenus.onClicked.dispatch(info, tab), [
          { menuItemId, srcUrl, frameId: 0 },
          tab,
        ] as const);
        const { path } = await background.evaluate((tabId) => chrome.sidePanel.getOptions({ tabId }), tab.id);
        assert.equal(path, `panel.html?tab=${tab.id}`, "the panel of the tab");
      };
      return { panel, choose };
    }
    /** Clicks the extension's button while `page` is shown. */
    async function click(browser: BrowserContext, page: Page): Promise<void> {
      // Its types do not have this method yet.
      const session = (await browser.browser()?.newBrowserCDPSession()) as unknown as Protocol;
      const { targetInfos } = await session.send("Target.getTargets", { filter: [{ type: "tab" }] });
      const targetId = targetInfos?.find(({ url }) => url === page.url())?.targetId;
      const id = new URL((await backgroundOf(browser)).url()).host;
      await session.send("Extensions.triggerAction", { id, targetId });
    }
    const ended = async (panel: Page) => {
      await panel.waitForSelector("#answer[data-state]:not([data-state=busy])", { timeout: LATE });
      return panel.evaluate(() => [document.getElementById("answer")?.dataset["state"], document.getElementById("answer")?.textContent]);
    };
    const alts = (frame: Pick<Page, "evaluate"> = page) =>
      frame.evaluate(() => Object.fromEntries([...document.images].map((image) => [image.id, image.getAttribute("alt")])));

    for (const [id, isCut] of Object.entries({ own: false, cors: false, data: false, plain: false, forbidden: true })) {
      test(`the picture "${id}" is described${isCut ? " as it stands on the screen" : ""}`, async () => {
        const { panel, choose } = await openPanel(id);
        await choose("describe", id);
        assert.deepEqual(await ended(panel), ["done", WANTED]);
        assert.equal(await panel.isVisible("#screen"), isCut);
        assert.equal(await page.evaluate(() => scrollY), 0, "the page is where it was");
        await panel.close();
      });
    }

    test("a click on the extension permits it to read the tab and no other site, whose pictures it cuts from the screen", async () => {
      const browser = await launch(extension, "clicked-profile", ["--enable-unsafe-extension-debugging"]);
      try {
        const page = await browser.newPage();
        const { panel, choose } = await openPanel("own plain", { browser, page });
        await choose("describe", "own");
        assert.equal((await ended(panel))[0], "failed", "before the click nothing is read");
        await click(browser, page);
        for (const [id, isCut] of [
          ["own", false],
          ["plain", true],
        ] as const) {
          await choose("describe", id);
          await panel.waitForFunction((isCut) => document.getElementById("screen")?.hidden === !isCut, isCut);
          await panel.waitForFunction((wanted) => document.getElementById("answer")?.textContent === wanted, WANTED);
        }
      } finally {
        await browser.close();
      }
    });

    test("an alternative text is written for one picture, and put into the page by a button", async () => {
      const { panel, choose } = await openPanel("kept");
      await choose("alt", "given");
      const [state, text] = await ended(panel);
      assert.equal(state, "done");
      assert.ok(text && text !== "Given");
      assert.deepEqual(await alts(), { decorative: "", given: "Given" });
      await panel.click("#put");
      await page.waitForSelector("#given[data-alt=generated]");
      assert.deepEqual(await alts(), { decorative: "", given: text });
      await panel.close();
    });

    test("missing texts are filled in, nearest to the view first, and empty and given ones stay", async () => {
      const { panel, choose } = await openPanel("far own kept small broken frame forbidden");
      await page.evaluate(() => {
        const order: string[] = [];
        Object.assign(window, { order });
        const note = (changes: MutationRecord[]) => order.push(...changes.map(({ target }) => (target as Element).id));
        new MutationObserver(note).observe(document, { attributeFilter: ["alt"], subtree: true });
        document.getElementById("own")?.scrollIntoView();
      });
      await choose("fill");
      assert.deepEqual(await ended(panel), ["done", "4 of 5 texts written, 1 left without one."]);
      const { far, own, forbidden, ...rest } = await alts();
      assert.ok(far && own && forbidden);
      assert.deepEqual(rest, { decorative: "", given: "Given", small: null, broken: null });
      assert.deepEqual(await page.evaluate(() => (window as unknown as { order: string[] }).order), ["own", "forbidden", "far"]);
      const frame = page.frames().find((frame) => frame !== page.mainFrame());
      assert.ok(frame && (await alts(frame as unknown as Page))["framed"], "a picture in a frame");
      await panel.close();
    });

    test("a run is stopped, and again fills in the rest", async () => {
      const { panel, choose } = await openPanel("own held");
      await choose("fill");
      await page.waitForSelector("#own[alt]", { timeout: LATE });
      await panel.click("#stop");
      assert.equal((await ended(panel))[0], "stopped");
      assert.equal((await alts())["held"], null);
      await panel.click("#again");
      pictures.release();
      await panel.waitForFunction(() => document.getElementById("answer")?.textContent === "1 of 1 texts written.");
      assert.ok((await alts())["held"]);
      await panel.close();
    });
  });
});
