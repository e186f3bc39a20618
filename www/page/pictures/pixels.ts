/** Pictures that are made of others: parts of pictures, and frames of videos and of screens. */
import type { Part, PartOf } from "../store/schema.js";

export type Turn = PartOf["turn"];

/** The most pixels of a part. */
const MOST_PIXELS = 4e6;
/** Time after which a stream without a frame counts as failed. */
const FRAME_MS = 10_000;

export interface Size {
  width: number;
  height: number;
}

/** The size of a picture after it was turned. */
export function turned({ width, height }: Size, turn: Turn): Size {
  return turn % 180 === 0 ? { width, height } : { width: height, height: width };
}

/** A part of a picture, turned clockwise before it is cut from the upright picture, as a PNG of at most 4 megapixels. */
export async function cut(file: Blob, name: string, part: Part, turn: Turn): Promise<File> {
  const bitmap = await upright(file);
  try {
    const whole = turned(bitmap, turn);
    // Whole pixels of the original, so that nothing is blurred.
    const left = Math.round(part.x * whole.width);
    const top = Math.round(part.y * whole.height);
    const width = Math.max(1, Math.round((part.x + part.width) * whole.width) - left);
    const height = Math.max(1, Math.round((part.y + part.height) * whole.height) - top);
    const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
    const canvas = new OffscreenCanvas(Math.max(1, Math.floor(width * scale)), Math.max(1, Math.floor(height * scale)));
    const context = contextOf(canvas);
    context.imageSmoothingQuality = "high";
    context.scale(canvas.width / width, canvas.height / height);
    context.translate(-left, -top);
    context.transform(...matrixOf(bitmap, turn));
    context.drawImage(bitmap, 0, 0);
    return await fileOf(canvas, name);
  } finally {
    bitmap.close();
  }
}

/** The matrix that turns a picture clockwise, with whole numbers so that pixels stay pixels. */
function matrixOf({ width, height }: Size, turn: Turn): [number, number, number, number, number, number] {
  switch (turn) {
    case 0:
      return [1, 0, 0, 1, 0, 0];
    case 90:
      return [0, 1, -1, 0, height, 0];
    case 180:
      return [-1, 0, 0, -1, width, height];
    case 270:
      return [0, -1, 1, 0, 0, width];
  }
}

/** The upright picture. Firefox reads some JPEG files with EXIF as elements only. */
export async function upright(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    const image = new Image();
    image.src = URL.createObjectURL(file);
    try {
      await image.decode();
      const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
      contextOf(canvas).drawImage(image, 0, 0);
      return canvas.transferToImageBitmap();
    } finally {
      URL.revokeObjectURL(image.src);
    }
  }
}

/** The picture that a video shows now. */
export async function frameOf(video: HTMLVideoElement, name: string): Promise<File> {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  contextOf(canvas).drawImage(video, 0, 0);
  return fileOf(canvas, name);
}

/** A video that shows the first picture of `stream`. */
export async function playing(stream: MediaStream): Promise<HTMLVideoElement> {
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = stream;
  await video.play();
  const deadline = performance.now() + FRAME_MS;
  while (video.videoWidth === 0 || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
    if (performance.now() > deadline) throw new Error("no picture came");
    await new Promise(requestAnimationFrame);
  }
  return video;
}

export function contextOf(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no pictures");
  return context;
}

export async function fileOf(canvas: OffscreenCanvas, name: string): Promise<File> {
  const blob = await canvas.convertToBlob({ type: "image/png" });
  return new File([blob], `${name.replace(/\.[^.]*$/, "")}.png`, { type: "image/png" });
}

/** A picture of the screen, of a window or of a tab, as the user chooses; `null` if the user does not want to share one. */
export async function takeScreenshot(name: string): Promise<File | null> {
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
  } catch {
    return null;
  }
  try {
    const video = await playing(stream);
    return await frameOf(video, name);
  } finally {
    for (const track of stream.getTracks()) track.stop();
  }
}
