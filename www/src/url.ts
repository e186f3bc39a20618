import { ocelliError } from "./errors.js";

/** Makes an address absolute, relative to the page or, in a worker, to its script. Throws `invalid-request` if it is not a URL. */
export function absoluteUrl(url: string | URL): string {
  try {
    return new URL(url, baseUrl()).href;
  } catch (cause) {
    const reason = `${String(url)} is not an address`;
    throw ocelliError("invalid-request", reason, { reason }, cause);
  }
}

/** The base of relative addresses: that of the page or of the worker's script; in a process, its working directory. */
export function baseUrl(): string | undefined {
  const here = globalThis.document?.baseURI ?? globalThis.location?.href;
  const { process } = globalThis as { process?: { cwd?(): string } };
  return here ?? (process?.cwd && `file:///${process.cwd().replaceAll("\\", "/").replace(/^\//, "")}/`);
}

/** Decodes percent signs for display; text with an invalid one is returned as it is. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
