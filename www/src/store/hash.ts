/** SHA-256 in hexadecimal, by WebCrypto where it exists: in secure contexts only. */
export type Sha256 = (bytes: Uint8Array<ArrayBuffer>) => Promise<string>;

/** `fallback` computes the digest without WebCrypto. */
export function sha256With(fallback: (bytes: Uint8Array) => Uint8Array): Sha256 {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  return async (bytes) => hex(subtle ? new Uint8Array(await subtle.digest("SHA-256", bytes)) : fallback(bytes));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
