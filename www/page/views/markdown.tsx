/** Answers as elements. They are made of the tokens of Markdown and never of markup, so there is nothing to sanitise. */
import type { Token, Tokens } from "marked";
import { Fragment, type ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { lazy } from "./lazy.js";
import type { MarkdownBlocks } from "./markdown-blocks.js";

/** Without the script answers stay as they were written. */
export const Markdown = lazy(
  () => import("./markdown-blocks.js").then((module) => elementsOf(module.MarkdownBlocks)),
  ({ text }: { text: string }) => <p>{text}</p>,
);

function elementsOf(Blocks: typeof MarkdownBlocks) {
  return function Elements({ text }: { text: string }) {
    const blocks = useRef<MarkdownBlocks | null>(null);
    blocks.current ??= new Blocks();
    return <>{blocks.current.of(text).map(group)}</>;
  };
}

/** Elements of blocks and of groups. Those of finished ones are the same objects for every text that continues it, and are not compared again. */
const made = new WeakMap<object, ComponentChildren>();

function once<Source extends object>(make: (source: Source, key: number) => ComponentChildren) {
  return (source: Source, key: number) => {
    if (!made.has(source)) made.set(source, make(source, key));
    return made.get(source);
  };
}

const group = once((tokens: readonly Token[], key) => <Fragment key={key}>{tokens.map(once(block))}</Fragment>);

function block(token: Token, key: number): ComponentChildren {
  switch (token.type) {
    case "heading": {
      const Heading = (["h4", "h4", "h5"] as const)[(token as Tokens.Heading).depth] ?? "h6";
      return <Heading key={key}>{inlines(token.tokens)}</Heading>;
    }
    case "paragraph":
      return <p key={key}>{inlines(token.tokens)}</p>;
    case "code":
      return (
        <pre key={key}>
          <code>{(token as Tokens.Code).text}</code>
        </pre>
      );
    case "blockquote":
      return <blockquote key={key}>{token.tokens?.map(block)}</blockquote>;
    case "list":
      return <List key={key} list={token as Tokens.List} />;
    case "table":
      return <Table key={key} table={token as Tokens.Table} />;
    case "hr":
      return <hr key={key} />;
    case "space":
      return null;
    case "html":
      return <p key={key}>{token.raw.trim()}</p>;
    default:
      return inline(token, key);
  }
}

function List({ list: { items, ordered, start } }: { list: Tokens.List }) {
  const entries = items.map((item, key) => <li key={String(key)}>{item.tokens.map(block)}</li>);
  return ordered ? <ol start={start === "" || start === 1 ? undefined : start}>{entries}</ol> : <ul>{entries}</ul>;
}

function Table({ table: { header, rows } }: { table: Tokens.Table }) {
  return (
    <table>
      <thead>
        <tr>
          {header.map(({ tokens }, key) => (
            <th key={String(key)}>{inlines(tokens)}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row, key) => (
          <tr key={String(key)}>
            {row.map(({ tokens }, key) => (
              <td key={String(key)}>{inlines(tokens)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function inlines(tokens: readonly Token[] | undefined): ComponentChildren {
  return tokens?.map(inline);
}

/** Elements of a part of a line, by the token's type. */
const INLINE: Readonly<Record<string, "strong" | "em" | "del">> = { strong: "strong", em: "em", del: "del" };

function inline(token: Token, key: number): ComponentChildren {
  const Element = INLINE[token.type];
  if (Element) return <Element key={key}>{inlines((token as Tokens.Generic).tokens)}</Element>;
  switch (token.type) {
    case "link":
      return <Link key={key} link={token as Tokens.Link} />;
    case "codespan":
      return <code key={key}>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br key={key} />;
    case "image":
      return plain((token as Tokens.Image).text);
    case "checkbox":
      return (token as { checked?: boolean }).checked ? "☑ " : "☐ ";
    case "escape":
      return (token as Tokens.Escape).text;
    case "text":
      return token.tokens ? inlines(token.tokens) : plain((token as Tokens.Text).text);
    default:
      return token.raw;
  }
}

/** Addresses that run nothing. Others stay text. */
function Link({ link: { href, tokens } }: { link: Tokens.Link }) {
  const address = URL.canParse(plain(href)) ? new URL(plain(href)) : null;
  if (!address || !["https:", "mailto:"].includes(address.protocol)) return <>{inlines(tokens)}</>;
  return (
    <a href={address.href} rel="noreferrer" target="_blank">
      {inlines(tokens)}
    </a>
  );
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const LAST_CODE_POINT = 0x10ffff;

/** Text with the usual character references replaced. */
function plain(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|(\w+));/gi, (whole: string, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 0 && code <= LAST_CODE_POINT ? String.fromCodePoint(code) : "\ufffd";
  });
}
