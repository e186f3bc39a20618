/** Conversations that are opened while another one is still being read. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { askByKeyboard, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

/** Runs in the page: reads of the messages of the conversation `slow` take longer than others, and are counted in `read`. */
function slowReads(): void {
  const reads = Object.assign(window as unknown as { slow: string; read: number }, { slow: "", read: 0 });
  const { getAll } = IDBIndex.prototype;
  IDBIndex.prototype.getAll = function (this: IDBIndex, ...given: Parameters<typeof getAll>) {
    const request = getAll.apply(this, given);
    if (reads.slow === "" || given[0] !== reads.slow) return request;
    const listen = request.addEventListener.bind(request) as (type: string, listener: (event: Event) => void) => void;
    request.addEventListener = (type: string, listener: unknown) =>
      listen(type, (event) =>
        setTimeout(() => {
          (listener as (event: Event) => void)(event);
          if (type === "success") reads.read += 1;
        }, 500),
      );
    return request;
  };
}

inBrowsers("opening", (browser) => {
  let site: Site;
  let tab: Tab;
  /** Addresses of two conversations, of which the second one is open. */
  let first: string;
  let second: string;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(slowReads);
    await openPage(tab, site.url);
    await tab.viewport(1440, 900);
    const asked = async (question: string) => {
      await askByKeyboard(tab, question);
      await nextAnswer(tab);
      return tab.run(() => location.hash);
    };
    first = await asked("echo: first");
    await tab.click("#new-conversation");
    second = await asked("echo: second");
    assert.notEqual(first, second);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  const shows = (question: string, address: string) =>
    until(
      tab,
      question,
      ({ question, address }) =>
        document.querySelector("#log .words")?.textContent === question &&
        document.querySelector("#rail [aria-current]")?.getAttribute("href") === address &&
        location.hash === address,
      { question, address },
      30,
    );

  test("an open conversation gives way to another one from the list, and to the one before in the history", async () => {
    await tab.click(`#rail a[href="${first}"]`);
    await shows("echo: first", first);
    await tab.run(() => history.back());
    await shows("echo: second", second);
    await tab.run((first) => (location.hash = first), first);
    await shows("echo: first", first);
  });

  test("a conversation that is read slowly does not take the place of one opened later", async () => {
    await tab.run(
      async ({ first, second }) => {
        (window as unknown as { slow: string }).slow = first.replace("#/c/", "");
        for (const address of [first, second]) {
          const changed = new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));
          location.hash = address;
          await changed;
        }
      },
      { first, second },
    );
    await until(tab, "the first one is read", () => (window as unknown as { read: number }).read > 0, undefined, 30);
    // A change of what is shown would follow at once.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await shows("echo: second", second);
  });
});
