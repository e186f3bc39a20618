/** Sources of models: packages, and checkpoints that are converted to packages first. */
import { ocelliError } from "../errors.js";
import type { RemoteFileOptions } from "../net/remote-file.js";
import { absoluteUrl } from "../url.js";
import type { ImportSettings } from "../wasm/ocelli_import.js";

/** A file at an address, or one that the user gave. */
export type FileLocation = string | URL | Blob;

/** A GGUF file (the first part of a split one), and the `mmproj` file with the vision tower. */
export interface GgufSource {
  gguf: FileLocation;
  mmproj?: FileLocation;
}

/** The address of a folder with `config.json`, `tokenizer.json` and safetensors weights. */
export interface SafetensorsSource {
  safetensors: string | URL;
}

/** A package by its address, or a checkpoint. The address of a page on huggingface.co means the files that the page shows. */
export type ModelSource = string | URL | GgufSource | SafetensorsSource;

/** Options of the conversion of a checkpoint to a package. */
export interface ImportOptions extends ImportSettings {
  /** Options of the network. */
  network?: ImportNetwork;
  /**
   * Contents of the checkpoint's files by name: files that differ fail with `integrity`, and no others are read. Default: for a known
   * model, those of `registry`; else none.
   */
  pins?: Readonly<Record<string, FilePin>>;
}

/** The content of a file. */
export interface FilePin {
  /** SHA-256 in lower-case hexadecimal. */
  sha256: string;
  bytes: number;
}

/** Options of the network for the files of a checkpoint. */
export type ImportNetwork = Omit<RemoteFileOptions, "signal" | "onReceived">;

/** A package that was made from a checkpoint, now or earlier. */
export interface ImportResult {
  /** Address for `Engine.load`. */
  packageUrl: string;
  /** The model's name. */
  name: string;
  /** Peak size of the wasm module's memory, in bytes. */
  wasmBytes: number;
}

/** A checkpoint as it is sent to the worker: addresses are absolute. */
export type WireSource = { kind: "gguf"; text: string | Blob; mmproj: string | Blob | null } | { kind: "safetensors"; folder: string };

/** `null` for a package. Throws `invalid-request` for anything that is not a source. */
export function wireSource(source: ModelSource): WireSource | null {
  if (typeof source === "string" || source instanceof URL) return null;
  if ("gguf" in source) {
    return { kind: "gguf", text: location("gguf", source.gguf), mmproj: source.mmproj ? location("mmproj", source.mmproj) : null };
  }
  if ("safetensors" in source) {
    const folder = hubFile(absolute("safetensors", source.safetensors));
    return { kind: "safetensors", folder: folder.endsWith("/") ? folder : `${folder}/` };
  }
  throw invalid("source", "neither an address, nor { gguf }, nor { safetensors }");
}

function location(field: string, file: FileLocation): string | Blob {
  return file instanceof Blob ? file : hubFile(absolute(field, file));
}

function absolute(field: string, url: string | URL): string {
  try {
    return absoluteUrl(url);
  } catch {
    throw invalid(field, `${String(url)} is not an address`);
  }
}

/** The address of a file or folder from the address of its page on huggingface.co; other addresses are unchanged. */
function hubFile(url: string): string {
  const { origin, hostname, pathname, search } = new URL(url);
  if (hostname !== "huggingface.co") return url;
  const [owner, name, view, ...rest] = pathname.split("/").filter(Boolean);
  if (!owner || !name) return url;
  if (view === undefined) return `${origin}/${owner}/${name}/resolve/main/`;
  if (view !== "blob" && view !== "tree") return url;
  return `${origin}/${owner}/${name}/resolve/${rest.join("/")}${search}`;
}

function invalid(field: string, reason: string): Error {
  return ocelliError("invalid-request", `${field}: ${reason}`, { field, reason });
}
