/** The page with a server in place of the device: its settings, its answers and its faults, against an endpoint whose answers are known. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { fill, keptRows, makeAlbum, stubFiles, written } from "./album-page.js";
import { askByKeyboard, drop, nextAnswer, openPage, problem } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startEndpoint, type Endpoint, type Manner } from "./fake-endpoint.js";
import { overHttps } from "./https-site.js";
import { startSite, type Site } from "./site.js";

inBrowsers("a server for the page", (browser) => {
  let site: Site;
  let endpoint: Endpoint;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    endpoint = await startEndpoint();
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(stubFiles);
    await openPage(tab, site.url);
  });
  afterEach(async () => {
    await tab?.close();
    await endpoint?.stop();
  });
  after(() => site?.stop());

  async function settings(): Promise<void> {
    await tab.run(() => (location.hash = "#/settings/server"));
    await until(tab, "the section", () => document.getElementById("server-use") !== null);
  }
  const set = (id: string, value: string) =>
    tab.run(
      ({ id, value }) => {
        const field = document.getElementById(id) as HTMLInputElement;
        field.value = value;
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      },
      { id, value },
    );
  const told = () => tab.run(() => document.getElementById("server-told")?.textContent?.trim() ?? "");
  /** The result of a test of the connection. */
  async function tested(address: string, key = ""): Promise<string> {
    await tab.run(() => (location.hash = "#/settings/about"));
    await until(tab, "the other section", () => document.getElementById("version") !== null);
    await settings();
    await set("server-address", address);
    await set("server-key", key);
    await tab.click("#server-test");
    await until(tab, "the result of the test", () => {
      const text = document.getElementById("server-told")?.textContent ?? "";
      return text !== "" && !text.startsWith("Testing");
    });
    return told();
  }
  async function connect(key = ""): Promise<void> {
    await settings();
    await set("server-address", endpoint.url);
    await set("server-key", key);
    await tab.click("#server-use");
    await until(tab, "the server is used", () => document.querySelector("#server .sent-to") !== null);
  }
  async function conversation(): Promise<void> {
    await tab.run(() => (location.hash = "#/"));
    await until(tab, "the composer says where questions go", () => document.querySelector("#composer .sent-to") !== null);
  }
  const isOf = (address: string) => address.startsWith(site.url) || address.startsWith(endpoint.url);
  const line = () => tab.run(() => document.querySelector("#composer .sent-to")?.textContent ?? null);
  async function reload(): Promise<void> {
    const address = await tab.run(() => location.href);
    await tab.goto("about:blank");
    await openPage(tab, address);
  }

  test("a picture and a question go to the server, the answer streams, and a reload keeps the choice but not the key beyond the tab", async () => {
    endpoint.key = "secret-key-0123456789";
    await connect(endpoint.key);
    await conversation();
    assert.match((await line()) ?? "", new RegExp(`sent to ${endpoint.url}`));
    assert.equal(await tab.run(() => document.querySelector("header p")?.textContent?.includes("on this device")), false);
    assert.equal(await tab.run(() => document.getElementById("model-name")?.textContent), "eye-1");

    await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
    assert.match(await nextAnswer(tab), /^You asked: Describe this picture/);
    const [first] = endpoint.asked;
    assert.deepEqual([first?.key, first?.body.model, first?.body.stream], [endpoint.key, "eye-1", true]);
    const parts = first?.body.messages[0]?.content;
    const url = Array.isArray(parts) ? (parts[0]?.image_url?.url ?? "") : "";
    const bytes = await tab.run(async () => (await (await fetch("models/demo/gallery/scene-01.png")).arrayBuffer()).byteLength);
    assert.equal(url.slice(0, 22), "data:image/png;base64,");
    assert.equal(Buffer.from(url.split(",")[1] ?? "", "base64").length, bytes);
    for (const own of ["truncation", "enable_thinking"]) assert.ok(!(own in (first?.body ?? {})), `${own} is known to this project alone`);

    await reload();
    await until(tab, "the server is used again", () => document.querySelector("#composer .sent-to") !== null);
    await askByKeyboard(tab, "größer?");
    assert.equal(await nextAnswer(tab, 1), "You asked: größer?");
    assert.equal(endpoint.asked[1]?.key, endpoint.key);
    assert.equal(endpoint.asked[1]?.body.messages.length, 3, "the conversation is sent");

    const other = await tab.another();
    await other.goto(site.url);
    assert.deepEqual(await problem(other).then(({ code, text }) => [code, /refuses the key/.test(text)]), ["io", true]);
    assert.equal(await other.run(() => JSON.stringify(localStorage).includes("secret-key")), false);
    await until(other, "the server stays chosen", () => document.querySelector("#composer .sent-to") !== null);
    await other.click("#composer .sent-to button");
    await until(other, "the device answers", () => document.querySelector("#composer .sent-to") === null);
    const elsewhere = tab.requests.filter((address) => !/^(about|blob|data):/.test(address) && !isOf(address));
    assert.deepEqual(elsewhere, [], "no request goes to a third site");
    assert.ok(tab.requests.includes(`${endpoint.url}v1/chat/completions`), "requests of workers are seen");
    assert.deepEqual(tab.faults, []);
  });

  test("the key is kept over tabs if the user agrees, and one button returns to this device", async () => {
    endpoint.key = "secret-key-0123456789";
    await settings();
    await tab.click("#server-keeps-key");
    await connect(endpoint.key);
    const other = await tab.another();
    await openPage(other, site.url);
    await until(other, "the server is used", () => document.querySelector("#composer .sent-to") !== null);
    await conversation();
    await tab.click("#composer .sent-to button");
    await until(tab, "the device answers", () => document.querySelector("#composer .sent-to") === null);
    await until(tab, "the demo model is loaded", () => document.querySelector<HTMLElement>("#load")?.hidden === true);
    await askByKeyboard(tab, "short");
    assert.equal(await nextAnswer(tab), "A short answer.");
    assert.equal(endpoint.asked.length, 0);
    assert.equal(await tab.run(() => JSON.stringify([localStorage, sessionStorage]).includes("secret-key")), false);
    await reload();
    assert.equal(await line(), null);
  });

  test("Stop ends the request, and what was said stays", async () => {
    await connect();
    await conversation();
    endpoint.manner = "endless";
    await askByKeyboard(tab, "forever");
    await until(tab, "the first words", () => document.querySelector("#underway .words")?.textContent);
    await tab.click("#stop");
    assert.match(await nextAnswer(tab), /^You as(word ?)*/);
    const deadline = Date.now() + 20_000;
    while (endpoint.left === 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    // Firefox, where a service worker sees the request, ends it with the next word.
    assert.equal(endpoint.left, 1, "the server sees that the client has gone");
  });

  test("a fault in the middle of an answer is told, and the question can be asked again", async () => {
    await connect();
    await conversation();
    for (const manner of ["halfway", "fault"] as const) {
      endpoint.manner = manner;
      await askByKeyboard(tab, manner);
      assert.match((await problem(tab)).text, /ended the answer early/);
      await until(tab, "a way to try again", () => document.querySelector("#log .unanswered button") !== null);
      assert.match(await tab.run(() => document.querySelector("#log .unanswered")?.textContent ?? ""), /ended the answer early/);
      endpoint.manner = "answers";
      await tab.click("#log .unanswered button");
      await until(tab, "the answer", (asked) => document.querySelector("#log")?.textContent?.includes(`You asked: ${asked}`), manner);
      await tab.click("#new-conversation");
    }
    endpoint.manner = "busy";
    await askByKeyboard(tab, "busy");
    assert.match((await problem(tab)).text, /busy, or a limit/);
  });

  test("a test of the connection tells the reason why it fails", async () => {
    await settings();
    const reasons: [Manner, RegExp][] = [
      ["missing", /does not have this address or model/],
      ["busy", /busy, or a limit is reached/],
      ["whole", /does not send answers as a stream/],
      ["redirects", /No answer comes from this server/],
      ["refusesPages", /No answer comes.*CORS/],
    ];
    for (const [manner, reason] of reasons) {
      endpoint.manner = manner;
      assert.match(await tested(endpoint.url), reason, manner);
    }
    endpoint.manner = "answers";
    for (const address of ["", "not an address", "ftp://localhost/", "http://user:word@localhost/", "http://", "javascript:alert(1)"]) {
      assert.match(await tested(address), /not the address of a server/, address);
    }
    assert.match(await tested(endpoint.url, "ключ"), /characters that no key has/);
    assert.match(await tested("localhost:9"), /No answer comes from this server/);
    endpoint.key = "right";
    assert.match(await tested(endpoint.url, "wrong"), /refuses the key/);
    for (const way of ["v1", "v1/", "v1/models", "#key=right", "v1/chat/completions#key=right"]) {
      assert.match(await tested(endpoint.url + way, way.includes("#") ? "" : "right"), /^The server answers/, way);
    }
    assert.match(await tested(`${endpoint.url}#key=%E0%A4%A`), /refuses the key/, "a malformed fragment is a key like any other");
    assert.equal(endpoint.asked.length, 0);
    assert.equal(await line(), null, "a test alone changes nothing");
  });

  test("a page over https says that it may not ask a server over http, except on this machine, and asks nothing", async () => {
    const secure = await overHttps(site.url);
    try {
      await tab.goto("about:blank");
      await openPage(tab, secure.url);
      assert.match(
        await tested("http://192.168.178.20:8080/"),
        /opened over https may not ask a server over http.*Use an address with https/,
      );
      assert.match(await tested("10.0.0.5:8080"), /opened over https may not ask a server over http/, "numbers alone mean http");
      await set("server-address", "http://printer.example/v1");
      await tab.click("#server-use");
      await until(tab, "the reason", () => /opened over https/.test(document.getElementById("server-told")?.textContent ?? ""));
      assert.equal(await line(), null, "the device stays in use");
      assert.deepEqual(
        tab.requests.filter((address) => address.startsWith("http://") && !isOf(address)),
        [],
      );
      assert.match(await tested(endpoint.url), /^The server answers/, "browsers allow http to this machine");
    } finally {
      await tab.goto("about:blank");
      await secure.stop();
    }
  });

  test("the keyboard reaches the whole section, and Enter uses the server", async () => {
    await settings();
    // The view gives it the focus after it is drawn.
    await until(tab, "the heading has the focus", () => document.activeElement?.id === "settings-heading");
    await tab.run(() => document.getElementById("server-address")?.focus());
    await tab.type(endpoint.url);
    const reached: string[] = [];
    for (let step = 0; step < 4; step++) {
      await tab.press("Tab");
      reached.push(await tab.run(() => document.activeElement?.id ?? ""));
    }
    assert.deepEqual(reached, ["server-key", "server-keeps-key", "server-use", "server-test"]);
    await tab.run(() => document.getElementById("server-key")?.focus());
    await tab.press("Enter");
    await until(tab, "the server is used", () => document.querySelector("#server .sent-to") !== null);
    await tab.run(() => document.querySelector<HTMLElement>("#server .sent-to button")?.focus());
    await tab.press("Enter");
    await until(tab, "the device answers", () => document.querySelector(".sent-to") === null);
  });

  test("an album is written by the server, one picture at a time", async () => {
    await connect();
    await fill(tab, { "one.png": { from: "models/demo/gallery/scene-01.png" }, "two.png": { from: "models/demo/gallery/scene-02.png" } });
    await makeAlbum(tab);
    await written(tab, 2);
    for (const { alt } of await keptRows(tab)) assert.match(alt, /^You asked/);
    assert.ok(endpoint.asked.every(({ body }) => body.model === "eye-1" && !body.stream));
  });
});
