/** The documentation as a site: the Markdown files of `docs`, with a search that needs no server. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const docs = fileURLToPath(new URL("../../../docs/", import.meta.url));
const { version } = JSON.parse(readFileSync(new URL("../../../www/package.json", import.meta.url), "utf8"));

/** The file of an installed module. */
function module(name) {
  return fileURLToPath(import.meta.resolve(name));
}

/** The first heading of a file. */
function title(file) {
  return /^# (.+)$/m.exec(readFileSync(docs + file, "utf8"))?.[1].replaceAll("`", "") ?? file;
}

/** A group of the side bar. */
function group(text, files, collapsed = false) {
  return { text, collapsed, items: files.map((file) => ({ text: title(file), link: `/${file.replace(/\.md$/, "")}` })) };
}

function below(folder) {
  return readdirSync(docs + folder)
    .filter((file) => file.endsWith(".md"))
    .map((file) => `${folder}/${file}`);
}

export default {
  title: "Ocelli",
  description: "Vision-language models in the browser, on the user's own device",
  srcDir: docs,
  outDir: fileURLToPath(new URL("../../../target/docs/site/", import.meta.url)),
  cacheDir: fileURLToPath(new URL("../../../target/docs/cache/", import.meta.url)),
  /** The folder of the host where the site lies. */
  base: process.env.OCELLI_DOCS_BASE ?? "/",
  // Links to other files of the repository; `cargo test --test cpu docs` checks them.
  ignoreDeadLinks: [/^\.\.\//, /\/\.\.\//, /README/, /CONTRIBUTING/, /SECURITY/, /MODEL_CARD/],
  // The files lie outside of this folder, where nothing is installed.
  vite: { resolve: { alias: ["vue", "vue/server-renderer"].map((name) => ({ find: new RegExp(`^${name}$`), replacement: module(name) })) } },
  themeConfig: {
    outline: [2, 3],
    search: { provider: "local" },
    nav: [{ text: `Version ${version}`, link: "/roadmap" }],
    sidebar: [
      group("Begin", ["faq.md", "browsers.md", "models.md", "comparison.md"]),
      group("Ways in", below("guides")),
      group("Reference", ["api.md", "clients.md", "memory.md", "numerics.md", "performance.md", "scale.md", "devices.md", "glossary.md"]),
      group("Inside", ["architecture.md", "testing.md", "roadmap.md"]),
      group("Decisions", below("decisions"), true),
    ],
  },
};
