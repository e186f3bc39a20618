/** Servers that fail in many ways, repeatably; they record requests and count the bytes sent. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";

export type Fault =
  | "drop"
  | "truncate"
  | "truncate-unsized"
  | "stall"
  | "stall-at-once"
  | "corrupt"
  | "ignore-range"
  | "shifted-range"
  | "short"
  | "long"
  | "wrong-total"
  | "change"
  | "400"
  | "404"
  | "416"
  | "429"
  | "429-later"
  | "429-hour"
  | "503-date"
  | "500";

/** Responses of one URL prefix. */
export interface Scenario {
  files: Map<string, Uint8Array>;
  /** Called for every request; `null`: no fault. */
  fault: (file: string, request: IncomingMessage) => Fault | null;
  ranges: boolean;
  /** Lets pages of other origins read the headers that CORS hides by default. */
  exposes: boolean;
  etag: string;
  /** All requests, in order. */
  requests: { file: string; range: string | null; at: number }[];
  /** Bytes of all bodies. */
  bytesSent: number;
  /** Sends bodies in pieces, with this pause between them. */
  pauseMs: number;
  /** Time between the last byte and the break of a connection: a browser may drop bytes that it has not read by then. */
  lingerMs: number;
}

export interface FaultServer {
  /** The first one also serves the page; the others are other origins. */
  urls: string[];
  scenarios: Map<string, Scenario>;
  add(id: string, files: Map<string, Uint8Array>, more?: Partial<Scenario>): Scenario;
  stop(): Promise<void>;
}

const LAST_MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT";

/** `script` is a module of this folder that the page at `/` loads. */
export async function startFaultServer(script: string, count = 1): Promise<FaultServer> {
  const scenarios = new Map<string, Scenario>();
  const bundle = await build({ entryPoints: [script], bundle: true, format: "esm", target: "es2022", write: false });
  const page = new Map([
    ["/", ["text/html", `<!doctype html><title>page</title><script type="module" src="/page.js"></script>`]],
    ["/page.js", ["text/javascript", bundle.outputFiles[0]?.text ?? ""]],
  ]);
  const servers: Server[] = [];
  for (let index = 0; index < count; index++) {
    const server = createServer((request, response) => {
      const { pathname } = new URL(request.url as string, "http://localhost");
      const [type, text] = page.get(pathname) ?? [];
      if (type) return void response.writeHead(200, { "content-type": type }).end(text);
      const [, id, file] = /^\/([^/]+)\/(.*)$/.exec(pathname) ?? [];
      const scenario = scenarios.get(id as string);
      if (!scenario || file === undefined) return void response.writeHead(404).end();
      answer(scenario, file, request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
  }
  return {
    urls: servers.map((server) => `http://localhost:${(server.address() as AddressInfo).port}/`),
    scenarios,
    add(id, files, more = {}) {
      const base = { fault: () => null, ranges: true, exposes: true, etag: '"1"', requests: [], bytesSent: 0, pauseMs: 0, lingerMs: 5 };
      const scenario: Scenario = { files, ...base, ...more };
      scenarios.set(id, scenario);
      return scenario;
    },
    async stop() {
      for (const server of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

function answer(scenario: Scenario, file: string, request: IncomingMessage, response: ServerResponse): void {
  const range = request.headers.range ?? null;
  response.setHeader("access-control-allow-origin", "*");
  if (scenario.exposes) response.setHeader("access-control-expose-headers", "etag, content-range, retry-after");
  const bytes = scenario.files.get(file);
  if (!bytes) return void response.writeHead(404).end();
  if (request.method === "HEAD") return void response.writeHead(200, { "content-length": bytes.length }).end();
  scenario.requests.push({ file, range, at: performance.now() });

  const fault = scenario.fault(file, request);
  if (fault === "drop") return void request.socket.destroy();
  if (fault === "stall-at-once") return;
  const refusal = fault && refusalOf(fault);
  if (refusal) return void response.writeHead(refusal.status, refusal.headers).end("no\n");
  if (fault === "change") scenario.etag = `"${Math.random()}"`;

  const asked = range && scenario.ranges && fault !== "ignore-range" ? parseRange(range, bytes.length) : null;
  const isCurrent = request.headers["if-range"] === undefined || request.headers["if-range"] === scenario.etag;
  const shift = fault === "shifted-range" && asked && asked.start > 0 ? -1 : 0;
  const part = asked && isCurrent ? { start: asked.start + shift, end: asked.end + shift } : { start: 0, end: bytes.length };
  let body = Buffer.from(bytes.subarray(part.start, part.end));
  if (scenario.etag !== '"1"') body = Buffer.from(laterVersion(body));
  if (fault === "corrupt" && body.length) body[body.length >> 1] = (body[body.length >> 1] as number) ^ 1;
  if (fault === "short") body = body.subarray(0, body.length >> 1);
  if (fault === "long") body = Buffer.concat([body, Buffer.from("more")]);

  const headers: Record<string, string | number> = { etag: scenario.etag, "last-modified": LAST_MODIFIED, "content-length": body.length };
  const total = fault === "wrong-total" ? bytes.length + 1 : bytes.length;
  const isPartial = asked !== null && isCurrent;
  if (isPartial) headers["content-range"] = `bytes ${part.start}-${part.end - 1}/${total}`;
  if (scenario.etag !== '"1"') headers["last-modified"] = "Fri, 02 Jan 2026 00:00:00 GMT";
  if (fault === "truncate-unsized") delete headers["content-length"];
  response.writeHead(isPartial ? 206 : 200, headers);
  void send(scenario, fault, body, response);
}

async function send(scenario: Scenario, fault: Fault | null, body: Buffer, response: ServerResponse): Promise<void> {
  const isBroken = fault === "truncate" || fault === "truncate-unsized" || fault === "stall";
  const sent = isBroken ? body.subarray(0, body.length >> 1) : body;
  scenario.bytesSent += sent.length;
  if (scenario.pauseMs && sent.length > 1) {
    response.write(sent.subarray(0, sent.length >> 1));
    await new Promise((resolve) => setTimeout(resolve, scenario.pauseMs));
    response.write(sent.subarray(sent.length >> 1));
  } else {
    response.write(sent);
  }
  if (fault === "stall") return;
  if (isBroken) setTimeout(() => response.destroy(), scenario.lingerMs);
  else response.end();
}

function refusalOf(fault: Fault): { status: number; headers: Record<string, string> } | null {
  const [, status, when] = /^(\d{3})(?:-(\w+))?$/.exec(fault) ?? [];
  if (!status) return null;
  // Dates have whole seconds, so that the next one may be now.
  const retryAfter = { later: "1", hour: "3600", date: new Date(Date.now() + 1000).toUTCString() }[when ?? ""];
  return { status: Number(status), headers: retryAfter ? { "retry-after": retryAfter } : {} };
}

function parseRange(range: string, size: number): { start: number; end: number } {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range) ?? [];
  return { start: Number(first), end: last ? Math.min(size, Number(last) + 1) : size };
}

/** The file after a `change`. */
export function laterVersion(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 0x55);
}

/** Random numbers from 0 to 1 by a seed. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Random up to 1 MiB, then the same bytes again. */
export function randomBytes(length: number, next: () => number): Uint8Array {
  const begin = Uint8Array.from({ length: Math.min(length, 1 << 20) }, () => Math.floor(256 * next()));
  return length > begin.length ? new Uint8Array(Buffer.alloc(length, begin)) : begin;
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A package of random bytes: enough for the store, but not a model. */
export function fakePackage(sizes: readonly number[], next: () => number): Map<string, Uint8Array> {
  const files = new Map([["tokenizer.json", randomBytes(500, next)]]);
  for (const [index, size] of sizes.entries()) files.set(`shard-${String(index).padStart(4, "0")}.bin`, randomBytes(size, next));
  const entry = (file: string, bytes: Uint8Array) => ({ file, bytes: bytes.length, sha256: sha256(bytes) });
  const [tokenizer, ...shards] = [...files].map(([file, bytes]) => entry(file, bytes));
  return files.set("model.json", new TextEncoder().encode(JSON.stringify({ name: "Fake", tokenizer, shards })));
}
