/** Exports of albums: what other programs read of them, and the table that comes back; and the reading of models' answers. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { parse } from "csv-parse/sync";
import { unzipSync, zipSync } from "fflate";
import { readConversations } from "../page/exports/conversations.js";
import { csvOf, readCsv } from "../page/exports/csv.js";
import { htmlOf } from "../page/exports/html.js";
import { jsonLinesOf, jsonOf } from "../page/exports/json.js";
import { markdownOf, textFilesOf } from "../page/exports/markdown.js";
import { COLUMNS, exportName } from "../page/exports/record.js";
import { unzip, zipOf, type ZipPart } from "../page/exports/zip.js";
import { describe as describePicture } from "../page/pictures/describe.js";
import { blankRow } from "../page/store/albums.js";
import type { Album, AlbumRow, AlbumTask } from "../page/store/schema.js";
import { altInstruction } from "../src/img-alt/instruction.js";
import { altFlags, readAlt, writeAlt, type AltAnswer } from "../src/img-alt/text.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { startSite, type Site } from "./site.js";

const PIECES = [
  ...[
    '"',
    "'",
    ",",
    ";",
    "\t",
    "\r\n",
    "\n",
    "\r",
    "=",
    "+",
    "-",
    "@",
    "|",
    "\0",
    "\uFEFF",
    "\u2028",
    "\u2029",
    "<b>",
    "</script>",
    "&amp;",
    "`",
  ],
  ...[
    "=cmd|' /C calc'!A0",
    "مرحبا",
    "\u202Eabc",
    "\u{1F469}\u200D\u{1F680}",
    "Œuvre",
    "汉字",
    "  ",
    "\\",
    "](x)",
    "#",
    "*",
    "a text",
    "1e5",
    "\u00A0=",
  ],
];
let seed = 3;
const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
const nasty = () => Array.from({ length: 1 + random(6) }, () => PIECES[random(PIECES.length)] ?? "").join("");
const task: AlbumTask = { writes: ["alt"], language: "fr", context: "", isLong: false, keepsAlts: true, detail: "auto" };
const album: Album = {
  id: "a",
  title: "L’été <1>",
  createdAt: 1,
  updatedAt: 1,
  task,
  folder: null,
  keeping: "copies",
  isStarted: false,
  deletedAt: null,
};
const rows: AlbumRow[] = Array.from({ length: 500 }, (_, at) => ({
  ...blankRow("a", at, { path: `folder ${at % 7}/${nasty().replaceAll("/", "")}${at}.png`, bytes: 1, modified: 1 }),
  alt: nasty(),
  long: nasty(),
  caption: nasty(),
  words: nasty(),
  context: nasty(),
  had: at % 3 ? null : nasty(),
  flags: at % 5 ? [] : ["long", "cut"],
  state: at % 4 ? "done" : "reviewed",
  isDecorative: at % 11 === 0,
  picture: at % 2 ? null : "ab".repeat(32),
}));
/** The mark of values that a spreadsheet would compute. */
const unmarked = (value: string) => (value.startsWith("'") ? value.slice(1) : value);

test("a table is read by csv-parse and by the page as it was, and no field is a formula", () => {
  const text = csvOf(rows);
  const [header = [], ...lines] = parse(text, { bom: true, relaxQuotes: false }) as string[][];
  assert.deepEqual(header, COLUMNS);
  assert.equal(lines.length, rows.length);
  const again = readCsv(text);
  for (const [at, row] of rows.entries()) {
    const cells: ReadonlyMap<string, string> = new Map(header.map((name, index) => [name, lines[at]?.[index] ?? ""]));
    for (const cell of cells.values()) assert.doesNotMatch(cell, /^(\s*[=+\-@]|[\t\r\n])/);
    const expected = {
      path: row.path,
      alt: row.isDecorative ? "" : row.alt,
      long_description: row.long,
      caption: row.caption,
      context: row.context,
    };
    for (const [name, value] of Object.entries(expected)) {
      assert.equal(unmarked(cells.get(name) ?? ""), value);
      assert.equal(again[at]?.get(name), value);
    }
    assert.equal(cells.get("reviewed"), row.state === "reviewed" ? "yes" : "no");
  }
});

test("a table that a spreadsheet has saved is read, whatever separates its fields", () => {
  const expected = [
    new Map([
      ["path", "a.png"],
      ["alt", 'x;"y'],
      ["note", ""],
    ]),
  ];
  assert.deepEqual(readCsv('path;alt;note\r\na.png;"x;""y";\r\n'), expected);
  assert.deepEqual(readCsv('"path"\t"alt"\t"note"\n"a.png"\t"x;""y"\t'), expected);
  assert.deepEqual(readCsv(""), []);
  assert.equal(readCsv('path,alt\n"unclosed').length, 1);
});

test("JSON lines are parsed one by one, and the document as a whole", () => {
  const lines = jsonLinesOf(rows).split("\n");
  assert.equal(lines.pop(), "");
  const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    parsed.map(({ caption }) => caption),
    rows.map(({ caption }) => caption),
  );
  assert.ok(lines.every((line) => !/[\u2028\u2029]/.test(line)));
  const document = JSON.parse(jsonOf(album, rows)) as { format: string; rows: { path: string }[] };
  assert.deepEqual([document.format, document.rows.length], ["ocelli-album", 500]);
});

test("names of files have letters, digits and three signs", () => {
  const at = new Date("2026-03-04T05:06:07Z");
  assert.equal(exportName("Été: sea/“2”", "csv", at), "Été__sea__2_-2026-03-04.csv");
  assert.equal(exportName("", "zip", at), "album-2026-03-04.zip");
});

test("texts beside the pictures and Markdown keep the texts of all rows", () => {
  const row = { ...blankRow("a", 0, { path: "a (1)/b.png", bytes: 1, modified: 1 }), alt: "A [link](x) <b> *star*" };
  assert.deepEqual(textFilesOf([row]), [{ path: "a (1)/b.png.txt", text: "A [link](x) <b> *star*\n" }]);
  assert.equal(markdownOf(album, [row]), "# L’été \\<1\\>\n\n![A \\[link\\](x) \\<b\\> \\*star\\*](a%20%281%29/b.png)\n");
});

test("archives are read by another program, begin anew at their limit, and stay below their folder", async () => {
  const files = Array.from({ length: 7 }, (_, at) => ({
    path: at === 3 ? "../../é/3.txt" : `é/${at}.txt`,
    bytes: new Uint8Array(1000).fill(at),
  }));
  const parts: ZipPart[] = [];
  for await (const part of zipOf(files, 2500)) parts.push(part);
  const archives = [0, 1, 2, 3].map((archive) => parts.filter((part) => part.archive === archive));
  assert.equal(parts.at(-1)?.archive, 3);
  const all = archives.map((each) => unzipSync(new Uint8Array(Buffer.concat(each.map(({ bytes }) => bytes)))));
  assert.deepEqual(
    all.flatMap((archive) => Object.keys(archive)),
    files.map((_, at) => `é/${at}.txt`),
  );
  assert.deepEqual(
    all.flatMap((archive) => Object.values(archive)),
    files.map(({ bytes }) => bytes),
  );
  for (const each of archives)
    assert.deepEqual(
      each.map(({ isLast }) => isLast),
      each.map((_, at) => at === each.length - 1),
    );
});

test("archives of this page and of another program are read, file by file, and damaged ones are refused", async () => {
  const files: Record<string, Uint8Array<ArrayBuffer>> = {
    "é/汉字.txt": new TextEncoder().encode("text ".repeat(1000)),
    "empty.bin": new Uint8Array(0),
    "noise.bin": Uint8Array.from({ length: 5000 }, (_, at) => (at * at * 31) >> 5),
  };
  const own: Uint8Array[] = [];
  for await (const { bytes } of zipOf(Object.entries(files).map(([path, bytes]) => ({ path, bytes })))) own.push(bytes);
  const packed = new Uint8Array(zipSync(files, { level: 9, comment: "a comment" }));
  const archives = [new Uint8Array(Buffer.concat(own)), packed];
  for (const archive of archives) {
    const read = await unzip(new Blob([archive]));
    assert.deepEqual([...read.keys()], Object.keys(files));
    for (const [path, bytes] of Object.entries(files)) {
      assert.deepEqual(new Uint8Array((await (await read.get(path)?.())?.arrayBuffer()) ?? []), bytes, path);
    }
    for (const length of [0, 21, 100, archive.length - 23]) await assert.rejects(unzip(new Blob([archive.subarray(0, length)])));
  }
});

test("fields of conversations that the page could not show are refused with their place", () => {
  const id = "a".repeat(64);
  const message = {
    ...{ id: "m", conversation: "c", parent: null, role: "assistant", at: 1, text: "", thoughts: null, pictures: [{ id, name: "p" }] },
    ...{ pictureIds: [id], detail: "auto", isTopic: false, model: null, seed: null, usage: null, notes: [], end: "stop", error: null },
  };
  const conversation = { id: "c", title: "", isNamed: false, createdAt: 1, updatedAt: 1, leaf: "m", isPinned: false };
  const picture = { name: "p", type: "image/png", width: 1, height: 1, isPhotograph: false, from: null, data: "" };
  const faultOf = (ofMessage: object, ofConversation: object = {}, ofPicture: object = {}) => {
    const conversations = [{ ...conversation, ...ofConversation, messages: [{ ...message, ...ofMessage }] }];
    const pictures = { [id]: { ...picture, ...ofPicture } };
    const read = readConversations(JSON.stringify({ format: "ocelli-conversations", version: 1, conversations, pictures }));
    return read.kind === "file" ? (read.faulty[0]?.place ?? null) : read.kind;
  };
  const measured = { decode_ms: 1, pictures: [{ width: 1, height: 1, tokens: 1 }] };
  assert.equal(faultOf({ usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2, ocelli: measured } }), null);
  const at = "conversations[0]";
  assert.equal(faultOf({ usage: { ocelli: { pictures: {} } } }), `${at}.messages[0].usage`);
  assert.equal(faultOf({ usage: { ocelli: { pictures: [null] } } }), `${at}.messages[0].usage`);
  assert.equal(faultOf({ usage: { prompt_tokens: {} } }), `${at}.messages[0].usage`);
  assert.equal(faultOf({ error: { code: "io", message: "", advice: { title: {}, next: "" } } }), `${at}.messages[0].error`);
  assert.equal(faultOf({ sampling: { temperature: "hot", max_tokens: null } }), `${at}.messages[0].sampling`);
  assert.equal(faultOf({ pictures: [{ id: "b".repeat(64), name: "" }] }), `${at}.messages[0].pictures[0].id is not among pictureIds`);
  assert.equal(faultOf({}, { updatedAt: 1e300 }), `${at}.updatedAt`);
  assert.equal(faultOf({}, {}, { from: { id, part: {}, turn: 45 } }), `${at}.messages[0].pictureIds[0] names no picture`);
});

/** Answers the questions of `asking` in turn; returns its result and the questions. */
function converse<T>(asking: Generator<{ turns: string[]; maxTokens: number }, T, AltAnswer>, answers: (string | AltAnswer)[]) {
  const asked: { turns: string[]; maxTokens: number }[] = [];
  let step = asking.next();
  while (!step.done) {
    asked.push(step.value);
    const answer = answers.shift() ?? "";
    step = asking.next(typeof answer === "string" ? { text: answer, isCut: false } : answer);
  }
  return { result: step.value, asked };
}

test("an answer becomes a text: trimmed, without quotation marks around the whole, decorative by its one word", () => {
  assert.equal(readAlt("  “A cat\n on a mat”  "), "A cat on a mat");
  assert.equal(readAlt('"A sign: "Stop""'), '"A sign: "Stop""');
  assert.equal(readAlt('The words "Stop" and "Go"'), 'The words "Stop" and "Go"');
  assert.deepEqual(converse(writeAlt("?"), ["DECORATIVE."]).result, { text: "", isDecorative: true, flags: [] });
  assert.equal(converse(writeAlt("?"), ["A DECORATIVE vase in a window"]).result.isDecorative, false);
});

test("a long answer is shortened once, a cut one is asked for once more with twice the tokens", () => {
  const long = "word ".repeat(60);
  const shortened = converse(writeAlt("?"), [long, "A short text of it"]);
  assert.equal(shortened.result.text, "A short text of it");
  assert.deepEqual(shortened.asked[1]?.turns.slice(1), [long.trim(), "Shorten this to at most 125 characters. Keep quoted words."]);
  assert.deepEqual(converse(writeAlt("?"), [long, long]).result.flags, ["long"]);
  const cut = { text: "It never ends because it", isCut: true };
  const again = converse(writeAlt("?"), [cut, cut]);
  assert.deepEqual([again.asked.map(({ maxTokens }) => maxTokens), again.result.flags], [[120, 240], ["cut"]]);
});

test("flags tell of words for picture in six languages, of names of files, and of lengths", () => {
  const prefixed = [
    "Image of a cat in a box",
    "A picture showing a cat",
    "Ein Foto von einer Katze",
    "Das Bild zeigt Katzen",
    "Una imagen de un gato",
  ];
  const more = [
    "Une photo d’un chat noir",
    "L'image montre un chat",
    "صورة قطة على السجادة",
    "一张照片，一只猫在垫子上",
    "Screenshot of a page",
  ];
  for (const text of [...prefixed, ...more]) assert.ok(altFlags(text).includes("prefix"), text);
  for (const text of [
    "A cat pictured on a mug",
    "Image editors at work",
    "Bildhauer bei der Arbeit",
    "Fotografin am Strand",
    "图书馆里的猫在看书呢呢呢",
  ])
    assert.ok(!altFlags(text).includes("prefix"), text);
  assert.deepEqual(altFlags("IMG_2034.jpg"), ["filename"]);
  assert.deepEqual(altFlags("summer fair", "Summer Fair.png"), ["filename"]);
  assert.deepEqual(altFlags("A cat"), ["short"]);
  assert.deepEqual(altFlags("x".repeat(200)), ["long"]);
});

test("the instruction has the parts that apply, and a row is asked only for what it lacks", () => {
  const instruction = altInstruction({ language: "de", context: "A shop", caption: "Chair", link: "https://a.example/" });
  for (const part of ["one sentence in German", "It stands here: A shop", "Its caption: Chair", "It is a link to: https://a.example/"])
    assert.ok(instruction.includes(part), part);
  assert.doesNotMatch(altInstruction({ language: "Latin" }), /stands here|caption:|link to/);
  assert.match(altInstruction({ language: "Latin" }), /one sentence in Latin/);
  const row = blankRow("a", 0, { path: "a.png", bytes: 1, modified: 1 });
  const all: AlbumTask = { ...task, writes: ["alt", "caption", "words"], isLong: true };
  const { result, asked } = converse(describePicture(row, all, null), ["A caption", "(no text)", "A cat on a mat", "Everything"]);
  assert.deepEqual(result, {
    caption: "A caption",
    words: "",
    alt: "A cat on a mat",
    maybeDecorative: false,
    flags: [],
    long: "Everything",
  });
  assert.match(asked[2]?.turns[0] ?? "", /in French, at most 125 characters.*Its caption: A caption/s);
  assert.deepEqual(asked[3]?.turns.slice(1, 2), ["A cat on a mat"]);
  const known = { ...row, alt: "Known", caption: "Known", words: "Known", long: "Known" };
  assert.deepEqual(converse(describePicture(known, all, null), []), { result: {}, asked: [] });
});

inBrowsers("an album as a web page", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    const few = rows.slice(0, 60).map((row, at) => ({ ...row, alt: at === 5 ? '"><script>document.title="hacked"</script>' : row.alt }));
    site.replaced.set("/test/album.html", new TextEncoder().encode(htmlOf(album, few, { longDescription: "Description longue" })));
    tab = await browser().newTab();
    await tab.goto(`${site.url}test/album.html`);
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  test("it keeps all texts, runs no script and passes axe", async () => {
    await until(tab, "it is loaded", () => document.readyState === "complete");
    const seen = await tab.run(() => ({
      title: document.title,
      scripts: document.scripts.length,
      alts: [...document.querySelectorAll("img")].map(({ alt }) => alt),
      sources: [...document.querySelectorAll("img")].map((image) => decodeURIComponent(image.getAttribute("src") ?? "")),
    }));
    const text = (value: string) => value.replaceAll("\0", "").replace(/\r\n?/g, "\n").replace(/^\s+$/, "");
    assert.deepEqual([seen.title, seen.scripts, seen.alts[5]], ["L’été <1>", 0, '"><script>document.title="hacked"</script>']);
    for (const [at, alt] of seen.alts.entries()) if (at !== 5) assert.equal(alt, rows[at]?.isDecorative ? "" : text(rows[at]?.alt ?? ""));
    assert.deepEqual(
      seen.sources,
      rows.slice(0, 60).map(({ path }) => path),
    );
    await tab.run(readFileSync("node_modules/axe-core/axe.min.js", "utf8") as never);
    const violations = await tab.run(async () => {
      const { axe } = window as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } };
      return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ""}`);
    });
    assert.deepEqual(violations, []);
  });
});
