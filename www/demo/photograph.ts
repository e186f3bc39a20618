/** Photographs that are given to the demo model, which does not know photographs; another model may fit this device. */
import { Engine } from "../src/index.js";
import { readableBytes } from "../src/store/quota.js";
import { announce, button, element, find } from "./dom.js";
import type { OnChoose } from "./model-list.js";

/** Side of the square of pixels that are sampled. */
const SIDE = 64;
/** Drawn scenes have a few flat colours and mixtures of two at their edges, 34 to 85 of the gallery; two photographs had 1107 and 1333. */
const MOST_COLOURS = 200;

/** Returns true if one of the files is a picture with more colours than a drawn scene has. */
export async function hasPhotograph(files: File[]): Promise<boolean> {
  for (const file of files) if ((await colours(file).catch(() => 0)) > MOST_COLOURS) return true;
  return false;
}

/** Says what the demo model is, and offers the smallest model that knows photographs and fits. */
export async function offerModel(onChoose: OnChoose): Promise<void> {
  const { models } = await Engine.check();
  // In the order of the registry: the smallest download first.
  const [smallest] = models.filter(({ fits }) => fits);
  const words =
    "This looks like a photograph. The demo model knows only drawn scenes of coloured shapes: what it says of this one is a guess.";
  const offer = find("offer", HTMLElement);
  offer.replaceChildren(element("p", {}, words));
  if (smallest) {
    const { name, source } = smallest.model;
    const label = smallest.downloadBytes ? `Download ${name} (${readableBytes(smallest.downloadBytes)})` : `Use ${name}`;
    const use = button(label, { class: "button" }, () => {
      withdrawOffer();
      onChoose({ name, source });
    });
    offer.append(element("p", {}, `${name} sees photographs, and fits this device as far as the browser tells.`), use);
  } else {
    offer.append(element("p", {}, "No model that sees photographs fits this device."));
  }
  offer.hidden = false;
  announce(words);
}

export function withdrawOffer(): void {
  find("offer", HTMLElement).hidden = true;
}

/** Colours, of 5 bits a channel, of as many pixels spread over the picture. */
async function colours(file: Blob): Promise<number> {
  const bitmap = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
  if (!canvas) return 0;
  // Smoothing would mix colours that are not there.
  canvas.imageSmoothingEnabled = false;
  canvas.drawImage(bitmap, 0, 0, SIDE, SIDE);
  bitmap.close();
  const { data } = canvas.getImageData(0, 0, SIDE, SIDE); // [64, 64, 4]
  const seen = new Set<number>();
  for (let at = 0; at < data.length; at += 4) {
    const [red = 0, green = 0, blue = 0] = data.subarray(at, at + 3);
    seen.add(((red >> 3) << 10) | ((green >> 3) << 5) | (blue >> 3));
  }
  return seen.size;
}
