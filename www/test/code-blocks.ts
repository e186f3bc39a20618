/** Code blocks of the repository's Markdown files. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/** The code blocks of a file in these languages, `""` for blocks without one; `file` is relative to the root of the repository. */
export function codeBlocks(file: string, ...languages: string[]): string[] {
  const text = readFileSync(resolve("..", file), "utf8");
  const blocks = [...text.matchAll(/^ *```(\w*)\n(.*?)^ *```$/gms)];
  return blocks.filter(([, language]) => languages.includes(language as string)).map(([, , code]) => code as string);
}
