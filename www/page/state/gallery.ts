/** Example pictures, which were not among the training data of the demo model. */
import { signal } from "@preact/signals-core";
import { words } from "../words/index.js";

export interface Scene {
  url: string;
  file: string;
  alt: string;
  /** Questions that suit it. */
  prompts: string[];
}

export const scenes = signal<readonly Scene[]>([]);

/** Reads the list of the examples in `folder`. The page works without them. */
export async function loadScenes(folder: URL): Promise<void> {
  const response = await fetch(new URL("gallery.json", folder));
  if (response.ok) scenes.value = parseScenes(await response.json(), folder);
}

export async function fileOf({ url, file }: Scene): Promise<File> {
  return new File([await (await fetch(url)).blob()], file);
}

/** Entries of another shape are left out. */
function parseScenes(json: unknown, folder: URL): Scene[] {
  return listOf(json).flatMap((entry) => {
    const { file, alt, answers } = entry as { file?: unknown; alt?: unknown; answers?: unknown };
    if (typeof file !== "string") return [];
    const prompts = listOf(answers).map((answer) => (answer as { prompt?: unknown }).prompt);
    const shown = typeof alt === "string" ? alt : words.empty.scene;
    return [{ url: new URL(file, folder).href, file, alt: shown, prompts: prompts.filter((prompt) => typeof prompt === "string") }];
  });
}

function listOf(json: unknown): object[] {
  const list: unknown[] = Array.isArray(json) ? json : [];
  return list.filter((entry) => typeof entry === "object" && entry !== null);
}
