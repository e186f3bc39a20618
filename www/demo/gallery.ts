/** Example scenes that were kept out of the model's training. */
import { element, find } from "./dom.js";

interface Scene {
  file: string;
  alt: string;
}

/** Shows the scenes beside the demo model; `onPick` gets the picture that was clicked. */
export async function showGallery(folder: URL, onPick: (picture: Blob, name: string) => void): Promise<void> {
  const response = await fetch(new URL("gallery.json", folder));
  if (!response.ok) return;
  const scenes = parseScenes(await response.json());
  find("gallery", HTMLElement).replaceChildren(...scenes.map((scene) => galleryItem(folder, scene, onPick)));
  find("gallery-section", HTMLElement).hidden = scenes.length === 0;
}

function galleryItem(folder: URL, scene: Scene, onPick: (picture: Blob, name: string) => void): HTMLLIElement {
  const url = new URL(scene.file, folder);
  const image = element("img", { src: url.href, alt: scene.alt, width: "112", height: "112", loading: "lazy" });
  const pick = element("button", { type: "button" }, image);
  pick.addEventListener("click", () => {
    void fetch(url).then(async (response) => onPick(await response.blob(), scene.file));
  });
  return element("li", {}, pick);
}

function parseScenes(json: unknown): Scene[] {
  const list: unknown[] = Array.isArray(json) ? json : [];
  return list.flatMap((entry) => {
    const { file, alt } = entry as { file?: unknown; alt?: unknown };
    return typeof file === "string" ? [{ file, alt: typeof alt === "string" ? alt : "Example scene" }] : [];
  });
}
