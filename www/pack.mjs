/**
 * Packs the built page for `ocelli serve`: `node pack.mjs FILE`. The file has a line of JSON with the paths, lengths and headers of the files, and
 * then the files one after another, each compressed by gzip. `bin/page` reads it.
 */
import { createHash } from "node:crypto";
import { readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { headersOf } from "./headers.mjs";
import { TYPES } from "./server.mjs";

const dist = fileURLToPath(new URL("dist", import.meta.url));

/** Neither the engine nor what needs it, such as the benchmark and the work without a network. */
const LEFT_OUT = /\.map$|^bench|^_headers$|^sw\.js$|^version\.txt$/;
const OF_PACKAGE = ["ocelli/index.js", "ocelli/THIRD-PARTY.txt"];

/** A browser may have the service worker of a page that another program has served at this address: this one takes its place and ends. */
const NO_SERVICE_WORKER = `addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(end()));
async function end() {
  for (const name of await caches.keys()) if (name.startsWith("ocelli-shell-")) await caches.delete(name);
  await registration.unregister();
  for (const tab of await clients.matchAll({ type: "window" })) tab.navigate(tab.url);
}
`;

const names = (await readdir(dist, { withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name);
const files = new Map([["sw.js", Buffer.from(NO_SERVICE_WORKER)]]);
for (const name of [...names.filter((name) => !LEFT_OUT.test(name)), ...OF_PACKAGE].sort())
  files.set(name, await readFile(join(dist, name)));
// By this the page knows that the server that sent it also answers.
files.set("index.html", Buffer.from(files.get("index.html").toString().replace("<title>", '<meta name="ocelli-server" /><title>')));

const entries = [];
const bodies = [];
for (const [name, bytes] of files) {
  const path = name === "index.html" ? "/" : `/${name}`;
  const body = gzipSync(bytes, { level: 9 });
  const etag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}"`;
  const type = TYPES[/\.\w+$/.exec(name)?.[0] ?? ""] ?? "text/plain; charset=utf-8";
  entries.push({ path, length: body.length, headers: { ...ownHeaders(path), "content-type": type, etag } });
  bodies.push(body);
}
const file = process.argv[2];
// A build that reads it meanwhile gets a whole one.
await writeFile(`${file}.part`, Buffer.concat([Buffer.from(`${JSON.stringify(entries)}\n`), ...bodies]));
await rename(`${file}.part`, file);

/** The page's headers, but the part that asks the server reaches only this one. */
function ownHeaders(path) {
  const headers = headersOf(path);
  return path === "/server-worker.js" ? { ...headers, "content-security-policy": "default-src 'none'; connect-src 'self'" } : headers;
}
