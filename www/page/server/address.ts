/** Addresses and keys of servers, as people write them. */
import { decoded } from "../../src/url.js";
import { Fault } from "./fault.js";

/** The folder of the API, such as `http://localhost:8080/`, and the key that the address had. */
export interface Entered {
  address: string;
  key: string;
}

/** Reads an address. A missing scheme is http for this machine and for numbers, else https. Throws a `Fault` if it is none. */
export function enteredAddress(text: string, key: string): Entered {
  const written = text.trim();
  if (/\s/.test(written)) throw new Fault("address", written);
  const isNear = /^(localhost|[\d.]+|\[[\da-f:.]+\])(:\d+)?(\/|$)/i.test(written);
  const full = /^[a-z]+:\/\//i.test(written) ? written : `${isNear ? "http" : "https"}://${written}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) throw new Fault("address", written);
  const given = key.trim() || keyIn(url.hash);
  const address = url.origin + url.pathname.replace(/\/*(v1(\/(models|chat\/completions))?)?\/*$/, "/");
  if (location.protocol === "https:" && url.protocol === "http:" && !isLoopback(url.hostname)) throw new Fault("mixed", address);
  return { address, key: given };
}

/** The key in the fragment `#key=…`; empty if it has none. */
export function keyIn(hash: string): string {
  return decoded(/^#key=(.*)/.exec(hash)?.[1] ?? "").trim();
}

/** Browsers allow these over http from any page. */
function isLoopback(host: string): boolean {
  return /^(.*\.)?localhost$|^127\.|^\[::1\]$/.test(host);
}
