/** Tasks, and answers in fields: the table and its schema, places of faults, what is sent, and edits by hand. */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { blankField, fieldsOf, KINDS, schemaOf, TEMPLATES, type Field } from "../page/state/fields.js";
import { extentOf, placeOf, readJson } from "../page/state/json-places.js";
import { askByKeyboard, drop, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

const SCENE = "models/demo/gallery/scene-01.png";

test("a table and its schema say the same for every kind of field", () => {
  const choices = ["a", "b, c", "“d”"];
  const fields = KINDS.flatMap((kind) =>
    [true, false].flatMap((isNeeded) =>
      ["", "a hint"].map((hint): Field => {
        const name = `${kind}-${isNeeded}-${hint}`;
        return { ...blankField, name, kind, isNeeded, hint, choices: kind === "choice" ? choices : [] };
      }),
    ),
  );
  assert.deepEqual(fieldsOf(schemaOf(fields)), fields);
  assert.deepEqual(fieldsOf(JSON.parse(JSON.stringify(schemaOf(fields)))), fields);
  assert.deepEqual(fieldsOf(schemaOf([])), []);
});

test("a schema that says more than the table is left as it is", () => {
  const one = schemaOf([{ ...blankField, name: "a" }]);
  const property = (schema: object) => ({ ...one, properties: { a: schema } });
  const others: unknown[] = [
    ...[null, [], "text", {}, { type: "object" }, { ...one, required: [] }, { ...one, additionalProperties: true }, { ...one, title: "x" }],
    ...[
      property({ type: "string", minLength: 2 }),
      property({ type: "object" }),
      property({ enum: [1, 2] }),
      property({}),
      TEMPLATES.table,
    ],
  ];
  for (const schema of others) assert.equal(fieldsOf(schema), null, JSON.stringify(schema));
});

test("all templates are schemas, and all but the table are shown in the editor's table", () => {
  const ajv = addFormats.default(new Ajv2020({ strict: true, allowUnionTypes: true }));
  for (const [name, schema] of Object.entries(TEMPLATES)) {
    ajv.compile(schema);
    assert.equal(fieldsOf(schema) === null, name === "table", name);
  }
});

test("texts are read as JSON.parse reads them, and faults have a place", () => {
  const text = JSON.stringify(TEMPLATES.receipt, null, 2);
  let random = 7;
  const next = (below: number) => (random = (random * 48_271) % 2_147_483_647) % below;
  const letters = ["{", "}", "[", "]", '"', ",", ":", "1", "e", "-", ".", "\\", "\n", "t", "null", "", "\u0001"];
  let faults = 0;
  for (let count = 0; count < 3000; count++) {
    const at = next(text.length);
    const mutated = text.slice(0, at) + (letters[next(letters.length)] ?? "") + text.slice(at + next(3));
    let parsed: unknown;
    try {
      parsed = JSON.parse(mutated);
    } catch {
      faults++;
    }
    const { value, fault } = readJson(mutated);
    assert.deepEqual(value, parsed, mutated);
    assert.equal(fault === null, parsed !== undefined, mutated);
    if (fault !== null) assert.ok(fault >= Math.max(0, at - 60) && fault <= mutated.length, `${fault} for a change at ${at}`);
  }
  assert.ok(faults > 1000, `${faults}`);
  const broken = '{\n  "a": [1, 2,],\n  "b": 3\n}';
  assert.deepEqual(placeOf(broken, readJson(broken).fault ?? 0), { line: 2, column: 14 });
});

test("values are found by their JSON pointers", () => {
  const text = '{"a/b": {"~": [10, {"x": "y"}]}, "c": null}';
  const json = readJson(text);
  const at = (pointer: string) => {
    const extent = extentOf(json, pointer);
    return extent && text.slice(extent.from, extent.to);
  };
  assert.equal(at(""), text);
  assert.equal(at("/a~1b/~0/1/x"), '"y"');
  assert.equal(at("/a~1b/~0/0"), "10");
  assert.equal(at("/c/missing/more"), "null");
});

interface Asked {
  messages: { content: { text?: string; type: string }[] }[];
  response_format?: { json_schema: { schema: object }; in_prompt: boolean };
  temperature?: number;
  max_tokens?: number;
}

const asked = (tab: Tab) => tab.run(() => (window as unknown as { asked: Asked[] }).asked.at(-1));
const sayNext = (tab: Tab, answer: string) => tab.run((answer) => void Object.assign(window, { sayNext: answer }), answer);
const fill = (tab: Tab, selector: string, value: string) =>
  tab.run(
    ({ selector, value }) => {
      const field = document.querySelector<HTMLTextAreaElement | HTMLSelectElement>(selector);
      if (!field) throw new Error(`there is no ${selector}`);
      field.value = value;
      for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, { bubbles: true }));
    },
    { selector, value },
  );
const shown = (tab: Tab, selector: string) =>
  until(tab, `${selector} is shown`, (selector) => document.querySelector(selector) !== null, selector);
const gone = (tab: Tab, selector: string) =>
  until(tab, `${selector} is gone`, (selector) => document.querySelector(selector) === null, selector);
const text = (tab: Tab, selector: string) =>
  tab.run((selector) => document.querySelector<HTMLElement>(selector)?.innerText ?? "", selector);
/** Clicks without a pointer: dialogs are larger than some windows. */
const click = (tab: Tab, selector: string) => tab.run((selector) => document.querySelector<HTMLElement>(selector)?.click(), selector);

inBrowsers("tasks", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
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

  async function givePicture(): Promise<void> {
    await drop(tab, { from: SCENE, name: "scene.png" });
    await shown(tab, "#tray img");
  }

  test("a task is done with the picture that is there, or with the next one", async () => {
    await givePicture();
    await tab.click("[data-task=caption]");
    await nextAnswer(tab);
    const first = await asked(tab);
    assert.match(first?.messages.at(-1)?.content.at(-1)?.text ?? "", /caption.*at most 15 words/);
    assert.deepEqual([first?.temperature, first?.response_format], [0, undefined]);
    await tab.click("#new-conversation");
    await tab.click("[data-task=alt]");
    assert.equal(await tab.run(() => document.querySelector("[data-task=alt]")?.getAttribute("aria-pressed")), "true");
    await drop(tab, { from: SCENE, name: "scene.png" });
    await nextAnswer(tab);
    const second = await asked(tab);
    assert.match(second?.messages.at(-1)?.content.at(-1)?.text ?? "", /alternative text/);
    assert.deepEqual([second?.temperature, second?.max_tokens], [0, 120]);
  });

  test("fields are edited as a table and as JSON, and faults have a line and a column", async () => {
    await givePicture();
    await tab.click("[data-task=fields]");
    await shown(tab, "#fields-dialog[open] #fields-json");
    const template = () => tab.run(() => document.querySelector<HTMLSelectElement>("#fields-template")?.value);
    assert.equal(await template(), "receipt", "the template of the fields at first is named");
    await fill(tab, "#fields-template", "card");
    assert.equal(await template(), "card");
    const names = () => tab.run(() => [...document.querySelectorAll<HTMLInputElement>(".field-name")].map(({ value }) => value));
    assert.deepEqual(await names(), ["name", "position", "company", "phone", "email", "website", "address"]);
    const json = () => tab.run(() => document.querySelector<HTMLTextAreaElement>("#fields-json")?.value ?? "");
    await fill(tab, ".field-name", "full name");
    assert.equal(await template(), "", "fields that were changed are no template");
    assert.match(await json(), /"full name": \{\n\s+"type": \[\n\s+"string",\n\s+"null"/);
    await fill(tab, "#fields-json", JSON.stringify(schemaOf([{ ...blankField, name: "size", kind: "choice", choices: ["s", "m"] }])));
    assert.deepEqual(await names(), ["size"]);
    assert.equal(await tab.run(() => document.querySelector<HTMLInputElement>(".field-choices")?.value), "s,m");
    await fill(tab, "#fields-json", '{"type": "object",\n "properties": }');
    assert.match(await text(tab, "#fields-told"), /line 2, column 16/);
    assert.equal(await tab.run(() => document.querySelector<HTMLButtonElement>("#fields-start")?.disabled), true);
    await fill(tab, "#fields-json", JSON.stringify(TEMPLATES.table));
    await shown(tab, "#fields-more");
    await click(tab, "#fields-dialog .modal-head button");
    await gone(tab, "#fields-dialog");
  });

  test("a schema that is refused is marked at its place", async () => {
    await givePicture();
    await tab.click("[data-task=fields]");
    await shown(tab, "#fields-dialog[open] #fields-json");
    const schema = { type: "object", properties: { b: { type: "string" }, a: { not: {} } } };
    await fill(tab, "#fields-json", JSON.stringify(schema, null, 1));
    await until(tab, "it is told", () => /cannot be held/.test(document.querySelector("#fields-told")?.textContent ?? ""));
    assert.match(await text(tab, "#fields-told"), /line 7, column 8, not: this cannot be held/);
    assert.equal(await text(tab, "#fields-told mark"), "{");
    assert.equal(await tab.run(() => document.querySelector("#fields-json")?.getAttribute("aria-invalid")), "true");
    await fill(tab, "#fields-template", "sign");
    await until(tab, "it is not told any more", () => !document.querySelector("#fields-told mark"));
    await click(tab, "#fields-dialog .modal-head button");
    await gone(tab, "#fields-dialog");
  });

  test("an answer in fields is a table, can be edited, and is kept", async () => {
    await givePicture();
    await tab.click("[data-task=fields]");
    await shown(tab, "#fields-dialog[open] #fields-json");
    await fill(tab, "#fields-template", "sign");
    await sayNext(tab, '{"text":"SEA <b>","language":null,"kind":"other"}');
    await click(tab, "#fields-start");
    await shown(tab, "#log .words table");
    const request = await asked(tab);
    assert.deepEqual(request?.response_format?.json_schema.schema, TEMPLATES.sign);
    assert.equal(request?.response_format?.in_prompt, true);
    const rows = () =>
      tab.run(() => [...document.querySelectorAll("#log .words tr")].map((row) => [...row.children].map((cell) => cell.textContent)));
    assert.deepEqual(await rows(), [
      ["text", "SEA <b>"],
      ["language", "not said"],
      ["kind", "other"],
    ]);
    await click(tab, "#log .edit-json");
    await shown(tab, "#log .edit-answer textarea");
    await fill(tab, "#log .edit-answer textarea", '{"text": 5, "language": null, "kind": "boat"}');
    await shown(tab, "#log .misfits");
    const misfits = await text(tab, "#log .misfits");
    assert.match(misfits, /^text: /m);
    assert.match(misfits, /^kind: /m);
    await fill(tab, "#log .edit-answer textarea", '{"text": "BAY", "language": "en", "kind": "shop"}');
    await gone(tab, "#log .misfits");
    await click(tab, "#log .edit-answer .choices button");
    await until(tab, "the table is back", () => document.querySelector("#log .words td")?.textContent === "BAY");
    const address = await tab.run(() => location.href);
    await tab.goto("about:blank");
    await openPage(tab, address);
    await until(tab, "it is kept", () => document.querySelector("#log .words td")?.textContent === "BAY");
    await askByKeyboard(tab, "echo");
    await nextAnswer(tab, 1);
    assert.equal((await asked(tab))?.response_format, undefined, "the format is of one question");
    assert.deepEqual(tab.faults, []);
  });

  test("rules are judged with a reason first", async () => {
    await givePicture();
    await tab.click("[data-task=rules]");
    await shown(tab, "#rules-dialog[open]");
    await fill(tab, "#rules", "Everybody wears a helmet.\n\n The exit is free.");
    await sayNext(tab, '{"reason":"No helmet.","rule":"1","verdict":"breaks"}');
    await click(tab, "#rules-start");
    await shown(tab, "#log .words table");
    const request = await asked(tab);
    assert.match(request?.messages.at(-1)?.content.at(-1)?.text ?? "", /Rules:\n1\. Everybody wears a helmet\.\n2\. The exit is free\.$/);
    assert.deepEqual(Object.keys((request?.response_format?.json_schema.schema as { properties: object } | undefined)?.properties ?? {}), [
      "reason",
      "rule",
      "verdict",
    ]);
  });

  test("a task of the user's own is kept, done and deleted", async () => {
    await tab.click("#new-task");
    await shown(tab, "#task-dialog[open]");
    await fill(tab, "#task-name", "Count");
    await fill(tab, "#task-instruction", "Count the shapes.");
    await click(tab, "#task-keep");
    await gone(tab, "#task-dialog");
    await givePicture();
    await tab.run(() =>
      [...document.querySelectorAll<HTMLButtonElement>(".task")].find(({ textContent }) => textContent === "Count")?.click(),
    );
    await nextAnswer(tab);
    assert.equal((await asked(tab))?.messages.at(-1)?.content.at(-1)?.text, "Count the shapes.");
    await tab.click("#new-task");
    await shown(tab, "#task-dialog .choices button");
    await click(tab, "#task-dialog .choices button");
    await until(tab, "it is shown", () => document.querySelector<HTMLInputElement>("#task-name")?.value === "Count");
    await click(tab, "#task-dialog .choices:last-child button:last-child");
    await gone(tab, "#task-dialog");
    assert.equal(await tab.run(() => [...document.querySelectorAll(".task")].some(({ textContent }) => textContent === "Count")), false);
  });
});

inBrowsers("fields by the demo model", (browser) => {
  test("the answer to each template is valid JSON of its schema", async () => {
    const site = await startSite();
    const tab = await browser().newTab();
    const ajv = addFormats.default(new Ajv2020({ strict: true, allowUnionTypes: true }));
    let valid = 0;
    try {
      await openPage(tab, site.url);
      await tab.click("#describe-at-once");
      await drop(tab, { from: SCENE, name: "scene.png" });
      await shown(tab, "#tray img");
      for (const [index, name] of Object.keys(TEMPLATES).entries()) {
        await tab.click("[data-task=fields]");
        await shown(tab, "#fields-dialog[open] #fields-json");
        await fill(tab, "#fields-template", name);
        await new Promise((resolve) => setTimeout(resolve, 2500));
        assert.equal(await text(tab, "#fields-told"), "", `${name} is not refused`);
        await click(tab, "#fields-start");
        await nextAnswer(tab, index);
        await until(
          tab,
          "it is shown",
          (index) => document.querySelectorAll("#log .turn.model .words")[index]?.querySelector("table, pre") != null,
          index,
        );
        const kept = await tab.run(async () => {
          const request = indexedDB.open("ocelli");
          await new Promise((resolve) => (request.onsuccess = resolve));
          const all = request.result.transaction("messages").objectStore("messages").getAll();
          await new Promise((resolve) => (all.onsuccess = resolve));
          request.result.close();
          const answers = (all.result as { role: string; text: string; at: number; end: string }[]).filter(
            ({ role }) => role === "assistant",
          );
          return answers.sort((one, other) => one.at - other.at).at(-1);
        });
        // The demo model knows scenes only, and may repeat itself in other fields until its longest answer is reached.
        if (kept?.end !== "stop") continue;
        valid++;
        const isValid = ajv.validate(TEMPLATES[name as keyof typeof TEMPLATES], JSON.parse(kept.text));
        assert.ok(isValid, `${name}: ${kept.text} ${ajv.errorsText()}`);
      }
      await drop(tab, { from: SCENE, name: "scene.png" });
      // Once answers have been measured, each size of pictures has its time.
      await until(tab, "times are shown", () =>
        [...document.querySelectorAll("#look option")].every(({ textContent }) => /\(about \d+ (s|min)\)$/.test(textContent ?? "")),
      );
      assert.ok(valid >= 3, `${valid} answers were whole`);
      assert.deepEqual(tab.faults, []);
    } finally {
      await tab.close();
      await site.stop();
    }
  });
});
