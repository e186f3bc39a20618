/** An address made absolute, relative to the page; in a worker relative to its script. Throws `TypeError` if it is not a URL. */
export function absoluteUrl(url: string | URL): string {
  return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
}
