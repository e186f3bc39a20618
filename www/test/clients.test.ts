/** Anthropic's and LangChain's own clients, unmodified, over `engine.fetch`. `tests/clients` runs them against `ocelli serve`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { addScript, PICTURE, WANTED } from "./client-page.js";
import { inBrowsers, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

type Clients = typeof import("./clients-page.js");

interface Kept {
  clients: Clients;
}

const GREETING = "Hello! Please show me a picture.";
const SHAPES = ["circle", "star"];

inBrowsers("clients", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    await addScript(site, "/test/clients.js", { file: "test/clients-page.ts" });
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/blank.html`);
    await tab.run(async () => {
      const clients = (await import("/test/clients.js" as string)) as Clients;
      await clients.load();
      Object.assign(window, { clients });
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  for (const client of ["anthropic", "langchain"] as const) {
    const call = <Result>(act: (given: { client: "anthropic" | "langchain"; url: string }) => Promise<Result>) =>
      tab.run(act, { client, url: PICTURE });

    test(`${client}: chats are the engine's, also those that are cut, streamed and about a picture`, async () => {
      const told = await call(({ client, url }) => (window as unknown as Kept).clients[client].chats(url));
      assert.deepEqual([told.text, told.cutTokens], [GREETING, 3]);
      assert.equal(told.pieces.join(""), GREETING);
      assert.ok(told.pieces.length >= 4);
      assert.equal(told.described, WANTED);
      assert.equal(told.promptTokens, told.counted);
    });

    test(`${client}: calls and objects fit their schemas, and a result may be a picture`, async () => {
      const told = await call(({ client, url }) => (window as unknown as Kept).clients[client].tools(url));
      assert.equal(told.name, "paint");
      for (const { shape, count } of [told.args, told.object]) assert.ok(SHAPES.includes(shape) && [1, 2, 3].includes(count));
      assert.match(told.after, /\w/);
      const { seen, unseen } = told;
      assert.ok(seen.promptTokens > unseen.promptTokens && seen.text !== unseen.text, JSON.stringify(told));
    });

    test(`${client}: an abort ends a stream, and the engine answers the next request`, async () => {
      const told = await call(({ client }) => (window as unknown as Kept).clients[client].abort());
      assert.match(told.name, /abort/i);
      assert.ok(told.pieces > 0 && told.pieces < 450, `${told.pieces}`);
      assert.equal(told.next, GREETING);
    });
  }

  test("Anthropic's errors have its types", async () => {
    const told = await tab.run(() => (window as unknown as Kept).clients.refusals());
    assert.deepEqual(told, [
      { isNamed: true, status: 400, type: "invalid_request_error" },
      { isNamed: true, status: 400, type: "invalid_request_error" },
    ]);
  });
});
