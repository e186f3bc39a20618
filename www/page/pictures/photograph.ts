/** Facts about a picture file: its size, and whether it is a photograph, which the demo model does not know. */

/** Side of the square of pixels that are sampled. */
const SIDE = 64;
/** Drawn scenes have a few flat colours and mixtures of two at their edges, 34 to 85 of the gallery; two photographs had 1107 and 1333. */
const MOST_COLOURS = 200;
/** Larger pictures are not decoded here, because of the memory that it takes. */
const MOST_PIXELS = 100e6;

/** Facts about a picture. */
export interface PictureFacts {
  /** In pixels; 0 if the browser cannot read the file. */
  width: number;
  height: number;
  isPhotograph: boolean;
}

/** The size of the picture at `url`, and true for `isPhotograph` if it has more colours than a drawn scene has. */
export async function factsOf(file: Blob, url: string): Promise<PictureFacts> {
  const { width, height } = await sizeOf(url).catch(() => ({ width: 0, height: 0 }));
  const isReadable = width > 0 && width * height <= MOST_PIXELS;
  const isPhotograph = isReadable && (await colours(file).catch(() => 0)) > MOST_COLOURS;
  return { width, height, isPhotograph };
}

/** Browsers read the size of an image before they decode it. */
export async function sizeOf(url: string): Promise<{ width: number; height: number }> {
  const image = new Image();
  await new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = reject;
    image.src = url;
  });
  return { width: image.naturalWidth, height: image.naturalHeight };
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
