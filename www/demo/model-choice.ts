/** A model to use, and the one of the last visit. */
import { packages, registry, type GgufSource, type ModelSource } from "../src/index.js";
import { decoded } from "../src/url.js";

/** A model that was chosen. */
export interface Choice {
  /** For display. */
  name: string;
  source: ModelSource;
}

const KEY = "ocelli-model";

export const DEMO: Choice = { name: "demo model", source: new URL("models/demo/", document.baseURI).href };

export function isDemo(choice: Choice): boolean {
  return choice.source === DEMO.source;
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

/** A name for a source: from the registry, of the file, or of the repository. */
export function nameOf(source: unknown): string {
  const known = registry.find((model) => JSON.stringify(model.source) === JSON.stringify(source));
  if (known) return known.name;
  const { gguf, safetensors } = source as { gguf?: GgufSource["gguf"] | { file: string }; safetensors?: string };
  if (gguf instanceof File) return gguf.name;
  if (typeof gguf === "object" && "file" in gguf) return gguf.file;
  const parts = new URL(String(gguf ?? safetensors)).pathname.split("/").filter(Boolean);
  const at = parts.indexOf("resolve");
  return decoded((gguf ? parts.at(-1) : parts[at > 0 ? at - 1 : parts.length - 1]) ?? "your model");
}
