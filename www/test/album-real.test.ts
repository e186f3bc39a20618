/** Albums written by the engine and its demo model, over kills of tabs, browsers and workers. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { unzipSync } from "fflate";
import { download, fill, keptRows, makeAlbum, stubFiles, written, type KeptRow } from "./album-page.js";
import { endWorkers, galleryFiles, noteWorkers, openPage } from "./demo-page.js";
import { inBrowsers, launchWith, until, type Tab, type TestBrowser } from "./driver.js";
import { partsOf, read } from "./picture-parts.js";
import { startSite, type Site } from "./site.js";

/** Pictures of the album, and kills while it is written: 1,000 and 20 take some minutes. */
const [SCENES, KILLS] = [Number(process.env["OCELLI_SCENES"] ?? 40), Number(process.env["OCELLI_KILLS"] ?? 3)];
/** The folder for copies that other programs read, if they are wanted. */
const COPIES = process.env["OCELLI_COPIES"];

type Kill = "tab" | "browser" | "worker";

/** The texts of the engine for pictures of the page's site or folder, one by one. */
function described(tab: Tab, files: string[]): Promise<(string | null | undefined)[]> {
  return tab.run(async (files) => {
    const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
    const engine = await Engine.load(new URL("models/demo/", document.baseURI).href, { share: true, device: "cpu" });
    const texts: (string | null | undefined)[] = [];
    for (const file of files) {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("Holiday");
      const url = file.includes("/") ? await (await fetch(file)).blob() : await (await folder.getFileHandle(file)).getFile();
      const content = [
        { type: "image_url" as const, image_url: { url } },
        { type: "text" as const, text: "Describe this image." },
      ];
      const { choices } = await engine.chat.completions.create({
        messages: [{ role: "user", content }],
        temperature: 0,
        max_tokens: 120,
        stream: false,
      });
      texts.push(choices[0]?.message.content);
    }
    return texts;
  }, files);
}

/** Draws scenes of a few shapes into the folder, as PNG, JPEG and WebP in turn, and returns the files. */
async function drawScenes(tab: Tab, count: number): Promise<Map<string, Buffer>> {
  const drawn = await tab.run(async (count) => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("Holiday", { create: true });
    let seed = 5;
    const random = (below: number) => Math.floor(((seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647) * below);
    const colours = ["red", "green", "blue", "yellow", "orange", "purple", "black", "white"];
    const files: [string, string][] = [];
    for (let at = 0; at < count; at++) {
      const canvas = new OffscreenCanvas(160 + random(160), 160 + random(160));
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no context");
      context.fillStyle = `hsl(${random(360)} 30% ${60 + random(35)}%)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
      for (let shape = 0; shape < 1 + random(3); shape++) {
        context.fillStyle = colours[random(colours.length)] ?? "";
        const [x, y, size] = [random(canvas.width), random(canvas.height), 20 + random(50)];
        context.beginPath();
        if (random(2) === 0) context.rect(x - size / 2, y - size / 2, size, size);
        else context.arc(x, y, size / 2, 0, 2 * Math.PI);
        context.fill();
      }
      const type = ["png", "jpeg", "webp"][at % 3] ?? "png";
      const blob = await canvas.convertToBlob({ type: `image/${type}` });
      if (blob.type !== `image/${type}`) throw new Error(`this browser does not encode ${type}`);
      const name = `scene-${String(at).padStart(4, "0")}.${type}`;
      const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
      await stream.write(blob);
      await stream.close();
      const letters = Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) => String.fromCharCode(byte));
      files.push([name, btoa(letters.join(""))]);
    }
    return files;
  }, count);
  return new Map(drawn.map(([name, base64]) => [name, Buffer.from(base64, "base64")]));
}

/** Waits until the kept rows fulfil a condition. */
async function untilKept(tab: Tab, what: string, holds: (rows: KeptRow[]) => boolean): Promise<void> {
  for (const deadline = Date.now() + 300_000; !holds(await keptRows(tab)); await sleep(50))
    assert.ok(Date.now() < deadline, `not within 300 s: ${what}`);
}

/** Writes a text by hand into one shown row, reviews another one, and returns the ids of both once they are kept. `earlier`: rows left out. */
async function review(tab: Tab, earlier: string[]): Promise<string[]> {
  const chosen = await tab.run((earlier) => {
    const fieldOf = (row: HTMLElement | undefined) => row?.querySelector<HTMLTextAreaElement>("textarea:not(:disabled)");
    const rows = [...document.querySelectorAll<HTMLElement>(".album-row")].filter(
      (row) => fieldOf(row)?.value && !earlier.includes(row.dataset["id"] ?? ""),
    );
    return [0, 1].flatMap((act) => {
      const [row] = rows.splice(Math.floor(Math.random() * rows.length), 1);
      const field = fieldOf(row);
      if (!row || !field) return [];
      if (act === 0) {
        field.value = `By hand ${Math.random()}`;
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      } else field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true, cancelable: true }));
      return [{ id: row.dataset["id"] ?? "", isByHand: act === 0 }];
    });
  }, earlier);
  await untilKept(tab, "the changes", (all) => {
    const rows = new Map(all.map((row) => [row.id, row]));
    return chosen.every(({ id, isByHand }) => (isByHand ? rows.get(id)?.isByHand : rows.get(id)?.state === "reviewed"));
  });
  return chosen.map(({ id }) => id);
}

inBrowsers("albums by the real engine", (browser) => {
  let site: Site;
  before(async () => {
    site = await startSite();
  });
  after(() => site?.stop());

  test("the gallery gets the texts that the engine gives one by one", async () => {
    const tab = await browser().newTab();
    await tab.beforeLoad(stubFiles);
    // The processor is the fastest device here.
    await openPage(tab, `${site.url}?device=cpu`);
    const files = await galleryFiles(tab);
    await fill(
      tab,
      Object.fromEntries(files.map((from, at) => [`${at < 6 ? "first" : "second"}/${from.split("/").at(-1) ?? ""}`, { from }])),
    );
    await makeAlbum(tab);
    await written(tab, files.length);
    const alone = await described(tab, files);
    const rows = await keptRows(tab);
    assert.deepEqual(
      rows.map(({ alt }) => alt),
      alone,
    );
    assert.ok(rows.every(({ state }) => state === "done") && new Set(alone).size > 6);
    assert.deepEqual(tab.faults, []);
    await tab.close();
  });

  test(`of ${SCENES} scenes, over ${KILLS} kills of tabs, browsers and workers, each is written once, and copies carry the texts`, async () => {
    const profile = mkdtempSync(join(tmpdir(), "ocelli-profile-"));
    let running: TestBrowser = await launchWith(profile, browser().name);
    try {
      const open = async (url: string) => {
        const tab = await running.newTab();
        await tab.beforeLoad(stubFiles);
        await tab.beforeLoad(noteWorkers);
        await openPage(tab, url);
        return tab;
      };
      let tab = await open(`${site.url}?device=cpu`);
      const files = await drawScenes(tab, SCENES);
      const began = performance.now();
      await makeAlbum(tab);
      const address = await tab.run(() => location.href);
      let seed = 17;
      const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
      const moments = Array.from({ length: KILLS }, () => SCENES * 0.95 * random()).sort((one, other) => one - other);
      let known = new Map<string, KeptRow>();
      const reviewed: string[] = [];
      let interrupted = 0;
      const isLeft = ({ state }: KeptRow) => state === "waiting";
      for (const [round, moment] of moments.entries()) {
        await untilKept(tab, `${moment} rows`, (rows) => rows.filter((row) => !isLeft(row)).length >= moment);
        reviewed.push(...(await review(tab, reviewed)));
        await sleep(500 * random());
        const before = new Map((await keptRows(tab)).map((row) => [row.path, row]));
        const kill = (["tab", "browser", "worker"] as const satisfies Kill[])[round % 3];
        if (kill === "worker") {
          await endWorkers(tab);
        } else {
          if (kill === "browser") {
            execFileSync("pkill", ["-KILL", "-f", profile]);
            await running.close().catch(() => undefined);
            running = await launchWith(profile, browser().name);
          } else await tab.closeAlone();
          tab = await open(address);
        }
        await until(tab, "the rows are there", () => document.querySelectorAll(".album-row").length > 0);
        const rows = new Map((await keptRows(tab)).map((row) => [row.path, row]));
        for (const [path, row] of before) if (!isLeft(row)) assert.deepEqual(rows.get(path), row, `kill ${round} of a ${kill}`);
        // Since the kill before, only the user has changed rows with a text.
        for (const [path, row] of known) if (!isLeft(row) && !reviewed.includes(row.id)) assert.deepEqual(rows.get(path), row);
        known = before;
        const isInterrupted = [...rows.values()].some(isLeft);
        if (isInterrupted) interrupted++;
        // After the end of a worker the page loads the model again, and continues without the user.
        if (kill === "worker") continue;
        // On a busy machine the last rows may have been written while the test read them.
        if (!isInterrupted) continue;
        await until(tab, `it can continue after kill ${round}`, () => document.getElementById("album-run") !== null);
        await tab.click("#album-run");
      }
      assert.ok(interrupted > 0, "no kill came before the last row");
      await written(tab, SCENES);
      const seconds = (performance.now() - began) / 1000;
      const rows = await keptRows(tab);
      assert.deepEqual(
        rows.map(({ path }) => path),
        [...files.keys()],
      );
      assert.ok(rows.every(({ state, alt }) => ["done", "reviewed"].includes(state) && alt !== ""));
      assert.ok(reviewed.every((id) => rows.some((row) => row.id === id && (row.isByHand || row.state === "reviewed"))));
      const sample = rows.filter(({ isByHand }, at) => !isByHand && at % Math.ceil(SCENES / 20) === 0);
      const alone = await described(
        tab,
        sample.map(({ path }) => path),
      );
      assert.deepEqual(
        sample.map(({ alt }) => alt),
        alone,
      );
      console.log(
        `${browser().name}: ${SCENES} scenes, ${KILLS} kills, ${seconds.toFixed(0)} s, ${new Set(rows.map(({ alt }) => alt)).size} texts`,
      );
      await compareExports(tab, rows, files);
      assert.deepEqual(tab.faults, []);
    } finally {
      await running.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  });

  /** The table comes back without a change; the copies have the texts, and everything else as it was. */
  async function compareExports(tab: Tab, rows: KeptRow[], files: Map<string, Buffer>): Promise<void> {
    const table = Buffer.from((await download(tab, "csv")).base64, "base64").toString("utf8");
    await tab.click("#album-export");
    await tab.run((table) => {
      const input = document.querySelector<HTMLInputElement>("#import-table");
      const transfer = new DataTransfer();
      transfer.items.add(new File([table], "again.csv", { type: "text/csv" }));
      if (input) input.files = transfer.files;
      input?.dispatchEvent(new Event("change", { bubbles: true }));
    }, table);
    await until(tab, "it is told", () => document.querySelector("#export-told p") !== null);
    await tab.click("#export-close");
    assert.deepEqual(await keptRows(tab), rows);
    const lines = Buffer.from((await download(tab, "jsonl")).base64, "base64")
      .toString("utf8")
      .trimEnd()
      .split("\n");
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as KeptRow).alt),
      rows.map(({ alt }) => alt),
    );
    const copies = unzipSync(new Uint8Array(Buffer.from((await download(tab, "xmp")).base64, "base64")));
    assert.deepEqual(Object.keys(copies), [...files.keys()]);
    const texts: Record<string, object> = {};
    for (const { path, alt } of rows) {
      const [copy, file] = [Buffer.from(copies[path] ?? []), files.get(path) ?? Buffer.alloc(0)];
      const told = read(copy);
      assert.deepEqual(told.alt, { "x-default": alt, en: alt }, path);
      const others = (bytes: Buffer) => partsOf(bytes).filter(([kind]) => kind !== "VP8X");
      assert.deepEqual(others(copy), others(file), `${path}: pixels`);
      texts[path] = { alt, long: "", language: "en" };
      if (COPIES) {
        for (const [part, bytes] of Object.entries({ before: file, after: copy })) {
          const name = join(COPIES, part, path);
          mkdirSync(dirname(name), { recursive: true });
          writeFileSync(name, bytes);
        }
      }
    }
    if (COPIES) writeFileSync(join(COPIES, "texts.json"), JSON.stringify({ files: texts }));
  }
});
