/** Example pictures, which were not among the training data of the demo model. */
import { element, find } from "./dom.js";

interface Scene {
  file: string;
  alt: string;
  /** Questions that suit it. */
  prompts: string[];
}

type OnPick = (picture: File, prompts: string[]) => void;

/** Shows the pictures; `onPick` gets the one that was clicked. */
export async function showGallery(folder: URL, onPick: OnPick): Promise<void> {
  const response = await fetch(new URL("gallery.json", folder));
  if (!response.ok) return;
  const scenes = parseScenes(await response.json());
  find("gallery", HTMLElement).replaceChildren(...scenes.map((scene) => galleryItem(folder, scene, onPick)));
  find("gallery-section", HTMLElement).hidden = scenes.length === 0;
}

function galleryItem(folder: URL, scene: Scene, onPick: OnPick): HTMLLIElement {
  const url = new URL(scene.file, folder);
  const image = element("img", { src: url.href, alt: scene.alt, width: "112", height: "112", loading: "lazy" });
  const pick = element("button", { type: "button" }, image);
  pick.addEventListener("click", () => {
    void fetch(url).then(async (response) => onPick(new File([await response.blob()], scene.file), scene.prompts));
  });
  return element("li", {}, pick);
}

/** Entries of another shape are left out: the page works without examples. */
function parseScenes(json: unknown): Scene[] {
  return listOf(json).flatMap((entry) => {
    const { file, alt, answers } = entry as { file?: unknown; alt?: unknown; answers?: unknown };
    if (typeof file !== "string") return [];
    const prompts = listOf(answers).map((answer) => (answer as { prompt?: unknown }).prompt);
    return [
      { file, alt: typeof alt === "string" ? alt : "Example scene", prompts: prompts.filter((prompt) => typeof prompt === "string") },
    ];
  });
}

function listOf(json: unknown): object[] {
  const list: unknown[] = Array.isArray(json) ? json : [];
  return list.filter((entry) => typeof entry === "object" && entry !== null);
}
