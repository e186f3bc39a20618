/** Differences between browser engines that no feature test shows, and between pages and extensions. */

/** Returns true in Chromium under any brand. Works in secure contexts only, the only ones with WebGPU. */
export function isChromium(): boolean {
  return "userAgentData" in navigator;
}

/** Prefix of the keys of stored files: this site's address or, in an extension, whose address cannot be a key, a reserved one. */
export function storeOrigin(): string {
  const { origin } = globalThis.location;
  return isWeb(origin) ? origin : "https://extension.invalid";
}

/** Returns true for an address of the web. Only those can be stored in Cache Storage; the files of an extension are local already. */
export function isWeb(url: string): boolean {
  return /^https?:/.test(url);
}
