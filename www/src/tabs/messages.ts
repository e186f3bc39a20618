/** Messages between tabs that share an engine, and the names of channels and locks. */
import type { FromWorker, ToWorker } from "../worker/protocol.js";

/** Messages to all tabs that share an engine. `hello`: a tab looks for the host. `host`: there is a new host. */
export type ToAll = { kind: "hello"; tab: string } | { kind: "host" };

/** Messages from the host to another tab. `failed`: the worker cannot continue in any tab. */
export type ToTab = { kind: "welcome"; host: string } | { kind: "message"; message: FromWorker } | { kind: "failed"; what: string };

/** Messages from a tab to the host. */
export type ToHost = ToWorker;

/** The channel between one tab and the host; that tab holds the lock of the same name while it lives. */
export function ownName(key: string, tab: string): string {
  return `${key}/${tab}`;
}
