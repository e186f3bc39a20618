/** The page that `ocelli serve` sends, with its own engine. The command must have the page in it: `./build.sh command`. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { WANTED } from "./client-page.js";
import { askByKeyboard, nextAnswer, openPage, problem } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startServer, type ModelServer } from "./model-server.js";

const KEY = "key-of-16-signs:%&#";
const scene = readFileSync("models/demo/gallery/scene-01.png").toString("base64");

/** An address of this machine that is not its own alone: pages from there have no secure context. */
const near = Object.values(networkInterfaces())
  .flatMap((all) => all ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;

inBrowsers("the page of ocelli serve", (browser) => {
  let server: ModelServer;
  let tab: Tab;
  let origin: string;
  before(async () => {
    server = await startServer({ key: KEY, more: ["--host", "0.0.0.0"] });
    origin = server.baseURL.replace("0.0.0.0", "localhost").replace("/v1", "/");
    assert.match(await (await fetch(origin)).text(), /<meta name="ocelli-server"/, "the command has no page: ./build.sh command");
  });
  beforeEach(async () => {
    tab = await browser().newTab();
  });
  afterEach(() => tab?.close());
  after(() => server?.stop());

  const link = (at: string, key = encodeURIComponent(KEY)) => `${at}#key=${key}`;
  /** Asks about a picture, without sampling. */
  async function describe(): Promise<string> {
    await tab.run(() => (location.hash = "#/settings/answers"));
    await until(tab, "the temperature", () => {
      const field = document.getElementById("temperature") as HTMLInputElement | null;
      if (!field) return false;
      field.value = "0";
      field.dispatchEvent(new Event("change", { bubbles: true }));
      return true;
    });
    await tab.run(() => (location.hash = "#/"));
    await until(tab, "the composer", () => document.getElementById("describe-at-once") !== null);
    await tab.click("#describe-at-once");
    await tab.run((scene) => {
      const bytes = Uint8Array.from(atob(scene), (letter) => letter.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], "scene.png"));
      document.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    }, scene);
    await until(tab, "the picture waits", () => document.querySelectorAll("#tray li").length === 1);
    await askByKeyboard(tab, "Describe this image.");
    return nextAnswer(tab);
  }

  test("a link enters the key once, the server's engine answers about a picture, and no request goes elsewhere", async () => {
    await openPage(tab, link(origin));
    assert.equal(await tab.run(() => location.href), `${origin}#/`, "the key is not in the address");
    assert.equal(await tab.run(() => document.getElementById("model-name")?.textContent), "demo");
    assert.match(await tab.run(() => document.querySelector("#composer .sent-to")?.textContent ?? ""), new RegExp(origin));
    assert.equal(await tab.run(() => document.querySelector("#composer .sent-to button")), null, "there is no engine beside it");
    assert.equal(await describe(), WANTED);
    await tab.run(() => (location.hash = "#key=another"));
    await until(tab, "a new link is followed", () => /refuses the key/.test(document.getElementById("problem")?.textContent ?? ""));
    assert.equal(await tab.run(() => location.href), `${origin}#/`);
    const others = tab.requests.filter((address) => !address.startsWith(origin) && !/^(blob|data):/.test(address));
    assert.deepEqual(others, []);
    assert.ok(
      tab.requests.some((address) => address.endsWith("/v1/chat/completions")),
      "requests of workers are seen",
    );
    assert.equal(await tab.run(async () => (await navigator.serviceWorker?.getRegistrations())?.length ?? 0), 0);
    assert.deepEqual(tab.faults, []);
  });

  test("without the key, or with a malformed one, the page says so and takes it in the settings", async () => {
    for (const address of [origin, link(origin, "%E0%A4%A")]) {
      await tab.goto("about:blank");
      await tab.goto(address);
      assert.match((await problem(tab)).text, /refuses the key/);
    }
    await tab.run(() => (location.hash = "#/settings/server"));
    await until(tab, "the section", () => document.getElementById("server-key") !== null);
    assert.equal(await tab.run(() => document.getElementById("server-address")), null, "the address is that of the page");
    await tab.run((key) => {
      const field = document.getElementById("server-key") as HTMLInputElement;
      field.value = key;
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    }, `${KEY}x`);
    await tab.click("#server-test");
    await until(tab, "the reason", () => /refuses the key/.test(document.getElementById("server-told")?.textContent ?? ""));
    assert.deepEqual(tab.faults, []);
  });

  test("another device of the network opens it over http", { skip: near === undefined && "this machine is in no network" }, async () => {
    const address = origin.replace("localhost", near ?? "");
    await openPage(tab, link(address));
    assert.equal(await tab.run(() => isSecureContext), false);
    assert.equal(await describe(), WANTED);
    assert.deepEqual(tab.faults, []);
  });
});
