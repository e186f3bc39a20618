/** Files of conversations: damaged ones, and archives with many pictures. */
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { stubFiles } from "./album-page.js";
import { askByKeyboard, drop, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";
import { archiveOf, conversationsJson, readConversations, type SavedConversation } from "../page/exports/conversations.js";
import { zipOf } from "../page/exports/zip.js";
import type { StoredPicture } from "../page/store/schema.js";

/** All rows of the page's database; of a picture's file, its hash and type. */
type Kept = Record<"conversations" | "messages" | "pictures", Record<string, unknown>[]>;

/** Repeatable numbers from 0 to below `end`. */
function dice(seed: number): (end: number) => number {
  let state = seed;
  return (end) => {
    state = (state + 0x6d2b79f5) | 0;
    const mixed = Math.imul(state ^ (state >>> 15), state | 1);
    return ((mixed ^ (mixed >>> 13)) >>> 0) % end;
  };
}

/** Values that a field may have by mistake. */
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0.5,
  1e300,
  "",
  "\ud800",
  "<img src=x onerror=alert(1)>",
  "constructor",
  "x".repeat(100_000),
  [],
  [null],
  [[]],
  {},
  { length: 3 },
  { __html: "<b>" },
  { title: {}, next: [] },
];

/** A copy of `value` of which one part, at any depth, is removed, doubled or replaced. */
function mutated<T>(value: T, random: (end: number) => number): T {
  const copy = structuredClone(value);
  const places: [holder: Record<string, unknown>, key: string][] = [];
  const walk = (holder: unknown) => {
    if (typeof holder !== "object" || holder === null) return;
    for (const [key, part] of Object.entries(holder)) {
      places.push([holder as Record<string, unknown>, key]);
      walk(part);
    }
  };
  walk(copy);
  const [holder, key] = places[random(places.length)] ?? [{}, ""];
  const way = random(4);
  if (way === 0) Array.isArray(holder) ? holder.splice(Number(key), 1) : delete holder[key];
  else if (way === 1 && Array.isArray(holder)) holder.push(structuredClone(holder[Number(key)]));
  else holder[key] = VALUES[random(VALUES.length)];
  return copy;
}

/** A copy with bytes changed, removed or cut off. */
function damaged(bytes: Buffer, random: (end: number) => number): Buffer {
  const copy = Buffer.from(bytes);
  const at = random(copy.length);
  const way = random(3);
  if (way === 0) return copy.subarray(0, at);
  if (way === 1) return Buffer.concat([copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + 1 + random(50)))]);
  for (let changes = 0; changes < 3; changes++) copy[random(copy.length)] = random(256);
  return copy;
}

inBrowsers("files of conversations", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(stubFiles);
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.viewport(1440, 900);
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  const kept = () =>
    tab.run(async () => {
      const open = indexedDB.open("ocelli");
      await new Promise((resolve) => (open.onsuccess = resolve));
      const all = {} as Kept;
      for (const table of ["conversations", "messages", "pictures"] as const) {
        const rows = open.result.transaction(table).objectStore(table).getAll();
        await new Promise((resolve) => (rows.onsuccess = resolve));
        all[table] = rows.result as Record<string, unknown>[];
      }
      open.result.close();
      for (const picture of all.pictures) {
        const blob = picture["blob"] as Blob;
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
        picture["blob"] = { type: blob.type, hash: Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("") };
        delete picture["usedAt"];
      }
      return all;
    });

  async function data(): Promise<void> {
    await tab.run(() => (location.hash = "#/settings/data"));
    await until(tab, "the section", () => document.getElementById("load-conversations") !== null);
  }
  const told = (pattern: string) =>
    until(tab, pattern, (pattern) => new RegExp(pattern).test(document.getElementById("data-told")?.textContent ?? ""), pattern);

  test("200 damaged files are taken or refused with a reason, conversation by conversation, and nothing is lost", async () => {
    await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
    await nextAnswer(tab);
    await askByKeyboard(tab, "too long");
    await nextAnswer(tab, 1);
    await data();
    await tab.click("#save-conversations");
    await told("^1 conversation saved");
    const text = await tab.run(() => (window as unknown as { saved: { blob: Blob }[] }).saved.at(-1)?.blob.text() ?? "");
    const file = JSON.parse(text) as { conversations: SavedConversation[]; pictures: Record<string, { data: string; type: string }> };
    const own = file.conversations[0] as SavedConversation;
    Object.assign(own.messages[1] ?? {}, {
      usage: {
        prompt_tokens: 5,
        completion_tokens: 3,
        total_tokens: 8,
        ocelli: { decode_ms: 1, pictures: [{ width: 1, height: 1, tokens: 1 }] },
      },
      sampling: { temperature: 0, max_tokens: 20 },
    });
    const first = await kept();

    /** The conversation under ids that no other has. */
    const copied = (name: string): SavedConversation => {
      const id = (of: string) => `${name}-${of}`;
      const messages = own.messages.map((message) => ({
        ...message,
        id: id(message.id),
        conversation: id(own.id),
        parent: message.parent && id(message.parent),
      }));
      return { ...own, id: id(own.id), leaf: own.leaf && id(own.leaf), messages };
    };
    const random = dice(31);
    const pictures = Object.entries(file.pictures).map(
      ([id, { data, type, ...rest }]) =>
        ({ ...rest, id, usedAt: 0, blob: new Blob([Buffer.from(data, "base64")], { type }) }) as unknown as StoredPicture,
    );
    const files: { base64: string; isWhole: boolean }[] = [];
    for (let round = 0; round < 200; round++) {
      const both = [copied(`a${round}`), copied(`b${round}`)] as const;
      if (round < 120) {
        const conversations = [mutated(both[0], random), both[1]];
        files.push({ base64: Buffer.from(JSON.stringify({ ...file, conversations })).toString("base64"), isWhole: true });
        continue;
      }
      const isZip = round >= 160;
      const parts: Uint8Array[] = [];
      if (isZip)
        for await (const { bytes } of zipOf(archiveOf("conversations.json", await conversationsJson(both, pictures, false), pictures)))
          parts.push(bytes);
      const bytes = isZip ? Buffer.concat(parts) : Buffer.from(JSON.stringify({ ...file, conversations: both }));
      files.push({ base64: damaged(bytes, random).toString("base64"), isWhole: false });
    }
    // Its result is that of no other file.
    const between = JSON.stringify({ ...file, conversations: [own, ...Array.from({ length: 50 }, () => null)] });
    const results = await tab.run(
      async ({ files, between }) => {
        const give = (content: BlobPart) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([content], "file"));
          const input = document.querySelector<HTMLInputElement>("#load-conversations");
          if (input) input.files = transfer.files;
          input?.dispatchEvent(new Event("change", { bubbles: true }));
        };
        const said = () => document.getElementById("data-told")?.textContent ?? "";
        const changed = async (holds: (text: string) => boolean) => {
          for (let wait = 0; wait < 2000 && !holds(said()); wait++) await new Promise((resolve) => setTimeout(resolve, 5));
          return said();
        };
        const results: string[] = [];
        for (const { base64 } of files) {
          give(between);
          const same = await changed((text) => / 50 could not be read/.test(text));
          give(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
          results.push(await changed((text) => text !== same));
        }
        return results;
      },
      { files, between },
    );
    for (const [round, result] of results.entries()) {
      assert.match(result, /^(\d conversations? added|.*newer version|.*no file of conversations)/, `${round}`);
      if (files[round]?.isWhole)
        assert.match(result, /^(1 conversation added.*1 could not be read: conversations\[0\]|2 conversations added)/, `${round}`);
    }
    const counts = [/^2 /, /could not be read/, /no file of/].map((kind) => results.filter((result) => kind.test(result)).length);
    console.log(`${browser().name}: of 200 damaged files ${counts[0]} were taken whole, ${counts[1]} in part, ${counts[2]} refused`);
    assert.ok(
      counts.every((count) => count >= 10),
      `${counts}`,
    );
    assert.equal(await tab.run(() => document.getElementById("problem")?.dataset["code"] ?? null), null);

    const all = await kept();
    for (const table of ["conversations", "messages", "pictures"] as const) {
      for (const row of first[table])
        assert.deepEqual(
          all[table].find(({ id }) => id === row["id"]),
          row,
          "what was there is as it was",
        );
    }
    const known = Object.fromEntries(all.pictures.map((picture) => [picture["id"], { ...picture, type: "", data: null }]));
    const conversations = all.conversations.map((row) => ({
      ...row,
      messages: all.messages.filter(({ conversation }) => conversation === row["id"]),
    }));
    const read = readConversations(JSON.stringify({ format: "ocelli-conversations", version: 1, conversations, pictures: known }));
    assert.deepEqual(read.kind === "file" && [read.faulty, read.file.conversations.length], [[], all.conversations.length]);
    assert.equal(
      conversations.reduce((sum, { messages }) => sum + messages.length, 0),
      all.messages.length,
      "no message without a conversation",
    );
    for (const { id, blob } of all.pictures as { id: string; blob: { hash: string } }[]) assert.equal(blob.hash, id);

    // Each of them can be shown.
    const withTurns = new Set(
      conversations.filter(({ messages }) => messages.length > 0).map((row) => String((row as unknown as { id: string }).id)),
    );
    await tab.run(() => (location.hash = "#/"));
    await until(tab, "the whole list", () => {
      const more = [...document.querySelectorAll<HTMLButtonElement>("#rail button")].find(({ textContent }) => textContent === "Show more");
      more?.click();
      return !more && document.querySelector("#rail .conversations a[href^='#/c/']") !== null;
    });
    for (const { id } of all.conversations as { id: string }[]) {
      await tab.run((id) => (location.hash = `#/c/${id}`), id);
      await until(tab, `${id} is shown`, (id) => document.querySelector(`#rail a[aria-current][href="#/c/${id}"]`) !== null, id);
      if (withTurns.has(id)) await until(tab, `turns of ${id}`, () => document.querySelector("#log .turn") !== null, undefined, 30);
    }
    await tab.run(() => location.reload());
    await until(tab, "the list", () => document.querySelectorAll("#rail .conversations a[href^='#/c/']").length > 50);
    assert.deepEqual(tab.faults, []);
  });

  test("conversations with more than 20 MB of pictures are saved as an archive, read back equal, one picture in memory at a time", async () => {
    await askByKeyboard(tab, "echo");
    await nextAnswer(tab);
    await data();
    await tab.click("#save-conversations");
    await told("^1 conversation saved");
    /** Gives the input a file that holds 11 pictures of 2 MB, in two conversations that share one. */
    await tab.run(async () => {
      const { saved } = window as unknown as { saved: { blob: Blob }[] };
      const file = JSON.parse((await saved.at(-1)?.blob.text()) ?? "") as {
        conversations: SavedConversation[];
        pictures: Record<string, object>;
      };
      const ids: string[] = [];
      for (let picture = 0; picture < 11; picture++) {
        const bytes = new Uint8Array(2_000_000);
        for (let at = 0; at < bytes.length; at += 50_000) crypto.getRandomValues(bytes.subarray(at, at + 50_000));
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        const id = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
        let letters = "";
        for (let at = 0; at < bytes.length; at += 10_000) letters += String.fromCharCode(...bytes.subarray(at, at + 10_000));
        ids.push(id);
        const from = picture === 3 ? { id: ids[0], part: { x: 0, y: 0.25, width: 0.5, height: 0.5 }, turn: 90 } : null;
        file.pictures[id] = {
          name: `ü ${picture}.jpg`,
          type: "image/jpeg",
          width: 40,
          height: 30,
          isPhotograph: true,
          from,
          data: btoa(letters),
        };
      }
      const [one] = file.conversations;
      if (!one) throw new Error("there is no conversation");
      file.conversations = [ids.slice(0, 6), ids.slice(5)].map((shown, index) => ({
        ...one,
        id: `many-${index}`,
        title: `Many ${index}`,
        leaf: `m${index}-1`,
        messages: one.messages.map((message, at) => ({
          ...message,
          id: `m${index}-${at}`,
          conversation: `many-${index}`,
          parent: at === 0 ? null : `m${index}-${at - 1}`,
          pictures: at === 0 ? shown.map((id) => ({ id, name: "ü" })) : [],
          pictureIds: at === 0 ? shown : [],
        })),
      }));
      const transfer = new DataTransfer();
      transfer.items.add(new File([JSON.stringify(file)], "conversations.json"));
      const input = document.querySelector<HTMLInputElement>("#load-conversations");
      if (input) input.files = transfer.files;
      input?.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await told("^2 conversations added");
    const all = await kept();
    assert.equal(all.pictures.length, 11);

    /** Notes the largest part of a file that is read at once. */
    const watch = () =>
      tab.run(() => {
        const read = { most: 0 };
        Object.assign(window, { read });
        for (const method of ["arrayBuffer", "text"] as const) {
          const before = Blob.prototype[method] as (this: Blob) => Promise<unknown>;
          Object.assign(Blob.prototype, {
            [method](this: Blob) {
              read.most = Math.max(read.most, this.size);
              return before.call(this);
            },
          });
        }
      });
    const most = () => tab.run(() => (window as unknown as { read: { most: number } }).read.most);
    await watch();
    await tab.click("#save-conversations");
    await told("^3 conversations saved");
    assert.equal(await most(), 2_000_000);
    // Outside of the page's own folders, so that it outlasts the deletion.
    const { name, size } = await tab.run(async () => {
      const { name, blob } = (window as unknown as { saved: { name: string; blob: Blob }[] }).saved.at(-1) ?? {
        name: "",
        blob: new Blob(),
      };
      const stream = await (await (await navigator.storage.getDirectory()).getFileHandle("kept.zip", { create: true })).createWritable();
      await stream.write(blob);
      await stream.close();
      return { name, size: blob.size };
    });
    assert.match(name, /^ocelli-conversations-\d{4}-\d\d-\d\d\.ocelli\.zip$/);
    assert.ok(size > 22_000_000 && size < 22_020_000, `${size}: each picture is in it once`);

    await tab.click("#delete-all");
    await tab.run(() => Object.assign(window, { isOld: true }));
    await tab.click("#delete-now");
    await until(tab, "the page is new", () => !("isOld" in window) && document.getElementById("question") !== null);
    await until(tab, "the model is ready", () => document.querySelector<HTMLElement>("#load")?.hidden === true);
    assert.equal((await kept()).pictures.length, 0);
    await data();
    await watch();
    const give = () =>
      tab.run(async () => {
        const file = await (await (await navigator.storage.getDirectory()).getFileHandle("kept.zip")).getFile();
        const transfer = new DataTransfer();
        transfer.items.add(file);
        const input = document.querySelector<HTMLInputElement>("#load-conversations");
        if (input) input.files = transfer.files;
        input?.dispatchEvent(new Event("change", { bubbles: true }));
      });
    await give();
    await told("^3 conversations added\\.$");
    assert.equal(await most(), 2_000_000);
    assert.deepEqual(await kept(), all);
    await give();
    await told("^0 conversations added, 3 were here already\\.$");
    assert.deepEqual(tab.faults, []);
  });
});
