/** `ocelli serve` as a process of its own on this machine, its memory and handles, and the requests of one client. */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

export const CHAT = "/v1/chat/completions";

/** Seconds until a server that does not answer counts as hung. */
const PATIENCE_MS = 300_000;

export class Server {
  /** Serves `pkg` with the command `ocelli`. The process has the lowest priority if `isLow`. */
  static async start({ ocelli, pkg, args = [], isLow = false }) {
    const command = [ocelli, "serve", pkg, "--port", "0", "--log", "off", ...args];
    const [program, ...rest] = isLow ? ["nice", "-n", "19", ...command] : command;
    const child = spawn(program, rest, { stdio: ["ignore", "ignore", "pipe"] });
    const url = await new Promise((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`ocelli serve ended with ${code}`)));
      child.once("error", reject);
      createInterface(child.stderr).on("line", (line) => {
        const found = /http:\/\/[\d.:]+/.exec(line);
        if (found) resolve(found[0]);
      });
    });
    return new Server(child, url);
  }

  constructor(child, url) {
    this.child = child;
    this.url = url;
    this.port = Number(new URL(url).port);
  }

  get isAlive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Bytes in memory: now, and the most since the last {@link resetPeak}. */
  memory() {
    const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
    const bytes = (name) => Number(new RegExp(`${name}:\\s*(\\d+) kB`).exec(status)?.[1]) * 1024;
    return { resident: bytes("VmRSS"), peak: bytes("VmHWM"), threads: Number(/Threads:\s*(\d+)/.exec(status)?.[1]) };
  }

  /** Open files and sockets. */
  handles() {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  /** Values of the gauges of `/metrics` by name. */
  async metrics() {
    const text = await (await this.fetch("/metrics")).text();
    return Object.fromEntries([...text.matchAll(/^ocelli_(\w+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]));
  }

  fetch(path, { body, signal, ...init } = {}) {
    const limit = AbortSignal.timeout(PATIENCE_MS);
    const json = body === undefined || body instanceof FormData || typeof body === "string" ? body : JSON.stringify(body);
    const headers = json === undefined || json instanceof FormData ? {} : { "content-type": "application/json" };
    const method = json === undefined ? "GET" : "POST";
    return fetch(this.url + path, { method, headers, body: json, signal: signal ? AbortSignal.any([signal, limit]) : limit, ...init });
  }

  /** The status and JSON of a reply. */
  async ask(path, body, signal) {
    const reply = await this.fetch(path, { body, signal });
    return { status: reply.status, json: await reply.json() };
  }

  /** The text of a streamed chat. `onToken` is called at each piece of it. */
  async stream(body, { signal, onToken = () => {} } = {}) {
    const reply = await this.fetch(CHAT, { body: { ...body, stream: true }, signal });
    if (reply.status !== 200) throw new Error(`${reply.status}: ${await reply.text()}`);
    let text = "";
    let rest = "";
    for await (const bytes of reply.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + bytes).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: {")) continue;
        const { choices, error } = JSON.parse(line.slice(6));
        if (error) throw new Error(error.message);
        text += choices[0]?.delta.content ?? "";
        onToken();
      }
    }
    return text;
  }

  async stop() {
    if (!this.isAlive) return;
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    const killing = setTimeout(() => this.child.kill("SIGKILL"), 40_000);
    await ended;
    clearTimeout(killing);
  }
}

/** A greedy question whose answer has exactly `tokens` tokens: the token that ends answers of the demo model is forbidden. */
export function endless(tokens, more = {}) {
  return { messages: [{ role: "user", content: "Hello" }], max_tokens: tokens, temperature: 0, logit_bias: { 2: -100 }, ...more };
}

/** A part of a message that shows a PNG file. */
export function shown(file) {
  return { type: "image_url", image_url: { url: `data:image/png;base64,${file.toString("base64")}` } };
}

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

/** A table in Markdown. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
