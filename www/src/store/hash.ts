/** SHA-256 in hexadecimal, by WebCrypto where it exists: in secure contexts only. */
export type Sha256 = (bytes: Uint8Array<ArrayBuffer>) => Promise<string>;

/** By WebCrypto. */
export const webSha256: Sha256 = async (bytes) => hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));

/** `fallback` computes the digest without WebCrypto. */
export function sha256With(fallback: (bytes: Uint8Array) => Uint8Array): Sha256 {
  return (globalThis.crypto as Partial<Crypto> | undefined)?.subtle ? webSha256 : async (bytes) => hex(fallback(bytes));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
