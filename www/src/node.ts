/** The difference between pages and processes. */

/** True in a process of Node, which has threads in place of workers. */
export function isNode(): boolean {
  const { process } = globalThis as { process?: { versions?: { node?: string } } };
  return typeof Worker === "undefined" && process?.versions?.node !== undefined;
}
