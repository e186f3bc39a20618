/** `ocelli serve` with the demo model, for tests. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

export interface ModelServer {
  /** Ends in `/v1`. */
  baseURL: string;
  headers: Record<string, string>;
  /** Process id. */
  pid: number;
  stop(): void;
}

/** Headers that clients must send. */
export const API_KEY = "secret";

/** Starts it on a free port, with `more` options; with `key: null` it requires none. */
export async function startServer({ key, more = [] }: { key: string | null; more?: string[] } = { key: API_KEY }): Promise<ModelServer> {
  const options = ["serve", "models/demo", "--port", "0", "--alias", "gpt-4o", ...(key ? ["--api-key", key] : []), ...more];
  const server = spawn(resolve("../target/debug/ocelli"), options, { stdio: ["ignore", "ignore", "pipe"] });
  let baseURL: string | undefined;
  for await (const line of createInterface({ input: server.stderr })) if ((baseURL = /http:\S+/.exec(line)?.[0])) break;
  if (!baseURL || server.pid === undefined) throw new Error("the server ended before it listened");
  // The rest of the output is not read.
  server.stderr.resume();
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  return { baseURL, headers, pid: server.pid, stop: () => void server.kill() };
}
