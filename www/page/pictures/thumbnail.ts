/** Small pictures for lists. */
import { sizeOf } from "./photograph.js";

/** Longest side in pixels. */
const SIDE = 256;
/** Larger pictures are not decoded here, because of the memory that it takes. */
const MOST_PIXELS = 100e6;

/** A picture's size, and a small copy of it. */
export interface Small {
  /** In pixels, upright; 0 if the browser cannot read the file. */
  width: number;
  height: number;
  blob: Blob | null;
}

export async function smallOf(file: Blob): Promise<Small> {
  const url = URL.createObjectURL(file);
  try {
    const { width, height } = await sizeOf(url);
    if (width * height === 0 || width * height > MOST_PIXELS) return { width, height, blob: null };
    const scale = Math.min(1, SIDE / Math.max(width, height));
    const [across, down] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    // The canvas is upright, whatever the browser makes of the sides that are asked for.
    const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    const canvas = new OffscreenCanvas(across, down);
    const context = canvas.getContext("2d");
    if (!context) return { width, height, blob: null };
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, across, down);
    bitmap.close();
    return { width, height, blob: await canvas.convertToBlob({ type: "image/webp", quality: 0.8 }) };
  } catch {
    return { width: 0, height: 0, blob: null };
  } finally {
    URL.revokeObjectURL(url);
  }
}
