/** Places that are found in pictures: what is asked, where they are drawn, and the files for other programs. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { formatOf, foundIn } from "../page/state/find.js";
import { openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { boundsOf, dropRectangle, dropTurned } from "./pictures-in-page.js";
import { startSite, type Site } from "./site.js";

const folder = resolve("../target/page");
/** Colours of marks, and of what is marked. */
const [MARK, GREEN, LIME] = [
  [224, 0, 122],
  [0, 192, 0],
  [0, 255, 0],
] as const;
/** Borders of marks are inside; a line may be blurred. */
const BORDER = 5;

test("answers are places in parts of the picture, and others are refused", () => {
  assert.deepEqual(foundIn('[{"bbox_2d": [100, 250, 500, 1000], "label": "cat"}]'), [
    { label: "cat", place: { x: 0.1, y: 0.25, width: 0.4, height: 0.75 }, isPoint: false },
  ]);
  assert.deepEqual(foundIn('[{"point_2d": [500, 0], "label": "a"}]'), [
    { label: "a", place: { x: 0.5, y: 0, width: 0, height: 0 }, isPoint: true },
  ]);
  const corners = foundIn('[{"bbox_2d": [500, 1000, 100, 250], "label": "cat"}]')?.[0];
  assert.deepEqual([corners?.place.x, corners?.place.y], [0.1, 0.25], "corners in the other order");
  assert.deepEqual(foundIn("[]"), []);
  const others = [
    "",
    "{}",
    "[1]",
    "[null]",
    '[{"label": "a"}]',
    '[{"bbox_2d": [1, 2, 3], "label": "a"}]',
    '[{"bbox_2d": [1, 2, 3, 1001], "label": "a"}]',
  ];
  for (const text of [...others, '[{"bbox_2d": ["1", 2, 3, 4], "label": "a"}]', '[{"point_2d": [1, 2]}]'])
    assert.equal(foundIn(text), null, text);
});

test("the format of an answer holds what models were trained to write", () => {
  const ajv = new Ajv2020({ strict: true });
  for (const [shape, answer] of [
    ["box", '[{"bbox_2d": [0, 1, 999, 1000], "label": "a"}]'],
    ["point", '[{"point_2d": [0, 1000], "label": "a"}]'],
  ] as const) {
    assert.ok(ajv.validate(formatOf(shape), JSON.parse(answer)));
    assert.equal(ajv.validate(formatOf(shape), [{ label: "a" }]), false);
    assert.equal(ajv.validate(formatOf(shape), JSON.parse(answer.replace("1000", "1001"))), false);
  }
});

/** Runs before the page: keeps files that are saved. */
function keepSaved(): void {
  const blobs = new Map<string, Blob>();
  const saved: { name: string; blob: Blob | undefined }[] = [];
  Object.assign(window, { saved, fakeFamily: "qwen3_vl" });
  const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (object) => {
    const url = make(object);
    if (object instanceof Blob) blobs.set(url, object);
    return url;
  };
  const click = HTMLAnchorElement.prototype.click;
  HTMLAnchorElement.prototype.click = function (this: HTMLAnchorElement) {
    if (this.download) saved.push({ name: this.download, blob: blobs.get(this.href) });
    else click.call(this);
  };
}

interface TestWindow {
  saved: { name: string; blob: Blob }[];
  asked: {
    messages: { content: { type: string; text?: string }[] }[];
    response_format: { in_prompt: boolean; json_schema: { schema: object } };
  }[];
}

const shown = (tab: Tab, selector: string) =>
  until(tab, `${selector} is shown`, (selector) => document.querySelector(selector) !== null, selector);
const gone = (tab: Tab, selector: string) =>
  until(tab, `${selector} is gone`, (selector) => document.querySelector(selector) === null, selector);
const click = (tab: Tab, selector: string) => tab.run((selector) => document.querySelector<HTMLElement>(selector)?.click(), selector);

inBrowsers("find", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    mkdirSync(folder, { recursive: true });
    site = await startSite();
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(keepSaved);
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.click("#describe-at-once");
  });
  beforeEach(async () => {
    // One that a failed test has left open.
    await tab.run(() => document.querySelector<HTMLDialogElement>("dialog[open]")?.close());
    await tab.click("#new-conversation");
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** Finds something in the picture of the tray; the answer is `found`. */
  async function find(what: string, found: readonly object[], shape = 0): Promise<void> {
    await shown(tab, "#tray img");
    await tab.click("[data-task=find]");
    await shown(tab, "#find-dialog[open]");
    await tab.run(
      ({ what, shape, answer }) => {
        Object.assign(window, { sayNext: answer });
        const field = document.querySelector<HTMLInputElement>("#find-what");
        if (!field) return;
        field.value = what;
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
        document.querySelectorAll<HTMLInputElement>("#find-dialog [name=shape]")[shape]?.click();
      },
      { what, shape, answer: JSON.stringify(found) },
    );
    await until(tab, "it can be sent", () => document.querySelector<HTMLButtonElement>("#find-start")?.disabled === false);
    await click(tab, "#find-start");
    await until(tab, "the places are listed", (count) => document.querySelectorAll("#log .found-list li").length === count, found.length);
  }

  /** Checks on a screenshot that a mark is around what has this colour. */
  async function assertAround(colour: readonly [number, number, number], what: string): Promise<void> {
    await tab.run(async () => {
      for (const turn of document.querySelectorAll<HTMLElement>(".turn.user")) turn.hidden = true;
      (document.activeElement as HTMLElement | null)?.blur();
      await Promise.all([...document.images].map((image) => image.decode().catch(() => undefined)));
      const marks = [...document.querySelectorAll(".mark")];
      marks.at(-1)?.scrollIntoView({ block: "center", inline: "center" });
      await new Promise(requestAnimationFrame);
    });
    const path = `${folder}/find-${browser().name}.png`;
    await tab.view(path);
    const [mark, marked] = await boundsOf(tab, path, [MARK, colour]);
    assert.ok(mark && marked, `${what}: ${JSON.stringify([mark, marked])}`);
    assert.ok(marked.right - marked.left > 20 && marked.bottom - marked.top > 10, `${what}: ${JSON.stringify(marked)}`);
    for (const side of ["left", "top", "right", "bottom"] as const) {
      const outside = side === "left" || side === "top" ? marked[side] - mark[side] : mark[side] - marked[side];
      assert.ok(outside >= -1 && outside <= BORDER, `${what}, ${side}: ${JSON.stringify([mark, marked])}`);
    }
  }

  for (let orientation = 1; orientation <= 8; orientation++) {
    test(`a box is where the answer says with EXIF orientation ${orientation}`, async () => {
      await dropTurned(tab, orientation, "turned.jpg");
      await find("green", [{ bbox_2d: [500, 0, 1000, 500], label: "green" }]);
      await assertAround(LIME, "in the answer");
      if (orientation % 3 !== 0) return;
      await click(tab, "#log .marked");
      await shown(tab, "#picture-dialog[open] .mark");
      await assertAround(LIME, "in the viewer");
      await tab.press("Escape");
      await gone(tab, "#picture-dialog");
    });
  }

  test("a box is where the answer says at every turn and zoom", async () => {
    await dropRectangle(tab, { width: 400, height: 300 }, { x: 40, y: 60, width: 120, height: 90 }, "scene.png");
    await find("rectangle", [{ bbox_2d: [100, 200, 400, 500], label: "rectangle" }]);
    await click(tab, "#log .marked");
    await shown(tab, "#picture-dialog[open] .mark");
    for (const zoom of [1, 1.75]) {
      for (const turn of [0, 90, 180, 270]) {
        await tab.run((zoom) => {
          const slider = document.querySelector<HTMLInputElement>("#picture-zoom");
          if (!slider) return;
          slider.value = String(zoom);
          slider.dispatchEvent(new Event("input", { bubbles: true }));
        }, zoom);
        await new Promise((resolve) => setTimeout(resolve, 100));
        await tab.run(() => document.querySelector("#picture-dialog .mark")?.scrollIntoView({ block: "center", inline: "center" }));
        await assertAround(GREEN, `turned by ${turn}, zoomed by ${zoom}`);
        await click(tab, "#picture-turn");
      }
    }
    await tab.press("Escape");
    await gone(tab, "#picture-dialog");
  });

  test("places in a part are shown in the part and in the whole picture", async () => {
    await dropRectangle(tab, { width: 400, height: 300 }, { x: 240, y: 60, width: 120, height: 90 }, "scene.png");
    await shown(tab, "#tray button.picture");
    await click(tab, "#tray button.picture");
    await shown(tab, "#picture-dialog[open] #frame-left");
    for (const [name, value] of [
      ["width", 50],
      ["left", 50],
    ] as const) {
      await tab.run(
        ({ name, value }) => {
          const field = document.querySelector<HTMLInputElement>(`#frame-${name}`);
          if (!field) return;
          field.value = String(value);
          field.dispatchEvent(new Event("change", { bubbles: true }));
        },
        { name, value },
      );
    }
    await click(tab, "#picture-take");
    await gone(tab, "#picture-dialog");
    await until(tab, "the part is in the tray", () => document.querySelectorAll("#tray img").length === 2);
    await click(tab, "#tray .remove");
    await find("rectangle", [{ bbox_2d: [200, 200, 800, 500], label: "rectangle" }]);
    await assertAround(GREEN, "in the part");
    await click(tab, "#log .marked");
    await shown(tab, "#picture-original");
    await click(tab, "#picture-original");
    await until(tab, "the whole is shown", () => document.querySelector("#picture-original") === null);
    await click(tab, "#picture-reset");
    await shown(tab, "#picture-dialog .mark");
    await assertAround(GREEN, "in the whole picture");
    await tab.press("Escape");
    await gone(tab, "#picture-dialog");
  });

  test("the model is asked as it was trained, about one picture", async () => {
    await dropRectangle(tab, { width: 400, height: 300 }, { x: 40, y: 60, width: 120, height: 90 }, "one.png");
    await dropRectangle(tab, { width: 300, height: 300 }, { x: 10, y: 10, width: 20, height: 20 }, "two.png");
    await until(tab, "both are there", () => document.querySelectorAll("#tray img").length === 2);
    await find(" cat ,, red car", [{ point_2d: [500, 500], label: "cat" }], 1);
    const { content, format } = await tab.run(() => {
      const { messages, response_format: format } = (window as unknown as TestWindow).asked.at(-1) as TestWindow["asked"][number];
      return { content: messages.at(-1)?.content ?? [], format };
    });
    assert.equal(content.filter(({ type }) => type === "image_url").length, 1);
    const words =
      'Locate every instance that belongs to the following categories: "cat, red car". Report point coordinates in JSON format.';
    assert.equal(content.at(-1)?.text, words);
    assert.deepEqual([format.in_prompt, format.json_schema.schema], [false, formatOf("point")]);
  });

  test("places are emphasised together, and saved for other programs", async () => {
    await dropRectangle(tab, { width: 400, height: 300 }, { x: 40, y: 60, width: 120, height: 90 }, "scene.png");
    await find("a, b", [
      { bbox_2d: [100, 200, 400, 500], label: "a" },
      { bbox_2d: [0, 0, 50, 100], label: "b" },
    ]);
    const current = (act: string) =>
      tab.run(async (act) => {
        document.querySelectorAll("#log .found-list li")[1]?.dispatchEvent(new MouseEvent(act));
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        return [...document.querySelectorAll("#log .mark")].map((mark) => mark.classList.contains("current"));
      }, act);
    assert.deepEqual(await current("mouseenter"), [false, true]);
    assert.deepEqual(await current("mouseleave"), [false, false]);
    for (const button of [".save-json", ".save-coco", ".save-picture"]) await click(tab, `#log ${button}`);
    await until(tab, "all are saved", () => (window as unknown as TestWindow).saved.length === 3);
    const saved = await tab.run(async () => {
      const [json, coco, picture] = (window as unknown as TestWindow).saved;
      const bitmap = await createImageBitmap(picture?.blob ?? new Blob());
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      context?.drawImage(bitmap, 0, 0);
      const { data } = context?.getImageData(0, 0, bitmap.width, bitmap.height) ?? new ImageData(1, 1);
      const isMark = (x: number, y: number) =>
        (data[4 * (y * bitmap.width + x)] ?? 0) > 200 && (data[4 * (y * bitmap.width + x) + 1] ?? 255) < 60;
      const marks = {
        right: isMark(160, 140),
        below: isMark(150, 150),
        left: isMark(40, 140),
        inside: isMark(100, 120),
        outside: isMark(300, 200),
      };
      const names = (window as unknown as TestWindow).saved.map(({ name }) => name);
      return { names, json: await json?.blob.text(), coco: await coco?.blob.text(), size: [bitmap.width, bitmap.height], marks };
    });
    assert.deepEqual(saved.names, ["scene.json", "scene-coco.json", "scene-marked.png"]);
    const json = JSON.parse(saved.json ?? "") as { picture: { width: number }; found: object[] };
    assert.equal(json.picture.width, 400);
    assert.deepEqual(json.found[0], { label: "a", box: { x: 40, y: 60, width: 120, height: 90 } });
    const coco = JSON.parse(saved.coco ?? "") as {
      annotations: { bbox: number[]; category_id: number; area: number }[];
      categories: object[];
      images: object[];
    };
    assert.deepEqual(coco.images, [{ id: 1, file_name: "scene.png", width: 400, height: 300 }]);
    assert.deepEqual(
      coco.annotations.map(({ bbox }) => bbox),
      [
        [40, 60, 120, 90],
        [0, 0, 20, 30],
      ],
    );
    assert.deepEqual(
      coco.annotations.map(({ category_id }) => category_id),
      [1, 2],
    );
    assert.deepEqual(saved.size, [400, 300]);
    assert.deepEqual(saved.marks, { right: true, below: true, left: true, inside: false, outside: false });
    assert.deepEqual(tab.faults, []);
  });
});
