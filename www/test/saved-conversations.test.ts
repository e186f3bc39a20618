/** Conversations saved for people as Markdown, and files of conversations that are dropped on the page. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { unzipSync } from "fflate";
import { Lexer, type Token } from "marked";
import { conversationsMarkdown, type SavedConversation } from "../page/exports/conversations.js";
import { stubFiles } from "./album-page.js";
import { askByKeyboard, drop, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

const SCENE = readFileSync("models/demo/gallery/scene-01.png");
const ID = createHash("sha256").update(SCENE).digest("hex");

/** Drops a file of a known type on the page, whichever view it shows. */
function give(tab: Tab, from: string, name: string, type: string): Promise<void> {
  return tab.run(
    async ({ from, name, type }) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([await (await fetch(from)).blob()], name, { type }));
      document.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
    },
    { from, name, type },
  );
}

/** The text that a reader of Markdown sees, and the kinds of its parts. */
function read(tokens: readonly Token[]): { text: string; kinds: Set<string> } {
  const kinds = new Set<string>();
  const textOf = (token: Token): string => {
    kinds.add(token.type);
    const { tokens, items, text = "", type } = token as { tokens?: Token[]; items?: Token[]; text?: string; type: string };
    const parts = items ?? tokens;
    return parts ? parts.map(textOf).join("") : type === "br" ? "\n" : text;
  };
  return { text: tokens.map(textOf).join("\n"), kinds };
}

test("no title, question or name is read as Markdown, and answers keep theirs without HTML", () => {
  const nasty = [
    "# no heading",
    "- no list",
    "+ none",
    "1. none",
    "2) none",
    "===",
    "---",
    "> no quote",
    "    no code",
    "`no code`",
    "*a* _b_ **c** ~~d~~",
    "[no](link) ![no](picture.png)",
    "<script>alert(1)</script>",
    "<!-- gone -->",
    "&amp; &#60;",
    "| a | b |",
    "|---|---|",
    "\\",
    "[x]: address",
  ];
  for (const text of [...nasty, nasty.join("\n"), `a\n${nasty.join("\na\n")}`]) {
    const turn = (role: string, text: string) => ({ role, text, pictures: [], model: { name: nasty[10], url: "" } });
    const title = text.replace(/\s+/g, " ");
    const conversation = { title, messages: [turn("user", text), turn("assistant", "**Bold**")] } as unknown as SavedConversation;
    const tokens = Lexer.lex(conversationsMarkdown([conversation], new Map(), { you: "You", name: "Model" }));
    const parts = tokens.filter(({ type }) => type !== "space");
    assert.deepEqual(
      parts.map(({ type }) => type),
      ["heading", "heading", "blockquote", "heading", "paragraph"],
      text,
    );
    const [heading, , quote, model] = parts.map((part) => read([part]));
    assert.equal(heading?.text, title.trim());
    assert.equal(model?.text, nasty[10]);
    assert.equal(quote?.text, text.replace(/^ +/gm, ""));
    for (const kind of ["html", "strong", "em", "del", "codespan", "code", "link", "image", "list", "table", "hr", "def"])
      assert.ok(!quote?.kinds.has(kind) && !heading?.kinds.has(kind), `${kind}: ${text}`);
  }
  const answer = 'A **bold** <b>word</b>, `<code>`, <img src=x onerror="1">\n\n```html\n<p>kept</p>\n```\n\n- a < b';
  const conversation = { title: "", messages: [{ role: "assistant", text: answer, pictures: [], model: null }] };
  const { text, kinds } = read(
    Lexer.lex(conversationsMarkdown([conversation as unknown as SavedConversation], new Map(), { you: "", name: "M" })),
  );
  assert.ok(!kinds.has("html") && kinds.has("strong") && kinds.has("code") && kinds.has("list"));
  for (const part of ["A bold <b>word</b>, <code>, <img src=x", "<p>kept</p>", "a < b"]) assert.ok(text.includes(part), part);
});

inBrowsers("saved conversations", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
  });
  beforeEach(async () => {
    tab = await newTab();
  });
  afterEach(() => tab?.close());
  after(() => site?.stop());

  async function newTab(): Promise<Tab> {
    const tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await tab.beforeLoad(stubFiles);
    await openPage(tab, `${site.url}?model=models/other/`);
    await tab.viewport(1440, 900);
    return tab;
  }
  /** Saves all conversations by a button, and returns the file. */
  async function saved(button: string): Promise<{ name: string; bytes: Buffer }> {
    await tab.run(() => (location.hash = "#/settings/data"));
    await until(tab, "the section", () => document.getElementById("load-conversations") !== null);
    await tab.run(() => void ((window as unknown as { saved: unknown[] }).saved.length = 0));
    await tab.click(button);
    await until(tab, "it is saved", () => (window as unknown as { saved: unknown[] }).saved.length > 0);
    const { name, base64 } = await tab.run(async () => {
      const [file] = (window as unknown as { saved: { name: string; blob: Blob }[] }).saved;
      const bytes = new Uint8Array((await file?.blob.arrayBuffer()) ?? []);
      let letters = "";
      for (const byte of bytes) letters += String.fromCharCode(byte);
      return { name: file?.name ?? "", base64: btoa(letters) };
    });
    return { name, bytes: Buffer.from(base64, "base64") };
  }
  const told = (tab: Tab, pattern: string) =>
    until(tab, pattern, (pattern) => new RegExp(pattern).test(document.getElementById("data-told")?.textContent ?? ""), pattern, 30);

  test("Markdown has the shown turns, and an archive the pictures that it names", async () => {
    await askByKeyboard(tab, "echo *one*");
    await nextAnswer(tab);
    const alone = await saved("#save-markdown");
    assert.match(alone.name, /^ocelli-conversations-\d{4}-\d\d-\d\d\.md$/);
    assert.equal(alone.bytes.toString(), "# echo \\*one\\*\n\n## You\n\n> echo \\*one\\*\n\n## models/other/\n\nAnswer 1\n");

    await tab.click("#rail .conversations a[href^='#/c/']");
    await until(tab, "the conversation", () => document.querySelector("#log .turn.model [aria-keyshortcuts=r]") !== null);
    await tab.click("#log .turn.model [aria-keyshortcuts=r]");
    await until(tab, "another answer", () => /Answer 2/.test(document.querySelector("#log .turn.model .words")?.textContent ?? ""));
    await give(tab, "models/demo/gallery/scene-01.png", "a [scene].png", "image/png");
    await nextAnswer(tab, 1);
    await askByKeyboard(tab, "markup");
    await nextAnswer(tab, 2);
    const { name, bytes } = await saved("#save-markdown");
    assert.match(name, /\.md\.zip$/);
    const files = unzipSync(bytes);
    assert.deepEqual(Object.keys(files).sort(), ["conversations.md", `pictures/${ID}.png`]);
    assert.deepEqual(Buffer.from(files[`pictures/${ID}.png`] ?? []), SCENE);
    const text = Buffer.from(files["conversations.md"] ?? []).toString();
    assert.ok(text.includes(`## You\n\n![a \\[scene\\].png](pictures/${ID}.png)\n\n> Describe this picture`), text);
    assert.ok(text.includes("Answer 2") && !text.includes("Answer 1"), "the version that is shown");
    assert.ok(text.includes('## models/other/\n\n\\<img src=x onerror="window.hacked=1">\\<b>bold\\</b>\n'), text);
    assert.deepEqual(tab.faults, []);
  });

  test("a saved file that is dropped on the page is imported, and another file is refused", async () => {
    await drop(tab, { from: "models/demo/gallery/scene-01.png", name: "scene.png" });
    await nextAnswer(tab);
    const { name, bytes } = await saved("#save-conversations");
    const other = await newTab();
    try {
      const file = { text: bytes.toString(), name };
      await drop(other, file);
      await told(other, "^1 conversation added\\.$");
      assert.equal(await other.run(() => location.hash), "#/settings/data");
      await other.run(() => document.querySelector<HTMLAnchorElement>("#rail .conversations a[href^='#/c/']")?.click());
      await until(other, "its turns", () => document.querySelectorAll("#log .turn").length === 2);
      await until(other, "its picture", () => (document.querySelector<HTMLImageElement>("#log .turn.user img")?.naturalWidth ?? 0) > 0);
      await drop(other, file);
      await told(other, "1 were here already");
      // The section is shown already.
      await give(other, "data:,{}", "other.json", "application/json");
      await told(other, "no file of conversations");
      assert.equal(await other.run(() => document.querySelectorAll("#rail .conversations a[href^='#/c/']").length), 1);
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
    }
  });

  test("a file that is dropped at the moment when the result of another one is shown is read", async () => {
    await askByKeyboard(tab, "echo one");
    await nextAnswer(tab);
    const { bytes } = await saved("#save-conversations");
    const other = await newTab();
    try {
      await other.run(() => (location.hash = "#/settings/data"));
      await until(other, "the section", () => document.getElementById("data-told") !== null);
      await other.run((text) => {
        const give = (text: string) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], "some.json"));
          document.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
        };
        const told = document.getElementById("data-told") as HTMLElement;
        const observer = new MutationObserver(() => {
          if (!told.textContent) return;
          observer.disconnect();
          give("{}");
        });
        observer.observe(told, { childList: true, characterData: true, subtree: true });
        give(text);
      }, bytes.toString());
      await told(other, "no file of conversations");
    } finally {
      await other.close();
    }
  });

  test("a picture that is dropped beside a saved file is asked about", async () => {
    await askByKeyboard(tab, "echo one");
    await nextAnswer(tab);
    const { name, bytes } = await saved("#save-conversations");
    const other = await newTab();
    try {
      await other.run(
        ({ name, text, scene }) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([text], name));
          transfer.items.add(
            new File([Uint8Array.from(atob(scene), (letter) => letter.charCodeAt(0))], "beside.png", { type: "image/png" }),
          );
          document.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
        },
        { name, text: bytes.toString(), scene: SCENE.toString("base64") },
      );
      await told(other, "^1 conversation added\\.$");
      await until(other, "both conversations", () => document.querySelectorAll("#rail .conversations a[href^='#/c/']").length === 2);
      await other.run(() => history.back());
      await until(other, "the picture", () => document.querySelector("#log .turn.user img") !== null);
      assert.deepEqual(other.faults, []);
    } finally {
      await other.close();
    }
  });
});
