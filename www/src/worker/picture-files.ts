/** PNG, JPEG and WebP files, read by a wasm module of their own: the same pixels in every browser. */
import { type ModuleUrls, WasmModule } from "../net/wasm-module.js";
import initPictures, { __wbg_reset_state as startAnew, decodePicture, pictureSize, wasmMemory } from "../wasm/ocelli_pictures.js";

const module = new WasmModule("pictures", initPictures);

/** A module's memory never shrinks: one that a large picture has made larger than this is given back. */
const KEPT_BYTES = 64 << 20;

/** Loads the module, unless it is loaded. */
export const loadPictureFiles = (urls: ModuleUrls): Promise<void> => module.load(urls);

/** `[width, height]` from the header of a PNG, JPEG or WebP file, before any turn. The module must be loaded. */
export const sizeOfFile = (bytes: Uint8Array): ArrayLike<number> | undefined => whole(() => pictureSize(bytes));

/** A picture file's pixels, for the engine. The module must be loaded. */
export const decodeFile: typeof decodePicture = (bytes, limit) => whole(() => decodePicture(bytes, limit));

/** What a fault has left in the module's memory is not used again. */
function whole<T>(act: () => T): T {
  let isWhole = false;
  try {
    const result = act();
    isWhole = true;
    return result;
  } catch (thrown) {
    // A refusal has a code.
    isWhole = typeof thrown === "object" && thrown !== null && "code" in thrown;
    throw thrown;
  } finally {
    if (!isWhole || wasmMemory() > KEPT_BYTES) startAnew();
  }
}
