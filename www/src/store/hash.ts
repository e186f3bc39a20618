import { ocelliError } from "../errors.js";

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

/** The hash in `sha256-` and base64, as in the `integrity` attribute of HTML. Throws `invalid-request` for any other text. */
export function integrityHash(integrity: string): string {
  const [, base64] = /^sha256-([A-Za-z0-9+/]{43}=)$/.exec(integrity) ?? [];
  if (base64 === undefined) {
    const reason = "not `sha256-` and a SHA-256 in base64";
    throw ocelliError("invalid-request", `integrity: ${reason}`, { field: "integrity", reason });
  }
  return hex(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
}
