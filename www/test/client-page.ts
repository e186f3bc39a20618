/** A page with an engine and OpenAI's own client, unmodified, over `engine.fetch`. */
import type OpenAI from "openai";
import { build, type BuildOptions } from "esbuild";
import type { Engine, LoadOptions } from "../src/index.js";
import type { Tab, TestBrowser } from "./driver.js";
import type { Site } from "./site.js";

/** State of the tests in the page. */
export interface Kept {
  engine: Engine;
  client: OpenAI;
  /** A greedy question about the picture at `url`. */
  about(url: string): { model: string; temperature: number; max_tokens: number; messages: OpenAI.ChatCompletionMessageParam[] };
  /** The answer of the engine without a client. */
  answerTo(url: string): Promise<string>;
  /** The error of a promise that must fail. */
  failure(promise: PromiseLike<unknown>): Promise<Failure>;
}

export interface Failure {
  name: string;
  status: number | undefined;
  type: unknown;
  code: unknown;
  param: unknown;
}

export const PICTURE = "/models/demo/gallery/scene-01.png";
/** The demo model's answer about it. */
export const WANTED = 'An orange circle above the purple word "SEA" on a gray background.';

/** The module that pages import as `/test/openai.js`. */
const CLIENT = `
  export * from "openai";
  export { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
  export { z } from "zod";
`;
export type Client = typeof import("openai") & typeof import("openai/helpers/zod") & Pick<typeof import("zod"), "z">;

/** Serves a script for pages as `path`: a file of `test/` or a text, bundled with its imports except the built package. */
export async function addScript(site: Site, path: string, source: { file: string } | { text: string }): Promise<void> {
  const entry: BuildOptions =
    "file" in source ? { entryPoints: [source.file] } : { stdin: { contents: source.text, resolveDir: process.cwd(), loader: "ts" } };
  const built = await build({
    ...entry,
    bundle: true,
    format: "esm",
    write: false,
    platform: "browser",
    logLevel: "error",
    define: { "process.env.NODE_ENV": '"development"' },
    plugins: [
      {
        name: "built-package",
        setup: ({ onResolve }) => {
          onResolve({ filter: /^\.\.\/(src\/)?index\.js$/ }, () => ({ path: "/ocelli/index.js", external: true }));
        },
      },
    ],
  });
  site.replaced.set(path, built.outputFiles?.[0]?.contents as Uint8Array);
}

/** A tab with the state {@link Kept} in its window. */
export async function openClientPage(browser: TestBrowser, site: Site, options: LoadOptions = {}): Promise<Tab> {
  await addScript(site, "/test/openai.js", { text: CLIENT });
  const tab = await browser.newTab();
  await fillClientPage(tab, site, options);
  return tab;
}

/** The same in an existing tab. */
export async function fillClientPage(tab: Tab, site: Site, options: LoadOptions = {}): Promise<void> {
  await tab.goto(`${site.url}test/blank.html`);
  await tab.run(async (options) => {
    const { Engine } = (await import("/ocelli/index.js" as string)) as typeof import("../src/index.js");
    const { OpenAI } = (await import("/test/openai.js" as string)) as typeof import("openai");
    const engine = await Engine.load("/models/demo/", { aliases: ["gpt-4o"], ...options });
    const client = new OpenAI(engine.openai());
    const about = (url: string) => ({
      model: "gpt-4o",
      temperature: 0,
      max_tokens: 40,
      messages: [
        {
          role: "user" as const,
          content: [
            { type: "image_url" as const, image_url: { url } },
            { type: "text" as const, text: "Describe this image." },
          ],
        },
      ],
    });
    const answers = new Map<string, Promise<string>>();
    const answerTo = (url: string) => {
      const asked = async () => (await engine.chat.completions.create({ ...about(url), stream: false })).choices[0]?.message.content ?? "";
      const answer = answers.get(url) ?? asked();
      answers.set(url, answer);
      return answer;
    };
    const failure = async (promise: PromiseLike<unknown>): Promise<Failure> => {
      const thrown = await promise.then(
        () => ({ name: "none: it went well" }),
        (thrown: unknown) => thrown,
      );
      const { name, status, type, code, param } = thrown as Failure;
      return { name: name === "Error" ? (thrown as object).constructor.name : name, status, type, code, param };
    };
    Object.assign(window, { engine, client, about, answerTo, failure });
  }, options);
}
