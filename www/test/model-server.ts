/** `ocelli serve` with the demo model, as tests start it. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

export interface ModelServer {
  /** Ends in `/v1`. */
  baseURL: string;
  key: string;
  headers: Record<string, string>;
  /** Of its process. */
  pid: number;
  stop(): void;
}

/** Starts it on a free port. */
export async function startServer(): Promise<ModelServer> {
  const key = "secret";
  const options = ["serve", "models/demo", "--port", "0", "--api-key", key, "--alias", "gpt-4o"];
  const server = spawn(resolve("../target/debug/ocelli"), options, { stdio: ["ignore", "ignore", "pipe"] });
  let baseURL: string | undefined;
  for await (const line of createInterface({ input: server.stderr })) if ((baseURL = /http:\S+/.exec(line)?.[0])) break;
  if (!baseURL || server.pid === undefined) throw new Error("the server ended before it listened");
  // Nobody reads the rest.
  server.stderr.resume();
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  return { baseURL, key, headers, pid: server.pid, stop: () => void server.kill() };
}
