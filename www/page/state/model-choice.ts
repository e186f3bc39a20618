/** A model to use, and the one of the last visit. */
import { packages, registry, type GgufSource, type ModelSource } from "../../src/index.js";
import { decoded } from "../../src/url.js";
import { words } from "../words/index.js";
import type { Server } from "./server.js";

/** A model that was chosen. */
export interface Choice {
  /** For display. */
  name: string;
  source: ModelSource;
  /** The server that runs it, if that is not this device. */
  server?: Server;
}

/** A choice whose files have addresses, so that a later visit can repeat it. */
export interface SavedChoice {
  name: string;
  source: string | Record<string, string>;
}

const KEY = "ocelli-model";

export const DEMO: Choice = {
  get name() {
    return words.models.demo;
  },
  source: new URL("models/demo/", document.baseURI).href,
};

export function isDemo(choice: Choice): boolean {
  return choice.source === DEMO.source;
}

/** Identifies a model among others. */
export function keyOf(source: unknown): string {
  return JSON.stringify(source);
}

/** Makes the next visit begin with this model. */
export function saveChoice(choice: Choice, packageUrl: string): void {
  try {
    if (isDemo(choice)) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, JSON.stringify({ name: choice.name, url: packageUrl }));
  } catch {
    // Without storage the page begins with the demo model.
  }
}

/** The last visit's model, if it is still stored. */
export async function savedChoice(): Promise<Choice | null> {
  try {
    const { name, url } = JSON.parse(localStorage.getItem(KEY) ?? "{}") as { name?: unknown; url?: unknown };
    if (typeof name !== "string" || typeof url !== "string") return null;
    const stored = await packages.list();
    return stored.some((entry) => entry.url === url && entry.complete) ? { name, source: url } : null;
  } catch {
    return null;
  }
}

/** The choice without files of this visit; `null` if it has some. */
export function savedSource({ name, source }: Choice): SavedChoice | null {
  if (typeof source === "string" || source instanceof URL) return { name, source: String(source) };
  const places: [string, unknown][] = Object.entries(source);
  if (places.some(([, place]) => place instanceof Blob)) return null;
  return { name, source: Object.fromEntries(places.map(([key, place]) => [key, String(place)])) };
}

/** A name for a source: from the registry, of the file, or of the repository. */
export function nameOf(source: unknown): string {
  const known = registry.find((model) => keyOf(model.source) === keyOf(source));
  if (known) return known.name;
  const { gguf, safetensors } = source as { gguf?: GgufSource["gguf"] | { file: string }; safetensors?: string };
  if (gguf instanceof File) return gguf.name;
  if (typeof gguf === "object" && "file" in gguf) return gguf.file;
  const parts = new URL(String(gguf ?? safetensors)).pathname.split("/").filter(Boolean);
  const at = parts.indexOf("resolve");
  return decoded((gguf ? parts.at(-1) : parts[at > 0 ? at - 1 : parts.length - 1]) ?? words.models.own);
}
