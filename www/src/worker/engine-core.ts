/** The engine that answers one request after another. `engine-full.ts` is in the place of this in `worker-full.js`. */
import type { ModuleName } from "../net/wasm-module.js";
import { ocelliError } from "../errors.js";
import type { OcelliEngine } from "../wasm/ocelli.js";
import type { Answer, Turn } from "./answer.js";
import { OneByOne } from "./one-by-one.js";
import type { TaskQueue } from "./queue.js";

export const ENGINE_MODULE: ModuleName = "engine";

/** The most answers at once. */
export function mostTogether(_engine: OcelliEngine): number {
  return 1;
}

/** This one keeps no conversations: `worker-full.js` does. */
export function keepConversations(_engine: OcelliEngine, _bytes: number, _queue: TaskQueue): Promise<void> {
  return Promise.reject(ocelliError("invalid-request", "`cache` needs the worker script `worker-full.js`", { field: "cache" }));
}

/** Nothing is kept. */
export function forgetConversations(_engine: OcelliEngine): Promise<number> {
  return Promise.resolve(0);
}

/** What the engine does while it is a request's turn. */
export function turn(first: Answer, queue: TaskQueue): Turn {
  return new OneByOne(first, queue);
}
