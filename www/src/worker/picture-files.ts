/** PNG, JPEG and WebP files, decoded by a separate wasm module: the same pixels in every browser. */
import { type ModuleUrls, WasmModule } from "../net/wasm-module.js";
import initPictures, { __wbg_reset_state as startAnew, decodePicture, pictureSize, wasmMemory } from "../wasm/ocelli_pictures.js";

const module = new WasmModule("pictures", initPictures);

/** Wasm memory never shrinks, so the module is reset if a large picture made it larger than this. */
const KEPT_BYTES = 64 << 20;

/** Loads the module once. */
export const loadPictureFiles = (urls: ModuleUrls): Promise<void> => module.load(urls);

/** `[width, height]` from the header of a PNG, JPEG or WebP file, before its EXIF rotation. The module must be loaded. */
export const sizeOfFile = (bytes: Uint8Array): ArrayLike<number> | undefined => whole(() => pictureSize(bytes));

/** A picture file's pixels, for the engine. The module must be loaded. */
export const decodeFile: typeof decodePicture = (bytes, limit) => whole(() => decodePicture(bytes, limit));

/** Resets the module after a panic, which may leave its memory inconsistent, and if its memory has become too large. */
function whole<T>(act: () => T): T {
  let isWhole = false;
  try {
    const result = act();
    isWhole = true;
    return result;
  } catch (thrown) {
    // Errors with a code are refusals, not panics.
    isWhole = typeof thrown === "object" && thrown !== null && "code" in thrown;
    throw thrown;
  } finally {
    if (!isWhole || wasmMemory() > KEPT_BYTES) startAnew();
  }
}
