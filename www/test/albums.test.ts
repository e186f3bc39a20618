/** Albums of the page: what is written, kept and exported, over kills, reloads, tabs and faults. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { download, fill, keptRows, makeAlbum, stubFiles, written, type KeptRow } from "./album-page.js";
import { askByKeyboard, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

/** Requests that the fake worker has seen, and its pace. */
interface Faked {
  described: { file: string; turns: string[] }[];
  pace: { delayMs: number; isHeld: boolean; isLost: boolean };
}

const setPace = (tab: Tab, pace: Partial<Faked["pace"]>) =>
  tab.run((pace) => void Object.assign((window as unknown as Faked).pace, pace), pace);
const described = (tab: Tab) => tab.run(() => (window as unknown as Faked).described);
/** Requests that the fake worker has seen, once none has come for a second: a row whose file was being read may still have come. */
async function settled(tab: Tab): Promise<number> {
  let count = -1;
  for (let quiet = 0; quiet < 20; quiet++) {
    const now = (await described(tab)).length;
    if (now !== count) quiet = 0;
    count = now;
    await sleep(50);
  }
  return count;
}
const state = (tab: Tab) => tab.run(() => document.getElementById("album-state")?.dataset["state"]);
const press = (tab: Tab, key: string) =>
  tab.run((key) => {
    const { activeElement } = document;
    activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  }, key);

inBrowsers("albums", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await prepare(tab);
    await openPage(tab, site.url);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  async function prepare(tab: Tab): Promise<void> {
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(stubFiles);
  }

  /** The page again, at the address that it has. */
  async function reload(): Promise<void> {
    const address = await tab.run(() => location.href);
    await tab.goto("about:blank");
    await openPage(tab, address);
  }

  test("a folder becomes an album: paths are kept, other files are left out, each picture gets its text", async () => {
    await fill(tab, {
      "b.png": "picture b",
      "sub/a.jpg": "picture a",
      "sub/deep/c.webp": "picture c",
      "notes.txt": "no picture",
      "empty.png": "",
      "broken.png": "broken",
      "line.png": "ornament",
      "talk.png": "verbose",
      ".hidden.png": "hidden",
    });
    await tab.run(() => (location.hash = "#/albums"));
    await until(tab, "the list", () => document.getElementById("new-album-open") !== null);
    await tab.click("#new-album-open");
    await until(tab, "the dialog", () => document.querySelector<HTMLDialogElement>("#new-album")?.open);
    await tab.click("#album-folder");
    await until(tab, "files are left out", () => document.querySelector(".left-out summary") !== null);
    assert.equal(await tab.run(() => document.querySelector(".left-out summary")?.textContent), "2 files are left out");
    const reasons = await tab.run(() => [...document.querySelectorAll(".left-out li")].map((item) => item.textContent).sort());
    assert.deepEqual(reasons, ["empty.png: the file is empty", "notes.txt: not a picture"]);
    await tab.click("#album-make");
    await until(tab, "the album is open", () => document.getElementById("album-rows") !== null);
    await written(tab, 6);
    const rows = new Map((await keptRows(tab)).map((row) => [row.path, row]));
    assert.deepEqual([...rows.keys()], ["b.png", "broken.png", "line.png", "sub/a.jpg", "sub/deep/c.webp", "talk.png"]);
    assert.match(rows.get("sub/a.jpg")?.alt ?? "", /^A text about picture a \w+$/, "quotation marks around the whole are taken off");
    const { state, alt, error } = rows.get("broken.png") as KeptRow;
    assert.deepEqual([state, alt, error?.code], ["failed", "", "invalid-image"]);
    const line = rows.get("line.png") as KeptRow;
    assert.deepEqual([line.alt, line.isDecorative, line.maybeDecorative], ["", false, true], "decorative is suggested only");
    assert.equal(rows.get("talk.png")?.alt, "A short one.");
    const [first] = await described(tab);
    assert.match(first?.turns[0] ?? "", /^Describe this image/);
    await until(tab, "the run has ended", () => document.getElementById("album-state")?.dataset["state"] === "idle");
    assert.equal(await tab.run(() => document.querySelectorAll("#album-strip li").length), 0);
    assert.deepEqual(tab.faults, []);
  });

  test("texts of files are kept, unless another one is asked for", async () => {
    const packet =
      '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" ' +
      'xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" Iptc4xmpCore:AltTextAccessibility="A text of the file"/></rdf:RDF></x:xmpmeta>';
    const app1 = Buffer.concat([Buffer.from("http://ns.adobe.com/xap/1.0/\0"), Buffer.from(packet)]);
    const length = app1.length + 2;
    const jpeg = Buffer.concat([
      Buffer.from([0xff, 0xd8, 0xff, 0xe1, length >> 8, length & 255]),
      app1,
      Buffer.from([0xff, 0xda, 0, 2, 0xff, 0xd9]),
    ]);
    await fill(tab, { "known.jpg": { bytes: [...jpeg] }, "new.jpg": "picture" });
    await makeAlbum(tab);
    await written(tab, 2);
    const [known] = await keptRows(tab);
    assert.deepEqual([known?.alt, known?.had, (await described(tab)).length], ["A text of the file", "A text of the file", 1]);
    await tab.run(() => document.querySelector<HTMLElement>(".album-row")?.focus());
    await press(tab, "r");
    await until(tab, "it is asked for", () => (window as unknown as Faked).described.length === 2);
    await written(tab, 2);
    assert.match((await keptRows(tab))[0]?.alt ?? "", /^A text about /);
  });

  test("it is reviewed by keyboard, and edits by hand are not replaced without a question", async () => {
    await fill(tab, Object.fromEntries(Array.from({ length: 5 }, (_, at) => [`p${at}.png`, `picture ${at}`])));
    await makeAlbum(tab);
    await written(tab, 5);
    await tab.run(() => document.querySelector<HTMLElement>(".album-row")?.focus());
    const at = () =>
      tab.run(() => (document.activeElement as HTMLElement).closest<HTMLElement>(".album-row")?.querySelector(".row-path")?.textContent);
    await press(tab, "j");
    await until(tab, "the next row has the focus", () => /p1/.test(document.activeElement?.getAttribute("aria-label") ?? ""));
    await press(tab, " ");
    await until(tab, "it is selected", () => document.getElementById("selection")?.textContent?.includes("1 selected"));
    await press(tab, "x");
    await until(tab, "it is decorative", () => document.querySelector<HTMLTextAreaElement>(".album-row:nth-child(3) textarea")?.disabled);
    await press(tab, "x");
    await press(tab, "k");
    await until(tab, "the first row has the focus", () => /p0/.test(document.activeElement?.getAttribute("aria-label") ?? ""));
    await press(tab, "Enter");
    await until(tab, "its text has the focus", () => document.activeElement?.tagName === "TEXTAREA");
    await tab.run(() => (document.activeElement as HTMLTextAreaElement).select());
    await tab.type("Written by hand");
    await tab.run(() =>
      document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true, cancelable: true })),
    );
    await until(tab, "the next text has the focus", () => /p1/.test(document.activeElement?.getAttribute("aria-label") ?? ""));
    assert.equal(await at(), "p1.png");
    const [first] = await keptRows(tab);
    assert.deepEqual([first?.alt, first?.state, first?.isByHand], ["Written by hand", "reviewed", true]);

    await press(tab, "Escape");
    await press(tab, "k");
    await press(tab, "r");
    await until(tab, "it asks", () => document.querySelector<HTMLDialogElement>("#ask-again")?.open);
    await tab.click("#again-keep");
    await until(tab, "the dialog is gone", () => !document.getElementById("ask-again"));
    assert.equal((await keptRows(tab))[0]?.alt, "Written by hand");
    await until(tab, "the focus is back", () => /p0/.test(document.activeElement?.getAttribute("aria-label") ?? ""));
    await press(tab, "r");
    await until(tab, "it asks again", () => document.querySelector<HTMLDialogElement>("#ask-again")?.open);
    await tab.click("#again-replace");
    await until(tab, "it is written again", () => (window as unknown as Faked).described.length === 6);
    await written(tab, 5);
    assert.match((await keptRows(tab))[0]?.alt ?? "", /^A text about picture 0/);
    // The way back.
    await tab.run(() => document.querySelector<HTMLButtonElement>(".undo button")?.click());
    await until(tab, "it is back", () => document.querySelector<HTMLTextAreaElement>(".album-row textarea")?.value === "Written by hand");
    const counts = await tab.run(() => [...document.querySelectorAll("#filters [data-filter]")].map((button) => button.textContent));
    assert.deepEqual(counts, ["All 5", "Waiting 0", "To review 4", "Flagged 0", "Failed 0", "Decorative 0"]);
  });

  test("a person's question is answered before the rest, and a run pauses, resumes and survives a reload", async () => {
    await fill(tab, Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`p${at}.png`, `picture ${at}`])));
    await setPace(tab, { delayMs: 60 });
    await makeAlbum(tab);
    await until(tab, "some are written", () => (window as unknown as Faked).described.length >= 4);
    await tab.run(() => (location.hash = "#/"));
    await until(tab, "the conversation", () => document.getElementById("question") !== null);
    assert.match(await tab.run(() => document.title), /^\(\d+ %\) Holiday – Ocelli$/);
    await askByKeyboard(tab, "endless");
    await until(tab, "it is being answered", () => document.querySelector("#underway .words")?.textContent);
    await until(tab, "the album waits", () =>
      /Continues when your answer is done/.test(document.getElementById("album-strip")?.textContent ?? ""),
    );
    const before = await settled(tab);
    await tab.run(() => new Promise((resolve) => setTimeout(resolve, 500)));
    assert.equal((await described(tab)).length, before, "no row is begun while a person waits");
    assert.ok(before < 40, "rows are left");
    await tab.press("Escape");
    await until(tab, "it continues", (before) => (window as unknown as Faked).described.length > before + 3, before);

    await tab.run(() => document.querySelector<HTMLButtonElement>("#album-strip button")?.click());
    await until(tab, "it is paused", () => document.querySelectorAll("#album-strip li").length === 0);
    const paused = await settled(tab);
    await tab.run(() => new Promise((resolve) => setTimeout(resolve, 300)));
    assert.equal((await described(tab)).length, paused);
    assert.ok(paused < 40, "rows are left");
    await tab.run(() => history.back());
    await until(tab, "the album", () => document.getElementById("album-run") !== null);
    await tab.click("#album-run");
    await until(tab, "it runs", (paused) => (window as unknown as Faked).described.length > paused, paused);
    await reload();
    await until(tab, "the album is offered", () => document.getElementById("album-state")?.dataset["state"] === "begun");
    await tab.click("#album-run");
    await written(tab, 40);
    const rows = await keptRows(tab);
    assert.equal(new Set(rows.map(({ alt }) => alt)).size, 40);
  });

  test("a device that is lost stops the run, which resumes; three rows with the same fault do, too", async () => {
    await fill(tab, Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`p${at}.png`, at > 3 ? `faulty ${at}` : `picture ${at}`])));
    await setPace(tab, { delayMs: 30, isLost: true });
    await makeAlbum(tab);
    await until(tab, "it has stopped", () => document.getElementById("album-state")?.dataset["state"] === "failed");
    assert.equal(await tab.run(() => document.querySelector<HTMLElement>("#album-state .problem")?.dataset["code"]), "device-lost");
    assert.equal((await keptRows(tab)).filter(({ state }) => state === "waiting").length, 8, "no row is blamed");
    await setPace(tab, { isLost: false });
    await tab.click("#album-run");
    await until(
      tab,
      "the faults stop it",
      () => document.querySelector<HTMLElement>("#album-state .problem")?.dataset["code"] === "internal",
    );
    const states = (await keptRows(tab)).map(({ state }) => state);
    // Two are asked for at a time, so the three that stop it may be any of the last four.
    assert.deepEqual(states.slice(0, 4), ["done", "done", "done", "done"]);
    const rest = states.slice(4);
    assert.ok(rest.filter((state) => state === "failed").length >= 3 && !rest.includes("done"), rest.join());
  });

  test("files that are gone are told, and found again with the folder", async () => {
    await fill(tab, { "a.png": "picture a", "b.png": "picture b" });
    await setPace(tab, { delayMs: 600_000 });
    await makeAlbum(tab);
    await until(tab, "it runs", () => (window as unknown as Faked).described.length > 0);
    await tab.click("#album-run");
    await setPace(tab, { delayMs: 10 });
    await tab.run(async () => (await (await navigator.storage.getDirectory()).getDirectoryHandle("Holiday")).removeEntry("b.png"));
    await tab.click("#album-run");
    await written(tab, 2);
    assert.deepEqual(
      (await keptRows(tab)).map(({ state }) => state),
      ["done", "missing"],
    );
    await fill(tab, { "b.png": "picture b" });
    await until(tab, "the folder can be opened again", () => document.querySelector("#find-again button") !== null);
    await tab.click("#find-again button");
    await until(tab, "it is found", () => !document.getElementById("find-again"));
    await tab.click("#album-run");
    await written(tab, 2);
    assert.match((await keptRows(tab))[1]?.alt ?? "", /picture b/);
  });

  test("single files are copied, and last over a reload", async () => {
    await tab.run(() => (location.hash = "#/albums"));
    await until(tab, "the list", () => document.getElementById("new-album-open") !== null);
    await setPace(tab, { delayMs: 5000 });
    await tab.run(() => {
      const transfer = new DataTransfer();
      for (const name of ["one.png", "two.png"]) transfer.items.add(new File([`picture ${name}`], name, { type: "image/png" }));
      document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    });
    await until(tab, "they are listed", () => document.querySelector<HTMLButtonElement>("#album-make")?.disabled === false);
    await tab.click("#album-make");
    await until(tab, "the album is open", () => document.getElementById("album-rows") !== null);
    await reload();
    await until(tab, "it can continue", () => document.getElementById("album-run") !== null);
    await tab.click("#album-run");
    await written(tab, 2);
    assert.match((await keptRows(tab))[1]?.alt ?? "", /picture two.png/);
    // The conversation did not take them.
    assert.equal(await tab.run(() => document.querySelectorAll("#tray li").length), 0);
  });

  test("killed at random moments, each picture is written once, and edits by hand stay", async () => {
    const total = 60;
    await fill(tab, Object.fromEntries(Array.from({ length: total }, (_, at) => [`p${at}.png`, `picture ${at}.`])));
    // A tab stays, so that the profile does.
    let current = await tab.another();
    await prepare(current);
    await openPage(current, site.url);
    await setPace(current, { delayMs: 20 });
    await makeAlbum(current);
    const address = await current.run(() => location.href);
    let seed = 11;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    let known = new Map<string, KeptRow>();
    for (let round = 0; round < 8; round++) {
      await current.run((ms) => new Promise((resolve) => setTimeout(resolve, ms)), 400 * random());
      // Edits by hand, of rows that are written and of rows that wait.
      const edited = await current.run(() => {
        const fields = [...document.querySelectorAll<HTMLTextAreaElement>(".album-row textarea:not(:disabled)")];
        const field = fields[Math.floor(Math.random() * fields.length)];
        if (!field) return "";
        field.value = `By hand ${Math.random()}`;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        return field.value;
      });
      while (!(await keptRows(current)).some(({ alt }) => alt === edited)) await new Promise((resolve) => setTimeout(resolve, 20));
      await current.kill();
      if (browser().name === "Chromium") {
        await current.closeAlone();
        current = await tab.another();
        await prepare(current);
      }
      await openPage(current, address);
      await until(current, "the rows are there", () => document.querySelectorAll(".album-row").length > 0);
      const rows = new Map((await keptRows(current)).map((row) => [row.path, row]));
      assert.ok(
        [...rows.values()].some(({ alt }) => alt === edited),
        "the edit is kept",
      );
      for (const [path, { alt, isByHand }] of known) {
        const now = rows.get(path);
        assert.ok(now?.alt === alt || now?.isByHand, `round ${round}: ${path} was “${alt}”, and is “${now?.alt ?? ""}”`);
        if (isByHand) assert.ok(now?.isByHand);
      }
      known = new Map([...rows].filter(([, { state }]) => state === "done"));
      await setPace(current, { delayMs: 20 });
      await until(
        current,
        "it can continue or is complete",
        () => document.getElementById("album-run") !== null || /Waiting 0/.test(document.getElementById("filters")?.textContent ?? ""),
      );
      await current.run(() => document.querySelector<HTMLButtonElement>("#album-run")?.click());
    }
    await written(current, total);
    const rows = await keptRows(current);
    assert.equal(rows.length, total);
    assert.equal(new Set(rows.map(({ alt }) => alt)).size, total);
    for (const [at, { alt, isByHand }] of rows.entries()) if (!isByHand) assert.ok(alt.startsWith(`A text about picture ${at}.`), alt);
  });

  test("of two tabs one writes the album, and the other follows", async () => {
    await fill(tab, Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`p${at}.png`, `picture ${at}`])));
    await setPace(tab, { isHeld: true });
    await makeAlbum(tab);
    const other = await tab.another();
    await prepare(other);
    await openPage(other, await tab.run(() => location.href));
    await until(other, "it is told", () => document.getElementById("album-state")?.dataset["state"] === "elsewhere");
    assert.equal(await other.run(() => document.querySelector<HTMLButtonElement>("#album-run")?.disabled), true);
    await setPace(tab, { isHeld: false });
    await written(tab, 20);
    await written(other, 20);
    assert.deepEqual([(await described(tab)).length, (await described(other)).length], [20, 0]);
    await until(other, "the other tab may write it", () => document.getElementById("album-state")?.dataset["state"] === "idle");
    await other.closeAlone();
  });

  test("1,000 rows are opened, filtered and reviewed to the end within the budget", async () => {
    await tab.run(async () => {
      const open = indexedDB.open("ocelli");
      await new Promise((resolve) => (open.onsuccess = resolve));
      const change = open.result.transaction(["albums", "albumRows"], "readwrite");
      const albums = { many: 1000, few: 20 };
      const task = { writes: ["alt"], language: "en", context: "", isLong: false, keepsAlts: true, detail: "auto" };
      const album = {
        createdAt: 1,
        updatedAt: 1,
        task,
        folder: null,
        keeping: "copies",
        isStarted: false,
        deletedAt: null,
      };
      for (const id of Object.keys(albums)) change.objectStore("albums").put({ id, title: id, ...album });
      const rest = {
        bytes: 1,
        modified: 1,
        picture: null,
        width: 0,
        height: 0,
        isDecorative: false,
        maybeDecorative: false,
        long: "",
        caption: "",
      };
      const more = {
        words: "",
        language: "en",
        context: "",
        isByHand: false,
        had: null,
        model: null,
        usage: null,
        error: null,
        updatedAt: 1,
      };
      for (const [album, count] of Object.entries(albums)) {
        for (let at = 0; at < count; at++) {
          const state = at % 10 === 0 ? "reviewed" : "done";
          const alt = `A text of a usual length about the picture number ${at}, which shows something.`;
          change.objectStore("albumRows").put({
            id: album === "many" ? `row${at}` : `${album}${at}`,
            album,
            order: at,
            path: `${at}.png`,
            state,
            alt,
            flags: at % 100 ? [] : ["long"],
            ...rest,
            ...more,
          });
        }
      }
      await new Promise((resolve) => (change.oncomplete = resolve));
      open.result.close();
    });
    type Times = Record<"open" | "flagged" | "all" | "end", number>;
    /** Milliseconds of each step in an album, and the most rows in the document. */
    const review = async (album: string, flagged: number, last: string): Promise<Times & { most: number }> => {
      await tab.run(() => (location.hash = "#/albums"));
      await until(tab, "the list", (album) => document.querySelector(`#albums a[href="#/albums/${album}"]`) !== null, album);
      const act = async ({ album, flagged: wanted, last }: { album: string; flagged: number; last: string }) => {
        const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
        const timed = async (act: () => void, isDone: () => boolean) => {
          const begin = performance.now();
          act();
          while (!isDone()) await frame();
          return Math.round(performance.now() - begin);
        };
        const most: number[] = [];
        const rows = () => [...document.querySelectorAll<HTMLElement>(".album-row")];
        const observer = new MutationObserver(() => most.push(rows().length));
        observer.observe(document.body, { childList: true, subtree: true });
        const filter = (name: string) => document.querySelector<HTMLButtonElement>(`[data-filter="${name}"]`)?.click();
        const open = await timed(
          () => document.querySelector<HTMLElement>(`#albums a[href="#/albums/${album}"]`)?.click(),
          () => rows().length > 0,
        );
        const flagged = await timed(
          () => filter("flagged"),
          () => rows().length === wanted,
        );
        const all = await timed(
          () => filter("all"),
          () => rows().length > wanted,
        );
        const end = await timed(
          () => scrollTo(0, document.documentElement.scrollHeight),
          () => rows().at(-1)?.dataset["id"] === last,
        );
        observer.disconnect();
        return { open, flagged, all, end, most: Math.max(...most) };
      };
      return tab.run(act, { album, flagged, last });
    };
    // Up to six visits, since the machine does other things, too: in one of them every time is within the budget, or at most four times
    // that of 20 rows in the same visit.
    const visits: string[] = [];
    let isWithin = false;
    while (!isWithin && visits.length < 6) {
      await tab.goto("about:blank");
      await openPage(tab, `${site.url}#/albums`);
      const many = await review("many", 10, "row999");
      const few = await review("few", 1, "few19");
      assert.ok(many.most <= 50, `${many.most} rows`);
      isWithin = (["open", "flagged", "all", "end"] as const).every((name) => many[name] <= Math.max(300, 4 * few[name]));
      visits.push(JSON.stringify({ few, many }));
    }
    console.log(`${browser().name}, 20 and 1,000 rows: ${visits.at(-1) ?? ""} (ms, and most rows in the document)`);
    assert.ok(isWithin, visits.join("\n"));
    // A jump by the keyboard keeps the focus.
    await review("many", 10, "row999");
    await tab.run(() => [...document.querySelectorAll<HTMLElement>(".album-row")].at(-1)?.focus());
    for (let step = 0; step < 50; step++) await press(tab, "k");
    await until(tab, "the row has the focus", () => document.activeElement?.id === "row-row949");
  });

  test("exports: a table goes out and comes back changed, and copies carry their texts", async () => {
    await fill(tab, { "a.png": { from: "models/demo/gallery/scene-01.png" }, "sub/b.png": { from: "models/demo/gallery/scene-02.png" } });
    await makeAlbum(tab);
    await written(tab, 2);
    const csv = await download(tab, "csv");
    assert.match(csv.name, /^Holiday-\d{4}-\d\d-\d\d\.csv$/);
    const table = Buffer.from(csv.base64, "base64").toString("utf8");
    const [, first = ""] = table.split("\r\n");
    assert.match(first, /^"a\.png","a\.png","A text about /);
    const changed = table
      .replace(/"sub\/b\.png","b\.png","[^"]*","no"/, '"sub/b.png","b.png","\'=Changed, by ""hand""","no"')
      .replace('"done","no"', '"done","yes"');
    await tab.click("#album-export");
    await tab.run((changed) => {
      const input = document.querySelector<HTMLInputElement>("#import-table");
      const transfer = new DataTransfer();
      transfer.items.add(new File([changed], "changed.csv", { type: "text/csv" }));
      if (input) input.files = transfer.files;
      input?.dispatchEvent(new Event("change", { bubbles: true }));
    }, changed);
    await until(tab, "it is told", () => /2 pictures changed/.test(document.getElementById("export-told")?.textContent ?? ""));
    await tab.click("#export-close");
    const rows = await keptRows(tab);
    assert.deepEqual([rows[0]?.state, rows[1]?.alt, rows[1]?.isByHand], ["reviewed", '=Changed, by "hand"', true]);

    const zip = Buffer.from((await download(tab, "xmp")).base64, "base64");
    const { unzipSync } = await import("fflate");
    const files = unzipSync(new Uint8Array(zip));
    assert.deepEqual(Object.keys(files), ["a.png", "sub/b.png"]);
    const { default: ExifReader } = await import("exifreader");
    const tags = ExifReader.load(Buffer.from(files["sub/b.png"] ?? []), { async: false, includeUnknown: true }) as Record<
      string,
      { description?: string }
    >;
    assert.match(JSON.stringify(tags["AltTextAccessibility"] ?? tags), /=Changed, by \\\\?"hand/);
    const page = Buffer.from((await download(tab, "html")).base64, "base64").toString("utf8");
    assert.match(page, /alt="=Changed, by &quot;hand&quot;"/);
    assert.equal((await download(tab, "text")).name.slice(-4), ".zip");
    assert.equal(await state(tab), "idle");
  });
});
