/**
 * Pictures in the form that the engine takes. PNG, JPEG and WebP are passed on encoded, so that every browser gives the same answer;
 * other formats, and pictures too large to decode at full size, are decoded by the browser.
 */
import { isAbort, ocelliError, type OcelliError } from "../errors.js";
import { download } from "../net/download.js";
import { Mirrors, retryPolicy } from "../net/mirrors.js";
import type { Picture } from "../wasm/ocelli.js";
import { sizeOfFile } from "./picture-files.js";
import type { PictureSource } from "./protocol.js";

export interface ReadPicture {
  picture: Picture;
  /** A note for the user, such as that the picture was scaled down. */
  note: string | null;
}

/** Larger pictures are scaled by the browser while it decodes: at four bytes a pixel they might not fit in memory. */
const MAX_PIXELS = 40_000_000;
/** Larger pictures are refused: decoding alone would take gigabytes. */
const MAX_DECODABLE_PIXELS = 400_000_000;
/** Longest edge of scaled pictures; far above the input size of any model. */
const LONGEST_EDGE = 4096;

/** Reads a picture. `files` loads the module for picture files. */
export async function readPicture(
  source: PictureSource,
  files: () => Promise<void>,
  credentials: RequestCredentials,
  signal: AbortSignal,
): Promise<ReadPicture> {
  if (source instanceof ImageData) return pixels(source, null);
  if (source instanceof ImageBitmap) return { ...drawn(source, fit(source.width, source.height)), note: null };
  const bytes = await encodedBytes(source, credentials, signal);
  if (bytes.length === 0) throw invalidImage("the file is empty");
  await files();
  const [width, height] = Array.from(sizeOfFile(bytes) ?? []);
  if (width === undefined || height === undefined) return decodeInBrowser(bytes);
  if (width * height <= MAX_PIXELS) return { picture: bytes, note: null };
  if (width * height > MAX_DECODABLE_PIXELS) throw tooLarge(width, height);
  return decodeScaled(bytes, width, height);
}

async function encodedBytes(source: string | Blob, credentials: RequestCredentials, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  try {
    const mirrors = new Mirrors([source], retryPolicy({ attempts: 2, credentials }));
    return (await download(mirrors, "", { signal, cache: "default" })).bytes;
  } catch (thrown) {
    if (isAbort(thrown) || !source.startsWith("data:")) throw thrown;
    throw invalidImage("not a valid data: URL");
  }
}

/** Decodes AVIF, GIF, BMP, HEIC and all other formats that this browser supports. */
async function decodeInBrowser(bytes: Uint8Array<ArrayBuffer>): Promise<ReadPicture> {
  const bitmap = await decode(bytes, {});
  const full = { width: bitmap.width, height: bitmap.height };
  const size = full.width * full.height > MAX_PIXELS ? fit(full.width, full.height) : full;
  return { ...drawn(bitmap, size), note: size === full ? null : scaledNote(full, size) };
}

async function decodeScaled(bytes: Uint8Array<ArrayBuffer>, width: number, height: number): Promise<ReadPicture> {
  // With one side given the browser keeps the aspect ratio, also of a picture that is rotated by its EXIF data.
  const resize = width >= height ? { resizeWidth: LONGEST_EDGE } : { resizeHeight: LONGEST_EDGE };
  const bitmap = await decode(bytes, { ...resize, resizeQuality: "high" });
  const size = { width: bitmap.width, height: bitmap.height };
  return { ...drawn(bitmap, size), note: scaledNote({ width, height }, size) };
}

async function decode(bytes: Uint8Array<ArrayBuffer>, options: ImageBitmapOptions): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(new Blob([bytes]), {
      imageOrientation: "from-image",
      premultiplyAlpha: "none",
      ...options,
    });
  } catch (cause) {
    throw invalidImage("neither PNG, JPEG or WebP nor a format this browser can open", cause);
  }
}

function drawn(bitmap: ImageBitmap, size: { width: number; height: number }): { picture: Picture } {
  const canvas = new OffscreenCanvas(size.width, size.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw invalidImage("this browser gives no canvas to decode with");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, size.width, size.height);
  bitmap.close();
  return pixels(context.getImageData(0, 0, size.width, size.height), null);
}

function pixels({ width, height, data }: ImageData, note: string | null): ReadPicture {
  return { picture: { width, height, rgba: new Uint8ClampedArray(data) }, note };
}

function fit(width: number, height: number): { width: number; height: number } {
  const scale = width * height > MAX_PIXELS ? LONGEST_EDGE / Math.max(width, height) : 1;
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

function scaledNote(from: { width: number; height: number }, to: { width: number; height: number }): string {
  const megapixels = Math.round((from.width * from.height) / 1e6);
  return `The picture has ${megapixels} megapixels. It was scaled to ${to.width} × ${to.height} before being looked at.`;
}

function invalidImage(reason: string, cause?: unknown): OcelliError {
  return ocelliError("invalid-image", `not a readable picture: ${reason}`, { reason }, cause);
}

function tooLarge(width: number, height: number): OcelliError {
  const limit_megapixels = MAX_DECODABLE_PIXELS / 1e6;
  const message = `the picture is ${width} x ${height}, more than the limit of ${limit_megapixels} megapixels`;
  return ocelliError("image-too-large", message, { width, height, limit_megapixels });
}
