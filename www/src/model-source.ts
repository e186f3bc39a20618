/** What can be loaded: a package, or a checkpoint that is made into one first. */
import { ocelliError } from "./errors.js";
import type { RemoteFileOptions } from "./net.js";

/** A file at an address, or one that the user gave. */
export type FileLocation = string | URL | Blob;

/** A GGUF file (of a split one the first part), and the `mmproj` file that lets it see. */
export interface GgufSource {
  gguf: FileLocation;
  mmproj?: FileLocation;
}

/** The address of a folder with `config.json`, `tokenizer.json` and safetensors weights. */
export interface SafetensorsSource {
  safetensors: string | URL;
}

/** A package by its address, or a checkpoint. Addresses of pages on huggingface.co stand for the files they show. */
export type ModelSource = string | URL | GgufSource | SafetensorsSource;

/** How a checkpoint is made into a package. */
export interface ImportOptions {
  /**
   * How matrices are stored that the checkpoint holds in floats. Default: of a GGUF file as they are, else `q4_0`. `compact`: the
   * whole text model in 4.25 bits a weight, whatever the checkpoint holds: the least memory, for some loss.
   */
  layout?: "compact" | "q4_64" | "q4_0" | "q8_0" | "f16" | "f32";
  /** How those of the vision half are stored, where that is to differ. */
  visionLayout?: "q4_64" | "q4_0" | "q8_0" | "f16" | "f32";
  /** The model's name, if not the checkpoint's own. */
  name?: string;
  /** Licence of the weights, if not what the checkpoint says. */
  license?: string;
  /** Bytes of a shard, at most 32 MiB: after each an interrupted import can go on. */
  shardBytes?: number;
  /** How files are fetched. */
  network?: ImportNetwork;
}

/** The patience and the pace of fetching; see there. */
export type ImportNetwork = Omit<RemoteFileOptions, "signal" | "onReceived">;

/** A checkpoint as it crosses to the worker: addresses are absolute. */
export type WireSource =
  | { kind: "gguf"; text: string | Blob; mmproj: string | Blob | null }
  | { kind: "safetensors"; folder: string };

/** `null` for what is a package already. Throws `invalid-request` for what is no source. */
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
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch {
    throw invalid(field, `${String(url)} is not an address`);
  }
}

/** The hub's pages about a file or a repository, as the addresses of the bytes behind them. */
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
