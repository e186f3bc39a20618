/** Threads of the processor in a page. */

import { isNode } from "../node.js";

/** More are slower on most machines: cores share their memory. */
const MOST_THREADS = 8;

/** Threads that this machine has for a model. */
export function possibleThreads(): number {
  return Math.min(globalThis.navigator?.hardwareConcurrency || 1, MOST_THREADS);
}

/**
 * True if memory may be shared among threads: in a page that is cross-origin isolated, and in Node. Not in Firefox, where a worker that starts
 * another worker sometimes blocks for ever.
 */
export function canShareMemory(): boolean {
  const isIsolated = isNode() || globalThis.crossOriginIsolated === true;
  return isIsolated && typeof SharedArrayBuffer !== "undefined" && !/firefox/i.test(globalThis.navigator?.userAgent ?? "");
}
