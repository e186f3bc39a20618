import { ocelliError } from "./errors.js";

/** An address made absolute, relative to the page; in a worker relative to its script. Throws `invalid-request` if it is no URL. */
export function absoluteUrl(url: string | URL): string {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch (cause) {
    const reason = `${String(url)} is not an address`;
    throw ocelliError("invalid-request", reason, { reason }, cause);
  }
}
