/** The server that answers in place of this device, if the user has chosen one or it has sent this page. */

import { decoded } from "../../src/url.js";

/** A server, the model on it that answers, and the key that it wants. */
export interface Server {
  /** The folder of its API, with a slash at its end. */
  address: string;
  model: string;
  key: string;
}

/** Also removed by `deleteEverything`. */
const [KEY, SECRET] = ["ocelli-server", "ocelli-server-key"];

/** True for a page that a server has sent together with its answers: there is no engine beside it. */
export const isServed = document.querySelector("meta[name=ocelli-server]") !== null;

/** The key of the link that opened the page, percent-encoded. */
const linkedKey = () => (isServed ? /^#key=(.+)/.exec(location.hash)?.[1] : undefined);
let given = linkedKey();
if (given !== undefined) history.replaceState(null, "", "#/");
addEventListener("hashchange", () => linkedKey() !== undefined && location.reload());

/** Keeps a server for the next visit, its key only if the user agrees: else it ends with the tab. */
export function keepServer({ address, model, key }: Server, keepsKey: boolean): void {
  storages((local, tab) => {
    local.setItem(KEY, JSON.stringify({ address, model, ...(keepsKey ? { key } : {}) }));
    tab.setItem(SECRET, key);
  });
}

export function forgetServer(): void {
  storages((local, tab) => {
    local.removeItem(KEY);
    tab.removeItem(SECRET);
  });
}

/** The server of the last visit, or the one that has sent this page. */
export function keptServer(): (Server & { keepsKey: boolean }) | null {
  const kept = storages((local) => JSON.parse(local.getItem(KEY) ?? "{}") as Partial<Server>) ?? {};
  const address = isServed ? new URL(".", document.baseURI).href : kept.address;
  if (typeof address !== "string") return null;
  const { model = "" } = kept;
  const keepsKey = kept.key !== undefined;
  // A key is for one server alone.
  const known = kept.address === address ? (storages((_, tab) => tab.getItem(SECRET)) ?? kept.key) : undefined;
  const server = { address, model, key: given === undefined ? (known ?? "") : decoded(given) };
  if (given !== undefined) keepServer(server, keepsKey);
  given = undefined;
  return { ...server, keepsKey };
}

/** Without storage the server is chosen anew at each visit. */
function storages<T>(act: (local: Storage, tab: Storage) => T): T | null {
  try {
    return act(localStorage, sessionStorage);
  } catch {
    return null;
  }
}
