/** What tabs that share an engine tell each other, and the names they use for it. */
import type { FromWorker, ToWorker } from "../worker/protocol.js";

/** Heard by every tab that shares an engine. `hello`: a tab looks for the one with the worker. `host`: there is a new one. */
export type ToAll = { kind: "hello"; tab: string } | { kind: "host" };

/** From the tab with the worker to one of the others. `failed`: the worker cannot go on, in no tab. */
export type ToTab = { kind: "welcome"; host: string } | { kind: "message"; message: FromWorker } | { kind: "failed"; what: string };

/** From a tab to the one with the worker. */
export type ToHost = ToWorker;

/** The channel between one tab and the host; that tab holds the lock of the same name while it lives. */
export function ownName(key: string, tab: string): string {
  return `${key}/${tab}`;
}
