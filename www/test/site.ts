/** Serves the built page and the test data, and counts requests. */
import { existsSync } from "node:fs";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join, resolve } from "node:path";
import { greyPng } from "./pictures.js";
import { serve, type Server } from "../server.mjs";

/** The working directory of tests is `www/`. */
const dist = resolve("dist");
const packages = resolve("../target/fixture-packages");
const fixtures = resolve("../tests/fixtures");

export interface Site {
  url: string;
  /** Number of requests for each path since the start or the last `requests.clear()`. */
  requests: Map<string, number>;
  /** Bytes of fixtures that were sent, by path. */
  sent: Map<string, number>;
  /** Responses with fixtures that are under way. */
  open: number;
  /** Responses with fixtures wait while this returns true. */
  isHeld: () => boolean;
  /** Delay of responses with fixtures. */
  delayMs: number;
  /** Bytes to send instead of a file, by path. */
  replaced: Map<string, Uint8Array>;
  /** The same for one request only. */
  replacedOnce: Map<string, Uint8Array>;
  /** Headers of every response. */
  headers: Record<string, string>;
  /** Stops the server. */
  stop(): Promise<void>;
}

export async function startSite(): Promise<Site> {
  if (!existsSync(join(dist, "index.html"))) throw new Error("www/dist/index.html is missing: run ./build.sh build");
  const requests = new Map<string, number>();
  const replaced = new Map<string, Uint8Array>([
    ["/test/blank.html", new TextEncoder().encode("<!doctype html><title>blank</title>")],
    ["/test/huge.png", greyPng(10_000, 6_000)],
    ["/test/axe.js", await readFile(resolve("node_modules/axe-core/axe.min.js"))],
    ["/test/marked.js", await readFile(resolve("node_modules/marked/lib/marked.umd.js"))],
    ["/test/purify.js", await readFile(resolve("node_modules/dompurify/dist/purify.min.js"))],
  ]);
  const replacedOnce = new Map<string, Uint8Array>();
  const sent = new Map<string, number>();
  const server: Server = await serve(dist, 0, (path, request, response) => {
    requests.set(path, (requests.get(path) ?? 0) + 1);
    for (const [name, value] of Object.entries(site.headers)) response.setHeader(name, value);
    const bytes = replacedOnce.get(path) ?? replaced.get(path);
    replacedOnce.delete(path);
    if (bytes) {
      if (request.headers.range) {
        sendRange(bytes, request, response);
        return true;
      }
      const type = path.endsWith(".html") ? "text/html" : path.endsWith(".js") ? "text/javascript" : "application/octet-stream";
      response.writeHead(200, { "content-type": type, "content-length": bytes.length }).end(bytes);
      return true;
    }
    const outside = [
      ["/packages/", packages],
      ["/kernel-table/", resolve("../target/tmp/kernel-table")],
      ["/checkpoints/", join(fixtures, "checkpoints")],
      ["/gguf/", join(fixtures, "gguf")],
    ].find(([prefix]) => path.startsWith(prefix as string));
    if (!outside) return false;
    const [prefix, folder] = outside as [string, string];
    site.open++;
    response.once("close", () => site.open--);
    const wait = new Promise((resolve) => setTimeout(resolve, site.delayMs).unref());
    void Promise.all([readFile(join(folder, path.slice(prefix.length))), wait]).then(
      async ([file]) => {
        while (site.isHeld() && !response.destroyed) await new Promise((resolve) => setTimeout(resolve, 20).unref());
        // The client has gone while this waited.
        if (response.destroyed) return;
        const bytes = sendRange(file, request, response);
        sent.set(path, (sent.get(path) ?? 0) + bytes);
      },
      () => response.writeHead(404).end(),
    );
    return true;
  });
  let running = true;
  const stop = async () => {
    if (running) await server.close();
    running = false;
  };
  const site: Site = {
    url: server.url,
    requests,
    sent,
    open: 0,
    isHeld: () => false,
    delayMs: 0,
    replaced,
    replacedOnce,
    headers: {},
    stop,
  };
  return site;
}

/** Sends the requested range of `file`; returns its length. */
function sendRange(file: Uint8Array, request: IncomingMessage, response: ServerResponse): number {
  response.setHeader("access-control-allow-origin", "*");
  response.setHeader("access-control-expose-headers", "content-range, etag");
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const etag = `"${createHash("sha256").update(file).digest("hex").slice(0, 16)}"`;
  if (first === undefined) {
    response.writeHead(200, { etag, "content-length": file.length }).end(file);
    return file.length;
  }
  const part = file.subarray(Number(first), Number(last) + 1);
  const range = `bytes ${first}-${Number(first) + part.length - 1}/${file.length}`;
  response.writeHead(206, { etag, "content-length": part.length, "content-range": range }).end(part);
  return part.length;
}
