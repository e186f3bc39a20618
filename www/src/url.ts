import { ocelliError } from "./errors.js";

/** Makes an address absolute, relative to the page or, in a worker, to its script. Throws `invalid-request` if it is not a URL. */
export function absoluteUrl(url: string | URL): string {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch (cause) {
    const reason = `${String(url)} is not an address`;
    throw ocelliError("invalid-request", reason, { reason }, cause);
  }
}

/** Decodes percent signs for display; text with an invalid one is returned as it is. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
