/** Differences between browser engines that no feature test shows, and between pages and extensions. */

/** Whether this is Chromium under any brand. Works in secure contexts only, the only ones with WebGPU. */
export function isChromium(): boolean {
  return "userAgentData" in navigator;
}

/** What the keys of stored files begin with: this site's address, or in an extension, whose address cannot be a key, one that nobody has. */
export function storeOrigin(): string {
  const { origin } = globalThis.location;
  return isWeb(origin) ? origin : "https://extension.invalid";
}

/** Whether an address is one of the web. Only those can be kept in Cache Storage; the files of an extension are there already. */
export function isWeb(url: string): boolean {
  return /^https?:/.test(url);
}
